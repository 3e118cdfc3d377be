//! More than one way into an account: linking an identity to it, and taking one away again.
//!
//! An identity is linked on proof of both sides and never moves: the account's own person has asked
//! for it, and the upstream has just said who it is. What belongs to somebody else stays theirs.

use super::{administrators, factors, passwords::LOST, provisioning::Entrance};
use crate::{
    config::{PasswordLogin, UpstreamSettings},
    federation::{Asserted, Upstreams, gates::Refusal},
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::{IdentityId, SessionId, UserId},
        names::email_key,
    },
    store::{
        Connection, StoreResult,
        identities::{self, Identity, LinkedBy},
        sessions, users,
        users::User,
    },
};

/// What became of linking an identity.
#[derive(Debug)]
pub enum Linking {
    /// It is linked to this account now.
    Linked(Box<User>),
    /// It was linked to this very account before, and has been confirmed.
    Confirmed,
    /// It belongs to somebody else (LK-08).
    Taken,
    /// Nobody like this may enter through the upstream.
    NotAdmitted(Refusal),
    /// The session in which it was asked for, or its account, is over.
    SessionOver,
    /// Another request linked the same identity just now: look again.
    LostRace,
}

impl Entrance<'_> {
    /// Links who has signed in at the upstream to the account of this session.
    pub async fn link(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        (user, session): (&UserId, &SessionId),
    ) -> StoreResult<Linking> {
        if let Some(refusal) = self.turned_away(asserted) {
            return Ok(Linking::NotAdmitted(refusal));
        }
        // Rows are held in the order in which a sign-in holds them, so that neither waits for ever.
        let known = identities::find(conn, &asserted.issuer, &asserted.subject).await?;
        let account = match &known {
            Some((_, owner)) if owner.id != *user => return Ok(Linking::Taken),
            Some((_, owner)) => Some(owner.clone()),
            None => users::hold(conn, user).await?,
        };
        let open = account.filter(|account| account.disabled_at.is_none());
        let session = sessions::hold(conn, session).await?;
        let alive = session.is_some_and(|row| row.user_id == *user && row.ended_at.is_none());
        let Some(account) = open.filter(|_| alive) else {
            return Ok(Linking::SessionOver);
        };
        if known.is_some() {
            self.confirm_identity(conn, asserted).await?;
            return Ok(Linking::Confirmed);
        }
        let added = self.add_identity(conn, asserted, user, LinkedBy::OwnSession).await?;
        Ok(if added { Linking::Linked(Box::new(account)) } else { Linking::LostRace })
    }
}

/// What became of looking for the account of somebody's address.
#[derive(Debug)]
pub enum Joining {
    /// The person is linked to this account now.
    Joined(Box<User>, LinkedBy),
    /// There is none that they may be linked to.
    None,
    /// Another request linked the same identity just now: look again.
    LostRace,
}

/// What an account is by: its address and its password, in one word.
pub fn state_of(user: &User) -> String {
    let (email, hash) = (user.email_key.as_deref(), user.password_hash.as_deref());
    let text = format!("{}\n{}", email.unwrap_or_default(), hash.unwrap_or_default());
    TokenDigest::of("account state", text.as_bytes()).to_text()
}

/// What was found under the address that an upstream tells.
#[derive(Debug)]
pub enum Namesake {
    /// The one account of it, held until the transaction ends.
    Account(Box<User>),
    /// There is none that the person may be linked to.
    None,
    /// Another request linked the same identity just now: look again.
    LostRace,
}

impl Entrance<'_> {
    /// Links an unknown person to the one account of their address: where the administrator trusts this
    /// upstream for that, or where the person has typed the code that was mailed there. Every doubt is a
    /// no: the person is somebody new then (LK-05).
    pub async fn join_by_address(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        upstreams: &Upstreams,
        proved: Option<(&UserId, &str)>,
    ) -> StoreResult<Joining> {
        let settings = &self.upstream.settings;
        let trusted = settings.link_verified_email && asserted.person.email_verified == Some(true);
        let proved = proved.filter(|_| settings.link_by_code);
        if !trusted && proved.is_none() {
            return Ok(Joining::None);
        }
        let user = match self.namesake(conn, asserted, upstreams).await? {
            Namesake::Account(user) => user,
            Namesake::None => return Ok(Joining::None),
            Namesake::LostRace => return Ok(Joining::LostRace),
        };
        let by = if trusted {
            LinkedBy::VerifiedEmail
        } else if proved == Some((&user.id, &state_of(&user)))
            && !factors::has_any(conn, &user.id).await?
        {
            LinkedBy::MailedCode
        } else {
            return Ok(Joining::None);
        };
        let added = self.add_identity(conn, asserted, &user.id, by).await?;
        Ok(if added { Joining::Joined(user, by) } else { Joining::LostRace })
    }

    /// The account with which an unknown person may connect themselves by a code that is mailed to it.
    /// One mailbox is not enough for an account that two factors guard.
    pub async fn candidate(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        upstreams: &Upstreams,
    ) -> StoreResult<Namesake> {
        if !self.upstream.settings.link_by_code {
            return Ok(Namesake::None);
        }
        match self.namesake(conn, asserted, upstreams).await? {
            Namesake::Account(user) if factors::has_any(conn, &user.id).await? => {
                Ok(Namesake::None)
            }
            found => Ok(found),
        }
    }

    /// The one account that has the address of an unknown person, and has proved it.
    async fn namesake(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        upstreams: &Upstreams,
    ) -> StoreResult<Namesake> {
        let Some(key) = asserted.person.email.as_deref().map(email_key) else {
            return Ok(Namesake::None);
        };
        let known = identities::find(conn, &asserted.issuer, &asserted.subject).await?;
        if known.is_some() || self.turned_away(asserted).is_some() {
            return Ok(Namesake::None);
        }
        let found = users::list_by_email(conn, &key).await?;
        let [only] = found.as_slice() else {
            return Ok(Namesake::None);
        };
        // Of two subjects with one address, the second finds the first.
        let Some(user) = users::hold_alone(conn, only).await? else {
            return Ok(Namesake::None);
        };
        let all = identities::list_of_user(conn, &user.id).await?;
        let own = |identity: &Identity| {
            identity.issuer == asserted.issuer && identity.subject == asserted.subject
        };
        if all.iter().any(own) {
            // Linked just now. Whoever is known holds the identity first and the account then: going
            // on here, the other way round, two could wait for each other for ever.
            return Ok(Namesake::LostRace);
        }
        let known_there = all.iter().any(|identity| identity.issuer == asserted.issuer);
        if known_there || !is_proved(&user, &key, upstreams) {
            return Ok(Namesake::None);
        }
        Ok(Namesake::Account(Box::new(user)))
    }
}

/// Whether the address is proved to be that of an account's person: verified here, or by an upstream
/// that is trusted likewise. What any other upstream has said would let its people lie in wait under
/// the addresses of others (LK-01).
fn is_proved(user: &User, key: &str, upstreams: &Upstreams) -> bool {
    let is_trusted = |issuer: &String| {
        let of = |settings: &UpstreamSettings| is_issuer_of(settings, issuer);
        let mut all = upstreams.iter().map(|upstream| &upstream.settings);
        all.any(|settings| settings.link_verified_email && of(settings))
    };
    user.disabled_at.is_none()
        && user.email_key.as_deref() == Some(key)
        && user.email_verified == Some(true)
        && user.email_issuer.as_ref().is_none_or(is_trusted)
}

/// The ways into this house that are open.
#[derive(Clone, Copy, Debug)]
pub struct WaysIn<'a> {
    /// The upstreams that are switched on.
    pub upstreams: &'a Upstreams,
    /// Whether passwords are accepted.
    pub passwords: PasswordLogin,
}

impl WaysIn<'_> {
    /// Whether an account can still be entered without one of its identities (LK-19).
    pub fn remain_without(self, user: &User, all: &[Identity], without: &IdentityId) -> bool {
        let mut others = all.iter().filter(|identity| identity.id != *without);
        self.by_password(user) || others.any(|identity| self.leads_in(identity))
    }

    /// Whether an account can be entered with one of these identities, or with its password.
    pub fn remain(self, user: &User, identities: &[Identity]) -> bool {
        self.by_password(user) || identities.iter().any(|identity| self.leads_in(identity))
    }

    fn by_password(self, user: &User) -> bool {
        let hash = user.password_hash.as_deref();
        self.passwords == PasswordLogin::On && hash.is_some_and(|hash| hash != LOST)
    }

    /// Whether somebody can sign in with this identity: its upstream is there, and is still the
    /// server that it was.
    fn leads_in(self, identity: &Identity) -> bool {
        let upstream = self.upstreams.find(identity.upstream.as_str());
        upstream.is_some_and(|upstream| is_issuer_of(&upstream.settings, &identity.issuer))
    }
}

/// Whether identities of this issuer are still this upstream's, which may be another server by now
/// (UP-16).
fn is_issuer_of(settings: &UpstreamSettings, issuer: &str) -> bool {
    let own = settings.issuer.as_str().trim_end_matches('/');
    // Where several tenants may sign in, each has an issuer of its own at the same place.
    let place = settings.issuer.origin().ascii_serialization();
    let of_tenant = !settings.tenants.is_empty() && issuer.starts_with(&format!("{place}/"));
    own == issuer.trim_end_matches('/') || of_tenant
}

/// What became of taking an identity away.
#[derive(Debug)]
pub enum Unlinking {
    /// It is gone.
    Gone(Box<Identity>),
    /// The account has no such identity.
    Unknown,
    /// It is the last way into the account (LK-19).
    LastWayIn,
    /// By it alone somebody administers (AD-06).
    LastAdministrator,
}

/// Takes an identity away from its account. The sessions that it has begun are left to the caller.
pub async fn unlink(
    conn: &mut Connection,
    identity: &IdentityId,
    user: &UserId,
    ways: WaysIn<'_>,
) -> StoreResult<Unlinking> {
    let Some((identity, account)) = identities::hold(conn, identity, user).await? else {
        return Ok(Unlinking::Unknown);
    };
    let all = identities::list_of_user(conn, user).await?;
    if !ways.remain_without(&account, &all, &identity.id) {
        return Ok(Unlinking::LastWayIn);
    }
    if !administrators::remain_without(conn, &account, &identity).await? {
        return Ok(Unlinking::LastAdministrator);
    }
    identities::delete(conn, &identity.id).await?;
    Ok(Unlinking::Gone(Box::new(identity)))
}

/// Takes away what was linked to an account at a moment or later: somebody else may have been in it. What
/// makes its owner the last administrator stays (AD-06); the caller holds the role.
pub async fn remove_since(conn: &mut Connection, user: &User, since: Timestamp) -> StoreResult<()> {
    for identity in identities::list_of_user(conn, &user.id).await? {
        if identity.linked_at < since {
            continue;
        }
        if administrators::remain_without(conn, user, &identity).await? {
            identities::delete(conn, &identity.id).await?;
        } else {
            tracing::warn!(user = %user.id, "an identity stays, because nobody else administers");
        }
    }
    Ok(())
}
