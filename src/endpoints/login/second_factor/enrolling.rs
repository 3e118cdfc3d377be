//! Setting up a second factor on the way, for who must have one.
//!
//! The secret waits in the short-lived state under the name of this sign-in: nobody else gets to see
//! it, and nothing is kept of one that is never confirmed.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::Visit;
use crate::endpoints::login::password::known;
use crate::{
    accounts::factors::{self, NewApp, Picture, TotpSecret},
    app::Whence,
    audit::Event,
    dispatcher::{self, signed_in},
    ephemeral::{Key, KeyKind},
    foundation::secret::Secret,
    interactions::{self, HalfBy},
    store::{StoreError, StoreResult, audit_events, sessions::Session, users},
    urls,
    web::{
        cookies, csrf,
        error::PageError,
        pages::{PageFrame, page},
        params::Params,
    },
};

const WRONG: &str =
    "That code is not right. Check that the clock of your device is, and try again.";

#[derive(Template)]
#[template(path = "login/set_up_factor.html")]
struct EnrolPage {
    page: PageFrame,
    app_name: Option<String>,
    flow: String,
    csrf: String,
    picture: Option<Picture>,
    secret: String,
    name: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "login/recovery_codes.html")]
struct CodesPage {
    page: PageFrame,
    codes: Vec<String>,
    href: String,
}

type Enrolled = ((Session, Secret), Vec<Secret>);

impl Visit<'_> {
    fn key(&self) -> Key {
        Key::of_text(KeyKind::Enrolment, &format!("flow {}", self.interaction.flow))
    }

    /// The secret of this sign-in, a fresh one if it has none.
    async fn secret(&self) -> Result<TotpSecret, PageError> {
        let (app, key) = (self.app, self.key());
        let kept = app.state.get::<String>(&key).await?;
        if let Some(secret) = kept.as_deref().and_then(TotpSecret::from_text) {
            return Ok(secret);
        }
        let secret = TotpSecret::generate(app.random());
        app.state.put(&key, &secret.to_text().expose(), KeyKind::Enrolment.life()).await?;
        Ok(secret)
    }

    /// The page, with a secret for this sign-in.
    pub(super) async fn show_enrolment(&self, error: Option<&str>) -> Result<Response, PageError> {
        let app = self.app;
        let secret = self.secret().await?;
        let user = users::find(&mut app.connection().await?, &self.half.user_id).await;
        let Some(user) = user.map_err(StoreError::from)? else {
            return Err(self.begin_again());
        };
        let request = self.interaction.request();
        let client = request.and_then(|request| app.clients.find(request.client_id.as_str()));
        let frame = PageFrame::new(app);
        let address = secret.address(&frame.brand, &user.username);
        let template = EnrolPage {
            page: frame,
            app_name: client.map(|client| client.settings.name.clone()),
            flow: self.interaction.flow.clone(),
            csrf: csrf::token(app, &self.mark),
            picture: address.and_then(|address| Picture::of(address.expose())),
            secret: secret.to_text().expose().to_owned(),
            name: String::new(),
            error: error.map(str::to_owned),
        };
        let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        Ok(page(status, &template))
    }

    /// Takes the code that shows that the secret has arrived.
    pub(super) async fn enrol(&mut self, params: &Params) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let kept = app.state.get::<String>(&self.key()).await?;
        let secret = kept.as_deref().and_then(TotpSecret::from_text);
        let code = params.get("code").unwrap_or_default();
        let step = secret.as_ref().and_then(|secret| secret.matching_step(code, now));
        let Some((secret, step)) = secret.zip(step) else {
            let event = Event::refused("add_second_factor", "wrong_code");
            app.audit.note(self.event(event));
            return self.show_enrolment(Some(WRONG)).await;
        };
        let name = factors::name_of_app(params.get("name").unwrap_or_default());
        dispatcher::claim(app, &mut self.interaction).await?;
        self.interaction.note(now, "a second factor was set up");
        match self.keep(NewApp { secret, name, step }).await {
            Ok(Some(enrolled)) => {
                app.state.remove(&self.key()).await?;
                self.arrive_with_codes(enrolled).await
            }
            Ok(None) => {
                self.interaction.half = None;
                interactions::put(&app.state, &mut self.interaction).await?;
                Err(self.begin_again())
            }
            Err(error) => Err(dispatcher::stay(app, &mut self.interaction, error.into()).await),
        }
    }

    /// The second factor and the session, in one transaction; nothing, if the first half counts no
    /// longer, or there is a second factor by now.
    async fn keep(&self, new: NewApp) -> StoreResult<Option<Enrolled>> {
        let (app, now) = (self.app, self.now);
        let mut connection = app.connection().await?;
        let kept = connection
            .transaction(async |conn| {
                let user = users::hold_alone(conn, &self.half.user_id).await?;
                let Some(user) = user.filter(|user| self.stands(user)) else {
                    return Err(Undone::Void);
                };
                let means = (&*app.rows_ring, app.random());
                let codes = factors::add(conn, means, &user.id, new, now).await?;
                // Somebody else was first: what there is has to be given.
                let Some(codes) = codes.filter(|codes| !codes.is_empty()) else {
                    return Err(Undone::Void);
                };
                let event = self.event(Event::done("add_second_factor"));
                audit_events::insert(conn, &event.row(now, app.random())).await?;
                let from = self.from.to_string();
                let what = "an authenticator app was added";
                app.queue_notice(conn, &user, what, Whence { address: &from, at: now }).await?;
                let begun = self.begin(conn).await?.ok_or(Undone::Void)?;
                Ok((begun, codes))
            })
            .await;
        match kept {
            Ok(enrolled) => Ok(Some(enrolled)),
            Err(Undone::Void) => Ok(None),
            Err(Undone::Store(error)) => Err(error),
        }
    }

    /// Shows the recovery codes, once; from there the sign-in goes on.
    async fn arrive_with_codes(
        &mut self,
        ((session, secret), codes): Enrolled,
    ) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let by_password = matches!(self.half.by, HalfBy::Password(_));
        if let Some(half) = &mut self.interaction.half {
            half.by = HalfBy::Session(session.id);
            half.at = now;
        }
        interactions::put(&app.state, &mut self.interaction).await?;
        let template = CodesPage {
            page: PageFrame::new(app),
            codes: codes.iter().map(|code| code.expose().to_owned()).collect(),
            href: urls::second_factor(&self.interaction.flow),
        };
        let response = page(StatusCode::OK, &template);
        let mut response = signed_in(app, self.headers, response, &secret);
        if by_password {
            app.metrics.count_sign_in("password");
            let cookie = known::cookie(app, &self.mark, &self.half.user_id, now);
            cookies::add(response.headers_mut(), cookie);
        }
        Ok(response)
    }
}

/// Why the transaction was rolled back.
enum Undone {
    Void,
    Store(StoreError),
}

impl<E: Into<StoreError>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}
