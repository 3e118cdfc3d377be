//! The question to an upstream without ID tokens: its refresh token, and then the address that tells
//! who a token belongs to.

use super::{
    Confirmed, ConfirmedBy, KeptTokens, Unconfirmed, denied, is_about_another, is_no,
    without_details,
};
use crate::{
    federation::{
        fault::UpstreamFault,
        upstream::{
            Upstream,
            oauth2::{self, Server},
        },
    },
    foundation::{clock::Timestamp, random::Random},
};

impl Server {
    pub(super) async fn confirm(
        &self,
        up: &Upstream,
        kept: &KeptTokens,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Confirmed, Unconfirmed> {
        let (by, tokens) = match &kept.refresh_token {
            Some(refresh_token) => {
                let tokens = up.refresh(self.party(), refresh_token, None, random, now).await?;
                (ConfirmedBy::Refresh, kept.renewed(tokens, now))
            }
            None if kept.can_ask(now) => (ConfirmedBy::UserInfo, kept.clone()),
            None => return Err(Unconfirmed::NoMeans),
        };
        let told = oauth2::ask(up, &tokens.access_token).await.and_then(|(subject, claims)| {
            if subject == kept.subject {
                return Ok(claims);
            }
            let detail = "the token belongs to somebody else now";
            Err(UpstreamFault::unacceptable("upstream_userinfo_subject", detail))
        });
        let asserted = match told {
            Ok(claims) => Some(oauth2::assert(up, claims, tokens.clone())),
            Err(fault) if by == ConfirmedBy::UserInfo => return Err(denied(fault, kept, now)),
            // The access token is new: a no is one, and the refresh token before it is spent.
            Err(fault) if is_no(&fault) || is_about_another(&fault) => {
                return Err(Unconfirmed::Refused(ConfirmedBy::UserInfo, fault));
            }
            Err(fault) => without_details(&fault),
        };
        Ok(Confirmed { by, tokens, asserted })
    }
}
