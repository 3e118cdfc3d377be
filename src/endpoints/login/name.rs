//! The name before the password: an address may lead to the upstream of its organisation.
//!
//! Nothing here tells whether there is an account. A name that leads nowhere else leads to the
//! password, whosever it is.

use std::net::IpAddr;

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::choose;
use crate::{
    app::App,
    dispatcher::{self, Ways},
    foundation::clock::Timestamp,
    interactions::{self, Interaction},
    urls,
    web::{
        browser::BrowserMark,
        error::PageError,
        pages::{page, see_other},
        throttle,
    },
};

const LEADS_NOWHERE: &str = "Nobody signs in here with that address. Check it and try again.";

/// Somebody says who they are, and nothing else yet.
pub(super) struct NameStep<'a> {
    pub(super) app: &'a App,
    pub(super) headers: &'a HeaderMap,
    pub(super) mark: &'a BrowserMark,
    pub(super) from: IpAddr,
    pub(super) now: Timestamp,
}

impl NameStep<'_> {
    /// Goes to the upstream that the name leads to, or on to the password.
    pub(super) async fn take(
        &self,
        mut interaction: Interaction,
        name: String,
    ) -> Result<Response, PageError> {
        let trace = interaction.trace_id.clone();
        let told = |error: PageError| error.trace(&trace);
        let ways = Ways::of(self.app, &interaction, self.now).await;
        let ways = ways.map_err(|error| told(error.into()))?;
        // While it is away, a password may be the way in for who has one.
        let leads_to = ways.for_address(self.app, &name);
        if let Some(upstream) = leads_to.filter(|upstream| !(upstream.is_away() && ways.passwords))
        {
            throttle::begin_flow(self.app, self.from, self.now).map_err(told)?;
            interaction.identifier = Some(name);
            return dispatcher::depart(self.app, upstream, interaction, self.now).await;
        }
        if name.is_empty() || !ways.passwords {
            return self.ask_again(&interaction, name).await.map_err(told);
        }
        // Only what is still there is kept: it may have been finished in another tab (AZ-30).
        dispatcher::claim(self.app, &mut interaction).await?;
        interaction.identifier = Some(name);
        let kept = interactions::put(&self.app.state, &mut interaction).await;
        kept.map_err(|error| told(error.into()))?;
        Ok(see_other(&urls::login(&interaction.flow)))
    }

    async fn ask_again(
        &self,
        interaction: &Interaction,
        username: String,
    ) -> Result<Response, PageError> {
        let error = Some(LEADS_NOWHERE.to_owned());
        let attempt = choose::Attempt { username, error, rename: true };
        let template = choose::build(self.app, self.headers, interaction, self.mark, attempt).await;
        Ok(page(StatusCode::BAD_REQUEST, &template?))
    }
}
