//! The account behind an identity: made once, kept up to date, never somebody else's.

use std::collections::BTreeSet;

use keywright::{
    foundation::ids::{IdentityId, UpstreamSlug},
    store::{
        identities::{self, Identity, LinkedBy},
        users::{self, User},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Away, Witness, claims_for_app, claims_of_sign_in, gets_in, is_refusal_page, no_session_cookie,
    rebuilt, sign_in_at, user,
};
use crate::support::{
    app::TestApp,
    fake_upstream::FakeUpstream,
    journey::{authorize_path, is_active, redeem, refresh},
};

/// RX-01: fifty first sign-ins of one identity at once make one account with one identity.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_first_sign_ins_at_once_make_one_account() {
    let (app, _upstream) = TestApp::with_upstream().await;
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(Away::at(&app, "kc").await);
    }
    let mut racers = JoinSet::new();
    for mut away in all {
        racers.spawn(async move { away.come_back().await.status });
    }
    let statuses = racers.join_all().await;
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
    assert_eq!(statuses, vec![303; 50]);
    assert_eq!(app.count("sessions").await, 50);
    assert_eq!(user(&app, "alice").await.username, "alice", "nobody was in the way");
}

/// Twenty people of one name at once get twenty accounts under twenty usernames.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_one_name_never_share_a_username() {
    let (app, upstream) = TestApp::with_upstream().await;
    let spellings = ["alice", "ALICE", "Alice", "ａlice", "alice@corp.test"];
    let mut all = Vec::new();
    for number in 0..20 {
        let name = spellings[number % spellings.len()];
        upstream.set_person(json!({"sub": number.to_string(), "preferred_username": name}));
        all.push(Away::at(&app, "kc").await);
    }
    let mut racers = JoinSet::new();
    for mut away in all {
        racers.spawn(async move { away.come_back().await.status });
    }
    assert_eq!(racers.join_all().await, vec![303; 20]);
    let mut connection = app.app.connection().await.unwrap();
    let kept = users::list(&mut connection, "", 100).await.unwrap();
    let keys: BTreeSet<&str> = kept.iter().map(|user| user.username_key.as_str()).collect();
    assert_eq!((kept.len(), keys.len(), app.count("identities").await), (20, 20, 20));
    assert!(keys.iter().all(|key| key.starts_with("alice")), "{keys:?}");
}

/// Names that would let somebody pass for the house, or that are none, are not taken over.
#[tokio::test(flavor = "multi_thread")]
async fn no_upstream_makes_a_root() {
    let (app, upstream) = TestApp::with_upstream().await;
    let names = [
        json!("root"),
        json!("Admin"),
        json!("ＲＯＯＴ"),
        json!(""),
        json!(" "),
        json!("\u{202e}"),
        json!(7),
        json!(null),
        json!(["admin"]),
        json!("../../etc"),
        json!("a\nb"),
        json!("x".repeat(5_000)),
        json!("<script>"),
        json!("'; DROP TABLE users; --"),
    ];
    for (number, name) in names.iter().enumerate() {
        upstream.set_person(json!({"sub": number.to_string(), "preferred_username": name}));
        let claims = claims_of_sign_in(&app, "kc").await;
        let kept = claims["preferred_username"].as_str().unwrap();
        let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
        assert!(kept.chars().all(plain) && (1..=64).contains(&kept.len()), "{name}: {kept}");
        assert!(!["root", "admin"].contains(&kept.to_lowercase().as_str()), "{name}: {kept}");
    }
    assert_eq!(app.count("users").await, i64::try_from(names.len()).unwrap());
}

/// What an upstream says is taken over at each sign-in; what it does not mention stays; the
/// username is the account's own.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_refreshed_at_each_sign_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    let steps: [(Value, Value); 4] = [
        (
            json!({"sub": "7", "preferred_username": "ann", "email": "ann@corp.test",
                   "email_verified": true, "name": "Ann", "picture": "https://p.test/1"}),
            json!(["ann", "ann@corp.test", true, "Ann", "https://p.test/1"]),
        ),
        (
            json!({"sub": "7", "preferred_username": "ann-marie", "email": "marie@corp.test",
                   "name": "Ann Marie"}),
            json!(["ann", "marie@corp.test", null, "Ann Marie", "https://p.test/1"]),
        ),
        (
            json!({"sub": "7"}),
            json!(["ann", "marie@corp.test", null, "Ann Marie", "https://p.test/1"]),
        ),
        (
            json!({"sub": "7", "email": "ann@corp.test", "email_verified": false,
                   "picture": "https://p.test/2"}),
            json!(["ann", "ann@corp.test", false, "Ann Marie", "https://p.test/2"]),
        ),
    ];
    let mut subjects = BTreeSet::new();
    for (said, expected) in steps {
        app.clock.advance(10);
        upstream.set_person(said);
        subjects.insert(claims_of_sign_in(&app, "kc").await["sub"].as_str().unwrap().to_owned());
        let kept = user(&app, "ann").await;
        let kept = json!([kept.username, kept.email, kept.email_verified, kept.name, kept.picture]);
        assert_eq!(kept, expected);
    }
    assert_eq!((subjects.len(), app.count("users").await), (1, 1));
}

/// UP-23: a shut account stays shut, whatever the upstream says, and nothing about it is refreshed.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_is_not_opened_by_its_upstream() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    let tokens = redeem(&app, "web", &journey.param("code").unwrap()).await;
    let before = user(&app, "alice").await;
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::disable(&mut connection, &before.id, app.app.now()).await.unwrap());
    drop(connection);
    upstream.set_person(json!({
        "sub": "alice-at-upstream", "email": "new@corp.test", "name": "New", "groups": ["admin"],
    }));
    for mut visitor in [app.browser(), browser] {
        let witness = Witness::of(&app).await;
        let cookies = visitor.cookies().log().len();
        let journey = sign_in_at(&mut visitor, "kc").await;
        assert!(journey.stopped_at.is_none());
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(journey.last(), 400, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("account_disabled"));
        let set = &visitor.cookies().log()[cookies..];
        assert!(set.iter().all(|set| !set.raw.contains("kw-session")), "{set:?}");
    }
    assert_eq!(user(&app, "alice").await.profile(), before.profile());
    assert!(!is_active(&app, "web", &tokens.text("access_token")).await);
    refresh(&app, "web", &tokens.text("refresh_token")).await.assert_error(400, "invalid_grant");
    let mut connection = app.app.connection().await.unwrap();
    assert!(users::enable(&mut connection, &before.id, app.app.now()).await.unwrap());
    drop(connection);
    gets_in(&app, "kc").await.unwrap();
}

/// UP-33: groups of an upstream mean nothing without a mapping.
#[tokio::test(flavor = "multi_thread")]
async fn groups_count_only_where_they_are_mapped() {
    let upstream = FakeUpstream::start().await;
    let plain = TestApp::builder().upstream("kc", &upstream, "").start().await;
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "seven", "groups": ["admin", "staff"],
        "roles": ["admin"], "is_admin": true, "disabled_at": null, "password_hash": "x",
        "username_key": "root", "id": "1", "amr": ["hwk"],
    }));
    assert_eq!(claims_of_sign_in(&plain, "kc").await["groups"], json!([]));
    assert_eq!(enters_members(&plain).await, Err("access_denied".to_owned()));
    assert_eq!(user(&plain, "seven").await.password_hash, None);
    let rule = "groups = { claim = \"groups\", match = \"^sta\", prefix = \"kc-\" }";
    let mapped = rebuilt(plain, |builder| builder.upstream("kc", &upstream, rule)).await;
    assert_eq!(claims_of_sign_in(&mapped, "kc").await["groups"], json!(["kc-staff"]));
    // The mapping is taken away again, and with it what it gave.
    let plain = rebuilt(mapped, |builder| builder.upstream("kc", &upstream, "")).await;
    assert_eq!(claims_of_sign_in(&plain, "kc").await["groups"], json!([]));
}

/// UP-33: a group that the upstream takes back is gone at the next sign-in, also for the sessions
/// and tokens of before.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_taken_back_is_gone_everywhere() {
    let (app, upstream) = TestApp::with_upstream().await;
    let with = |groups: Value| json!({"sub": "7", "preferred_username": "s", "groups": groups});
    upstream.set_person(with(json!(["staff"])));
    let mut old = app.browser();
    let journey = sign_in_at(&mut old, "kc").await;
    let tokens = redeem(&app, "web", &journey.param("code").unwrap()).await;
    assert_eq!(enters_members(&app).await, Ok(()));
    upstream.set_person(with(json!([])));
    assert_eq!(claims_of_sign_in(&app, "kc").await["groups"], json!([]));
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.json()["groups"], json!([]));
    let again = refresh(&app, "web", &tokens.text("refresh_token")).await;
    let claims = keywright::keys::parse_unverified(&again.text("id_token")).unwrap().1;
    assert_eq!(claims["groups"], json!([]));
    let path = authorize_path("members", &[]);
    assert_eq!(old.visit(&path).await.param("error").as_deref(), Some("access_denied"));
}

/// UP-33: what one upstream says of an account neither adds to nor takes from what another says.
#[tokio::test(flavor = "multi_thread")]
async fn groups_of_two_identities_are_kept_apart() {
    let (kc, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let rule = "groups = { claim = \"groups\" }";
    let app =
        TestApp::builder().upstream("kc", &kc, rule).upstream("other", &other, rule).start().await;
    let with =
        |sub: &str, groups: Value| json!({"sub": sub, "preferred_username": "s", "groups": groups});
    kc.set_person(with("1", json!(["staff", "both"])));
    claims_of_sign_in(&app, "kc").await;
    let account = user(&app, "s").await;
    link(&app, &account, &other.issuer()).await;
    let groups = async |slug: &str| claims_of_sign_in(&app, slug).await["groups"].clone();
    other.set_person(with("2", json!(["ops", "both"])));
    assert_eq!(groups("other").await, json!(["both", "ops", "staff"]));
    other.set_person(with("2", json!([])));
    assert_eq!(groups("other").await, json!(["both", "staff"]));
    kc.set_person(with("1", json!(["ops"])));
    assert_eq!(groups("other").await, json!(["both", "staff"]), "kc has not confirmed it yet");
    assert_eq!(groups("kc").await, json!(["ops"]));
    assert_eq!(app.count("users").await, 1);
}

/// Gives an account a second identity, with subject 2.
async fn link(app: &TestApp, account: &User, issuer: &str) {
    let now = app.app.now();
    let identity = Identity {
        id: IdentityId::generate(app.app.random(), now),
        user_id: account.id.clone(),
        upstream: UpstreamSlug::new("other"),
        issuer: issuer.to_owned(),
        subject: "2".to_owned(),
        groups: ["linked"].iter().collect(),
        created_at: now,
        confirmed_at: now,
        linked_by: LinkedBy::SignUp,
        linked_at: now,
    };
    let mut connection = app.app.connection().await.unwrap();
    assert!(identities::insert(&mut connection, &identity, None).await.unwrap());
}

/// Whether the upstream's person gets into the app that is for staff only.
async fn enters_members(app: &TestApp) -> Result<(), String> {
    let mut browser = app.browser();
    let path = authorize_path("members", &[]);
    let journey = browser.visit(&path).await;
    journey.param("error").map_or(Ok(()), Err)
}

/// A time of sign-in that lies ahead is now, and the subject of tokens is never the upstream's.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_tell_our_subject_and_no_time_ahead() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.misbehave(|lies| {
        lies.claims.set_from_now("auth_time", 3_600);
    });
    let mut browser = app.browser();
    let claims = claims_for_app(&app, &sign_in_at(&mut browser, "kc").await).await;
    assert_eq!(claims["auth_time"], json!(app.clock.unix()));
    assert_ne!(claims["sub"], "alice-at-upstream");
    assert!(no_session_cookie(&browser).is_err());
}

/// LK-15, as far as an upstream names people: a name that reads like somebody's, or like their
/// address, is another one's, and nobody's own name leads anywhere else by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_like_somebodys_is_another_name() {
    let (app, upstream) = TestApp::with_upstream().await;
    let bob = app.add_user("bob", &[]).await;
    let names = [
        "bob",
        "BOB",
        " bob ",
        "ｂｏｂ",
        "b\u{200b}ob",
        "\u{feff}bob",
        "bob@corp.test",
        "bob\u{0}",
    ];
    for (number, name) in names.iter().enumerate() {
        upstream.set_person(json!({"sub": number.to_string(), "preferred_username": name}));
        let claims = claims_of_sign_in(&app, "kc").await;
        let own = claims["preferred_username"].as_str().unwrap();
        assert!(own.to_lowercase().starts_with("bob-") && own.is_ascii(), "{name:?}: {own:?}");
        assert_ne!(claims["sub"], json!(bob.id), "{name:?}");
    }
    let mut connection = app.app.connection().await.unwrap();
    let kept = users::list(&mut connection, "", 100).await.unwrap();
    let keys: BTreeSet<&str> = kept.iter().map(|user| user.username_key.as_str()).collect();
    assert_eq!((kept.len(), keys.len()), (names.len() + 1, names.len() + 1));
    assert!(keys.iter().all(|key| !key.contains('@')), "{keys:?}");
    drop(connection);
    for name in ["bob", "BOB", " bob ", "ｂｏｂ", "BOB@corp.test"] {
        let mut browser = app.browser();
        let login = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
        let form = login.last().form_to("/login").fill("username", name);
        let answer = browser.submit(login.last(), &form.fill("password", "bob-password")).await;
        let claims = claims_for_app(&app, &browser.follow(answer).await).await;
        assert_eq!(claims["sub"], json!(bob.id), "{name:?}");
    }
}
