//! Invitations: a link that lets somebody in who could not come otherwise, or makes them administrate.
//!
//! What an invitation gives stands in its row and nowhere else; the link is a secret and says nothing
//! (LK-17). It is used in the transaction that gives it, so that it never counts for nothing or twice.

use super::{
    administrators,
    provisioning::{Arrival, Entrance, create_user},
};
use crate::{
    audit::Event,
    federation::Asserted,
    foundation::{
        clock::{Span, Timestamp},
        ids::{InvitationId, UserId},
        names::email_key,
        opaque::{Opaque, OpaqueKind},
        random::Random,
        secret::Secret,
        text_list::TextList,
    },
    mail::Link,
    store::{
        Connection, StoreResult, audit_events,
        groups::ADMINISTRATOR,
        identities::LinkedBy,
        invitations::{self, Invitation, InvitationKind},
        role_holders::Except,
        users::User,
    },
    urls::{Urls, path},
};

/// How long a link is good that makes an administrator.
pub const ADMINISTRATOR_LIFE: Span = Span::from_hours(1);
/// The name of the parameter that holds the secret.
pub const PARAMETER: &str = "invitation";

/// What somebody offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What for.
    pub kind: InvitationKind,
    /// To whom alone: an address.
    pub email: Option<String>,
    /// Whether the link goes to that address by mail, and nowhere else.
    pub mailed: bool,
    /// Which groups come with it.
    pub groups: Vec<String>,
    /// To how many.
    pub uses: u32,
    /// For how long.
    pub life: Span,
}

impl Offer {
    /// A link that makes one administrator.
    pub const fn of_administration(kind: InvitationKind) -> Self {
        Self {
            kind,
            email: None,
            mailed: false,
            groups: Vec::new(),
            uses: 1,
            life: ADMINISTRATOR_LIFE,
        }
    }

    /// The row to be kept, and the secret, which is not.
    pub fn draw(self, random: &dyn Random, now: Timestamp) -> (Invitation, Secret) {
        let secret = Opaque::generate(OpaqueKind::Invitation, random);
        let row = Invitation {
            id: InvitationId::generate(random, now),
            digest: secret.digest(),
            kind: self.kind,
            email_key: self.email.as_deref().map(email_key),
            email: self.email,
            mailed: self.mailed,
            groups: self.groups.iter().collect(),
            uses_left: i64::from(self.uses),
            created_at: now,
            expires_at: now.plus(self.life),
            revoked_at: None,
        };
        (row, secret.reveal())
    }
}

/// The link of an invitation.
pub fn link(urls: &Urls, secret: &Secret) -> Link {
    Link::new(urls, path::INVITATION, &[(PARAMETER, secret.expose())])
}

/// Why an invitation is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Useless {
    /// There is none like this.
    Unknown,
    /// It is too old.
    Expired,
    /// It was used.
    Used,
    /// It was taken back.
    Revoked,
}

impl Useless {
    /// The reason in one word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "invitation_unknown",
            Self::Expired => "invitation_expired",
            Self::Used => "invitation_used",
            Self::Revoked => "invitation_revoked",
        }
    }
}

/// Why it is of no use now, or nothing if it is.
pub fn uselessness(invitation: &Invitation, now: Timestamp) -> Option<Useless> {
    if invitation.revoked_at.is_some() {
        Some(Useless::Revoked)
    } else if invitation.uses_left <= 0 {
        Some(Useless::Used)
    } else {
        (now >= invitation.expires_at).then_some(Useless::Expired)
    }
}

/// The invitation whose secret somebody presents. It asks the database for nothing that is no secret.
pub async fn find(
    connection: impl AsyncFnOnce() -> StoreResult<Connection>,
    secret: &str,
    now: Timestamp,
) -> StoreResult<Result<Invitation, Useless>> {
    let Some(secret) = Opaque::parse(OpaqueKind::Invitation, secret) else {
        return Ok(Err(Useless::Unknown));
    };
    let found = invitations::find_by_digest(&mut connection().await?, &secret.digest()).await?;
    let Some(invitation) = found else {
        return Ok(Err(Useless::Unknown));
    };
    Ok(uselessness(&invitation, now).map_or(Ok(invitation), Err))
}

/// Whether it is for whoever has this address, in its canonical form.
pub fn is_for(invitation: &Invitation, email_key: Option<&str>) -> bool {
    invitation.email_key.as_deref().is_none_or(|own| email_key == Some(own))
}

/// The account gets what the invitation gives.
pub fn endow(user: &mut User, invitation: &Invitation) {
    user.groups = with(&user.groups, invitation.groups.to_vec());
    if invitation.kind.administers() {
        user.roles = with(&user.roles, vec![ADMINISTRATOR.to_owned()]);
    }
}

/// Whether the account has all that the invitation gives.
pub fn has_all(user: &User, invitation: &Invitation) -> bool {
    let mut endowed = user.clone();
    endow(&mut endowed, invitation);
    endowed.groups == user.groups && endowed.roles == user.roles
}

fn with(list: &TextList, more: Vec<String>) -> TextList {
    let mut all = list.to_vec();
    for text in more {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.iter().collect()
}

/// Uses the invitation for an account, which the caller has endowed; with the event, in the caller's
/// transaction. `false` if it is of no use any more: then all of that has to be rolled back.
#[must_use = "false means that nothing may be given"]
pub async fn take(
    conn: &mut Connection,
    invitation: &Invitation,
    user: &UserId,
    now: Timestamp,
) -> StoreResult<bool> {
    if !invitations::take(conn, &invitation.id, now).await? {
        return Ok(false);
    }
    if !invitation.kind.administers() {
        return Ok(true);
    }
    let meanings = conn.meanings();
    let others = Except { account: Some(user), identity: None };
    let is_first = invitation.kind == InvitationKind::FirstAdministrator;
    if is_first && administrators::any(conn, &meanings, others).await? {
        return Ok(false);
    }
    Ok(administrators::note_first(conn).await? || !is_first)
}

/// What is kept about it.
pub fn event(invitation: &Invitation, user: &UserId) -> Event {
    Event::done("invitation_accepted")
        .user(user)
        .detail("invitation", invitation.id.as_str())
        .detail("kind", invitation.kind.as_str())
        .detail("groups", invitation.groups.to_vec().join(", "))
}

impl Entrance<'_> {
    /// Makes the account of somebody unknown who has an invitation, whatever the doors say.
    pub(super) async fn arrive_invited(
        &self,
        conn: &mut Connection,
        asserted: &Asserted,
        invitation: &InvitationId,
    ) -> StoreResult<Arrival> {
        let Some(invitation) = invitations::find(conn, invitation).await? else {
            return Ok(Arrival::InvitationUseless(Useless::Unknown));
        };
        if let Some(useless) = uselessness(&invitation, self.now) {
            return Ok(Arrival::InvitationUseless(useless));
        }
        let address = asserted.person.email.as_deref().map(email_key);
        if !is_for(&invitation, address.as_deref()) {
            return Ok(Arrival::InvitedAtAnotherAddress);
        }
        let user = create_user(conn, asserted, Some(&invitation), self).await?;
        if !self.add_identity(conn, asserted, &user.id, LinkedBy::SignUp).await? {
            return Ok(Arrival::LostRace);
        }
        if !take(conn, &invitation, &user.id, self.now).await? {
            return Ok(Arrival::InvitationUseless(Useless::Used));
        }
        let event = event(&invitation, &user.id).upstream(self.upstream.slug());
        let event = event.row(self.now, self.random);
        audit_events::insert(conn, &event).await?;
        Ok(Arrival::Created(user))
    }
}
