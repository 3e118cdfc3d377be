//! Queueing mail, and saying so where it was not.

use super::Parts;
use crate::{
    accounts::{
        administrators, approval,
        one_time_links::{self, NewLink},
        verification::{self, is_verified_here},
    },
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        names::email_key,
        opaque::Opaque,
    },
    mail::{Link, Message, Queued, masked},
    store::{
        Connection, QueryResult, StoreResult, identities,
        one_time_links::{self as links, LinkPurpose},
        users::{self, User},
    },
    urls::path,
};

/// Where something was done.
#[derive(Clone, Copy, Debug)]
pub struct Whence<'a> {
    /// The network address.
    pub address: &'a str,
    /// When.
    pub at: Timestamp,
}

impl Parts {
    /// Queues a message in the caller's transaction. Whoever asked for it must be told the same
    /// whatever the answer is: a mail that the brake has stopped is counted and noted here (RC-11).
    pub async fn queue_mail(
        &self,
        conn: &mut Connection,
        to: &str,
        message: &Message,
        now: Timestamp,
    ) -> QueryResult<Queued> {
        let queued = self.mail.queue(conn, to, message, now).await?;
        if let Some(reason) = queued.refusal() {
            let kind = message.kind().as_str();
            self.metrics.count_failed_mail("not_queued");
            let event = Event::refused("mail", reason).detail("kind", kind);
            self.audit.note(event.detail("to", masked(to)));
        }
        Ok(queued)
    }

    /// Asks the owner of a newcomer's address whether it is theirs. Who has it already is told so
    /// instead (PW-09): the newcomer sees no difference, and the address stays where it is.
    pub async fn queue_welcome(
        &self,
        conn: &mut Connection,
        user: &User,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (Some(email), true) = (&user.email, self.mail.is_configured()) else {
            return Ok(());
        };
        let secret = one_time_links::secret(self.random());
        let link = address_link(user, (LinkPurpose::VerifyEmail, email));
        // Whoever gets the mail: as many statements for an address of somebody's as for another.
        link.keep(conn, &secret, now).await?;
        let owner = self.owner(conn, user, email).await?;
        let elsewhere = self.sign_in_elsewhere(conn, owner.as_ref().unwrap_or(user)).await?;
        let message = match owner {
            None => self.verification(user, &secret),
            Some(owner) if owner.password_hash.is_some() => self.account_exists(),
            Some(_) => elsewhere,
        };
        let _ = self.queue_mail(conn, email, &message, now).await?;
        Ok(())
    }

    /// Tells administrators that somebody waits, if there is a way to tell, and not too often.
    pub async fn queue_waiting(
        &self,
        conn: &mut Connection,
        user: &User,
        now: Timestamp,
    ) -> StoreResult<()> {
        if !self.mail.is_configured() || !approval::is_to_be_told(conn, now).await? {
            return Ok(());
        }
        let message = Message::AccountWaits { username: user.username.clone() };
        for address in administrators::addresses(conn).await? {
            let _ = self.queue_mail(conn, &address, &message, now).await?;
        }
        Ok(())
    }

    /// Sends the link to the address of an account, or to the one that it is to have.
    pub async fn queue_verification(
        &self,
        conn: &mut Connection,
        user: &User,
        (purpose, email): (LinkPurpose, &str),
        now: Timestamp,
    ) -> QueryResult<Queued> {
        let secret = one_time_links::secret(self.random());
        let queued = self.queue_mail(conn, email, &self.verification(user, &secret), now).await?;
        // The link of the last mail stays good where this one does not leave.
        if queued.refusal().is_none() {
            address_link(user, (purpose, email)).keep(conn, &secret, now).await?;
        }
        Ok(queued)
    }

    /// Tells the owner of an account that a way to sign in was changed, if there is a way to tell.
    /// `what` goes on after "On your account, ".
    pub async fn queue_notice(
        &self,
        conn: &mut Connection,
        user: &User,
        what: &str,
        whence: Whence<'_>,
    ) -> QueryResult<()> {
        let verified = user.email.as_deref().filter(|_| user.email_verified == Some(true));
        let (Some(email), true) = (verified, self.mail.is_configured()) else {
            return Ok(());
        };
        let message = Message::MethodChanged {
            what: what.to_owned(),
            when: whence.at,
            from_where: whence.address.to_owned(),
            account: Link::new(&self.urls, path::ACCOUNT, &[]),
        };
        self.queue_mail(conn, email, &message, whence.at).await.map(drop)
    }

    /// Tells the former address of an account that it has another one, and how that is undone.
    pub async fn queue_address_changed(
        &self,
        conn: &mut Connection,
        (user, former): (&User, &str),
        new: &str,
        whence: Whence<'_>,
    ) -> QueryResult<()> {
        let (purpose, life) = (LinkPurpose::UndoEmail, verification::UNDO_LIFE);
        let link = NewLink { purpose, user: &user.id, email: Some(former), life };
        let undo = one_time_links::secret(self.random());
        // Whoever changes it twice does not take the way back from who had it first.
        let is_first = !links::is_living(conn, &user.id, purpose, whence.at).await?;
        if is_first {
            link.keep(conn, &undo, whence.at).await?;
        }
        let message = Message::AddressChanged {
            new_address: new.to_owned(),
            when: whence.at,
            from_where: whence.address.to_owned(),
            undo: is_first.then(|| self.link_to(path::VERIFY_EMAIL, &undo)),
        };
        self.queue_mail(conn, former, &message, whence.at).await.map(drop)
    }

    /// Tells the owner of an account that it is deleted, and how that is taken back until it is due.
    pub async fn queue_deleted(
        &self,
        conn: &mut Connection,
        user: &User,
        due: Timestamp,
        whence: Whence<'_>,
    ) -> QueryResult<()> {
        let verified = user.email.as_deref().filter(|_| user.email_verified == Some(true));
        let (Some(email), true) = (verified, self.mail.is_configured()) else {
            return Ok(());
        };
        let life = due.since(whence.at);
        let purpose = LinkPurpose::KeepAccount;
        let link = NewLink { purpose, user: &user.id, email: Some(email), life };
        let secret = one_time_links::secret(self.random());
        link.keep(conn, &secret, whence.at).await?;
        let message = Message::AccountDeleted {
            until: due,
            when: whence.at,
            from_where: whence.address.to_owned(),
            keep: self.link_to(path::KEEP_MY_ACCOUNT, &secret),
        };
        self.queue_mail(conn, email, &message, whence.at).await.map(drop)
    }

    /// The mail that says where an account without a password signs in (RC-14).
    pub async fn sign_in_elsewhere(
        &self,
        conn: &mut Connection,
        user: &User,
    ) -> StoreResult<Message> {
        let identities = identities::list_of_user(conn, &user.id).await?;
        let names = identities.iter().filter_map(|identity| {
            let upstream = self.upstreams.find(identity.upstream.as_str())?;
            Some(upstream.settings.name.clone())
        });
        let sign_in = Link::new(&self.urls, path::ACCOUNT, &[]);
        Ok(Message::SignInWithUpstream { upstreams: names.collect(), sign_in })
    }

    /// The address of a page that a one-time link opens.
    pub fn link_to(&self, path: &'static str, secret: &Opaque) -> Link {
        Link::new(&self.urls, path, &[("token", secret.reveal().expose())])
    }

    fn verification(&self, user: &User, link: &Opaque) -> Message {
        Message::VerifyEmail {
            name: user.name.clone(),
            link: self.link_to(path::VERIFY_EMAIL, link),
            code: None,
            hours: hours(verification::LIFE),
        }
    }

    fn account_exists(&self) -> Message {
        Message::AccountExists {
            sign_in: Link::new(&self.urls, path::ACCOUNT, &[]),
            recover: self.recovery_is_open().then(|| Link::new(&self.urls, path::RECOVERY, &[])),
        }
    }

    /// Who has proved this address to be theirs.
    async fn owner(
        &self,
        conn: &mut Connection,
        newcomer: &User,
        email: &str,
    ) -> StoreResult<Option<User>> {
        let mut all = users::list_of_address(conn, &email_key(email)).await?;
        all.retain(|user| user.id != newcomer.id && user.email_verified == Some(true));
        let here = all.iter().position(is_verified_here).unwrap_or(0);
        Ok(if all.is_empty() { None } else { Some(all.swap_remove(here)) })
    }
}

fn address_link<'a>(user: &'a User, (purpose, email): (LinkPurpose, &'a str)) -> NewLink<'a> {
    NewLink { purpose, user: &user.id, email: Some(email), life: verification::LIFE }
}

fn hours(span: Span) -> u32 {
    u32::try_from(span.seconds() / 3_600).unwrap_or(u32::MAX)
}
