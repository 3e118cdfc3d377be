//! `GET|POST /signup`: making a local account, as a part of signing in.

mod form;
pub mod invited;
mod undone;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use self::{
    form::{Form, SignUpForm},
    undone::Undone,
};
use crate::{
    accounts::{
        approval,
        attributes::{self, Answers},
        invitations,
        passwords::{HashingFault, NotTaken},
        signup::{Application, Faults},
    },
    app::App,
    audit::Event,
    dispatcher::{self, begin_session, welcome},
    foundation::{clock::Timestamp, ids::TraceId, names::email_key, secret::Secret},
    interactions::{self, Interaction, Purpose},
    protocol::acr::Level,
    sessions::Proof,
    store::{
        Connection, audit_events, invitations::Invitation, sessions::Session, users, users::User,
    },
    urls,
    web::{
        address,
        browser::{self, BrowserMark},
        cookies, csrf,
        error::{Link, PageError},
        flow,
        pages::{self, page, see_other},
        params,
        throttle::{self, Brake},
    },
};

const TAKEN: &str = "Somebody has this username already. Choose another one.";
const ANOTHER_ADDRESS: &str = "The invitation is for another address. Leave this field as it was.";
const TOO_MANY: &str = "Too many accounts were made where you are. Wait an hour and try again.";

/// `GET /signup`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if params.get(flow::FLOW).is_none() {
        refuse_closed(&app, None)?;
        throttle::begin_flow(&app, from, now)?;
        return begin(&app, &headers, now).await;
    }
    let (interaction, mark) = flow::find(&app, &headers, &params).await?;
    refuse_closed(&app, Some(&interaction))?;
    refuse_unaccepted(&app, &interaction)?;
    let invitation = invited::of(&app, &interaction, now).await?;
    let template = SignUpForm::empty(&app, &interaction, &mark, invitation.as_ref());
    Ok(page(StatusCode::OK, &template))
}

/// Whoever comes by themselves goes on at their own pages.
async fn begin(app: &App, headers: &HeaderMap, now: Timestamp) -> Result<Response, PageError> {
    let mark = BrowserMark::find_or_make(app, headers);
    let trace = TraceId::generate(app.random());
    let mut interaction = Interaction::begin(Purpose::Account, trace, &mark.digest(), app.random());
    interaction.note(now, "wanted to make an account");
    interactions::put(&app.state, &mut interaction).await?;
    let mut response = see_other(&urls::signup(&interaction.flow));
    cookies::add(response.headers_mut(), mark.cookie(app));
    Ok(response)
}

/// `POST /signup`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("sign_up", "form_not_ours")));
    }
    let (interaction, mark) = flow::find(&app, &headers, &params).await?;
    refuse_closed(&app, Some(&interaction))?;
    refuse_unaccepted(&app, &interaction)?;
    let invitation = invited::of(&app, &interaction, now).await?;
    let applicant = form::read(&params, app.config.signup.email, invitation.as_ref());
    let answers = form::read_attributes(&app, &params);
    let trace = interaction.trace_id.clone();
    let address = from.to_string();
    let headers = &headers;
    let mut arriving =
        Arriving { app: &app, headers, interaction, mark, invitation, answers, address, now };
    let faults = arriving.faults(&applicant);
    let unfit = arriving.answers.are_at_fault().then_some("attribute_unfit");
    if let Some(reason) = faults.reason().or(unfit) {
        return Ok(arriving.refuse(&applicant, faults, reason));
    }
    // Before anything is hashed: hashing is what a stranger could wear the house out with.
    if throttle::sign_up(&app, from).await == Brake::On {
        return Ok(arriving.slow_down(&applicant));
    }
    let hash = match app.passwords.take(&applicant.password, &applicant.known()).await {
        Ok(hash) => hash,
        Err(NotTaken::Refused(faults)) => {
            let faults = Faults::of_password(&faults);
            return Ok(arriving.refuse(&applicant, faults, "password_unfit"));
        }
        Err(NotTaken::Hashing(fault)) => return Err(hashing_fault(fault).trace(&trace)),
    };
    arriving.arrive(applicant, hash).await.map_err(|error| error.trace(&trace))
}

/// Somebody who wants an account.
struct Arriving<'a> {
    app: &'a App,
    headers: &'a HeaderMap,
    interaction: Interaction,
    mark: BrowserMark,
    invitation: Option<Invitation>,
    /// What else is to be known of people here.
    answers: Answers,
    address: String,
    now: Timestamp,
}

impl Arriving<'_> {
    /// What is wrong with what was typed. An invitation is for its own address only (LK-17).
    fn faults(&self, applicant: &Application) -> Faults {
        let mut faults = applicant.faults(self.app.config.signup.email);
        if let Some(invitation) = self.invitation.as_ref().filter(|own| own.email.is_some()) {
            let is_own = invitations::is_for(invitation, Some(&email_key(&applicant.email)));
            faults.email = (!is_own).then(|| ANOTHER_ADDRESS.to_owned());
        }
        faults
    }

    /// Whether the newcomer waits for an administrator. Whoever was invited does not.
    fn waits(&self) -> bool {
        self.invitation.is_none() && self.app.rules.approval().needed
    }

    /// Makes the account and signs the person in.
    async fn arrive(
        &mut self,
        applicant: Application,
        hash: String,
    ) -> Result<Response, PageError> {
        let (app, now) = (self.app, self.now);
        let (username, email) = (applicant.username.clone(), applicant.email.clone());
        let mut user = applicant.into_user(hash, app.random(), now);
        if let Some(invitation) = &self.invitation {
            invitations::endow(&mut user, invitation);
            // The secret came to this address and nowhere else.
            user.email_verified = user.email_verified.map(|_| invitation.mailed);
        }
        if self.waits() {
            approval::shut(&mut user);
        }
        dispatcher::claim(app, &mut self.interaction).await?;
        self.interaction.note(now, format!("{username} made an account"));
        match self.store(&user).await {
            Ok(Made::Entered(begun)) => {
                app.metrics.count_sign_in("sign_up");
                Ok(welcome(app, self.headers, &self.interaction, *begun, now).await)
            }
            Ok(Made::Waiting) => Ok(waiting(app, &user)),
            Ok(Made::Taken) => {
                interactions::put(&app.state, &mut self.interaction).await?;
                let faults = Faults { username: Some(TAKEN.to_owned()), ..Faults::default() };
                let again = Application {
                    username,
                    email,
                    name: user.name.unwrap_or_default(),
                    password: Secret::new(""),
                };
                Ok(self.refuse(&again, faults, "username_taken"))
            }
            Err(undone) => {
                let page = undone.page(&self.interaction);
                Err(dispatcher::stay(app, &mut self.interaction, page).await)
            }
        }
    }

    /// The account with its event, and the session unless it waits, in one transaction.
    async fn store(&self, user: &User) -> Result<Made, Undone> {
        let (app, now) = (self.app, self.now);
        let former = browser::session(app, self.headers, now).await?.map(|former| former.session);
        let event = Event::done("sign_up").user(&user.id).trace(&self.interaction.trace_id);
        let event = event.address(self.address.clone()).detail("username", user.username.as_str());
        let waits = user.disabled_at.is_some();
        let event = if waits { event.detail("waits", true) } else { event };
        let event = event.row(now, app.random());
        let proof = Proof {
            user_id: user.id.clone(),
            upstream: None,
            upstream_sid: None,
            auth_time: now,
            amr: vec!["pwd".to_owned()],
            acr: Level::SingleFactor,
            address: self.address.clone(),
            user_agent: address::user_agent(self.headers),
        };
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                self.check_address(conn).await?;
                if !users::insert(conn, user).await? {
                    return Ok(Made::Taken);
                }
                audit_events::insert(conn, &event).await?;
                attributes::keep(conn, &user.id, &self.answers.values, now).await?;
                self.take_invitation(conn, user).await?;
                if waits {
                    approval::wait(conn, &user.id, now).await?;
                    // Before the address of the newcomer is held, which may be an administrator's.
                    app.queue_waiting(conn, user, now).await?;
                    app.queue_welcome(conn, user, now).await?;
                    return Ok(Made::Waiting);
                }
                app.queue_welcome(conn, user, now).await?;
                let (former, interaction) = (former.as_ref(), &self.interaction);
                let begun = begin_session(app, conn, former, proof, interaction, now).await?;
                Ok(Made::Entered(Box::new(begun)))
            })
            .await
    }

    /// An address that the invitation verifies is no other account's: two of them could not sign in with
    /// it.
    async fn check_address(&self, conn: &mut Connection) -> Result<(), Undone> {
        let verified = self.invitation.as_ref().filter(|invitation| invitation.mailed);
        let Some(key) = verified.and_then(|invitation| invitation.email_key.clone()) else {
            return Ok(());
        };
        let taken = users::taken_addresses(conn, &[key]).await?;
        if taken.is_empty() { Ok(()) } else { Err(Undone::AddressTaken) }
    }

    /// Uses the invitation, if there is one, for the account that was just made.
    async fn take_invitation(&self, conn: &mut Connection, user: &User) -> Result<(), Undone> {
        let Some(invitation) = &self.invitation else {
            return Ok(());
        };
        if !invitations::take(conn, invitation, &user.id, self.now).await? {
            return Err(Undone::Useless);
        }
        let event = invitations::event(invitation, &user.id).trace(&self.interaction.trace_id);
        let event = event.address(self.address.clone()).row(self.now, self.app.random());
        audit_events::insert(conn, &event).await?;
        Ok(())
    }

    /// The form again, with what is wrong.
    fn refuse(&self, applicant: &Application, faults: Faults, reason: &'static str) -> Response {
        let event = Event::refused("sign_up", reason).trace(&self.interaction.trace_id);
        // What was typed as a name may be a password (LG-01).
        self.app.audit.note(event.address(self.address.clone()));
        let way = (&self.interaction, &self.mark);
        let form = Form { faults, fields: self.answers.fields.clone() };
        let template = SignUpForm::again(self.app, way, self.invitation.as_ref(), applicant, form);
        page(StatusCode::UNPROCESSABLE_ENTITY, &template)
    }

    fn slow_down(&self, applicant: &Application) -> Response {
        let faults = Faults { username: Some(TOO_MANY.to_owned()), ..Faults::default() };
        let mut response = self.refuse(applicant, faults, "too_many_sign_ups");
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("3600"));
        response
    }
}

/// What became of a new account.
enum Made {
    /// Its owner is signed in to it.
    Entered(Box<(Session, Secret)>),
    /// It waits for an administrator.
    Waiting,
    /// Somebody has the username.
    Taken,
}

fn waiting(app: &App, user: &User) -> Response {
    let tells = user.email.is_some() && app.mail.is_configured();
    let then = if tells { " A mail tells you when it is." } else { "" };
    let text = format!(
        "An administrator has to approve it before you can sign in as {}.{then}",
        user.username
    );
    let action = Link { href: urls::path::ACCOUNT.to_owned(), label: "Sign in".to_owned() };
    pages::done(app, "Your account waits for approval", text, action)
}

/// Nobody may make an account (LK-11): neither by the page nor by its form.
fn refuse_closed(app: &App, interaction: Option<&Interaction>) -> Result<(), PageError> {
    if app.signup_is_open(interaction) {
        return Ok(());
    }
    let page = PageError::new(
        "signup_disabled",
        "You cannot make an account here",
        "New accounts are made by the people who run this service.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("Ask your administrator for an account.")
    .event(Event::refused("sign_up", "signup_disabled"));
    Err(match interaction {
        Some(interaction) => {
            page.action(urls::login(&interaction.flow), "Sign in").trace(&interaction.trace_id)
        }
        None => page.action(urls::path::ACCOUNT, "Sign in"),
    })
}

/// The app lets nobody in with an account of our own (UP-22), so that one would be of no use.
fn refuse_unaccepted(app: &App, interaction: &Interaction) -> Result<(), PageError> {
    if dispatcher::accepts(app, interaction, None) {
        return Ok(());
    }
    let page = PageError::new(
        "upstream_not_allowed",
        "This way does not lead to the app",
        "The app that sent you here does not let anybody in with an account of this service.",
    );
    Err(page
        .status(StatusCode::FORBIDDEN)
        .action(urls::login(&interaction.flow), "Choose another way")
        .trace(&interaction.trace_id)
        .event(Event::refused("sign_up", "upstream_not_allowed")))
}

fn hashing_fault(fault: HashingFault) -> PageError {
    PageError::unavailable(fault).event(Event::refused("sign_up", "too_many_sign_ins"))
}
