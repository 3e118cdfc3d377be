//! The form of a new account.

use askama::Template;

use crate::{
    accounts::{
        attributes::{self, Answers, Field},
        signup::{Application, Faults},
    },
    app::App,
    config::{Attribute, SignupEmail},
    foundation::secret::Secret,
    interactions::Interaction,
    store::invitations::Invitation,
    urls,
    web::{browser::BrowserMark, csrf, pages::PageFrame, params::Params},
};

/// The longest name of a person.
const MAX_NAME: usize = 100;

/// What stands in the form beside the application itself.
pub(super) struct Form {
    /// What is wrong with the application.
    pub(super) faults: Faults,
    /// The required attributes.
    pub(super) fields: Vec<Field>,
}

fn all(app: &App) -> &[Attribute] {
    &app.config.attributes
}

/// What was typed as attributes.
pub(super) fn read_attributes(app: &App, params: &Params) -> Answers {
    attributes::read(all(app), attributes::required(all(app)), |name| {
        params.get(name).unwrap_or_default().trim().to_owned()
    })
}

#[derive(Template)]
#[template(path = "signup/form.html")]
pub(super) struct SignUpForm {
    page: PageFrame,
    app_name: Option<String>,
    action: String,
    sign_in: String,
    csrf: String,
    asks_for_email: bool,
    needs_email: bool,
    /// Whether the address is that of an invitation, and no other will do.
    invited: bool,
    username: String,
    email: String,
    name: String,
    faults: Faults,
    fields: Vec<Field>,
}

impl SignUpForm {
    /// The form as it first appears, with the address of the invitation, or that the app has named.
    pub(super) fn empty(
        app: &App,
        interaction: &Interaction,
        mark: &BrowserMark,
        invitation: Option<&Invitation>,
    ) -> Self {
        let hint = interaction.login_hint().filter(|hint| hint.contains('@'));
        let invited = invitation.and_then(|invitation| invitation.email.as_deref());
        let email = invited.or(hint).unwrap_or_default().to_owned();
        let (username, name, password) = (String::new(), String::new(), Secret::new(""));
        let nobody = Application { username, email, name, password };
        let faults = Form { faults: Faults::default(), fields: attributes::required(all(app)) };
        Self::again(app, (interaction, mark), invitation, &nobody, faults)
    }

    /// The form with what was typed, but for the password, and what is wrong with it.
    pub(super) fn again(
        app: &App,
        (interaction, mark): (&Interaction, &BrowserMark),
        invitation: Option<&Invitation>,
        typed: &Application,
        form: Form,
    ) -> Self {
        let request = interaction.request();
        let client = request.and_then(|request| app.clients.find(request.client_id.as_str()));
        let email = app.config.signup.email;
        let invited = invitation.is_some_and(|invitation| invitation.email.is_some());
        Self {
            page: PageFrame::new(app),
            app_name: client.map(|client| client.settings.name.clone()),
            action: urls::signup(&interaction.flow),
            sign_in: urls::login(&interaction.flow),
            csrf: csrf::token(app, mark),
            asks_for_email: invited || email != SignupEmail::Off,
            needs_email: invited || email == SignupEmail::Required,
            invited,
            username: typed.username.clone(),
            email: typed.email.clone(),
            name: typed.name.clone(),
            faults: form.faults,
            fields: form.fields,
        }
    }

    fn is_at_fault(&self) -> bool {
        self.faults.reason().is_some() || self.fields.iter().any(|field| field.fault.is_some())
    }
}

/// What was typed. Whoever is invited at an address need not type it.
pub(super) fn read(
    params: &Params,
    email: SignupEmail,
    invitation: Option<&Invitation>,
) -> Application {
    let text = |name: &str, most: usize| -> String {
        let typed = params.get(name).unwrap_or_default().trim();
        typed.chars().filter(|c| !c.is_control()).take(most).collect()
    };
    let invited = invitation.and_then(|invitation| invitation.email.clone());
    let typed = text("email", 320);
    Application {
        username: text("username", 320),
        email: match invited {
            Some(own) if typed.is_empty() => own,
            None if email == SignupEmail::Off => String::new(),
            _ => typed,
        },
        name: text("name", MAX_NAME),
        password: Secret::new(params.get("password").unwrap_or_default()),
    }
}
