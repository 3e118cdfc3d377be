//! `GET /upstream/{slug}/callback`: back from an upstream.
//!
//! The state is taken before anything else: whatever comes of this answer, it counts once (UP-03).
//! It has to be of this upstream and of this browser; only then is the code redeemed.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{UpstreamState, begin_session, return_to_dispatcher};
use crate::{
    accounts::provisioning::{Arrival, SignupRefusal, arrive},
    app::App,
    audit::{Event, printable},
    ephemeral::{Key, KeyKind},
    federation::{Asserted, FaultKind, ID_TOKEN_LEEWAY, Upstream, UpstreamFault},
    foundation::{
        clock::{Span, Timestamp},
        ids::SessionId,
        opaque::{Opaque, OpaqueKind},
        secret::Secret,
    },
    interactions::{self, Interaction},
    protocol::words::Prompt,
    sessions::Proof,
    store::{Connection, QueryError, StoreError, sessions::Session, users::User},
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies::{self, Cookie},
        error::PageError,
        flow,
        params::{self, Params},
    },
};

/// How long a browser remembers which upstream it used.
const LAST_UPSTREAM_LIFE: Span = Span::from_days(365);

/// `GET /upstream/{slug}/callback`.
pub async fn callback(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    let Some(upstream) = app.upstreams.find(&slug) else {
        return Err(PageError::not_found());
    };
    let state = take_state(&app, &headers, upstream, &params).await?;
    let Some(mut interaction) = interactions::find(&app.state, &state.flow).await? else {
        return Err(flow::expired().trace(&state.trace_id));
    };
    interaction.note(state.started_at, format!("sent to {slug} to sign in"));
    interaction.note(now, format!("came back from {slug}"));
    let arrived = Arriving { app: &app, upstream, state: &state, now };
    let completed = arrived.complete(&params, &interaction).await;
    let asserted = completed.map_err(|fault| arrived.page(&fault, &interaction))?;
    interaction.note(now, format!("{slug} says: {}", asserted.subject));
    let proof = arrived.proof(&asserted, from, address::user_agent(&headers));
    let former = browser::session(&app, &headers, now).await?.map(|former| former.session);
    let auth_time = proof.auth_time;
    let begun = arrived.sign_in(&asserted, proof, former.as_ref(), &interaction).await?;
    app.metrics.count_sign_in(&slug);
    let mut response = return_to_dispatcher(&app, &mut interaction, begun, auth_time).await?;
    let last = cookies::set(Cookie::LastUpstream, &slug, LAST_UPSTREAM_LIFE, &app.urls);
    cookies::add(response.headers_mut(), last);
    Ok(response)
}

/// The state of this answer: known, of this upstream, of this browser.
async fn take_state(
    app: &App,
    headers: &HeaderMap,
    upstream: &Upstream,
    params: &Params,
) -> Result<UpstreamState, PageError> {
    let presented = params.get("state").and_then(|s| Opaque::parse(OpaqueKind::UpstreamState, s));
    let Some(presented) = presented else {
        return Err(failed("state_unknown"));
    };
    let key = Key::of_digest(KeyKind::UpstreamState, &presented.digest());
    let Some(state) = app.state.take::<UpstreamState>(&key).await? else {
        return Err(failed("state_unknown"));
    };
    if state.slug != *upstream.slug() {
        // RFC 9700 §4.4.2.2: each upstream has a redirect URI of its own.
        return Err(failed("upstream_mix_up").trace(&state.trace_id));
    }
    let mark = BrowserMark::find(app, headers);
    if mark.is_none_or(|mark| mark.digest().to_text() != state.browser) {
        return Err(failed("state_of_another_browser").trace(&state.trace_id));
    }
    Ok(state)
}

/// What the steps of one arrival share.
struct Arriving<'a> {
    app: &'a App,
    upstream: &'a Upstream,
    state: &'a UpstreamState,
    now: Timestamp,
}

impl Arriving<'_> {
    async fn complete(
        &self,
        params: &Params,
        interaction: &Interaction,
    ) -> Result<Asserted, UpstreamFault> {
        self.upstream.check_issuer_of_answer(params.get("iss"), self.now).await?;
        if let Some(error) = params.get("error") {
            let text = params.get("error_description").unwrap_or_default();
            let detail = printable(&format!("{error}: {text}"));
            return Err(UpstreamFault::unacceptable("upstream_refused", detail));
        }
        let Some(code) = params.get("code") else {
            return Err(UpstreamFault::unacceptable("upstream_no_code", "the answer has no code"));
        };
        let UpstreamState { verifier, nonce, .. } = self.state;
        let asserted = self.upstream.complete(code, verifier, nonce, self.now).await?;
        self.check_freshness(&asserted, interaction)?;
        Ok(asserted)
    }

    /// A new proof was asked for: an upstream that says when it saw the person must have seen them
    /// since (OIDC Core §3.1.3.7, step 12).
    fn check_freshness(
        &self,
        asserted: &Asserted,
        interaction: &Interaction,
    ) -> Result<(), UpstreamFault> {
        let Some(request) = interaction.request() else {
            return Ok(());
        };
        let Some(seen) = asserted.auth_time else {
            // OIDC Core §2: whoever is asked with `max_age` has to say when.
            return match request.max_age {
                None => Ok(()),
                Some(_) => Err(UpstreamFault::unacceptable(
                    "upstream_sign_in_too_old",
                    "max_age was asked for, and the ID token has no auth_time",
                )),
            };
        };
        let since_start = request.prompts(Prompt::Login).then_some(self.state.started_at);
        let since_age = request.max_age.map(|max_age| self.state.started_at.minus(max_age));
        let needed = since_start.max(since_age).map(|at| at.minus(ID_TOKEN_LEEWAY));
        if needed.is_some_and(|needed| seen < needed) {
            let detail = format!("the person last signed in there at {seen:?}");
            return Err(UpstreamFault::unacceptable("upstream_sign_in_too_old", detail));
        }
        Ok(())
    }

    fn proof(&self, asserted: &Asserted, address: String, user_agent: String) -> Proof {
        Proof {
            // Filled in when the account is known.
            user_id: crate::foundation::ids::UserId::new(""),
            upstream: Some(self.upstream.slug().clone()),
            upstream_sid: asserted.session_id.clone(),
            auth_time: asserted.auth_time.unwrap_or(self.now).min(self.now),
            amr: asserted.amr.clone(),
            acr: asserted.acr.clone(),
            address,
            user_agent,
        }
    }

    /// Finds or makes the account and begins the session, all in one transaction.
    async fn sign_in(
        &self,
        asserted: &Asserted,
        proof: Proof,
        former: Option<&Session>,
        interaction: &Interaction,
    ) -> Result<(SessionId, Secret), PageError> {
        for _ in 0..3 {
            let attempt = self.attempt(asserted, proof.clone(), former, interaction).await?;
            match attempt {
                Attempt::Done(begun) => return Ok(begun),
                Attempt::Refused(error) => return Err(*error),
                // Another request made this person's account just now; this one rolled back.
                Attempt::LostRace => {}
            }
        }
        Err(PageError::unavailable(anyhow::anyhow!("the account is being made elsewhere")))
    }

    async fn attempt(
        &self,
        asserted: &Asserted,
        proof: Proof,
        former: Option<&Session>,
        interaction: &Interaction,
    ) -> Result<Attempt, PageError> {
        let mut connection = self.app.connection().await?;
        let done = connection
            .transaction(async |conn| {
                let user = self.account(conn, asserted).await?;
                let proof = Proof { user_id: user.id, ..proof };
                let begun = begin_session(self.app, conn, former, proof, interaction, self.now);
                Ok(begun.await?)
            })
            .await;
        match done {
            Ok(begun) => Ok(Attempt::Done(begun)),
            Err(Undone::LostRace) => Ok(Attempt::LostRace),
            Err(Undone::Disabled) => {
                Ok(Attempt::Refused(Box::new(self.account_unavailable(interaction))))
            }
            Err(Undone::NotAllowed(refusal)) => {
                Ok(Attempt::Refused(Box::new(self.no_account(refusal, interaction))))
            }
            Err(Undone::Store(error)) => Err(PageError::from(error).trace(&interaction.trace_id)),
        }
    }

    /// The account of who has signed in; what is refused rolls everything back.
    async fn account(&self, conn: &mut Connection, asserted: &Asserted) -> Result<User, Undone> {
        let federated = self.app.config.signup.federated;
        let random = self.app.random();
        match arrive(conn, self.upstream, asserted, federated, random, self.now).await? {
            Arrival::Known(user) | Arrival::Created(user) => Ok(user),
            Arrival::LostRace => Err(Undone::LostRace),
            Arrival::Disabled(_) => Err(Undone::Disabled),
            Arrival::NotAllowed(refusal) => Err(Undone::NotAllowed(refusal)),
        }
    }

    fn event(&self, reason: &'static str, interaction: &Interaction) -> Event {
        let slug = self.upstream.slug();
        self.app.metrics.count_refused_sign_in(slug.as_str(), reason);
        Event::refused("sign_in", reason).upstream(slug).detail("story", interaction.story())
    }

    fn page(&self, fault: &UpstreamFault, interaction: &Interaction) -> PageError {
        let name = &self.upstream.settings.name;
        let explanation = match (fault.reason, fault.kind) {
            ("upstream_refused", _) => format!(
                "{name} did not sign you in. You may have cancelled, or your account may lack \
                 access there."
            ),
            (_, FaultKind::Unavailable) => format!("{name} did not answer as it should."),
            (_, FaultKind::Unacceptable) => {
                format!("{name} answered in a way that cannot be trusted.")
            }
        };
        let event = self.event(fault.reason, interaction).detail("what", fault.detail.as_str());
        PageError::new(fault.reason, "You are not signed in", explanation)
            .next_step("Try again, or choose another way to sign in.")
            .action(urls::login(&interaction.flow), "Try again")
            .trace(&interaction.trace_id)
            .event(event)
    }

    fn account_unavailable(&self, interaction: &Interaction) -> PageError {
        let event = self.event("account_disabled", interaction);
        let explanation = "You are known here, but your account has been shut.";
        PageError::new("account_disabled", "Your account is not available", explanation)
            .next_step("Ask your administrator.")
            .trace(&interaction.trace_id)
            .event(event)
    }

    fn no_account(&self, refusal: SignupRefusal, interaction: &Interaction) -> PageError {
        let name = &self.upstream.settings.name;
        let why = match refusal {
            SignupRefusal::Closed => "New accounts are by invitation.",
            SignupRefusal::Domain => {
                "Your e-mail address there is not verified, or not one of ours."
            }
            SignupRefusal::Group => "You are not in a group there that may have one.",
        };
        let explanation = format!("{name} signed you in, but you have no account here. {why}");
        let event = self.event(refusal.reason(), interaction);
        PageError::new(refusal.reason(), "There is no account for you here yet", explanation)
            .status(StatusCode::FORBIDDEN)
            .next_step("Ask your administrator for access.")
            .action(urls::login(&interaction.flow), "Choose another way")
            .trace(&interaction.trace_id)
            .event(event)
    }
}

enum Attempt {
    Done((SessionId, Secret)),
    Refused(Box<PageError>),
    LostRace,
}

/// Why the transaction was rolled back.
enum Undone {
    LostRace,
    Disabled,
    NotAllowed(SignupRefusal),
    Store(StoreError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<QueryError> for Undone {
    fn from(error: QueryError) -> Self {
        Self::Store(error.into())
    }
}

/// An answer that belongs to no sign-in of this browser.
fn failed(reason: &'static str) -> PageError {
    PageError::new(
        reason,
        "You are not signed in",
        "This answer belongs to no sign-in of this browser. It may have been open too long, or was \
         used before.",
    )
    .next_step("Go back to the app and sign in from there again.")
    .action("/account", "Go to your account")
    .event(Event::refused("sign_in", reason))
}
