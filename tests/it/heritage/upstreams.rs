//! On the way to an upstream and back.

use keywright::{config, store::identities};
use serde_json::{Value, json};

use crate::{
    sessions::SESSION,
    support::{
        app::TestApp,
        fake_upstream::{Endpoint, FakeUpstream, KeySet},
        journey::{authorize_path, redeem},
    },
    upstream::{
        Away, Witness, claims_of_sign_in, fails, gets_in, is_refusal_page, no_session_cookie,
        sign_in_at, user,
    },
};

/// Trap 1. A state is good once, however young it is; of two who bring it at once one gets in, and of
/// two who redeem one code at once one gets tokens.
#[tokio::test(flavor = "multi_thread")]
async fn states_and_codes_are_good_once() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut away = Away::at(&app, "kc").await;
    let mut again = away.browser.clone();
    assert!(away.come_back().await.location_param("code").is_some());
    let asked = upstream.count(Endpoint::Token);
    let page = again.get(away.callback.as_str()).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("code: state_unknown"), "{}", page.text());
    assert_eq!(upstream.count(Endpoint::Token), asked, "the upstream was asked once");

    let mut away = Away::at(&app, "kc").await;
    let mut twin = away.browser.clone();
    let callback = away.callback.clone();
    let (one, other) = tokio::join!(away.come_back(), twin.get(callback.as_str()));
    let codes = [&one, &other].map(|page| page.location_param("code"));
    assert_eq!(codes.iter().flatten().count(), 1, "{} {}", one.status, other.status);
    assert_eq!(app.count("sessions").await, 2);

    let code = codes.into_iter().flatten().next().unwrap();
    let (one, other) = tokio::join!(redeem(&app, "web", &code), redeem(&app, "web", &code));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{one:?} {other:?}");
}

/// Trap 2. Without Redis every worker refuses, and says so; none keeps what it has begun to itself,
/// where the next request would not find it.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_is_kept_in_memory_instead() {
    let nowhere = "redis://127.0.0.1:1";
    let upstream = FakeUpstream::start().await;
    let worker = || TestApp::builder().upstream("kc", &upstream, "").state_url(nowhere);
    let first = worker().start().await;
    // There can be a second one on PostgreSQL.
    let second = match first.app.store.kind() {
        "PostgreSQL" => Some(worker().beside(&first).start().await),
        _ => None,
    };
    for worker in std::iter::once(&first).chain(&second) {
        assert!(worker.app.memory.is_none());
        let mut browser = worker.browser();
        let page = browser.get(&authorize_path("web", &[])).await;
        assert_eq!(page.status, 503, "{}", page.text());
        assert!(page.header("retry-after").is_some());
        assert!(page.text().contains("code: temporarily_unavailable"), "{}", page.text());
        let back = browser.get("/upstream/kc/callback?state=x&code=y").await;
        assert!(back.status >= 400 && back.location().is_none(), "{}", back.text());
        no_session_cookie(&browser).unwrap();
    }
    assert_eq!(upstream.requests_to(Endpoint::Authorize).len(), 0);
    assert_eq!(first.count("sessions").await, 0);
}

async fn with_issuer(upstream: &FakeUpstream, issuer: &str) -> TestApp {
    let secret = crate::support::fake_upstream::CLIENT_SECRET;
    let lines = format!("issuer = {issuer:?}\nclient_secret = {secret:?}\n");
    TestApp::builder().preset("kc", upstream, &lines).start().await
}

/// Trap 3. An issuer is found with its slash and without, whichever was typed: its documents are asked for
/// where they are, and what is kept of people is the issuer as it calls itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_with_and_without_its_slash() {
    for path in ["/application/o/app/", "/application/o/app"] {
        let upstream = FakeUpstream::start().await;
        upstream.set_issuer_path(path);
        let right = upstream.issuer();
        let other = right.strip_suffix('/').map_or(format!("{right}/"), str::to_owned);
        for typed in [&right, &other] {
            let app = with_issuer(&upstream, typed).await;
            gets_in(&app, "kc").await.unwrap_or_else(|fault| panic!("{typed}: {fault}"));
            let asked = upstream.requests_to(Endpoint::Discovery);
            assert!(asked.iter().all(|request| !request.uri.path().contains("//")), "{asked:?}");
            let kept = app.count(&format!("identities WHERE issuer = '{right}'")).await;
            assert_eq!(kept, 1, "{typed}");
        }
        // Another issuer is another issuer.
        let wrong = with_issuer(&upstream, &format!("{}-2", right.trim_end_matches('/'))).await;
        fails(&wrong, &upstream, "kc").await.unwrap();
        assert_eq!(wrong.count("users").await, 0);
    }
}

/// Trap 3. No keys, a key that nobody has published, no nonce: nobody gets in, and the next one does.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_there_and_a_nonce_that_is_missing() {
    let (app, upstream) = TestApp::with_upstream().await;
    for lie in ["no keys", "unknown key", "no nonce"] {
        upstream.misbehave(|lies| match lie {
            "no keys" => lies.key_set = KeySet::Empty,
            "unknown key" => _ = lies.header.set("kid", "nobody's"),
            _ => _ = lies.claims.remove("nonce"),
        });
        fails(&app, &upstream, "kc").await.unwrap_or_else(|fault| panic!("{lie}: {fault}"));
        upstream.behave();
        // An unknown key is looked for twice a minute at most.
        app.clock.advance(31);
        gets_in(&app, "kc").await.unwrap_or_else(|fault| panic!("after {lie}: {fault}"));
    }
}

/// Trap 4. An address is verified by `true` alone: no text is, and silence is none.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_by_true_alone() {
    let (app, upstream) = TestApp::with_upstream().await;
    let flags: [(&str, Option<Value>, bool); 5] = [
        ("yes", Some(json!(true)), true),
        ("yestext", Some(json!("true")), false),
        ("no", Some(json!(false)), false),
        ("notext", Some(json!("false")), false),
        ("silent", None, false),
    ];
    for (name, flag, verified) in flags {
        let mut person = json!({
            "sub": name, "preferred_username": name, "email": format!("{name}@corp.test"),
        });
        if let Some(flag) = flag {
            person["email_verified"] = flag;
        }
        upstream.set_person(person);
        assert_eq!(claims_of_sign_in(&app, "kc").await["email_verified"], verified, "{name}");
        assert_eq!(user(&app, name).await.email_verified == Some(true), verified, "{name}");
    }
}

const SHUT_TO_NEW: &str = "[signup]\nlocal = \"open\"\nfederated = \"closed\"";
const BOTH_SHUT: &str = "[signup]\nlocal = \"closed\"\nfederated = \"closed\"";

async fn is_turned_away(app: &TestApp, status: u16) {
    let witness = Witness::of(app).await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), status, &event).unwrap();
    no_session_cookie(&browser).unwrap();
}

/// Trap 5. Nobody new comes from the upstream: the local account of that address is neither taken over
/// nor linked in silence; but its owner can link it from within, and then comes in by the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn with_provisioning_off_a_local_account_is_linked_by_its_owner_alone() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(SHUT_TO_NEW).upstream("kc", &upstream, "").start().await;
    let bob = app.add_user("bob", &[]).await;
    let person = json!({
        "sub": "b", "preferred_username": "bob", "email": "bob@corp.test", "email_verified": true,
    });
    upstream.set_person(person);
    let mut stranger = app.browser();
    let journey = sign_in_at(&mut stranger, "kc").await;
    assert!(journey.stopped_at.is_none(), "{:?}", journey.hops());
    no_session_cookie(&stranger).unwrap();
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 0));

    let mut browser = app.browser();
    crate::sessions::sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    let answer = browser.submit(&page, &page.form_to("/account/link")).await;
    assert_eq!(browser.follow(answer).await.last().url.path(), "/account");
    let mut connection = app.app.connection().await.unwrap();
    let linked = identities::list_of_user(&mut connection, &bob.id).await.unwrap();
    drop(connection);
    assert_eq!(linked.len(), 1);
    app.clock.advance(1);
    let claims = claims_of_sign_in(&app, "kc").await;
    assert_eq!(claims["preferred_username"], "bob");
    assert_eq!(app.count("users").await, 1);
}

/// Trap 5. Sign-up is switched off: who is known comes in as before.
#[tokio::test(flavor = "multi_thread")]
async fn with_sign_up_off_a_known_identity_gets_in() {
    let (app, upstream) = TestApp::with_upstream().await;
    gets_in(&app, "kc").await.unwrap();
    let app = crate::sessions::stop(app).await;
    let app = app.config("[signup]\ndisabled = true").upstream("kc", &upstream, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    upstream.set_person(json!({ "sub": "new", "preferred_username": "new" }));
    is_turned_away(&app, 403).await;
    assert_eq!((app.count("users").await, app.count("identities").await), (1, 1));
}

/// Trap 5. Both doors are shut and nobody is here yet: the first who comes is no exception, and nobody
/// administers.
#[tokio::test(flavor = "multi_thread")]
async fn with_both_off_the_first_person_is_no_exception() {
    let signup = config::parse("", &config::Environment::new()).unwrap().signup;
    assert_eq!(signup.local, config::SignupMode::Closed, "unless somebody says otherwise");
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().config(BOTH_SHUT).upstream("kc", &upstream, "").start().await;
    is_turned_away(&app, 403).await;
    let mut browser = app.browser();
    assert_eq!(browser.visit("/signup").await.last().status, 403);
    assert!(browser.cookies().get(SESSION).is_none());
    assert_eq!(app.count("users").await, 0);
    // The way in that there is: somebody at the machine adds an account.
    app.add_user("anna", &[]).await;
    app.clock.advance(1);
    crate::sessions::sign_in(&mut app.browser(), "anna").await;
    assert_eq!(user(&app, "anna").await.roles.to_vec(), Vec::<String>::new());
}
