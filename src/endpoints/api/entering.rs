//! Entering: from what somebody has proved on an app's own form to the tokens of that app.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::call::Call;
use crate::{
    app::App,
    clients::Client,
    dispatcher::{
        begin_session, direct,
        password::{Attempt, digest_of},
        second_factor::{self, Remaining},
    },
    foundation::{
        clock::Timestamp,
        ids::{TraceId, UserId},
    },
    grant_types::{self, Exchange, TokenResponse, refresh_token},
    interactions::{self, Half, HalfBy, Interaction},
    protocol::{acr::Level, scope::Scope},
    sessions::Proof,
    store::{Connection, StoreResult, sessions::Session},
    urls::path,
    web::{address, browser_app, error::json, params::Params, problem::Problem},
};

/// Tokens (RFC 6749 §5.1, OIDC Core §3.1.3.3).
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// What APIs are called with, as `Authorization: Bearer`.
    access_token: String,
    /// How it is used: `Bearer`.
    token_type: &'static str,
    /// For how many seconds it is good.
    expires_in: i64,
    /// For the next one; with the scope `offline_access`. Where the app has `session_token`, it is a
    /// cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    /// Who signed in; with the scope `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
    /// What was granted.
    scope: String,
}

impl From<TokenResponse> for Tokens {
    fn from(response: TokenResponse) -> Self {
        Self {
            access_token: response.access_token,
            token_type: response.token_type,
            expires_in: response.expires_in,
            refresh_token: response.refresh_token,
            id_token: response.id_token,
            scope: response.scope,
        }
    }
}

/// What came of a proof.
pub(super) enum Entered {
    /// A session.
    Begun(Box<Session>),
    /// A second factor is to come.
    Half(Remaining),
    /// The app does not let this person in.
    TurnedAway(&'static str),
    /// Nothing: what was proved counts no longer.
    Void,
}

impl<T> Call<T> {
    /// A try of a password or a code by this call.
    pub(super) fn attempt<'a>(&'a self, app: &'a App) -> Attempt<'a> {
        let client = Some(self.client.id());
        Attempt { app, from: self.from, client, trace: &self.trace, now: self.now }
    }

    /// Begins the session of who has proved who they are, if the app lets them in.
    pub(super) async fn enter(
        &self,
        app: &App,
        conn: &mut Connection,
        interaction: &Interaction,
        user: &UserId,
        (amr, acr): (&[&str], Level),
    ) -> StoreResult<Entered> {
        if let Some(reason) = direct::turned_away(conn, &self.client, user, acr).await? {
            return Ok(Entered::TurnedAway(reason));
        }
        let proof = Proof {
            user_id: user.clone(),
            upstream: None,
            upstream_sid: None,
            auth_time: self.now,
            amr: amr.iter().map(|method| (*method).to_owned()).collect(),
            acr,
            address: self.from.to_string(),
            user_agent: address::user_agent_of_app(&self.client.settings.name, &self.headers),
        };
        // The secret of the session is nobody's: there is no browser to keep it.
        let (session, _) = begin_session(app, conn, None, proof, interaction, self.now).await?;
        Ok(Entered::Begun(Box::new(session)))
    }

    /// The tokens of a session that has just begun.
    pub(super) async fn tokens(
        &self,
        app: &App,
        session: &Session,
        scope: &Scope,
    ) -> Result<Response, Problem> {
        app.metrics.count_sign_in("password");
        let tokens = tokens_of(app, &self.client, session, scope, &self.trace, self.now).await?;
        if self.client.settings.session_token
            && let Some(former) = browser_app::refresh_token(app, &self.client, &self.headers)
        {
            refresh_token::replace(app, &self.client, &former, self.now).await;
        }
        Ok(self.answer(app, tokens))
    }

    /// The tokens; the refresh token in a cookie where the pages of the app are to see none.
    pub(super) fn answer(&self, app: &App, mut tokens: Tokens) -> Response {
        if !self.client.settings.session_token {
            return json(StatusCode::OK, &tokens);
        }
        let token = tokens.refresh_token.take();
        let mut response = json(StatusCode::OK, &tokens);
        browser_app::keep(app, &self.client, token.as_deref(), response.headers_mut());
        response
    }

    /// The app does not let in who has proved who they are.
    pub(super) fn turned_away(&self, reason: &'static str, user: &UserId) -> Problem {
        let detail = "the app does not let this person in";
        let problem = Problem::new(StatusCode::FORBIDDEN, "access_denied", detail);
        self.refuse(problem.with("reason", reason), ("sign_in", reason), Some(user))
    }

    /// Keeps what was proved, and says what is still to be proved, and where.
    pub(super) async fn ask_for_more(
        &self,
        app: &App,
        mut interaction: Interaction,
        (user, password_hash): (UserId, String),
        remaining: Remaining,
    ) -> Result<Problem, Problem> {
        let at = |problem: Problem, path: &str| problem.with("page", app.urls.absolute(path));
        let forbid = |code, detail: &str| Problem::new(StatusCode::FORBIDDEN, code, detail);
        if remaining == Remaining::Enrolment {
            let detail = "a second factor has to be set up first, on the page that is named";
            let problem = at(forbid("enrolment_required", detail), path::TWO_STEP);
            return Ok(self.refuse(problem, ("sign_in", "enrolment_required"), Some(&user)));
        }
        if !second_factor::has(app, &user).await? {
            let detail =
                "the account's second factor is a passkey, which only our pages can ask for";
            let problem = at(forbid("passkey_required", detail), path::ACCOUNT);
            return Ok(self.refuse(problem, ("sign_in", "passkey_required"), Some(&user)));
        }
        let half = Half {
            user_id: user.clone(),
            at: self.now,
            by: HalfBy::Password(digest_of(&password_hash)),
        };
        interaction.half = Some(half);
        interactions::put(&app.state, &mut interaction).await?;
        let problem = forbid("second_factor_required", "a second factor has to be given")
            .with("continuation", interaction.flow.as_str())
            .with("methods", json!(["totp", "recovery_code"]));
        Ok(self.refuse(problem, ("sign_in", "second_factor_required"), Some(&user)))
    }
}

/// The tokens of a session, for this client.
pub(super) async fn tokens_of(
    app: &App,
    client: &Client,
    session: &Session,
    scope: &Scope,
    trace: &TraceId,
    now: Timestamp,
) -> Result<Tokens, Problem> {
    app.keys.catch_up(&app.store, now).await;
    let params = Params::default();
    let exchange = Exchange { app, client, params: &params, proof: None, certificate: None, now };
    let response = grant_types::direct::grant(&exchange, &session.id, scope, trace).await?;
    app.metrics.count_tokens("direct", client.id().as_str());
    Ok(response.into())
}
