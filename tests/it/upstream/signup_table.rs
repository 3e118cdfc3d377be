//! Every cell of the sign-up table for people who come from an upstream: whether they are known,
//! whether they may have an account, whose address they bring, and what is said about it.
//!
//! What has to happen stands in [`expected`], which knows the rules and nothing of how they are
//! carried out. Each cell is a person who signs in over HTTP.

use std::collections::BTreeSet;

use keywright::{
    config,
    foundation::{
        ids::{IdentityId, UpstreamSlug, UserId},
        names::{email_key, username_key},
    },
    store::{
        audit_events::Outcome,
        identities::{self, Identity, LinkedBy},
        users::{self, User},
    },
};
use serde_json::{Value, json};

use super::{claims_for_app, is_refusal_page, no_session_cookie, sign_in_at, user};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, FakeUpstream},
    journey::authorize_path,
};

/// Who may have an account: by the toggle, or by the upstream's own rule, which goes before it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Open,
    Closed,
    Invite,
    /// Verified addresses of a domain, although everybody else may.
    OfDomain,
    /// Members of a group, although nobody else may.
    OfGroup,
}

const DOORS: [Door; 5] = [Door::Open, Door::Closed, Door::Invite, Door::OfDomain, Door::OfGroup];

/// What `email_trust` says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trust {
    Claim,
    Always,
    Never,
}

/// What the administrator has decided.
#[derive(Clone, Copy, Debug)]
struct Setting {
    door: Door,
    trust: Trust,
    links: bool,
}

/// Who has the person's address here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    Nobody,
    /// A local account, whose address is verified.
    Verified,
    /// A local account, whose address is not.
    Unverified,
}

/// A person who comes.
#[derive(Clone, Debug)]
struct Case {
    /// `email_verified`, which may be absent.
    flag: Option<Value>,
    there: There,
    known: bool,
    /// Whether they have the domain and the group of the rules.
    within: bool,
}

/// What becomes of them.
#[derive(Debug, PartialEq)]
enum Arrival {
    /// They are in, in the account that they have had before.
    Own,
    /// They are linked to the account of their address, and in.
    Linked,
    /// They have a new account, with an address that is verified, that is not, or of which nobody knows.
    New(Option<bool>),
    /// Nobody like this gets an account, for this reason.
    Refused(&'static str),
}

/// The rules, as they are written down.
fn expected(setting: Setting, case: &Case) -> Arrival {
    // Silence is no word, and only the JSON value `true` is a yes.
    let verified = match (setting.trust, &case.flag) {
        (Trust::Always, _) => Some(true),
        (Trust::Never, _) => Some(false),
        (Trust::Claim, None) => None,
        (Trust::Claim, Some(flag)) => Some(*flag == json!(true)),
    };
    // Known identities sign in, always, whatever toggles and addresses say.
    if case.known {
        return Arrival::Own;
    }
    // Both sides have verified the address, and the administrator trusts this upstream for it. That
    // is about an account that is there, and so nothing that a closed door forbids.
    if setting.links && verified == Some(true) && case.there == There::Verified {
        return Arrival::Linked;
    }
    match setting.door {
        Door::Closed | Door::Invite => Arrival::Refused("signup_closed"),
        Door::OfDomain if !(case.within && verified == Some(true)) => {
            Arrival::Refused("signup_domain")
        }
        Door::OfGroup if !case.within => Arrival::Refused("signup_group"),
        Door::Open | Door::OfDomain | Door::OfGroup => Arrival::New(verified),
    }
}

impl Setting {
    fn toggle(self) -> &'static str {
        match self.door {
            Door::Open | Door::OfDomain => "open",
            Door::Closed | Door::OfGroup => "closed",
            Door::Invite => "invite",
        }
    }

    fn lines(self) -> String {
        let trust = match self.trust {
            Trust::Claim => "claim",
            Trust::Always => "always",
            Trust::Never => "never",
        };
        let rule = match self.door {
            Door::OfDomain => "signup = { domains = [\"corp.test\"] }\n",
            Door::OfGroup => "signup = { groups = [\"staff\"] }\n",
            Door::Open | Door::Closed | Door::Invite => "",
        };
        let links = self.links;
        format!(
            "groups = {{ claim = \"groups\" }}\nemail_trust = {trust:?}\n\
             link_verified_email = {links}\n{rule}"
        )
    }

    fn cases(self) -> Vec<Case> {
        let flags = [
            Some(json!(true)),
            Some(json!(false)),
            None,
            Some(json!("true")),
            Some(json!("false")),
        ];
        let ruled = matches!(self.door, Door::OfDomain | Door::OfGroup);
        let mut cases = Vec::new();
        for flag in flags {
            for there in [There::Nobody, There::Verified, There::Unverified] {
                for known in [false, true] {
                    for within in [true, false].into_iter().take(if ruled { 2 } else { 1 }) {
                        cases.push(Case { flag: flag.clone(), there, known, within });
                    }
                }
            }
        }
        cases
    }
}

/// A house with one setting, in which one person after the other arrives.
struct House {
    app: TestApp,
    upstream: FakeUpstream,
    setting: Setting,
    /// What accounts here look like.
    template: User,
    /// The events that were kept so far.
    told: BTreeSet<String>,
}

/// A person at the door, and whose rows are there before.
struct Caller {
    case: Case,
    subject: String,
    username: String,
    email: String,
    own: Option<User>,
    neighbour: Option<User>,
}

impl House {
    async fn build(setting: Setting) -> Self {
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
    async fn await_caller(&self, number: usize, case: Case) -> Caller {
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
    async fn receive(&mut self, caller: &Caller) -> Result<(), String> {
        self.upstream.set_person(person(caller));
        let before = self.rows().await;
        let mut browser = self.app.browser();
        let journey = sign_in_at(&mut browser, "kc").await;
        let mut events = self.app.events().await;
        events.retain(|event| self.told.insert(event.id.clone()));
        let kept: BTreeSet<(&str, Option<&str>)> =
            events.iter().map(|event| (event.action.as_str(), event.reason.as_deref())).collect();
        let more = self.rows().await - before;
        let wanted = expected(self.setting, &caller.case);
        if let Arrival::Refused(reason) = wanted {
            if journey.stopped_at.is_some() {
                return Err("got in".to_owned());
            }
            let event = events.first().ok_or("nothing was kept")?;
            is_refusal_page(journey.last(), 403, event)?;
            no_session_cookie(&browser)?;
            let page = journey.last().text();
            let told = page.contains("no account") && page.contains(&format!("code: {reason}\n"));
            let found = self.found(caller).await;
            let is_so = told && found.is_none() && event.outcome == Outcome::Refused;
            let kept_alone = kept == BTreeSet::from([("sign_in", Some(reason))]);
            let is_so = is_so && kept_alone && more == 0;
            return is_so.then_some(()).ok_or(format!("{kept:?}, {more} rows more: {page}"));
        }
        if journey.stopped_at.is_none() {
            return Err(format!("{kept:?}: {}", journey.last().text()));
        }
        let told = claims_for_app(&self.app, &journey).await;
        let (identity, account) = self.found(caller).await.ok_or("no identity")?;
        let in_account = told["sub"] == json!(account.id)
            && events.iter().all(|event| event.user_id.as_ref() == Some(&account.id));
        let signed_in = ("sign_in", None);
        let (is_so, rows, events) = match &wanted {
            Arrival::Own => (own(&caller.own, &account), 0, vec![signed_in]),
            Arrival::Linked => {
                let is_so = own(&caller.neighbour, &account)
                    && identity.linked_by == LinkedBy::VerifiedEmail;
                (is_so, 1, vec![signed_in, ("link", None)])
            }
            Arrival::New(verified) => {
                let is_so = account.username == caller.username
                    && account.email.as_deref() == Some(&caller.email)
                    && account.email_verified == *verified
                    && identity.linked_by == LinkedBy::SignUp;
                (is_so, 2, vec![signed_in])
            }
            Arrival::Refused(_) => unreachable!("done above"),
        };
        let is_so = is_so && in_account && more == rows && kept == events.into_iter().collect();
        let faults = || format!("{wanted:?} was wanted: {kept:?}, {more} rows more, {account:?}");
        is_so.then_some(()).ok_or_else(faults)
    }

    async fn found(&self, caller: &Caller) -> Option<(Identity, User)> {
        let mut connection = self.app.app.connection().await.unwrap();
        let issuer = self.upstream.issuer();
        identities::find(&mut connection, &issuer, &caller.subject).await.unwrap()
    }
}

fn own(wanted: &Option<User>, account: &User) -> bool {
    wanted.as_ref().is_some_and(|wanted| wanted.id == account.id)
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

/// All doors and all people, for one way of taking the upstream's word.
async fn every_cell(trust: Trust, links: bool) {
    let mut faults = Vec::new();
    let mut outcomes = BTreeSet::new();
    for door in DOORS {
        let setting = Setting { door, trust, links };
        let mut house = House::build(setting).await;
        for (number, case) in setting.cases().into_iter().enumerate() {
            let caller = house.await_caller(number, case).await;
            outcomes.insert(format!("{:?}", expected(setting, &caller.case)));
            if let Err(fault) = house.receive(&caller).await {
                faults.push(format!("{setting:?} {:?}: {fault}", caller.case));
            }
            // Whoever has the address is who they were, unless they are the one who came.
            if let Some(neighbour) = &caller.neighbour {
                let now = user(&house.app, &neighbour.username).await;
                let untouched = (&now.id, now.profile()) == (&neighbour.id, neighbour.profile());
                assert!(untouched, "{setting:?} {:?}: {now:?}", caller.case);
            }
        }
    }
    assert!(faults.is_empty(), "{} cells: {faults:#?}", faults.len());
    // A table whose cells are all alike would prove nothing.
    assert_eq!(outcomes.contains("Linked"), links);
    for outcome in ["Own", "Refused(\"signup_closed\")", "Refused(\"signup_group\")"] {
        assert!(outcomes.contains(outcome), "{outcome}");
    }
}

/// UP-14, UP-15, UP-17, UP-20, LK-05, LK-12: by the upstream's own word about the address.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_by_the_claim() {
    every_cell(Trust::Claim, false).await;
}

/// The same where the administrator lets the word link.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_by_a_claim_that_links() {
    every_cell(Trust::Claim, true).await;
}

/// The same where the administrator says that all its addresses are verified.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_all_is_believed() {
    every_cell(Trust::Always, false).await;
}

/// The same where the administrator says that none is.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_where_nothing_is_believed() {
    every_cell(Trust::Never, false).await;
}

/// The cells that are none: an address links by the upstream's own word, or not at all.
#[test]
fn nothing_but_the_claim_links() {
    for (trust, is_one) in [("claim", true), ("always", false), ("never", false)] {
        let text = format!(
            "[[upstreams]]\nslug = \"kc\"\nname = \"K\"\nissuer = \"https://kc.test\"\n\
             client_id = \"c\"\nclient_secret = \"0123456789abcdef\"\n\
             link_verified_email = true\nemail_trust = {trust:?}"
        );
        let problems = config::parse(&text, &config::Environment::new()).err();
        let said = problems.map(|problems| problems.to_string()).unwrap_or_default();
        assert_eq!(said.is_empty(), is_one, "{trust}: {said}");
        let told = said.contains("link_verified_email") && said.contains("email_trust = \"claim\"");
        assert!(is_one || told, "{said}");
    }
}

/// The row of people who come by the local form, whatever is said of their address: who has an account
/// signs in, while the password form is on; nobody else gets one by trying.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_form() {
    for toggle in ["open", "invite", "closed"] {
        for login in ["on", "off"] {
            let passwords = "argon2_memory_kib = 64\nargon2_passes = 1";
            let app = TestApp::builder()
                .config(&format!("[signup]\nlocal = {toggle:?}"))
                .config(&format!("[passwords]\nlogin = {login:?}\n{passwords}"))
                .start()
                .await;
            for (number, verified) in [Some(true), Some(false), None].into_iter().enumerate() {
                let name = format!("local{number}");
                let mut row = app.add_user(&name, &[]).await;
                row.email_verified = verified;
                let mut connection = app.app.connection().await.unwrap();
                let (profile, now) = (row.profile(), app.app.now());
                users::update_profile(&mut connection, &row.id, &profile, now).await.unwrap();
                drop(connection);
                let got_in = tries(&app, &name).await;
                assert_eq!(got_in, login == "on", "{toggle} {login} {verified:?}");
            }
            assert!(!tries(&app, "nobody").await, "{toggle} {login}");
            assert_eq!(app.count("users").await, 3);
        }
    }
}

/// Whether the password form signs somebody in. Where there is none, its post is refused.
async fn tries(app: &TestApp, name: &str) -> bool {
    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let Some(form) = page.forms().into_iter().find(|form| form.action.path() == "/login") else {
        let posted = [("username", name), ("password", &format!("{name}-password"))];
        let answer = browser.post_form("/login", &posted).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        no_session_cookie(&browser).unwrap();
        return false;
    };
    let form = form.fill("username", name).fill("password", &format!("{name}-password"));
    let answer = browser.submit(&page, &form).await;
    browser.follow(answer).await.stopped_at.is_some()
}

/// LK-13: nobody exists yet. Who comes first gets what the door gives to anybody, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_first_is_nobody_special() {
    for door in DOORS {
        let setting = Setting { door, trust: Trust::Claim, links: true };
        let upstream = FakeUpstream::start_with(Algorithm::Es256).await;
        let app = TestApp::builder()
            .config(&format!("[signup]\nfederated = {:?}", setting.toggle()))
            .upstream("kc", &upstream, &setting.lines())
            .start()
            .await;
        let case =
            Case { flag: Some(json!(true)), there: There::Nobody, known: false, within: true };
        let wanted = expected(setting, &case);
        upstream.set_person(json!({
            "sub": "1", "preferred_username": "admin", "email": "first@corp.test",
            "email_verified": true, "groups": ["staff"], "roles": ["admin"],
        }));
        let journey = sign_in_at(&mut app.browser(), "kc").await;
        assert_eq!(journey.stopped_at.is_some(), wanted == Arrival::New(Some(true)), "{door:?}");
        if journey.stopped_at.is_some() {
            let told = claims_for_app(&app, &journey).await;
            assert_ne!(told["preferred_username"], "admin", "{door:?}");
            assert_eq!((&told["groups"], told.get("roles")), (&json!(["staff"]), None), "{door:?}");
        }
        let got_in = i64::from(journey.stopped_at.is_some());
        assert_eq!(app.count("users").await, got_in, "{door:?}");
    }
}
