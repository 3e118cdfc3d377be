//! A long walk at random through everything that two people can do at two browsers (RX-05).
//!
//! Beside it goes a model that knows what may change by what. After each step the house must look as the
//! model says: whoever is signed in is so by a proof, passwords change by a proof, and upstreams are
//! linked by the owner alone.

use std::{collections::BTreeMap, fmt::Write as _};

use keywright::{accounts::passwords::Verdict, foundation::secret::Secret, store::identities};
use serde_json::json;

use super::{FAST, recovery_link};
use crate::{
    sessions::{SESSION, username_on},
    support::{
        app::TestApp,
        browser::{Browser, Form, Page},
        fake_upstream::FakeUpstream,
        inbox::Inbox,
        journey::authorize_path,
    },
    upstream::user,
};

const PEOPLE: [&str; 2] = ["alice", "bob"];
const STEPS: usize = 40;

/// Chance that can be repeated (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

/// What somebody does.
#[derive(Clone, Copy, Debug)]
enum Step {
    SignIn { right: bool },
    SignInAtUpstream,
    SignOut,
    ChangePassword { right: bool },
    Recover { opened_elsewhere: bool },
    Link,
    Unlink,
    Wait,
    SendOldForm,
    CloseBrowser,
}

const ALL: [Step; 15] = [
    Step::SignIn { right: true },
    Step::SignIn { right: true },
    Step::SignIn { right: true },
    Step::SignIn { right: false },
    Step::SignInAtUpstream,
    Step::SignOut,
    Step::ChangePassword { right: true },
    Step::ChangePassword { right: false },
    Step::Recover { opened_elsewhere: true },
    Step::Recover { opened_elsewhere: false },
    Step::Link,
    Step::Unlink,
    Step::Wait,
    Step::SendOldForm,
    Step::CloseBrowser,
];

/// What must be so.
#[derive(Default)]
struct Model {
    /// Who is signed in at each browser.
    at: [Option<&'static str>; 2],
    /// Until when the proof of that session is young.
    proved: [i64; 2],
    passwords: BTreeMap<&'static str, String>,
    /// Whose account a subject at the upstream belongs to.
    linked: BTreeMap<&'static str, &'static str>,
}

struct Walk {
    app: TestApp,
    inbox: Inbox,
    upstream: FakeUpstream,
    browsers: [Browser; 2],
    /// Forms that somebody left open, and at which browser.
    old: Vec<(usize, Page, Form)>,
    model: Model,
    dice: Dice,
    number: usize,
}

/// The subject of a person at the upstream.
fn subject(name: &str) -> &'static str {
    if name == "alice" { "subject-of-alice" } else { "subject-of-bob" }
}

impl Walk {
    async fn begin(seed: u64) -> Self {
        let (inbox, upstream) = (Inbox::open(), FakeUpstream::start().await);
        let config = format!(
            "{FAST}failed_accounts_per_network = 100000\n\n[signup]\nfederated = \"closed\""
        );
        // The brake on mails to one address goes by this test's clock in this process alone.
        let builder = inbox.builder(&config).upstream("kc", &upstream, "").state_url("memory:");
        let app = builder.start().await;
        let mut model = Model::default();
        for name in PEOPLE {
            app.add_user(name, &[]).await;
            model.passwords.insert(name, format!("{name}-password"));
        }
        let browsers = [app.browser(), app.browser()];
        let dice = Dice(seed.max(1));
        Self { app, inbox, upstream, browsers, old: Vec::new(), model, dice, number: 0 }
    }

    fn is_young(&self, which: usize) -> bool {
        self.model.proved[which] >= self.app.clock.unix()
    }

    fn signed_in(&mut self, which: usize, name: &'static str) {
        self.model.at[which] = Some(name);
        self.model.proved[which] = self.app.clock.unix() + 300;
    }

    /// A password ends every session of a person, but that of this browser.
    fn password_changed(&mut self, name: &'static str, new: String, stays: Option<usize>) {
        self.model.passwords.insert(name, new);
        for which in 0..2 {
            if self.model.at[which] == Some(name) && stays != Some(which) {
                self.model.at[which] = None;
            }
        }
    }

    async fn step(&mut self, step: Step, which: usize, name: &'static str) {
        match step {
            Step::SignIn { right } => self.sign_in(which, name, right).await,
            Step::SignInAtUpstream => self.sign_in_at_upstream(which, name).await,
            Step::SignOut => self.sign_out(which).await,
            Step::ChangePassword { right } => self.change_password(which, right).await,
            Step::Recover { opened_elsewhere } => self.recover(which, name, opened_elsewhere).await,
            Step::Link => self.link(which, name).await,
            Step::Unlink => self.unlink(which).await,
            Step::Wait => self.app.clock.advance(400),
            Step::SendOldForm => self.send_old_form(which).await,
            Step::CloseBrowser => {
                self.browsers[which].cookies_mut().clear();
                self.model.at[which] = None;
            }
        }
    }

    async fn sign_in(&mut self, which: usize, name: &'static str, right: bool) {
        let browser = &mut self.browsers[which];
        let page = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
        let page = page.last().clone();
        let form = page.form_to("/login").fill("username", name);
        let password = if right { &*self.model.passwords[name] } else { "not the password" };
        let form = form.fill("password", password);
        if self.dice.roll(3) == 0 {
            self.old.push((which, page.clone(), form.clone().fill("password", "wrong")));
        }
        let answer = self.browsers[which].submit(&page, &form).await;
        let in_at_app = answer.location_param("code").is_some();
        assert_eq!(in_at_app, right, "{} {}", answer.status, answer.text());
        if right {
            self.signed_in(which, name);
        }
    }

    fn is_at_upstream(&self, name: &str) {
        let person = json!({ "sub": subject(name), "email": format!("{name}@corp.test") });
        self.upstream.set_person(person);
    }

    async fn sign_in_at_upstream(&mut self, which: usize, name: &'static str) {
        self.is_at_upstream(name);
        let browser = &mut self.browsers[which];
        let journey = crate::upstream::sign_in_at(browser, "kc").await;
        let owner = self.model.linked.get(subject(name)).copied();
        assert_eq!(journey.stopped_at.is_some(), owner.is_some(), "{:?}", journey.hops());
        if let Some(owner) = owner {
            self.signed_in(which, owner);
        }
    }

    async fn sign_out(&mut self, which: usize) {
        let page = self.browsers[which].get("/account").await;
        if page.status == 200 {
            let answer = self.browsers[which].submit(&page, &page.form_to("/logout")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        self.model.at[which] = None;
    }

    async fn change_password(&mut self, which: usize, right: bool) {
        let page = self.browsers[which].get("/account/password").await;
        let may = self.model.at[which].is_some() && self.is_young(which);
        assert_eq!(page.status == 200, may, "{} {}", page.status, page.text());
        let Some(name) = self.model.at[which].filter(|_| may) else { return };
        self.number += 1;
        let new = format!("quiet Otters {} of {name}", self.number);
        let current = if right { self.model.passwords[name].clone() } else { new.clone() };
        let form = page.form_to("/account/password").fill("current", &current);
        let form = form.fill("password", &new);
        self.old.push((which, page.clone(), form.clone().fill("current", "guessed")));
        let answer = self.browsers[which].submit(&page, &form).await;
        assert_eq!(answer.status, if right { 200 } else { 422 }, "{}", answer.text());
        if right {
            self.password_changed(name, new, Some(which));
        }
    }

    async fn recover(&mut self, which: usize, name: &'static str, elsewhere: bool) {
        // Nobody but the owner of the mailbox has the link, whoever is signed in where it is opened. So
        // many mails go to one address in an hour.
        self.app.clock.advance(1_800);
        let link = recovery_link(&self.app, &self.inbox, name).await;
        let mut other = self.app.browser();
        let browser = if elsewhere { &mut other } else { &mut self.browsers[which] };
        let page = browser.visit(&link).await.last().clone();
        self.number += 1;
        let new = format!("purple Herons {} of {name}", self.number);
        let form = page.form_to("/recovery/password").fill("password", &new);
        let answer = browser.submit(&page, &form).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.old.push((which, page, form.fill("password", "another Otter 99 98")));
        self.password_changed(name, new, None);
    }

    async fn link(&mut self, which: usize, at_upstream: &'static str) {
        self.is_at_upstream(at_upstream);
        let page = self.browsers[which].get("/account").await;
        let forms = page.forms();
        let form = forms.into_iter().find(|form| form.action.path() == "/account/link");
        let Some(form) = form.filter(|_| page.status == 200) else { return };
        self.old.push((which, page.clone(), form.clone()));
        let answer = self.browsers[which].submit(&page, &form).await;
        let linked = self.browsers[which].follow(answer).await;
        let name = self.model.at[which].unwrap();
        let taken = self.model.linked.contains_key(subject(at_upstream));
        if self.is_young(which) && !taken {
            assert_eq!(linked.last().status, 200, "{}", linked.last().text());
            self.model.linked.insert(subject(at_upstream), name);
        }
    }

    async fn unlink(&mut self, which: usize) {
        let page = self.browsers[which].get("/account").await;
        let forms = page.forms();
        let form = forms.into_iter().find(|form| form.action.path() == "/account/unlink");
        let Some(form) = form.filter(|_| page.status == 200) else { return };
        let before = self.links().await;
        let answer = self.browsers[which].submit(&page, &form).await;
        let after = self.links().await;
        if !self.is_young(which) {
            assert_eq!((answer.status, &before), (403, &after), "{}", answer.text());
            return;
        }
        let name = self.model.at[which].unwrap();
        let gone: Vec<_> = before.iter().filter(|link| !after.contains(link)).collect();
        assert!(gone.len() == 1 && gone[0].1 == name, "{gone:?} of {before:?}");
        let subject = self.model.linked.keys().copied().find(|key| *key == gone[0].0).unwrap();
        self.model.linked.remove(subject);
        // Who came in by it is out.
        let still = self.person_at(which).await;
        if still.is_none() {
            self.model.at[which] = None;
        }
    }

    /// Whoever left a form open comes back to it: it proves nothing, and changes nothing.
    async fn send_old_form(&mut self, which: usize) {
        let count = self.old.len().max(1);
        let at = self.dice.roll(count);
        if let Some((own, page, form)) = self.old.get(at).cloned() {
            // Sometimes at the browser of somebody else. They go no further than that.
            let browser = if self.dice.roll(3) == 0 { which } else { own };
            self.browsers[browser].submit(&page, &form).await;
        }
    }

    /// Who is signed in at a browser, without anybody proving anything.
    async fn person_at(&mut self, which: usize) -> Option<String> {
        self.browsers[which].cookies().get(SESSION)?;
        let page = self.browsers[which].get("/account").await;
        (page.status == 200).then(|| username_on(&page.text()))
    }

    /// Subject and username of every link.
    async fn links(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for name in PEOPLE {
            let id = user(&self.app, name).await.id;
            let mut connection = self.app.app.connection().await.unwrap();
            let rows = identities::list_of_user(&mut connection, &id).await.unwrap();
            all.extend(rows.into_iter().map(|row| (row.subject, name.to_owned())));
        }
        all.sort();
        all
    }

    /// The three invariants.
    async fn judge(&mut self, story: &str) {
        for which in 0..2 {
            let person = self.person_at(which).await;
            assert_eq!(person.as_deref(), self.model.at[which], "browser {which}:\n{story}");
        }
        for (name, password) in &self.model.passwords {
            let hash = user(&self.app, name).await.password_hash;
            let password = Secret::new(password);
            let verdict = self.app.app.passwords.verify(&password, hash.as_deref());
            assert_eq!(verdict.await.unwrap(), Verdict::Right, "the password of {name}:\n{story}");
        }
        let modelled = self.model.linked.iter();
        let mut modelled: Vec<(String, String)> =
            modelled.map(|(sub, name)| ((*sub).to_owned(), (*name).to_owned())).collect();
        modelled.sort();
        assert_eq!(self.links().await, modelled, "links:\n{story}");
    }
}

/// RX-05: five walks that are always the same, and one that nobody has gone before.
#[tokio::test(flavor = "multi_thread")]
async fn wherever_people_go_nothing_changes_without_its_proof() {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    let new = u64::from(u32::from_be_bytes([a, b, c, d]));
    for seed in [1, 2, 3, 4, 5, new] {
        let mut walk = Walk::begin(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await;
        let mut story = format!("seed {seed}\n");
        for _ in 0..STEPS {
            let step = ALL[walk.dice.roll(ALL.len())];
            let (which, name) = (walk.dice.roll(2), PEOPLE[walk.dice.roll(2)]);
            let _ = writeln!(story, "{step:?}, browser {which}, {name}");
            println!("{}", story.lines().last().unwrap());
            walk.step(step, which, name).await;
            walk.judge(&story).await;
        }
    }
}
