//! Time: unix seconds, the same number that goes into `iat` and `exp`, and where it comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment, in whole seconds since 1970 (the `NumericDate` of RFC 7519 §2).
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    diesel::deserialize::FromSqlRow,
    diesel::expression::AsExpression,
)]
#[diesel(sql_type = diesel::sql_types::BigInt)]
#[serde(transparent)]
pub struct Timestamp(i64);

portable_column!(Timestamp, diesel::sql_types::BigInt, i64);

impl Timestamp {
    /// The end of the year 9999: later than anything that happens here.
    pub const NEVER: Self = Self(253_402_300_799);

    /// The moment that lies `seconds` after 1970.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This moment, later by a span.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.seconds()))
    }

    /// This moment, earlier by a span.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.seconds()))
    }

    /// How long it is from `earlier` to this moment; nothing when it lies in the future.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }

    /// Reads the date of an HTTP header (RFC 9110 §5.6.7), in the form that is sent today.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        chrono::DateTime::parse_from_rfc2822(text).ok().map(|at| Self(at.timestamp()))
    }

    /// The first moment of a day such as `2027-03-01`, UTC.
    pub fn parse_day(text: &str) -> Option<Self> {
        let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Self(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp()))
    }

    /// Reads a moment as it stands in documents (RFC 3339 §5.6).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp()))
    }

    /// Reads a `NumericDate` (RFC 7519 §2): whole or broken seconds that a clock can show.
    pub fn from_numeric_date(value: &serde_json::Value) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked right after")]
        let whole = || value.as_f64().map(|seconds| seconds.floor() as i64);
        let seconds = value.as_i64().or_else(whole);
        seconds.filter(|seconds| (0..=Self::NEVER.0).contains(seconds)).map(Self)
    }

    /// The day of the moment, UTC.
    pub fn day(self) -> String {
        let text = self.rfc3339();
        text.split_once('T').map_or(text.clone(), |(day, _)| day.to_owned())
    }

    /// The moment in words, UTC, to the second.
    pub fn rfc3339(self) -> String {
        chrono::DateTime::from_timestamp(self.0, 0)
            .map_or_else(|| self.0.to_string(), |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// The moment as a person reads it on a page, UTC, to the minute.
    pub fn for_people(self) -> String {
        chrono::DateTime::from_timestamp(self.0, 0)
            .map_or_else(|| self.0.to_string(), |at| at.format("%-d %B %Y, %H:%M UTC").to_string())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.rfc3339())
    }
}

/// A length of time in whole seconds, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// So many seconds.
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64)
    }

    /// So many minutes.
    pub const fn from_minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60)
    }

    /// So many hours.
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3_600)
    }

    /// So many days.
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * 86_400)
    }

    /// The span in seconds.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Both spans, one after the other.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Half of the span.
    #[must_use]
    pub const fn half(self) -> Self {
        Self(self.0 / 2)
    }

    /// The span for APIs of the standard library.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0.unsigned_abs())
    }

    /// Reads `90s`, `15m`, `12h`, `30d` or a bare number of seconds.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.strip_prefix(digits)? {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let count: u32 = digits.parse().ok()?;
        Some(Self(i64::from(count) * unit))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => out.write_str("0s"),
            n if n % 86_400 == 0 => write!(out, "{}d", n / 86_400),
            n if n % 3_600 == 0 => write!(out, "{}h", n / 3_600),
            n if n % 60 == 0 => write!(out, "{}m", n / 60),
            n => write!(out, "{n}s"),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment. A handler asks once and passes the answer down as a value.
    fn now(&self) -> Timestamp;
}

/// The computer's own clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since_1970.map_or(0, |span| i64::try_from(span.as_secs()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_the_same_words() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)] {
            let span = Span::parse(text).unwrap();
            assert_eq!(span.seconds(), seconds);
            assert_eq!(span.to_string(), text);
        }
        for wrong in ["", "m", "-5m", "5w", "1.5h", "99999999999s", "5 m"] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_and_dates_are_read_as_they_are_written() {
        let day = Timestamp::parse_day("2027-03-01").unwrap();
        assert_eq!((day.day().as_str(), day.unix()), ("2027-03-01", 1_803_859_200));
        let said = Timestamp::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(said.rfc3339(), "1994-11-06T08:49:37Z");
        for wrong in ["", "2027-02-30", "01.03.2027", "2027-03-01T00:00:00Z", "never"] {
            assert_eq!(Timestamp::parse_day(wrong), None, "{wrong}");
            assert_eq!(Timestamp::parse_http_date(wrong), None, "{wrong}");
        }
    }
}
