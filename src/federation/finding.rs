//! What an examination has found: one sentence, and one thing to do about it.

use serde::Serialize;

text_enum! {
    /// What a finding means.
    Verdict {
        /// It is as it should be.
        Pass = "pass",
        /// It works, or nobody can say; somebody should look at it.
        Warn = "warn",
        /// People cannot sign in, or not as the settings say.
        Fail = "fail",
    }
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// What it means.
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// It is as it should be.
    pub fn pass(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Pass, what: what.into(), fix: None }
    }

    /// Somebody should look at it.
    pub fn warn(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, what: what.into(), fix: Some(fix.into()) }
    }

    /// It does not work.
    pub fn fail(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, what: what.into(), fix: Some(fix.into()) }
    }
}
