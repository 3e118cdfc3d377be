//! Addresses that people, apps and tokens name are never asked by us.

use serde_json::json;

use super::{gets_in, sign_in_at};
use crate::support::{
    app::TestApp,
    fake_upstream::FakeUpstream,
    journey::{authorize_path, redeem},
};

/// Ways to write the address of this computer, past filters that know one of them.
const HOSTS: [&str; 18] = [
    "127.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "0.0.0.0",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "user@127.0.0.1",
    "web.test@127.0.0.1",
];

/// SF-01, for the addresses that somebody can name who is no administrator: in the request of an app,
/// in what an upstream says about a person, and in the header of its token. None of them is fetched,
/// however it is written.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_that_is_named_to_us_is_fetched() {
    let (kc, trap) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let app = TestApp::builder().upstream("kc", &kc, "").start().await;
    gets_in(&app, "kc").await.unwrap();
    let port = trap.origin().rsplit_once(':').unwrap().1.to_owned();
    for (number, host) in HOSTS.iter().enumerate() {
        let lure = format!("http://{host}:{port}/lure");
        kc.set_person(json!({
            "sub": number.to_string(), "preferred_username": format!("person{number}"),
            "picture": lure, "profile": lure, "website": lure, "jwks_uri": lure,
            "_claim_names": {"groups": "elsewhere", "email": "elsewhere"},
            "_claim_sources": {"elsewhere": {"endpoint": lure, "access_token": "t"}},
        }));
        for member in ["jku", "x5u"] {
            kc.misbehave(|lies| {
                lies.header.set(member, lure.clone());
            });
        }
        let journey = sign_in_at(&mut app.browser(), "kc").await;
        let code = journey.param("code").unwrap_or_else(|| panic!("{host}: {:?}", journey.hops()));
        let tokens = redeem(&app, "web", &code).await;
        assert_eq!(tokens.status, 200, "{host}: {tokens:?}");
        kc.behave();
        for name in [
            "request_uri",
            "client_id",
            "redirect_uri",
            "registration",
            "claims",
            "id_token_hint",
            "resource",
            "client_metadata_uri",
            "iss",
        ] {
            let page = app.browser().get(&authorize_path("web", &[(name, &lure)])).await;
            assert!(page.status < 500, "{name} {host}: {}", page.text());
        }
        let form = [("client_id", lure.as_str()), ("token", &lure), ("client_assertion", &lure)];
        for path in ["/introspect", "/revoke", "/token"] {
            assert!(app.post(path, &form, &[]).await.status.as_u16() < 500, "{path} {host}");
        }
    }
    assert!(trap.requests().is_empty(), "{:?}", trap.requests());
    // The trap does hear who comes.
    let heard = app.browser().get(&format!("{}/lure", trap.origin())).await;
    assert_eq!((heard.status, trap.requests().len()), (404, 1));
}
