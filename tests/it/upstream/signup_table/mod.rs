//! Every cell of the sign-up table for people who come from an upstream: whether they are known,
//! whether they may have an account, whose address they bring, and what is said about it.
//!
//! What has to happen stands in [`rules::expected`], which knows the rules and nothing of how they are
//! carried out. Each cell is a person who signs in over HTTP.

mod house;
mod rules;

use std::collections::BTreeSet;

use keywright::{config, store::users};
use serde_json::json;

use super::{claims_for_app, no_session_cookie, sign_in_at, user};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, FakeUpstream},
    journey::authorize_path,
};
use house::House;
use rules::{Arrival, Case, DOORS, Setting, There, Trust, expected};

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
                let mut before = neighbour.profile();
                if caller.case.there == There::Unverified && now.email.is_none() {
                    // Who came has proved the address that this one has only written down (LK-01).
                    assert!(neighbour.email_issuer.is_none() && outcome_is_verified(&house).await);
                    (before.email, before.email_key, before.email_verified) = (None, None, None);
                }
                let untouched = (&now.id, now.profile()) == (&neighbour.id, before);
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

/// Whether the newest account's address counts as its own.
async fn outcome_is_verified(house: &House) -> bool {
    let yes = if house.app.database.url.starts_with("sqlite:") { "1" } else { "TRUE" };
    let newest = "id = (SELECT MAX(id) FROM users)";
    house.app.count(&format!("users WHERE {newest} AND email_verified = {yes}")).await == 1
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

/// The same where the word may be written otherwise, and links.
#[tokio::test(flavor = "multi_thread")]
async fn every_cell_by_a_claim_that_is_read_loosely() {
    every_cell(Trust::Loosely, true).await;
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
