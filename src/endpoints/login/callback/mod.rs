//! `GET|POST /upstream/{slug}/callback`: back from an upstream.
//!
//! The departure is taken before anything else, and has to be of this upstream and of this browser;
//! only then is the code redeemed. It signs the person in, or links who they are there to the account
//! that they have here; whoever was sent there without a page keeps the session that they have.

mod candidate;
mod confirm;
mod link;
mod refusals;

use axum::{
    extract::{Path, Request, State},
    http::HeaderMap,
    response::Response,
};

use super::{begin_session, still_waits, waits, welcome};
use crate::{
    accounts::{
        invitations::Useless,
        linking::Joining,
        provisioning::{Arrival, Entrance},
        toggles::Door,
    },
    app::App,
    audit::{Event, printable},
    dispatcher::{self, Departure},
    federation::{Asserted, ID_TOKEN_LEEWAY, Returned, Upstream, UpstreamFault, gates::Refusal},
    foundation::{
        clock::{Span, Timestamp},
        ids::UserId,
        secret::Secret,
    },
    interactions::Purpose,
    leases,
    protocol::words::Prompt,
    sessions::Proof,
    store::{Connection, StoreError, audit_events, sessions::Session, users::User},
    web::{
        address, browser,
        cookies::{self, Cookie},
        error::PageError,
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
    // What is posted never counts in an address, and the other way round.
    let answer = if upstream.posts_its_answers() {
        dispatcher::fetch_answer(&app, &params).await?
    } else {
        params.clone()
    };
    let departure = dispatcher::come_back(&app, &headers, upstream, &params).await?;
    let mut arriving = Arriving { app: &app, upstream, departure, now };
    if let Purpose::Link { user_id, session_id } = arriving.departure.interaction.purpose.clone() {
        return arriving.link(&headers, &answer, (&user_id, &session_id), &from).await;
    }
    if arriving.departure.interaction.is_silent() {
        return arriving.confirm(&headers, &answer, &from).await;
    }
    let begun = match arriving.arrive(&headers, &answer, from).await {
        Ok(Arrived::SignedIn(begun)) => *begun,
        Ok(Arrived::Asked(response)) => return Ok(response),
        Err(page) => {
            let interaction = &mut arriving.departure.interaction;
            return Err(dispatcher::stay(&app, interaction, page).await);
        }
    };
    app.metrics.count_sign_in(&slug);
    // It has counted (LK-07).
    arriving.departure.interaction.candidate = None;
    let mut response = welcome(&app, &headers, &arriving.departure.interaction, begun, now).await;
    let last = cookies::set(Cookie::LastUpstream, &slug, LAST_UPSTREAM_LIFE, &app.urls);
    cookies::add(response.headers_mut(), last);
    Ok(response)
}

/// `POST /upstream/{slug}/callback`: an answer in a form. The browser is sent to fetch it.
pub async fn post(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let (_, params) = params::of_page(request).await?;
    match app.upstreams.find(&slug).filter(|upstream| upstream.posts_its_answers()) {
        Some(upstream) => dispatcher::park_answer(&app, upstream, &params).await,
        None => Err(PageError::not_found()),
    }
}

/// What the steps of one arrival share.
struct Arriving<'a> {
    app: &'a App,
    upstream: &'a Upstream,
    departure: Departure,
    now: Timestamp,
}

impl Arriving<'_> {
    /// From the answer of the upstream to a session.
    async fn arrive(
        &mut self,
        headers: &HeaderMap,
        params: &Params,
        from: String,
    ) -> Result<Arrived, PageError> {
        let asserted = self.listen(params).await?;
        let bounds = leases::note_if_bounded(self.app, self.upstream, &asserted.tokens, self.now);
        if let Some(bounds) = bounds {
            self.departure.interaction.note(self.now, bounds);
        }
        let proof = self.proof(&asserted, from, address::user_agent(headers));
        let former = browser::session(self.app, headers, self.now).await;
        let former = former.map_err(|error| self.told(PageError::from(error)))?;
        let whence = proof.address.clone();
        let former = former.map(|former| former.session);
        match self.sign_in(&asserted, proof, former.as_ref()).await? {
            Attempted::Begun(begun) => Ok(Arrived::SignedIn(begun)),
            Attempted::Candidate(user) => {
                self.ask(&asserted, &user, &whence).await.map(Arrived::Asked)
            }
        }
    }

    /// What the upstream says, noted in the story.
    async fn listen(&mut self, params: &Params) -> Result<Asserted, PageError> {
        let slug = self.upstream.slug();
        self.departure.interaction.note(self.now, format!("came back from {slug}"));
        let completed = self.complete(params).await;
        let asserted = completed.map_err(|fault| self.page(&fault))?;
        let Asserted { subject, level, .. } = &asserted;
        let what = format!("{slug} says: {subject}, signed in at level {level}");
        self.departure.interaction.note(self.now, what);
        Ok(asserted)
    }

    async fn complete(&self, params: &Params) -> Result<Asserted, UpstreamFault> {
        self.upstream.check_issuer_of_answer(params.get("iss"), self.now).await?;
        if let Some(error) = params.get("error") {
            let text = params.get("error_description").unwrap_or_default();
            let detail = printable(&format!("{error}: {text}"));
            return Err(UpstreamFault::unacceptable("upstream_refused", detail));
        }
        let Some(code) = params.get("code") else {
            return Err(UpstreamFault::unacceptable("upstream_no_code", "the answer has no code"));
        };
        let Departure { verifier, nonce, .. } = &self.departure;
        let user = params.get("user");
        let returned = Returned { code, verifier, nonce, user };
        let asserted = self.upstream.complete(returned, self.app.random(), self.now).await?;
        self.check_freshness(&asserted)?;
        Ok(asserted)
    }

    /// A new proof was asked for: an upstream that says when it saw the person must have seen them
    /// since (OIDC Core §3.1.3.7, step 12).
    fn check_freshness(&self, asserted: &Asserted) -> Result<(), UpstreamFault> {
        let interaction = &self.departure.interaction;
        let max_age = interaction.request().and_then(|request| request.max_age);
        let Some(seen) = asserted.auth_time else {
            // OIDC Core §2: whoever is asked with `max_age` has to say when.
            return match max_age {
                None => Ok(()),
                Some(_) => Err(UpstreamFault::unacceptable(
                    "upstream_sign_in_too_old",
                    "max_age was asked for, and the ID token has no auth_time",
                )),
            };
        };
        let since_start = interaction.prompts(Prompt::Login).then_some(self.departure.at);
        let since_age = max_age.map(|max_age| self.departure.at.minus(max_age));
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
            user_id: UserId::new(""),
            upstream: Some(self.upstream.slug().clone()),
            upstream_sid: asserted.session_id.clone(),
            auth_time: asserted.auth_time.unwrap_or(self.now).min(self.now),
            amr: asserted.amr.clone(),
            acr: asserted.level,
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
    ) -> Result<Attempted, PageError> {
        for _ in 0..3 {
            if let Some(attempted) = self.attempt(asserted, proof.clone(), former).await? {
                return Ok(attempted);
            }
        }
        Err(self.undone(Undone::LostRace))
    }

    /// Nothing, if another request made this person's account just now; this one rolled back.
    async fn attempt(
        &self,
        asserted: &Asserted,
        proof: Proof,
        former: Option<&Session>,
    ) -> Result<Option<Attempted>, PageError> {
        let interaction = &self.departure.interaction;
        let connection = self.app.connection().await;
        let mut connection = connection.map_err(|error| self.told(PageError::from(error)))?;
        let done = connection
            .transaction(async |conn| {
                if let Some(user) = self.find_candidate(conn, asserted).await? {
                    return Ok(Some(Attempted::Candidate(user)));
                }
                let user = match self.account(conn, asserted, &proof.address).await? {
                    Account::Open(user) => user,
                    // The account stays, and nobody is signed in to it.
                    Account::Waits(user) => {
                        self.keep_waiting(conn, &user, &proof).await?;
                        return Ok(None);
                    }
                };
                let proof = Proof { user_id: user.id, ..proof };
                let begun =
                    begin_session(self.app, conn, former, proof, interaction, self.now).await?;
                let (upstream, tokens) = (self.upstream, &asserted.tokens);
                leases::begin(self.app, conn, upstream, &begun.0, tokens).await?;
                Ok(Some(Attempted::Begun(Box::new(begun))))
            })
            .await;
        match done {
            Ok(Some(attempted)) => Ok(Some(attempted)),
            Ok(None) => Err(waits(interaction)),
            Err(Undone::LostRace) => Ok(None),
            Err(undone) => Err(self.undone(undone)),
        }
    }

    /// What is kept of a newcomer who waits.
    async fn keep_waiting(
        &self,
        conn: &mut Connection,
        user: &User,
        proof: &Proof,
    ) -> Result<(), Undone> {
        let event = Event::done("sign_up").user(&user.id).upstream(self.upstream.slug());
        let event = event.trace(&self.departure.interaction.trace_id).detail("waits", true);
        let event =
            event.address(proof.address.as_str()).detail("username", user.username.as_str());
        audit_events::insert(conn, &event.row(self.now, self.app.random())).await?;
        self.app.queue_waiting(conn, user, self.now).await?;
        Ok(())
    }

    /// Why it was rolled back, for the person.
    fn undone(&self, undone: Undone) -> PageError {
        match undone {
            Undone::LostRace => {
                let cause = anyhow::anyhow!("the account is being made elsewhere");
                self.told(PageError::unavailable(cause))
            }
            Undone::Disabled => self.account_unavailable(),
            Undone::StillWaits(user) => {
                let interaction = &self.departure.interaction;
                let event = still_waits(interaction, &user).upstream(self.upstream.slug());
                waits(interaction).event(event)
            }
            Undone::NotAdmitted(refusal) => self.not_admitted(&refusal),
            Undone::NotAllowed(refusal) => self.no_account(&refusal),
            Undone::InvitationUseless(useless) => self.invitation_useless(useless),
            Undone::InvitedAtAnotherAddress => self.invited_at_another_address(),
            Undone::Store(error) => self.told(PageError::from(error)),
        }
    }

    fn entrance(&self) -> Entrance<'_> {
        Entrance {
            upstream: self.upstream,
            federated: self.app.door(Door::Federated).mode,
            approval: self.app.rules.approval().needed,
            invitation: self.app.invitation_of(&self.departure.interaction),
            rows: &self.app.rows_ring,
            random: self.app.random(),
            now: self.now,
        }
    }

    /// The account of who has signed in; what is refused rolls everything back.
    async fn account(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        from: &str,
    ) -> Result<Account, Undone> {
        let entrance = self.entrance();
        let (all, proved) = (&self.app.upstreams, self.proved(asserted));
        match entrance.join_by_address(conn, asserted, all, proved).await? {
            Joining::None => {}
            Joining::LostRace => return Err(Undone::LostRace),
            Joining::Joined(user, by) => {
                self.note_link(conn, asserted, &user, (by, from)).await?;
                return Ok(Account::Open(*user));
            }
        }
        match entrance.arrive(conn, asserted).await? {
            Arrival::Known(user) | Arrival::Created(user) => Ok(Account::Open(user)),
            Arrival::Waits(user) => Ok(Account::Waits(user)),
            Arrival::StillWaits(user) => Err(Undone::StillWaits(user)),
            Arrival::LostRace => Err(Undone::LostRace),
            Arrival::Disabled(_) => Err(Undone::Disabled),
            Arrival::NotAdmitted(refusal) => Err(Undone::NotAdmitted(refusal)),
            Arrival::NotAllowed(refusal) => Err(Undone::NotAllowed(refusal)),
            Arrival::InvitationUseless(useless) => Err(Undone::InvitationUseless(useless)),
            Arrival::InvitedAtAnotherAddress => Err(Undone::InvitedAtAnotherAddress),
        }
    }
}

/// What came of an arrival.
enum Arrived {
    SignedIn(Box<(Session, Secret)>),
    /// The person is asked whether an account that is there is theirs.
    Asked(Response),
}

/// What came of one try.
enum Attempted {
    Begun(Box<(Session, Secret)>),
    /// Nothing was done: this account may be the person's.
    Candidate(Box<User>),
}

/// The account of who has signed in.
enum Account {
    /// It can be entered.
    Open(User),
    /// It was made just now, and waits for an administrator.
    Waits(User),
}

/// Why the transaction was rolled back.
enum Undone {
    LostRace,
    Disabled,
    StillWaits(UserId),
    NotAdmitted(Refusal),
    NotAllowed(Refusal),
    InvitationUseless(Useless),
    InvitedAtAnotherAddress,
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}
