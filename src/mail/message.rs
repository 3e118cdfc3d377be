//! Every message there is, and the words of each.
//!
//! The words stand here once, for the text and for the HTML part. They say what happened, what to do
//! and what to do if it was not you; they do not hurry anybody and do not sell anything.

use super::{
    letter::{Action, Letter},
    link::Link,
    masked,
    plain::{name, plain},
};
use crate::{
    foundation::clock::{Span, Timestamp},
    store::mail_outbox::MailKind,
};

/// A mail that does not say when it ends is tried for so long.
const LIFE: Span = Span::from_days(1);
const NOT_YOU: &str = "If you did not ask for this, you can ignore this mail: nothing changes.";

/// Something to be said to somebody by mail.
#[derive(Clone)]
pub enum Message {
    /// Proof of an address.
    VerifyEmail {
        /// The name of the person, if they have said one.
        name: Option<String>,
        /// Where the address is confirmed.
        link: Link,
        /// The same as a code to type.
        code: Option<String>,
        /// How long link and code are good.
        hours: u32,
    },
    /// The way back into an account.
    Recover {
        /// Where a new password is chosen.
        link: Link,
        /// The same as a code to type.
        code: Option<String>,
        /// How long link and code are good.
        minutes: u32,
        /// From where it was asked for.
        address_of_request: String,
    },
    /// An invitation to have an account.
    Invite {
        /// Who invites.
        by: String,
        /// Where the account is made.
        link: Link,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody wanted an account under an address that has one.
    AccountExists {
        /// Where one signs in.
        sign_in: Link,
        /// Where one gets back in.
        recover: Option<Link>,
    },
    /// Somebody wanted a password, or an account, for an address whose account signs in elsewhere
    /// (RC-14).
    SignInWithUpstream {
        /// What the upstreams are called.
        upstreams: Vec<String>,
        /// Where one signs in.
        sign_in: Link,
    },
    /// The code by which somebody who signs in elsewhere shows that the account here is theirs.
    ConnectCode {
        /// What the upstream is called.
        upstream: String,
        /// What the person is called there.
        name: String,
        /// What is typed.
        code: String,
        /// How long it is good.
        minutes: u32,
        /// From where the sign-in comes.
        address_of_request: String,
    },
    /// A way to sign in was added or removed.
    MethodChanged {
        /// What was done, as a sentence goes on after "On your account, ": `a passkey was added`.
        what: String,
        /// When.
        when: Timestamp,
        /// From where: an address, a device.
        from_where: String,
        /// Where one looks after it.
        account: Link,
    },
    /// The address of the account is another now. It goes to the old one.
    AddressChanged {
        /// The new address; it is shown in part.
        new_address: String,
        /// When.
        when: Timestamp,
        /// From where.
        from_where: String,
        /// Where it is undone (LK-20).
        undo: Option<Link>,
    },
    /// The account has a password now.
    PasswordAdded {
        /// When.
        when: Timestamp,
        /// From where.
        from_where: String,
        /// Where one looks after it.
        account: Link,
    },
    /// The account is shut, and will be gone.
    AccountDeleted {
        /// When nothing will be left of it.
        until: Timestamp,
        /// When it was deleted.
        when: Timestamp,
        /// From where.
        from_where: String,
        /// Where that is taken back.
        keep: Link,
    },
    /// Somebody has made an account, and waits. It goes to administrators.
    AccountWaits {
        /// What the account is called.
        username: String,
    },
    /// An administrator has approved the account.
    AccountApproved {
        /// What the account is called.
        username: String,
        /// Where one signs in.
        sign_in: Link,
    },
    /// A try of an administrator's.
    Test,
}

/// Links and codes are secrets of the recipient's.
impl std::fmt::Debug for Message {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Message({})", self.kind())
    }
}

impl Message {
    /// What it is about, in one word.
    pub const fn kind(&self) -> MailKind {
        match self {
            Self::VerifyEmail { .. } => MailKind::VerifyEmail,
            Self::Recover { .. } => MailKind::Recover,
            Self::Invite { .. } => MailKind::Invite,
            Self::AccountExists { .. } => MailKind::AccountExists,
            Self::SignInWithUpstream { .. } => MailKind::SignInWithUpstream,
            Self::ConnectCode { .. } => MailKind::ConnectCode,
            Self::MethodChanged { .. } => MailKind::MethodChanged,
            Self::AddressChanged { .. } => MailKind::AddressChanged,
            Self::PasswordAdded { .. } => MailKind::PasswordAdded,
            Self::AccountDeleted { .. } => MailKind::AccountDeleted,
            Self::AccountWaits { .. } => MailKind::AccountWaits,
            Self::AccountApproved { .. } => MailKind::AccountApproved,
            Self::Test => MailKind::Test,
        }
    }

    /// From when on it is of no use, written now: its link has ended, or a day has passed.
    pub fn expires_at(&self, now: Timestamp) -> Timestamp {
        let useful = match self {
            Self::VerifyEmail { hours, .. } => now.plus(Span::from_hours(*hours)),
            Self::Recover { minutes, .. } | Self::ConnectCode { minutes, .. } => {
                now.plus(Span::from_minutes(*minutes))
            }
            Self::Invite { until, .. } => *until,
            _ => Timestamp::NEVER,
        };
        useful.min(now.plus(LIFE))
    }

    /// What it says, in the name of `brand`.
    pub fn write(&self, brand: &str) -> Letter {
        let brand = &plain(brand);
        match self {
            Self::VerifyEmail { name, link, code, hours } => {
                verify_email(brand, name.as_deref(), link, code.as_deref(), *hours)
            }
            Self::Recover { link, code, minutes, address_of_request } => {
                recover(brand, (link, code.as_deref()), *minutes, address_of_request)
            }
            Self::Invite { by, link, until } => invite(brand, by, link, *until),
            Self::AccountExists { sign_in, recover } => {
                account_exists(brand, sign_in, recover.as_ref())
            }
            Self::SignInWithUpstream { upstreams, sign_in } => elsewhere(brand, upstreams, sign_in),
            Self::ConnectCode { upstream, name, code, minutes, address_of_request } => {
                connect_code(brand, (upstream, name), (code, *minutes), address_of_request)
            }
            Self::MethodChanged { what, when, from_where, account } => {
                let what = format!("On your account at {brand}, {}.", plain(what));
                let subject = format!("Your sign-in at {brand} was changed");
                notice(subject, what, (*when, from_where)).linked("See how you sign in", account)
            }
            Self::AddressChanged { new_address, when, from_where, undo } => {
                address_changed(brand, new_address, (*when, from_where), undo.as_ref())
            }
            Self::PasswordAdded { when, from_where, account } => {
                let what = format!("Your account at {brand} now has a password.");
                let subject = format!("Your account at {brand} now has a password");
                notice(subject, what, (*when, from_where)).linked("See how you sign in", account)
            }
            Self::AccountDeleted { until, when, from_where, keep } => {
                account_deleted(brand, *until, (*when, from_where), keep)
            }
            Self::AccountWaits { username } => waits(brand, username),
            Self::AccountApproved { username, sign_in } => approved(brand, username, sign_in),
            Self::Test => Letter::new(format!("A test from {brand}"))
                .say(format!("This is a test. Mail from {brand} reaches this address."))
                .close("There is nothing to do."),
        }
    }
}

/// A number and its unit, as one says it.
fn counted(number: u32, unit: &str) -> String {
    if number == 1 { format!("one {unit}") } else { format!("{number} {unit}s") }
}

fn verify_email(
    brand: &str,
    person: Option<&str>,
    link: &Link,
    code: Option<&str>,
    hours: u32,
) -> Letter {
    let greeting = person.and_then(name).map(|name| format!("Hello {name},"));
    let letter = Letter::new(format!("Confirm your address for {brand}"))
        .greet(greeting)
        .say(format!("Confirm that this address is yours, so that {brand} can use it."))
        .linked("Confirm this address", link)
        .coded(code)
        .close(NOT_YOU);
    letter.lasting(&counted(hours, "hour"))
}

fn recover(
    brand: &str,
    (link, code): (&Link, Option<&str>),
    minutes: u32,
    address_of_request: &str,
) -> Letter {
    let from = plain(address_of_request);
    Letter::new(format!("Get back into {brand}"))
        .say(format!("Somebody asked to get back into your account at {brand}."))
        .linked("Choose a new password", link)
        .coded(code)
        .fact("Asked from", from)
        .lasting(&counted(minutes, "minute"))
        .close("If it was not you, you can ignore this mail: your password stays as it is. Do not pass it on to anybody.")
}

fn invite(brand: &str, by: &str, link: &Link, until: Timestamp) -> Letter {
    let by = name(by).unwrap_or_else(|| "Somebody".to_owned());
    Letter::new(format!("You are invited to {brand}"))
        .say(format!("{by} invites you to have an account at {brand}."))
        .linked("Make your account", link)
        .fact("The invitation ends", until.for_people())
        .close("If you do not know who invites you, you can ignore this mail.")
}

fn account_exists(brand: &str, sign_in: &Link, recover: Option<&Link>) -> Letter {
    let letter = Letter::new(format!("You have an account at {brand}"))
        .say(format!(
            "Somebody tried to make an account at {brand} with this address. You have one already: sign in with it."
        ))
        .linked("Sign in", sign_in);
    let letter = match recover {
        Some(link) => letter.also("If you cannot sign in any more, get back in", link),
        None => letter,
    };
    letter.close("If it was not you, you can ignore this mail: nothing changes.")
}

fn elsewhere(brand: &str, upstreams: &[String], sign_in: &Link) -> Letter {
    let names: Vec<String> = upstreams.iter().map(|name| plain(name)).collect();
    let names = names.join(" or ");
    Letter::new(format!("How you sign in at {brand}"))
        .say(format!(
            "Somebody asked for an account or a password at {brand} with this address. Your account has no password: sign in with {names}."
        ))
        .linked(format!("Sign in with {names}"), sign_in)
        .close(NOT_YOU)
}

fn connect_code(
    brand: &str,
    (upstream, name): (&str, &str),
    (code, minutes): (&str, u32),
    address_of_request: &str,
) -> Letter {
    let upstream = plain(upstream);
    Letter::new(format!("Your code for {brand}"))
        .say(format!(
            "Somebody signed in with {upstream} under this address. If it was you, type the code to \
             connect that with your account at {brand}: from then on it signs you in to it."
        ))
        .coded(Some(code))
        .fact("Signed in there as", plain(name))
        .fact("Signed in from", plain(address_of_request))
        .lasting(&counted(minutes, "minute"))
        .close("If it was not you, you can ignore this mail: nothing changes. Do not pass the code on to anybody: whoever has it gets into your account.")
}

fn notice(subject: String, what: String, (when, from_where): (Timestamp, &str)) -> Letter {
    Letter::new(subject)
        .say(what)
        .fact("When", when.for_people())
        .fact("From", plain(from_where))
        .close("If this was you, there is nothing to do. If it was not, sign in at once, end all other sessions, and change how you sign in.")
}

fn address_changed(
    brand: &str,
    new_address: &str,
    at: (Timestamp, &str),
    undo: Option<&Link>,
) -> Letter {
    let what = format!(
        "The address of your account at {brand} was changed to {}. Mail about it does not come here any more.",
        masked(&plain(new_address))
    );
    let letter = notice(format!("Your address at {brand} was changed"), what, at);
    match undo {
        None => letter
            .close("If this was you, there is nothing to do. If it was not, ask whoever runs this place for help."),
        Some(link) => letter
            .linked("Undo the change", link)
            .close("If this was you, there is nothing to do. If it was not, undo the change."),
    }
}

fn account_deleted(brand: &str, until: Timestamp, at: (Timestamp, &str), keep: &Link) -> Letter {
    let what = format!(
        "Your account at {brand} is shut, and nobody can sign in to it. On {} everything about it is erased.",
        until.for_people()
    );
    notice(format!("Your account at {brand} is deleted"), what, at)
        .linked("Keep the account", keep)
        .close("If this was you, there is nothing to do. If it was not, or you have changed your mind, keep the account and choose a new password.")
}

fn waits(brand: &str, username: &str) -> Letter {
    Letter::new(format!("Somebody waits for approval at {brand}"))
        .say(format!(
            "Somebody has made an account at {brand}, and cannot use it until you have approved it. See \
             everybody who waits with: keywright user list --waiting"
        ))
        .fact("Username", plain(username))
        .close("If others come within the hour, there is no further mail about them.")
}

fn approved(brand: &str, username: &str, sign_in: &Link) -> Letter {
    Letter::new(format!("Your account at {brand} is approved"))
        .say(format!("You can sign in to {brand} now."))
        .linked("Sign in", sign_in)
        .fact("Username", plain(username))
        .close("If you did not ask for an account, you can ignore this mail.")
}

impl Action {
    /// A labelled link.
    pub(super) fn new(label: impl Into<String>, link: &Link) -> Self {
        Self { label: label.into(), link: link.as_str().to_owned() }
    }
}
