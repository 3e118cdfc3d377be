//! Whoever arrives, one after the other, and whether it comes about as the rules say.

use std::collections::BTreeSet;

use keywright::{
    foundation::{
        ids::{IdentityId, UpstreamSlug, UserId},
        names::{email_key, username_key},
    },
    store::{
        audit_events::{AuditEvent, Outcome},
        identities::{self, Identity, LinkedBy},
        users::{self, User},
    },
};
use serde_json::{Value, json};

use super::rules::{Arrival, Case, Setting, There, expected};
use crate::{
    support::{
        app::TestApp,
        browser::{Browser, Journey},
        fake_upstream::{Algorithm, FakeUpstream},
    },
    upstream::{claims_for_app, is_refusal_page, no_session_cookie, sign_in_at},
};

/// A house with one setting, in which one person after the other arrives.
pub(super) struct House {
    pub(super) app: TestApp,
    upstream: FakeUpstream,
    setting: Setting,
    /// What accounts here look like.
    template: User,
    /// The events that were kept so far.
    told: BTreeSet<String>,
}

/// A person at the door, and whose rows are there before.
pub(super) struct Caller {
    pub(super) case: Case,
    subject: String,
    username: String,
    email: String,
    own: Option<User>,
    pub(super) neighbour: Option<User>,
}

/// What came of an arrival.
struct Seen {
    browser: Browser,
    journey: Journey,
    events: Vec<AuditEvent>,
    /// How many accounts and identities there are more.
    rows: i64,
}

impl Seen {
    fn kept(&self) -> BTreeSet<(&str, Option<&str>)> {
        let kept = self.events.iter().map(|e| (e.action.as_str(), e.reason.as_deref()));
        kept.collect()
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}, {} rows more", self.kept(), self.rows)
    }
}

impl House {
    pub(super) async fn build(setting: Setting) -> Self {
        let upstream = FakeUpstream::start_with(Algorithm::Es256).await;
        let app = TestApp::builder()
            .config(&format!("[signup]\nfederated = {:?}", setting.toggle()))
            .upstream("kc", &upstream, &setting.lines())
            .start()
            .await;
        let template = app.add_user("template", &[]).await;
        Self { app, upstream, setting, template, told: BTreeSet::new() }
    }

    /// Makes an account with this address.
    async fn account(&self, username: &str, address: Option<(&str, bool)>) -> User {
        let row = User {
            id: UserId::generate(self.app.app.random(), self.app.app.now()),
            username: username.to_owned(),
            username_key: username_key(username),
            email: address.map(|(email, _)| email.to_owned()),
            email_key: address.map(|(email, _)| email_key(email)),
            email_verified: address.map(|(_, verified)| verified),
            ..self.template.clone()
        };
        let mut connection = self.app.app.connection().await.unwrap();
        assert!(users::insert(&mut connection, &row).await.unwrap());
        row
    }

    /// Whoever has to be there before the person comes.
    pub(super) async fn await_caller(&self, number: usize, case: Case) -> Caller {
        let domain = if case.within { "corp.test" } else { "evil.test" };
        let (subject, email) = (format!("subject-{number}"), format!("p{number}@{domain}"));
        let neighbour = match case.there {
            There::Nobody => None,
            There::Verified => Some((email.as_str(), true)),
            There::Unverified => Some((email.as_str(), false)),
        };
        let neighbour = match neighbour {
            Some(address) => Some(self.account(&format!("neighbour{number}"), Some(address)).await),
            None => None,
        };
        let mut own = None;
        if case.known {
            let account = self.account(&format!("known{number}"), None).await;
            self.identify(&account, &subject).await;
            own = Some(account);
        }
        Caller { case, subject, username: format!("caller{number}"), email, own, neighbour }
    }

    /// Gives an account an identity at the upstream.
    async fn identify(&self, account: &User, subject: &str) {
        let now = self.app.app.now();
        let identity = Identity {
            id: IdentityId::generate(self.app.app.random(), now),
            user_id: account.id.clone(),
            upstream: UpstreamSlug::new("kc"),
            issuer: self.upstream.issuer(),
            subject: subject.to_owned(),
            groups: std::iter::empty::<&str>().collect(),
            created_at: now,
            confirmed_at: now,
            linked_by: LinkedBy::SignUp,
            linked_at: now,
        };
        let mut connection = self.app.app.connection().await.unwrap();
        assert!(identities::insert(&mut connection, &identity, None).await.unwrap());
    }

    async fn rows(&self) -> i64 {
        self.app.count("(SELECT id FROM users UNION ALL SELECT id FROM identities) t").await
    }

    /// One person arrives, and everything is as [`expected`] says.
    pub(super) async fn receive(&mut self, caller: &Caller) -> Result<(), String> {
        self.upstream.set_person(person(caller));
        let before = self.rows().await;
        let mut browser = self.app.browser();
        let journey = sign_in_at(&mut browser, "kc").await;
        let mut events = self.app.events().await;
        events.retain(|event| self.told.insert(event.id.clone()));
        let seen = Seen { browser, journey, events, rows: self.rows().await - before };
        match expected(self.setting, &caller.case) {
            Arrival::Refused(reason) => self.is_refused(caller, &seen, reason).await,
            wanted => self.is_in(caller, &seen, wanted).await,
        }
    }

    /// The page says that there is no account, the one event says why, and nothing was made.
    async fn is_refused(&self, caller: &Caller, seen: &Seen, reason: &str) -> Result<(), String> {
        if seen.journey.stopped_at.is_some() {
            return Err("got in".to_owned());
        }
        let event = seen.events.first().ok_or("nothing was kept")?;
        is_refusal_page(seen.journey.last(), 403, event)?;
        no_session_cookie(&seen.browser)?;
        let page = seen.journey.last().text();
        let told = page.contains("no account") && page.contains(&format!("code: {reason}\n"));
        let kept = seen.kept() == BTreeSet::from([("sign_in", Some(reason))]);
        let nothing = self.found(caller).await.is_none() && seen.rows == 0;
        let is_so = told && kept && nothing && event.outcome == Outcome::Refused;
        is_so.then_some(()).ok_or_else(|| format!("{reason} was wanted: {seen}: {page}"))
    }

    /// The person is in the account that was wanted, with exactly the rows and the events for it.
    async fn is_in(&self, caller: &Caller, seen: &Seen, wanted: Arrival) -> Result<(), String> {
        if seen.journey.stopped_at.is_none() {
            return Err(format!("{wanted:?} was wanted: {seen}: {}", seen.journey.last().text()));
        }
        let told = claims_for_app(&self.app, &seen.journey).await;
        let (identity, account) = self.found(caller).await.ok_or("no identity")?;
        let is_of = |row: &Option<User>| row.as_ref().is_some_and(|row| row.id == account.id);
        let (is_it, rows, events) = match &wanted {
            Arrival::Own => (is_of(&caller.own), 0, vec!["sign_in"]),
            Arrival::Linked => {
                let by_address = identity.linked_by == LinkedBy::VerifiedEmail;
                (is_of(&caller.neighbour) && by_address, 1, vec!["sign_in", "link"])
            }
            Arrival::New(verified) => {
                let says = (account.email.as_deref(), account.email_verified);
                let is_new = account.username == caller.username
                    && says == (Some(&caller.email), *verified)
                    && identity.linked_by == LinkedBy::SignUp;
                (is_new, 2, vec!["sign_in"])
            }
            Arrival::Refused(_) => unreachable!("nobody is let in then"),
        };
        let in_account = told["sub"] == json!(account.id)
            && seen.events.iter().all(|event| event.user_id.as_ref() == Some(&account.id));
        let kept = events.into_iter().map(|action| (action, None)).collect();
        let is_so = is_it && in_account && seen.rows == rows && seen.kept() == kept;
        is_so.then_some(()).ok_or_else(|| format!("{wanted:?} was wanted: {seen}, {account:?}"))
    }

    async fn found(&self, caller: &Caller) -> Option<(Identity, User)> {
        let mut connection = self.app.app.connection().await.unwrap();
        let issuer = self.upstream.issuer();
        identities::find(&mut connection, &issuer, &caller.subject).await.unwrap()
    }
}

fn person(caller: &Caller) -> Value {
    let groups = if caller.case.within { json!(["staff"]) } else { json!(["guests"]) };
    let mut person = json!({
        "sub": caller.subject, "preferred_username": caller.username, "email": caller.email,
        "groups": groups,
    });
    if let Some(flag) = &caller.case.flag {
        person["email_verified"] = flag.clone();
    }
    person
}
