//! How a sign-in at an upstream finds its account, or makes one (the sign-up table).
//!
//! An account is found by issuer and subject and by nothing else: not by e-mail, not by name. Who
//! is unknown gets a new account if the rules allow it, and never somebody else's.

use crate::{
    config::{SignupMode, UpstreamSignup},
    federation::{Asserted, Upstream},
    foundation::names::{email_key, is_in_domain, username_key},
    foundation::{
        clock::Timestamp,
        ids::{IdentityId, UserId},
        random::{self, Random},
    },
    store::{
        Connection, StoreResult,
        identities::{self, Identity},
        users::{self, Profile, User},
    },
};

/// How many numbered usernames are tried before chance decides.
const NUMBERED: u32 = 9;

/// What became of a sign-in at an upstream.
#[derive(Debug)]
pub enum Arrival {
    /// The account was known.
    Known(User),
    /// The account is new.
    Created(User),
    /// The account is shut (UP-23).
    Disabled(UserId),
    /// The person is unknown and may not have an account.
    NotAllowed(SignupRefusal),
    /// The same person was created by another request just now: look again.
    LostRace,
}

/// Why nobody new gets in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignupRefusal {
    /// New accounts are closed, or by invitation.
    Closed,
    /// The e-mail address is not verified, or in no allowed domain.
    Domain,
    /// The person is in no allowed group.
    Group,
}

impl SignupRefusal {
    /// The reason in one word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Closed => "signup_closed",
            Self::Domain => "signup_domain",
            Self::Group => "signup_group",
        }
    }
}

/// Finds or makes the account of who has signed in, and refreshes what the upstream says.
pub async fn arrive(
    conn: &mut Connection,
    upstream: &Upstream,
    asserted: &Asserted,
    federated: SignupMode,
    random: &dyn Random,
    now: Timestamp,
) -> StoreResult<Arrival> {
    let known = identities::find(conn, &asserted.issuer, &asserted.subject).await?;
    if let Some((identity, user)) = known {
        return refresh(conn, upstream, asserted, &identity, user, now).await;
    }
    let rule = upstream.settings.signup.as_ref();
    if let Err(refusal) = may_sign_up(rule, federated, asserted) {
        return Ok(Arrival::NotAllowed(refusal));
    }
    let user = create_user(conn, asserted, random, now).await?;
    let identity = Identity {
        id: IdentityId::generate(random, now),
        user_id: user.id.clone(),
        upstream: upstream.slug().clone(),
        issuer: asserted.issuer.clone(),
        subject: asserted.subject.clone(),
        groups: asserted.person.groups.iter().collect(),
        created_at: now,
        confirmed_at: now,
    };
    if identities::insert(conn, &identity).await? {
        Ok(Arrival::Created(user))
    } else {
        Ok(Arrival::LostRace)
    }
}

/// Takes over what the upstream says about somebody who is known, while they are signed in; nothing
/// if they are not known any more.
pub async fn confirm(
    conn: &mut Connection,
    upstream: &Upstream,
    asserted: &Asserted,
    now: Timestamp,
) -> StoreResult<Option<Arrival>> {
    let known = identities::find(conn, &asserted.issuer, &asserted.subject).await?;
    let Some((identity, user)) = known else {
        return Ok(None);
    };
    refresh(conn, upstream, asserted, &identity, user, now).await.map(Some)
}

async fn refresh(
    conn: &mut Connection,
    upstream: &Upstream,
    asserted: &Asserted,
    identity: &Identity,
    mut user: User,
    now: Timestamp,
) -> StoreResult<Arrival> {
    if user.disabled_at.is_some() {
        return Ok(Arrival::Disabled(user.id));
    }
    let groups = asserted.person.groups.iter().collect();
    identities::confirm(conn, &identity.id, upstream.slug(), &groups, now).await?;
    let profile = refreshed(&user, asserted);
    if profile != user.profile() {
        users::update_profile(conn, &user.id, &profile, now).await?;
        user.updated_at = now;
    }
    Ok(Arrival::Known(user))
}

/// What the account says after the upstream has spoken: what it does not mention stays.
fn refreshed(user: &User, asserted: &Asserted) -> Profile {
    let person = &asserted.person;
    let mut profile = user.profile();
    if let Some(email) = &person.email {
        let key = email_key(email);
        // A verification made here holds for as long as the address does; the upstream may take
        // back only its own word.
        let same = profile.email_key.as_ref() == Some(&key);
        let keeps = same && user.password_hash.is_some() && profile.email_verified == Some(true);
        if !keeps {
            profile.email_verified = person.email_verified;
        }
        profile.email = Some(email.clone());
        profile.email_key = Some(key);
    }
    profile.name = person.name.clone().or(profile.name);
    profile.picture = person.picture.clone().or(profile.picture);
    profile
}

/// Whether an unknown person may get an account. The upstream's own rule, where there is one,
/// decides for this upstream; `signup.federated` decides for all others.
fn may_sign_up(
    rule: Option<&UpstreamSignup>,
    federated: SignupMode,
    asserted: &Asserted,
) -> Result<(), SignupRefusal> {
    let Some(rule) = rule else {
        return match federated {
            SignupMode::Open => Ok(()),
            SignupMode::Invite | SignupMode::Closed => Err(SignupRefusal::Closed),
        };
    };
    let person = &asserted.person;
    let verified = person.email.as_ref().filter(|_| person.email_verified == Some(true));
    let in_domain = |domain: &String| verified.is_some_and(|email| is_in_domain(email, domain));
    if !rule.domains.is_empty() && !rule.domains.iter().any(in_domain) {
        return Err(SignupRefusal::Domain);
    }
    if !rule.groups.is_empty() && !rule.groups.iter().any(|group| person.groups.contains(group)) {
        return Err(SignupRefusal::Group);
    }
    Ok(())
}

/// Makes an account under the first free username.
async fn create_user(
    conn: &mut Connection,
    asserted: &Asserted,
    random: &dyn Random,
    now: Timestamp,
) -> StoreResult<User> {
    let person = &asserted.person;
    let wanted = person.username.clone().unwrap_or_else(|| "person".to_owned());
    let numbered = (2..=NUMBERED).map(|number| format!("{wanted}-{number}"));
    let chance = std::iter::repeat_with(|| {
        let [a, b, c] = random::bytes::<3>(random);
        format!("{wanted}-{a:02x}{b:02x}{c:02x}")
    });
    let mut user = User {
        id: UserId::generate(random, now),
        username: String::new(),
        username_key: String::new(),
        email: person.email.clone(),
        email_key: person.email.as_deref().map(email_key),
        email_verified: person.email_verified,
        name: person.name.clone(),
        picture: person.picture.clone(),
        password_hash: None,
        groups: std::iter::empty::<&str>().collect(),
        disabled_at: None,
        created_at: now,
        updated_at: now,
    };
    for username in std::iter::once(wanted.clone()).chain(numbered).chain(chance) {
        user.username_key = username_key(&username);
        user.username = username;
        if users::insert(conn, &user).await? {
            break;
        }
    }
    Ok(user)
}
