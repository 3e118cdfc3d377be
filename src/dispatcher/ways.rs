//! The ways by which somebody can sign in, and the one that is taken without asking.

use std::sync::Arc;

use super::second_factor::could_reach;
use crate::{
    app::App,
    clients::Client,
    config::Protocol,
    federation::Upstream,
    foundation::{clock::Timestamp, ids::UpstreamSlug},
    interactions::{AuthorizationRequest, Interaction},
    protocol::{acr::Level, words::Prompt},
    store::{StoreResult, passkeys},
};

/// The ways that are open to one sign-in: those that there are, as far as the app accepts them.
#[derive(Debug)]
pub struct Ways {
    /// The upstreams, in the order of the configuration.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Whether there are passwords, and one would do.
    pub passwords: bool,
    /// Whether there are passkeys, and one would do.
    pub passkeys: bool,
    /// Whether the person may make an account for it.
    pub signup: bool,
}

impl Ways {
    /// The ways that are open.
    pub async fn of(app: &App, interaction: &Interaction, now: Timestamp) -> StoreResult<Self> {
        let client = client_of(app, interaction);
        let accepts =
            |slug: Option<&UpstreamSlug>| client.as_ref().is_none_or(|client| client.accepts(slug));
        let request = interaction.request();
        let level = request.and_then(|request| request.level);
        // An upstream without ID tokens says neither when nor how well anybody has signed in.
        let unsaid = level > Some(Level::SingleFactor)
            || request.is_some_and(|request| request.max_age.is_some());
        let says = |upstream: &Upstream| !unsaid || upstream.settings.protocol == Protocol::Oidc;
        let fits = |upstream: &&Arc<Upstream>| accepts(Some(upstream.slug())) && says(upstream);
        let upstreams = app.upstreams.iter().filter(fits);
        let alone = accepts(None) && level <= Some(Level::SingleFactor);
        // With a second factor a password may reach more.
        let with_more = match level.filter(|level| *level > Level::SingleFactor) {
            Some(level) => accepts(None) && could_reach(app, interaction, level).await?,
            None => false,
        };
        let passwords = (alone || with_more) && app.has_local_accounts(now).await?;
        let passkeys = match &app.passkeys {
            // Whoever has a password may have one; where no password will do, somebody has to have one.
            Some(_) if accepts(None) => passwords || (!alone && any_passkey(app).await?),
            _ => false,
        };
        Ok(Self {
            upstreams: upstreams.cloned().collect(),
            passwords,
            passkeys,
            signup: alone && app.signup_is_open(Some(interaction)),
        })
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.upstreams.is_empty() && !self.passwords && !self.passkeys && !self.signup
    }

    /// Whether the page asks for the address first, because it leads some people to an upstream.
    pub fn ask_for_address(&self) -> bool {
        self.upstreams.iter().any(|upstream| !upstream.settings.email_domains.is_empty())
    }

    /// The upstream to which an address leads.
    pub fn for_address(&self, app: &App, address: &str) -> Option<&Arc<Upstream>> {
        self.find(app.upstreams.of_address(address)?.slug())
    }

    /// The upstreams that have a button. Where there is nothing else, all have.
    pub fn with_button(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        let shown = |upstream: &Arc<Upstream>| upstream.settings.button;
        let all = !self.passwords && !self.ask_for_address() && !self.upstreams.iter().any(shown);
        self.upstreams.iter().filter(move |upstream| all || shown(upstream))
    }

    /// The upstream that the person is sent to without a page: the one that the app has named, the
    /// one that the address leads to, the one that has to speak of them anew, the app's own, or the
    /// only one there is. Whoever has just signed out, or is to choose, is asked; and so is everybody
    /// while that upstream is away, unless there is nothing else to choose.
    pub(super) fn straight(&self, app: &App, interaction: &Interaction) -> Option<&Arc<Upstream>> {
        if interaction.chooses || interaction.prompts(Prompt::SelectAccount) {
            return None;
        }
        let request = interaction.request();
        let named = request.and_then(|request| self.find(request.upstream_hint.as_ref()?));
        let by_address = || self.for_address(app, interaction.login_hint()?);
        let again = || self.find(&interaction.returning.as_ref()?.upstream);
        let own = || {
            let client = client_of(app, interaction)?;
            self.find(client.settings.preferred_upstream.as_ref()?)
        };
        let straight =
            named.or_else(by_address).or_else(again).or_else(own).or_else(|| self.only());
        straight.filter(|upstream| !upstream.is_away() || self.only().is_some())
    }

    /// The upstream that may be asked without a page: the one that has to speak of the person anew.
    /// Those without ID tokens know no `prompt`.
    pub(super) fn silent(&self, interaction: &Interaction) -> Option<&Arc<Upstream>> {
        let again = self.find(&interaction.returning.as_ref()?.upstream)?;
        (again.settings.protocol == Protocol::Oidc && !again.is_away()).then_some(again)
    }

    fn find(&self, slug: &UpstreamSlug) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.slug() == slug)
    }

    /// The only way, if it is an upstream.
    fn only(&self) -> Option<&Arc<Upstream>> {
        match self.upstreams.as_slice() {
            [only] if !self.passwords && !self.passkeys && !self.signup => Some(only),
            _ => None,
        }
    }
}

async fn any_passkey(app: &App) -> StoreResult<bool> {
    Ok(passkeys::any(&mut app.connection().await?).await?)
}

/// The app that wants the sign-in.
pub(super) fn client_of(app: &App, interaction: &Interaction) -> Option<Arc<Client>> {
    let request: &AuthorizationRequest = interaction.request()?;
    app.clients.find(request.client_id.as_str())
}

/// Whether the app accepts who comes this way; none stands for accounts of our own.
pub fn accepts(app: &App, interaction: &Interaction, upstream: Option<&UpstreamSlug>) -> bool {
    client_of(app, interaction).is_none_or(|client| client.accepts(upstream))
}
