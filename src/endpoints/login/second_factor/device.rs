//! Browsers that are not asked for a second factor for a while, because their person wanted that.
//!
//! The browser keeps the proof. It is bound to its mark, to the account, to the password and to the
//! second factors that there were: when one of them changes, it is worth nothing. Nor is one from before
//! the security epoch: it may have been taken back since.

use axum::http::{HeaderMap, HeaderValue};

use crate::{
    app::App,
    foundation::{
        clock::Timestamp,
        digest::{base64url, constant_time_eq, sha256},
        ids::UserId,
    },
    store::totp_factors::TotpFactor,
    web::{
        browser::BrowserMark,
        cookies::{self, Cookie},
    },
};

/// A browser at which somebody has given a right password.
#[derive(Clone, Copy)]
pub(in crate::endpoints::login) struct Device<'a> {
    pub(in crate::endpoints::login) app: &'a App,
    pub(in crate::endpoints::login) mark: &'a BrowserMark,
    pub(in crate::endpoints::login) user: &'a UserId,
    /// The hash of the password.
    pub(in crate::endpoints::login) hash: &'a str,
}

impl Device<'_> {
    /// Whether these second factors need not be asked for here.
    pub(in crate::endpoints::login) fn is_remembered(
        &self,
        headers: &HeaderMap,
        factors: &[TotpFactor],
        now: Timestamp,
    ) -> bool {
        let cookie = cookies::read(headers, Cookie::Device, &self.app.urls);
        let Some((since, proof)) = cookie.and_then(|cookie| cookie.split_once('.')) else {
            return false;
        };
        let Some(at) = since.parse().ok().map(Timestamp::from_unix) else {
            return false;
        };
        let life = self.app.config.second_factors.remember_for;
        let ring = self.app.guesses.ring();
        let bound = self.bound_to(factors, since);
        let parts: [&[u8]; 2] = [b"remembered device", &bound];
        let mut proofs = ring.macs(&parts).map(|mac| base64url(&mac));
        at <= now
            && at > self.app.rules.epoch()
            && now < at.plus(life)
            && proofs.any(|own| constant_time_eq(own.as_bytes(), proof.as_bytes()))
    }

    /// What makes this browser remembered.
    pub(super) fn cookie(&self, factors: &[TotpFactor], now: Timestamp) -> Option<HeaderValue> {
        let since = now.unix().to_string();
        let bound = self.bound_to(factors, &since);
        let proof = base64url(&self.app.guesses.ring().mac(&[b"remembered device", &bound]));
        let life = self.app.config.second_factors.remember_for;
        cookies::set(Cookie::Device, &format!("{since}.{proof}"), life, &self.app.urls)
    }

    /// One digest of everything, each part with its length.
    fn bound_to(&self, factors: &[TotpFactor], since: &str) -> [u8; 32] {
        let mut all = Vec::new();
        let mut add = |part: &[u8]| {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
            all.extend_from_slice(part);
        };
        add(self.user.as_str().as_bytes());
        add(self.mark.bits());
        add(since.as_bytes());
        add(self.hash.as_bytes());
        for factor in factors {
            add(factor.id.as_str().as_bytes());
        }
        sha256(&all)
    }
}
