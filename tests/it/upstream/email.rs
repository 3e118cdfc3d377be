//! E-mail addresses: what an upstream says about them, and what that opens.

use serde_json::{Value, json};

use super::{claims_of_sign_in, gets_in, user};
use crate::support::{
    app::TestApp,
    fake_upstream::{FakeUpstream, attacks},
    journey::{authorize_path, sign_in_on_page},
};

/// UP-14: only the JSON value `true` verifies an address; silence stays silence.
#[tokio::test(flavor = "multi_thread")]
async fn only_true_verifies_an_address() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut cases: Vec<(Option<Value>, Option<bool>)> = attacks::unverified_email_flags()
        .into_iter()
        .map(|flag| (Some(flag.clone()), if flag.is_null() { None } else { Some(false) }))
        .collect();
    cases.push((Some(json!(true)), Some(true)));
    cases.push((None, None));
    for (number, (flag, kept)) in cases.into_iter().enumerate() {
        let name = format!("person{number}");
        let mut person = json!({
            "sub": name, "preferred_username": name, "email": format!("{name}@corp.test"),
            "groups": [],
        });
        if let Some(flag) = &flag {
            person["email_verified"] = flag.clone();
        }
        upstream.set_person(person);
        let claims = claims_of_sign_in(&app, "kc").await;
        assert_eq!(user(&app, &name).await.email_verified, kept, "{flag:?}");
        assert_eq!(claims["email_verified"], json!(kept == Some(true)), "{flag:?}");
    }
}

/// UP-14: `email_trust` replaces the upstream's word by the administrator's.
#[tokio::test(flavor = "multi_thread")]
async fn the_administrator_may_know_better_than_the_flag() {
    for (trust, kept) in [("always", true), ("never", false)] {
        for flag in [json!(true), json!(false), json!("no")] {
            let upstream = FakeUpstream::start().await;
            let more = format!("email_trust = {trust:?}");
            let app = TestApp::builder().upstream("kc", &upstream, &more).start().await;
            upstream.set_person(json!({
                "sub": "7", "preferred_username": "seven", "email": "seven@corp.test",
                "email_verified": flag,
            }));
            gets_in(&app, "kc").await.unwrap();
            assert_eq!(user(&app, "seven").await.email_verified, Some(kept), "{trust} {flag}");
        }
    }
}

/// UP-14: a flag is about the address beside it, not about one that was said elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_flag_verifies_only_the_address_that_it_stands_beside() {
    for (flag, more) in [
        ("email_verified", ""),
        ("verified", "email_verified_claim = \"verified\""),
        ("deep", "email_verified_claim = \"deep.verified\"\nclaims = { email = \"email\" }"),
    ] {
        let upstream = FakeUpstream::start().await;
        let app = TestApp::builder().upstream("kc", &upstream, more).start().await;
        upstream.set_person(json!({"sub": "7", "preferred_username": "seven"}));
        let yes = if flag == "deep" { json!({"verified": true}) } else { json!(true) };
        upstream.misbehave(|lies| {
            lies.claims.set("email", "boss@corp.test");
            lies.userinfo.set("email", "seven@evil.test").set(flag, yes);
        });
        gets_in(&app, "kc").await.unwrap();
        let kept = user(&app, "seven").await;
        let boss_is_verified =
            kept.email.as_deref() == Some("boss@corp.test") && kept.email_verified == Some(true);
        assert!(!boss_is_verified, "{flag}: {:?} {:?}", kept.email, kept.email_verified);
    }
}

/// UP-15: identity is issuer and subject. Two people swap every other claim, and each still reaches
/// the own account.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_over_all_claims_of_another_stays_who_they_are() {
    let (app, upstream) = TestApp::with_upstream().await;
    let person = |sub: &str, name: &str| {
        json!({
            "sub": sub, "preferred_username": name, "upn": format!("{name}@corp.test"),
            "email": format!("{name}@corp.test"), "email_verified": true, "name": name,
        })
    };
    let mut subjects = Vec::new();
    for (sub, name) in [("a", "alice"), ("m", "mallory"), ("a", "mallory"), ("m", "alice")] {
        upstream.set_person(person(sub, name));
        let claims = claims_of_sign_in(&app, "kc").await;
        assert_eq!(claims["email"], json!(format!("{name}@corp.test")), "what is said is shown");
        subjects.push((claims["sub"].clone(), claims["preferred_username"].clone()));
    }
    assert_eq!(subjects[0], subjects[2]);
    assert_eq!(subjects[1], subjects[3]);
    assert_ne!(subjects[0].0, subjects[1].0);
    assert_eq!((app.count("users").await, app.count("identities").await), (2, 2));
}

/// UP-17: a hostile upstream asserts bob's verified address and name. A new account, never bob's;
/// and bob's own ways in stay open to him.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_address_opens_nothing_and_shuts_nothing() {
    let eve = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("eve", &eve, "").start().await;
    let bob = app.add_user("bob", &["staff"]).await;
    eve.set_person(json!({
        "sub": bob.id, "preferred_username": "bob", "email": "bob@corp.test",
        "email_verified": true, "name": "Bob",
    }));
    let claims = claims_of_sign_in(&app, "eve").await;
    assert_ne!(claims["sub"], json!(bob.id));
    assert_ne!(claims["preferred_username"], "bob");
    assert_eq!(claims["groups"], json!([]));
    assert_eq!((app.count("users").await, app.count("identities").await), (2, 1));
    for name in ["bob", "bob@corp.test"] {
        let mut browser = app.browser();
        let journey = browser.visit(&authorize_path("web", &[])).await;
        let page = journey.last();
        let form = page.form_to("/login").fill("username", name).fill("password", "bob-password");
        let answer = browser.submit(page, &form).await;
        let journey = browser.follow(answer).await;
        let claims = super::claims_for_app(&app, &journey).await;
        assert_eq!(claims["sub"], json!(bob.id), "{name}");
    }
}

/// UP-17: bob's verified address stays verified when the account at the upstream is his own too.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_account_is_not_touched_by_a_sign_in_at_an_upstream() {
    let (app, upstream) = TestApp::with_upstream().await;
    let before = app.add_user("bob", &["staff"]).await;
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "BOB", "email": "BOB@corp.test", "email_verified": false,
    }));
    gets_in(&app, "kc").await.unwrap();
    let after = user(&app, "bob").await;
    assert_eq!((&after.id, after.profile()), (&before.id, before.profile()));
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    sign_in_on_page(&mut browser, &journey, "bob").await.landing();
}

/// UP-20: a domain lets in exact, verified, plain addresses only.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_plain_verified_address_is_in_a_domain() {
    let upstream = FakeUpstream::start().await;
    let more = "signup = { domains = [\"corp.test\"] }";
    let app = TestApp::builder().upstream("kc", &upstream, more).start().await;
    let tricky = [
        "a@evil.test@corp.test",
        "\"a@evil.test\"@corp.test",
        "a@corp.test.",
        "a@sub.corp.test",
        "a@corp.test%00.evil.test",
        "a@corp.test\0.evil.test",
        "a@evilcorp.test",
        "a@corp.test.evil.test",
        "a@evil.test?@corp.test",
        "a@evil.test,a@corp.test",
        "a@evil.test a@corp.test",
        "<a@corp.test>",
        "a@ｃｏｒｐ.test",
        "a@corp。test",
        "@corp.test",
        "corp.test",
        "a(corp.test)@evil.test",
        "",
    ];
    let verified = |email: &str| json!({"sub": "x", "email": email, "email_verified": true});
    let mut people: Vec<Value> = tricky.iter().map(|email| verified(email)).collect();
    for flag in attacks::unverified_email_flags() {
        people.push(json!({"sub": "x", "email": "a@corp.test", "email_verified": flag}));
    }
    people.push(json!({"sub": "x", "email": "a@corp.test"}));
    people.push(json!({"sub": "x", "email": ["a@corp.test"], "email_verified": true}));
    people.push(json!({"sub": "x", "hd": "corp.test", "preferred_username": "a@corp.test"}));
    for person in people {
        upstream.set_person(person.clone());
        let fault = super::signup::is_turned_away(&app, "kc", "signup_domain").await;
        fault.unwrap_or_else(|fault| panic!("{person}: {fault}"));
    }
    for (number, email) in ["a@corp.test", "a@CORP.TEST"].into_iter().enumerate() {
        let mut person = verified(email);
        person["sub"] = json!(number.to_string());
        upstream.set_person(person);
        gets_in(&app, "kc").await.unwrap();
    }
}
