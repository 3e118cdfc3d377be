//! Config RP, and what Dynamic RP shares with it: a provider is known by its issuer, and everything
//! else comes from what it publishes there.

use super::{Module, Outcome, ResponseMode, is_signed_in, module, provider, sign_in};
use crate::{
    support::{
        app::TestApp,
        fake_upstream::{Algorithm, Endpoint, FakeUpstream},
    },
    upstream::Away,
};

/// The modules about changing keys, which are stories and no rows.
pub(super) const ROTATION: [&str; 2] = [
    "oidcc-client-test-signing-key-rotation-just-before-signing",
    "oidcc-client-test-signing-key-rotation",
];

pub(super) fn table() -> Vec<Module> {
    vec![
        module(
            "oidcc-client-test-discovery-openid-config",
            |upstream| {
                for (name, endpoint) in [
                    ("authorization_endpoint", Endpoint::Authorize),
                    ("token_endpoint", Endpoint::Token),
                    ("userinfo_endpoint", Endpoint::Userinfo),
                ] {
                    move_to(upstream, name, endpoint);
                }
            },
            Outcome::SignedIn,
        ),
        module(
            "oidcc-client-test-discovery-jwks-uri-keys",
            |upstream| move_to(upstream, "jwks_uri", Endpoint::Jwks),
            Outcome::SignedIn,
        ),
        module(
            "oidcc-client-test-discovery-issuer-mismatch",
            |upstream| {
                let other = format!("{}/another", upstream.issuer());
                upstream.misbehave(|lies| {
                    lies.metadata.set("issuer", other);
                });
            },
            Outcome::NotBegun("upstream_issuer_mismatch"),
        ),
    ]
}

/// Has an endpoint answer where only discovery says that it is.
fn move_to(upstream: &FakeUpstream, name: &str, endpoint: Endpoint) {
    let path = format!("/found/{name}");
    upstream.alias(&path, endpoint);
    let address = format!("{}{path}", upstream.origin());
    upstream.misbehave(|lies| {
        lies.metadata.set(name, address);
    });
}

/// Config RP.
#[tokio::test(flavor = "multi_thread")]
async fn config() {
    for module in table() {
        let upstream = module.run(ResponseMode::Query).await;
        let asked = upstream.requests();
        assert_eq!(upstream.count(Endpoint::Discovery), 1, "{}", module.name);
        match module.name {
            "oidcc-client-test-discovery-openid-config" => {
                let found = asked.iter().filter(|asked| asked.uri.path().starts_with("/found/"));
                assert_eq!(found.count(), 3);
            }
            "oidcc-client-test-discovery-jwks-uri-keys" => {
                let keys = upstream.requests_to(Endpoint::Jwks);
                assert_eq!(keys.len(), 1);
                assert_eq!(keys[0].uri.path(), "/found/jwks_uri");
            }
            _ => assert_eq!(asked.len(), 1, "nothing but discovery was asked"),
        }
    }
}

async fn house() -> (TestApp, FakeUpstream) {
    let upstream = provider(Algorithm::Rs256).await;
    let app = TestApp::builder().upstream("op", &upstream, "").start().await;
    (app, upstream)
}

/// `oidcc-client-test-signing-key-rotation-just-before-signing`: the keys are others when the ID
/// token is signed than they were when the person left; also where they were known from before
/// (OIDC Core §10.1.1).
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_on_the_way() {
    for known_before in [false, true] {
        let (app, upstream) = house().await;
        if known_before {
            is_signed_in(&app, &upstream).await.unwrap();
        }
        let mut away = Away::at(&app, "op").await;
        upstream.replace_keys();
        let page = away.come_back().await;
        assert_eq!(page.status, 303, "known before: {known_before}: {}", page.text());
        let looks = 1 + usize::from(known_before);
        assert_eq!(upstream.count(Endpoint::Jwks), looks, "known before: {known_before}");
        assert_eq!(app.count("users").await, 1);
    }
}

/// `oidcc-client-test-signing-key-rotation`: a sign-in, other keys, and one more sign-in of the same
/// person, who notices nothing. Whether the old key stays published makes no difference.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_change_between_two_sign_ins() {
    for rotate in [FakeUpstream::rotate_keys, FakeUpstream::replace_keys] {
        let (app, upstream) = house().await;
        is_signed_in(&app, &upstream).await.unwrap();
        rotate(&upstream);
        is_signed_in(&app, &upstream).await.unwrap();
        assert_eq!(upstream.count(Endpoint::Jwks), 2);
        assert_eq!(upstream.count(Endpoint::Userinfo), 2);
        assert_eq!(app.refusals("sign_in").await, Vec::<String>::new());
        let journey = sign_in(&mut app.browser()).await;
        assert!(journey.stopped_at.is_some(), "{:?}", journey.hops());
        assert_eq!(upstream.count(Endpoint::Jwks), 2, "the new key is known now");
    }
}
