//! How a sign-in at an upstream finds its account, or makes one (the sign-up table).
//!
//! An account is found by issuer and subject and by nothing else: not by e-mail, not by name. Who
//! is unknown gets a new account if the rules allow it, and never somebody else's.

use super::{
    approval,
    invitations::{self, Useless},
    recorded,
};
use crate::{
    config::SignupMode,
    federation::{
        Asserted, Upstream,
        gates::{self, Refusal},
    },
    foundation::names::{email_key, username_key},
    foundation::{
        clock::Timestamp,
        ids::{IdentityId, InvitationId, UserId},
        random::{self, Random},
        seal::KeyRing,
        text_list::TextList,
    },
    store::{
        Connection, StoreResult,
        identities::{self, Confirmation, Identity, LinkedBy},
        invitations::Invitation,
        users::{self, AccountKind, Profile, User},
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
    /// The account is new, and waits for an administrator.
    Waits(User),
    /// The account still waits for an administrator.
    StillWaits(UserId),
    /// The account is shut (UP-23).
    Disabled(UserId),
    /// Nobody like this may enter through the upstream.
    NotAdmitted(Refusal),
    /// The person is unknown and may not have an account.
    NotAllowed(Refusal),
    /// The person is unknown, and the invitation that they have is of no use.
    InvitationUseless(Useless),
    /// The person is unknown, and the invitation that they have is for another address.
    InvitedAtAnotherAddress,
    /// The same person was created by another request just now: look again.
    LostRace,
}

/// The way in through one upstream.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    /// The upstream.
    pub upstream: &'a Upstream,
    /// Who may get an account where the upstream has no rule of its own.
    pub federated: SignupMode,
    /// Whether whoever gets one without an invitation waits for an administrator.
    pub approval: bool,
    /// The invitation that the person has, if it counts.
    pub invitation: Option<&'a InvitationId>,
    /// The keys under which rows are sealed.
    pub rows: &'a KeyRing,
    /// Where chance comes from.
    pub random: &'a dyn Random,
    /// The present moment.
    pub now: Timestamp,
}

impl std::fmt::Debug for Entrance<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Entrance({:?})", self.upstream)
    }
}

impl Entrance<'_> {
    /// Finds or makes the account of who has signed in, and refreshes what the upstream says.
    pub async fn arrive(&self, conn: &mut Connection, asserted: &Asserted) -> StoreResult<Arrival> {
        let (settings, person) = (&self.upstream.settings, &asserted.person);
        if let Some(refusal) = self.turned_away(asserted) {
            return Ok(Arrival::NotAdmitted(refusal));
        }
        if let Some(user) = self.confirm_identity(conn, asserted).await? {
            return self.refresh(conn, asserted, user).await;
        }
        if let Some(invitation) = self.invitation {
            return self.arrive_invited(conn, asserted, invitation).await;
        }
        let signup = gates::signup(settings, self.federated, person);
        if let Some(refusal) = gates::refusal(&signup) {
            return Ok(Arrival::NotAllowed(refusal));
        }
        let user = create_user(conn, asserted, None, self).await?;
        if !self.add_identity(conn, asserted, &user.id, LinkedBy::SignUp).await? {
            return Ok(Arrival::LostRace);
        }
        if !self.approval {
            return Ok(Arrival::Created(user));
        }
        approval::wait(conn, &user.id, self.now).await?;
        Ok(Arrival::Waits(user))
    }

    /// Gives an account this identity; `false` if somebody has it already.
    pub(super) async fn add_identity(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        user: &UserId,
        linked_by: LinkedBy,
    ) -> StoreResult<bool> {
        let identity = Identity {
            id: IdentityId::generate(self.random, self.now),
            user_id: user.clone(),
            upstream: self.upstream.slug().clone(),
            issuer: asserted.issuer.clone(),
            subject: asserted.subject.clone(),
            groups: asserted.person.groups.iter().collect(),
            created_at: self.now,
            confirmed_at: self.now,
            linked_by,
            linked_at: self.now,
        };
        let claims = self.seal(asserted);
        Ok(identities::insert(conn, &identity, claims.as_deref()).await?)
    }

    async fn refresh(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        mut user: User,
    ) -> StoreResult<Arrival> {
        if approval::is_waiting(conn, &user).await? {
            return Ok(Arrival::StillWaits(user.id));
        }
        if user.disabled_at.is_some() {
            return Ok(Arrival::Disabled(user.id));
        }
        let profile = refreshed(&user, asserted);
        if profile != user.profile() {
            users::update_profile(conn, &user.id, &profile, self.now).await?;
            user.updated_at = self.now;
        }
        Ok(Arrival::Known(user))
    }

    /// Notes that the upstream has just confirmed this person, and answers their account if they are
    /// known.
    pub(super) async fn confirm_identity(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
    ) -> StoreResult<Option<User>> {
        let confirmation = Confirmation {
            upstream: self.upstream.slug().clone(),
            groups: asserted.person.groups.iter().collect(),
            claims: self.seal(asserted),
            confirmed_at: self.now,
        };
        let subject = (&*asserted.issuer, &*asserted.subject);
        let known = identities::confirm(conn, subject, &confirmation).await?;
        Ok(known.map(|(_, user)| user))
    }

    /// Takes over what the upstream says about somebody while they are signed in; nothing if they are
    /// not known any more.
    pub async fn confirm(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
    ) -> StoreResult<Option<Arrival>> {
        if let Some(refusal) = self.turned_away(asserted) {
            return Ok(Some(Arrival::NotAdmitted(refusal)));
        }
        match self.confirm_identity(conn, asserted).await? {
            Some(user) => self.refresh(conn, asserted, user).await.map(Some),
            None => Ok(None),
        }
    }

    /// Why nobody like this may enter through the upstream, if so.
    pub(super) fn turned_away(&self, asserted: &Asserted) -> Option<Refusal> {
        let admission =
            gates::admission(&self.upstream.settings, &asserted.claims, &asserted.person);
        gates::refusal(&admission)
    }

    /// The claims as they are kept, so that rules can be tried on them.
    fn seal(&self, asserted: &Asserted) -> Option<Vec<u8>> {
        let Asserted { issuer, subject, claims, .. } = asserted;
        recorded::seal(self.rows, (issuer, subject), claims, self.random)
    }
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
            profile.email_issuer = Some(asserted.issuer.clone());
        }
        profile.email = Some(email.clone());
        profile.email_key = Some(key);
    }
    profile.name = person.name.clone().or(profile.name);
    profile.picture = person.picture.clone().or(profile.picture);
    profile
}

/// Makes an account under the first free username.
pub(super) async fn create_user(
    conn: &mut Connection,
    asserted: &Asserted,
    invitation: Option<&Invitation>,
    entrance: &Entrance<'_>,
) -> StoreResult<User> {
    let (random, now) = (entrance.random, entrance.now);
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
        email_issuer: person.email.is_some().then(|| asserted.issuer.clone()),
        roles: TextList::default(),
        kind: AccountKind::Person,
        locale: None,
        own_picture: None,
        password_temporary: false,
    };
    match invitation {
        Some(invitation) => invitations::endow(&mut user, invitation),
        None if entrance.approval => approval::shut(&mut user),
        None => {}
    }
    for username in std::iter::once(wanted.clone()).chain(numbered).chain(chance) {
        user.username_key = username_key(&username);
        user.username = username;
        if users::insert(conn, &user).await? {
            break;
        }
    }
    if let (Some(key), Some(true)) = (&user.email_key, user.email_verified) {
        // Whoever has written this address down without proof was not its owner (LK-01).
        users::release_address(conn, key, &user.id, now).await?;
    }
    Ok(user)
}
