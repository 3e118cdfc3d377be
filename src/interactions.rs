//! Sign-ins in progress.
//!
//! An authorization request is validated once and kept here, bound to the browser that brought it.
//! Every step reads it, does one thing, notes it and hands over to the dispatcher; nothing in a later
//! address or form can change what was asked (AZ-21).

use serde::{Deserialize, Serialize};

use crate::{
    ephemeral::{Crowd, EphemeralResult, Key, KeyKind, ShortLivedState},
    foundation::{
        clock::{Span, Timestamp},
        digest::{TokenDigest, base64url},
        ids::{ClientId, InvitationId, SessionId, TraceId, UpstreamSlug, UserId},
        random::{self, Random},
    },
    protocol::{
        acr::Level,
        pkce::CodeChallenge,
        scope::Scope,
        words::{Prompt, ResponseMode},
    },
    store::invitations::InvitationKind,
    urls::path,
};

/// How many hops a story keeps.
const MAX_HOPS: usize = 40;

/// An authorization request that has been found good (OIDC Core §3.1.2.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// How the answer goes there.
    pub response_mode: ResponseMode,
    /// What is asked, as far as it is allowed.
    pub scope: Scope,
    /// What the answer carries back.
    pub state: Option<String>,
    /// What the ID token carries back.
    pub nonce: Option<String>,
    /// PKCE.
    pub code_challenge: Option<CodeChallenge>,
    /// The thumbprint of the key to which the code is bound (RFC 9449 §10).
    pub dpop_jkt: Option<String>,
    /// What may or must be shown.
    pub prompt: Vec<Prompt>,
    /// How old the sign-in may be.
    pub max_age: Option<Span>,
    /// Whom the app expects.
    pub login_hint: Option<String>,
    /// The upstream that the app would have the person sent to. A hint, and no more.
    pub upstream_hint: Option<UpstreamSlug>,
    /// The level that the app asks for.
    pub level: Option<Level>,
    /// Whom the app expects, proved by a former ID token.
    pub expected_user: Option<UserId>,
    /// The digest of the name under which the app has pushed it (RFC 9126). It is good for one answer.
    pub pushed: Option<String>,
}

impl AuthorizationRequest {
    /// Whether `prompt` holds this word.
    pub fn prompts(&self, prompt: Prompt) -> bool {
        self.prompt.contains(&prompt)
    }
}

/// What a sign-in is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// An app asked.
    Authorize(Box<AuthorizationRequest>),
    /// The person wants to see their own pages.
    Account,
    /// The person has to prove anew who they are.
    Prove {
        /// Which of their own pages they go on to.
        then: String,
    },
    /// The person of this session wants to link their account at an upstream to their account here.
    /// It signs nobody in (UP-07).
    Link {
        /// Whose account it is.
        user_id: UserId,
        /// The session in which it was asked for.
        session_id: SessionId,
    },
    /// The person has an invitation, which is taken once it is known who they are.
    Invited {
        /// The invitation. Its secret stays behind.
        invitation: InvitationId,
        /// What it is for.
        kind: InvitationKind,
    },
}

/// A session for which its upstream has to stand again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Returning {
    /// The upstream.
    pub upstream: UpstreamSlug,
    /// The session.
    pub session_id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
}

/// Who has been proved within a sign-in, where that is not enough yet. It signs nobody in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Half {
    /// Who.
    pub user_id: UserId,
    /// When.
    pub at: Timestamp,
    /// By what.
    pub by: HalfBy,
}

/// What a half of a sign-in was proved by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum HalfBy {
    /// A password: the digest of its hash, for it may be replaced before the other half comes.
    Password(String),
    /// The session of this browser, which is to be worth more.
    Session(SessionId),
}

/// An account that may be that of somebody whom an upstream has just named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The account.
    pub user_id: UserId,
    /// Where the person has signed in.
    pub upstream: UpstreamSlug,
    /// Who they are there. What is said about one identity is never said about another (LK-07).
    pub issuer: String,
    /// The same.
    pub subject: String,
    /// What they are called there.
    pub name: String,
    /// What the account was when it was found: its address and its password. Whoever proved something
    /// before one of them changed has proved nothing since (LK-02, LK-04).
    pub state: String,
    /// When it was found.
    pub at: Timestamp,
    /// What the person has said to it.
    pub word: CandidateWord,
}

impl Candidate {
    /// Whether the person has typed the code.
    pub fn is_proved(&self) -> bool {
        self.word == CandidateWord::Proved
    }
}

/// Whether somebody is who they may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CandidateWord {
    /// They were asked for the code with this digest; none could be mailed where there is none.
    Asked(Option<String>),
    /// They have typed the code.
    Proved,
    /// They would rather be somebody new.
    Declined,
}

/// What the person of a session has said to what an app may know and do. It counts for this sign-in and
/// this session alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentWord {
    /// They were asked.
    Asked(SessionId),
    /// They have agreed.
    Given(SessionId),
}

/// One thing that happened on the way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hop {
    /// When.
    pub at: Timestamp,
    /// What, in a sentence without secrets.
    pub what: String,
}

/// A sign-in in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Interaction {
    /// Its name in addresses. Worthless without the browser's cookie.
    pub flow: String,
    /// The story it tells.
    pub trace_id: TraceId,
    /// The digest of the mark of the browser it belongs to.
    browser: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether the person chooses how to sign in, even where there is one way only.
    pub chooses: bool,
    /// The session of whose person their upstream has to speak anew.
    pub returning: Option<Returning>,
    /// What the person has typed to say who they are.
    pub identifier: Option<String>,
    /// What has been proved so far, where a second factor is still to come (MF-01).
    pub half: Option<Half>,
    /// The account that the person may have already, found by their address.
    pub candidate: Option<Candidate>,
    /// What the person has said to what the app may know and do.
    pub consent: Option<ConsentWord>,
    /// Whether it is kept under its own name, for pages to name it. One that has not shown a page
    /// travels with the person to the upstream, and nowhere else.
    pub kept: bool,
    /// What happened so far.
    pub hops: Vec<Hop>,
}

impl Interaction {
    /// Begins one for this browser.
    pub fn begin(
        purpose: Purpose,
        trace_id: TraceId,
        browser: &TokenDigest,
        random: &dyn Random,
    ) -> Self {
        Self {
            flow: base64url(&random::bytes::<18>(random)),
            trace_id,
            browser: browser.to_text(),
            purpose,
            chooses: false,
            returning: None,
            identifier: None,
            half: None,
            candidate: None,
            consent: None,
            kept: false,
            hops: Vec::new(),
        }
    }

    /// Whether it belongs to this browser (AZ-22).
    pub fn belongs_to(&self, browser: &TokenDigest) -> bool {
        self.browser == browser.to_text()
    }

    /// Notes what happened.
    pub fn note(&mut self, now: Timestamp, what: impl Into<String>) {
        if self.hops.len() < MAX_HOPS {
            self.hops.push(Hop { at: now, what: what.into() });
        }
    }

    /// The request of the app, if an app asked.
    pub fn request(&self) -> Option<&AuthorizationRequest> {
        match &self.purpose {
            Purpose::Authorize(request) => Some(request),
            Purpose::Account
            | Purpose::Prove { .. }
            | Purpose::Link { .. }
            | Purpose::Invited { .. } => None,
        }
    }

    /// The invitation that the person has, if they have one, and what it is for.
    pub const fn invitation(&self) -> Option<(&InvitationId, InvitationKind)> {
        match &self.purpose {
            Purpose::Invited { invitation, kind } => Some((invitation, *kind)),
            _ => None,
        }
    }

    /// Who is about to sign in, as far as anybody has said: the person, or else the app.
    pub fn login_hint(&self) -> Option<&str> {
        let of_app = || self.request().and_then(|request| request.login_hint.as_deref());
        self.identifier.as_deref().or_else(of_app)
    }

    /// Has the upstream of a session speak anew of whose session it is; not without a page, where the
    /// app expects somebody else.
    pub fn go_back(&mut self, upstream: &UpstreamSlug, session: &SessionId, user: &UserId) {
        if self.is_silent() && !self.expects(user) {
            return;
        }
        self.returning = Some(Returning {
            upstream: upstream.clone(),
            session_id: session.clone(),
            user_id: user.clone(),
        });
    }

    /// Whether this is whom the app expects, if anybody (OIDC Core §3.1.2.1, `id_token_hint`).
    pub fn expects(&self, user: &UserId) -> bool {
        let expected = self.request().and_then(|request| request.expected_user.as_ref());
        expected.is_none_or(|expected| expected == user)
    }

    /// Whether no page may be shown.
    pub fn is_silent(&self) -> bool {
        self.prompts(Prompt::None)
    }

    /// Whether it is there to link and not to sign in.
    pub const fn is_link(&self) -> bool {
        matches!(self.purpose, Purpose::Link { .. })
    }

    /// Whether it is there to prove anew who one is.
    pub const fn is_proof(&self) -> bool {
        matches!(self.purpose, Purpose::Prove { .. })
    }

    /// Which of their own pages the person sees when it succeeds.
    pub fn own_page(&self) -> &str {
        match &self.purpose {
            Purpose::Prove { then } => then,
            _ => path::ACCOUNT,
        }
    }

    /// What is done when it succeeds, as events call it.
    pub const fn action(&self) -> &'static str {
        if self.is_link() { "link" } else { "sign_in" }
    }

    /// Whether the person has to be asked this (OIDC Core §3.1.2.1, `prompt`).
    pub fn prompts(&self, prompt: Prompt) -> bool {
        match &self.purpose {
            Purpose::Authorize(request) => request.prompts(prompt),
            Purpose::Account => false,
            Purpose::Prove { .. } => prompt == Prompt::Login,
            // Whoever happens to be signed in there need not be who is meant.
            Purpose::Link { .. } => prompt == Prompt::SelectAccount,
            // Whoever left a session open at the upstream must not administer by it.
            Purpose::Invited { kind, .. } => prompt == Prompt::Login && kind.administers(),
        }
    }

    /// The hops as part of an audit event.
    pub fn story(&self) -> serde_json::Value {
        let hops =
            self.hops.iter().map(|hop| serde_json::json!({ "at": hop.at, "what": hop.what }));
        hops.collect()
    }
}

/// Keeps an interaction under its name.
pub async fn put(state: &ShortLivedState, interaction: &mut Interaction) -> EphemeralResult<()> {
    interaction.kept = true;
    state.put(&key(&interaction.flow), interaction, KeyKind::Interaction.life()).await
}

/// The interaction of this name.
pub async fn find(state: &ShortLivedState, flow: &str) -> EphemeralResult<Option<Interaction>> {
    state.get(&key(flow)).await
}

/// Takes the interaction away from everybody else: of many callers exactly one gets `true` (AZ-30).
/// One that was never kept has a single holder.
#[must_use = "false means that somebody else has it"]
pub async fn claim(
    state: &ShortLivedState,
    interaction: &mut Interaction,
) -> EphemeralResult<bool> {
    if !interaction.kept {
        return Ok(true);
    }
    interaction.kept = false;
    let taken: Option<Interaction> = state.take(&key(&interaction.flow)).await?;
    Ok(taken.is_some())
}

fn key(flow: &str) -> Key {
    Key::of_text(KeyKind::Interaction, flow)
}

/// The most networks that are told apart.
const MOST_NETWORKS: usize = 250_000;

/// Counts the sign-ins that begin, in this process: each is kept for a while, and anybody can begin
/// one, so that nobody may begin them all.
#[derive(Debug)]
pub struct FlowBrake(Crowd<u32>);

impl Default for FlowBrake {
    fn default() -> Self {
        Self(Crowd::of(MOST_NETWORKS))
    }
}

impl FlowBrake {
    /// Counts one that begins now in this network; `false` if that is more than `most` in a minute.
    pub fn begin(&self, network: &str, most: u32, now: Timestamp) -> bool {
        self.0.count(&network, now).is_none_or(|begun| begun <= most)
    }
}
