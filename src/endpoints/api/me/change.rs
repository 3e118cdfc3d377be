//! `PATCH /api/v1/me`: another name, address or password.

use axum::{
    extract::{Request, State},
    response::Response,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::proved::{Change, Proved};
use crate::{
    accounts::{
        own_password::{self, still},
        passwords::{Known, NotTaken},
        signup::Faults,
    },
    app::{App, Whence},
    audit::Event,
    config::PasswordLogin,
    endpoints::api::{
        call::maybe_secret,
        document::Refusal,
        entering::{Tokens, tokens_of},
    },
    foundation::{
        names::{email_key, is_email},
        secret::Secret,
    },
    protocol::scope::Scope,
    store::{StoreResult, audit_events, one_time_links::LinkPurpose, users},
    web::problem::Problem,
};

/// The longest name of a person.
const MAX_NAME: usize = 100;

/// What is to be another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    /// The live refresh token of the family of the access token, unless it is a cookie. It is used; the
    /// answer holds the next.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// The secret of the app, if it has one.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>)]
    client_secret: Option<Secret>,
    /// The name of the person; empty for none.
    name: Option<String>,
    /// The address, which counts once its owner has opened the link that is mailed there.
    email: Option<String>,
    /// The new password. Everybody else who is signed in to the account is signed out.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// The present password: with `email` and `password`.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Secret>,
}

impl Change for Changes {
    const ACTION: &'static str = "account_change";

    fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    fn client_secret(&self) -> Option<&Secret> {
        self.client_secret.as_ref()
    }
}

/// Changes what the account says of its owner.
#[utoipa::path(
    patch,
    operation_id = "changeMe",
    path = "/api/v1/me",
    request_body = Changes,
    security(("token" = [])),
    responses(
        (status = 200, description = "Changed; the next tokens", body = Tokens),
        (status = 401, description = "`invalid_token`, `invalid_grant`, `invalid_client`", body = Refusal),
        (status = 403, description = "`refresh_token_required`, `reauthentication_required`, `current_password_required`, `wrong_password`, `no_password` and `password_change_required` with a `page`, `name_of_upstream`, `email_of_upstream`, `mail_off`, `insufficient_scope`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
        (status = 415, description = "Not JSON", body = Refusal),
        (status = 422, description = "`nothing_to_change`, `email_unfit`, `password_unfit` with `fields`, `invalid_json`, `invalid_request`", body = Refusal),
        (status = 429, description = "`too_many_tries`, with `Retry-After`", body = Refusal),
    )
)]
pub(in crate::endpoints::api) async fn change(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let changing = Proved::<Changes>::read(&app, request).await?;
    changing.check(&app)?;
    let body = &changing.call.body;
    if body.email.is_some() || body.password.is_some() {
        changing.confirm(&app, body.current_password.as_ref()).await?;
    }
    let hash = changing.hash(&app).await?;
    // Here the token is used, and what is asked is allowed: from here on it is done.
    let mut tokens = changing.rotate(&app).await?;
    if let Some(hash) = hash {
        tokens = changing.change_password(&app, &hash).await?;
    }
    changing.rename(&app).await?;
    changing.send_link(&app).await?;
    Ok(changing.call.answer(&app, tokens))
}

impl Proved<Changes> {
    /// What is asked can be.
    fn check(&self, app: &App) -> Result<(), Problem> {
        let (body, user) = (&self.call.body, &self.user);
        if body.name.is_none() && body.email.is_none() && body.password.is_none() {
            return Err(self.unfit("nothing_to_change", "say name, email or password"));
        }
        if body.name.is_some() && user.email_issuer.is_some() {
            let detail = "the name comes from where the person signs in, and changes there";
            return Err(self.forbid("name_of_upstream", detail));
        }
        if body.password.is_some() && app.config.passwords.login != PasswordLogin::On {
            return Err(self.forbid("no_password", "passwords are switched off here"));
        }
        let Some(email) = self.email() else {
            return Ok(());
        };
        if !app.mail.is_configured() {
            let detail = "this service sends no mail and cannot ask whether an address is yours";
            return Err(self.forbid("mail_off", detail));
        }
        if user.email_issuer.is_some() {
            let detail = "the address comes from where the person signs in, and changes there";
            return Err(self.forbid("email_of_upstream", detail));
        }
        let same = user.email_verified == Some(true) && user.email_key == Some(email_key(&email));
        if same || !is_email(&email) {
            return Err(self.unfit("email_unfit", "that is no address, or the present one"));
        }
        Ok(())
    }

    fn email(&self) -> Option<String> {
        self.call.body.email.as_deref().map(|text| text.trim().to_owned())
    }

    async fn hash(&self, app: &App) -> Result<Option<String>, Problem> {
        let Some(password) = &self.call.body.password else {
            return Ok(None);
        };
        let (username, email) = (self.user.username.clone(), self.user.email.clone());
        let known = Known { username, email, name: self.user.name.clone() };
        match app.passwords.take(password, &known).await {
            Ok(hash) => Ok(Some(hash)),
            Err(NotTaken::Refused(faults)) => {
                let faults = Faults::of_password(&faults);
                Err(self.call.password_unfit(Changes::ACTION, &faults, &self.user.id))
            }
            Err(NotTaken::Hashing(fault)) => Err(self.call.busy(Changes::ACTION, fault)),
        }
    }

    /// The new password, and a family of its own: every session but this one ends, and every family.
    async fn change_password(&self, app: &App, hash: &str) -> Result<Tokens, Problem> {
        let now = self.call.now;
        let whence = Whence { address: &self.call.from.to_string(), at: now };
        let event = self.event(Event::done("password_change")).row(now, app.random());
        let mut connection = app.connection().await?;
        let changed: StoreResult<bool> = connection
            .transaction(async |conn| {
                let live = (&self.session, &self.user);
                let policy = app.session_policy();
                let Some((user, _)) = own_password::change(conn, live, hash, policy, now).await?
                else {
                    return Ok(false);
                };
                audit_events::insert(conn, &event).await?;
                app.queue_notice(conn, &user, "the password was changed", whence).await?;
                Ok(true)
            })
            .await;
        if !changed? {
            let detail = "the session is over, or somebody else has changed the password";
            return Err(self.forbid("reauthentication_required", detail));
        }
        let (client, scope) = (&self.call.client, Scope::from(self.grant.scope.clone()));
        tokens_of(app, client, &self.session, &scope, &self.grant.trace_id, now).await
    }

    async fn rename(&self, app: &App) -> StoreResult<()> {
        let Some(name) = &self.call.body.name else {
            return Ok(());
        };
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        let name = Some(name.as_str()).filter(|name| !name.is_empty());
        let event = self.event(Event::done("profile_change")).row(self.call.now, app.random());
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let Some(user) = still(conn, &self.session, &self.user).await? else {
                    return Ok(());
                };
                let called = (user.username.as_str(), user.username_key.as_str());
                if users::rename(conn, &user.id, called, name, self.call.now).await? {
                    audit_events::insert(conn, &event).await?;
                }
                Ok(())
            })
            .await
    }

    /// The address counts when what is sent to it has come back (LK-20).
    async fn send_link(&self, app: &App) -> StoreResult<()> {
        let Some(email) = self.email() else {
            return Ok(());
        };
        let event = self.event(Event::done("email_change_asked")).detail("email", email.as_str());
        let row = event.row(self.call.now, app.random());
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                if let Some(user) = still(conn, &self.session, &self.user).await? {
                    let wanted = (LinkPurpose::ChangeEmail, email.as_str());
                    let _ = app.queue_verification(conn, &user, wanted, self.call.now).await?;
                    audit_events::insert(conn, &row).await?;
                }
                Ok(())
            })
            .await
    }
}
