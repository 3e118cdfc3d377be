//! Local accounts that people make themselves.

use crate::{
    config::SignupEmail,
    foundation::{
        clock::Timestamp,
        ids::UserId,
        names::{email_key, is_email, username_fault, username_key},
        random::Random,
        secret::Secret,
    },
    store::users::{AccountKind, User},
};

use super::passwords::{Known, PasswordFault};

/// What somebody says of themselves who wants an account.
pub struct Application {
    /// What they want to be called.
    pub username: String,
    /// Their address; empty if they give none.
    pub email: String,
    /// Their name; empty if they give none.
    pub name: String,
    /// Their password.
    pub password: Secret,
}

/// What is wrong with an application, field by field. Nothing is wrong with an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// With the username.
    pub username: Option<String>,
    /// With the address.
    pub email: Option<String>,
    /// With the password.
    pub password: Option<String>,
}

impl Faults {
    /// What is wrong with a password.
    pub fn of_password(faults: &[PasswordFault]) -> Self {
        let sentences: Vec<String> =
            faults.iter().map(|fault| format!("This password {fault}.")).collect();
        Self { password: Some(sentences.join(" ")), ..Self::default() }
    }

    /// The first field at fault, as the audit calls it.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self { username: Some(_), .. } => Some("username_unfit"),
            Self { email: Some(_), .. } => Some("email_unfit"),
            Self { password: Some(_), .. } => Some("password_unfit"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Application({:?})", self.username)
    }
}

impl Application {
    /// What is wrong with it, but for the password, as far as can be said without other accounts.
    pub fn faults(&self, email: SignupEmail) -> Faults {
        let email = match email {
            SignupEmail::Off => None,
            SignupEmail::Optional if self.email.is_empty() => None,
            SignupEmail::Required if self.email.is_empty() => {
                Some("Enter your email address.".to_owned())
            }
            _ if is_email(&self.email) => None,
            _ => Some("Enter an email address such as anna@example.org.".to_owned()),
        };
        let about_name =
            username_fault(&self.username).map(|fault| format!("This username {fault}."));
        Faults { username: about_name, email, password: None }
    }

    /// What its password must be more than.
    pub fn known(&self) -> Known {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let (email, name) = (given(&self.email), given(&self.name));
        Known { username: self.username.clone(), email, name }
    }

    /// The account. Nobody has said that the address is theirs yet.
    pub fn into_user(self, password_hash: String, random: &dyn Random, now: Timestamp) -> User {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let email = given(self.email);
        User {
            id: UserId::generate(random, now),
            username_key: username_key(&self.username),
            username: self.username,
            email_key: email.as_deref().map(email_key),
            email_verified: email.as_ref().map(|_| false),
            email,
            name: given(self.name),
            picture: None,
            password_hash: Some(password_hash),
            groups: std::iter::empty::<&str>().collect(),
            disabled_at: None,
            created_at: now,
            updated_at: now,
            email_issuer: None,
            roles: std::iter::empty::<&str>().collect(),
            kind: AccountKind::Person,
            locale: None,
            own_picture: None,
            password_temporary: false,
        }
    }
}
