//! Basic RP, and Form Post RP, which is the same list with answers that the browser posts.

use serde_json::{Value, json};

use super::{Module, Outcome, ResponseMode, is_refused, lying, module, provider};
use crate::support::{
    app::TestApp,
    fake_upstream::{
        Algorithm, ClientAuth, Endpoint, FakeUpstream, KeySet, Lure, Misbehaviour,
        Outcome as Answer, Signature,
    },
};

/// Modules of the suite that are part of no certification, and that we meet all the same.
pub(super) const BEYOND: [&str; 4] = [
    "oidcc-client-test-ignores-unparseable-key-in-jwks",
    "oidcc-client-test-invalid-sig-es256",
    "oidcc-client-test-invalid-sig-hs256",
    "oidcc-client-test-missing-aud",
];

pub(super) fn table() -> Vec<Module> {
    let mut modules = claims();
    modules.extend(signatures());
    modules.extend(endpoints());
    modules
}

/// What the ID token says (OIDC Core §3.1.3.7).
fn claims() -> Vec<Module> {
    use Outcome::Refused;
    vec![
        module("oidcc-client-test", |_| {}, Outcome::SignedIn),
        lying(
            "oidcc-client-test-invalid-iss",
            |lies| {
                lies.claims.alter("iss", |iss| json!(format!("{}invalid", iss.as_str().unwrap())));
            },
            Refused("id_token_issuer"),
        ),
        lying(
            "oidcc-client-test-missing-sub",
            |lies| {
                lies.claims.remove("sub");
            },
            Refused("id_token_subject"),
        ),
        lying(
            "oidcc-client-test-invalid-aud",
            |lies| {
                lies.claims.set("aud", "somebody-else");
            },
            Refused("id_token_audience"),
        ),
        lying(
            "oidcc-client-test-missing-aud",
            |lies| {
                lies.claims.remove("aud");
            },
            Refused("id_token_audience"),
        ),
        lying(
            "oidcc-client-test-missing-iat",
            |lies| {
                lies.claims.remove("iat");
            },
            Refused("id_token_issued_at"),
        ),
        lying(
            "oidcc-client-test-nonce-invalid",
            |lies| {
                lies.claims.set("nonce", "another");
            },
            Refused("id_token_nonce"),
        ),
    ]
}

fn without_kids(lies: &mut Misbehaviour) {
    lies.key_set = KeySet::WithoutKids;
    lies.header.remove("kid");
}

fn signed_by_another(lies: &mut Misbehaviour) {
    lies.signature = Signature::Attacker(Lure::Nothing);
}

/// How the ID token is signed, and with which of the provider's keys (RFC 7515 §4.1.4).
fn signatures() -> Vec<Module> {
    use Outcome::{Refused, SignedIn};
    let forged = Refused("id_token_signature");
    vec![
        lying("oidcc-client-test-kid-absent-single-jwks", without_kids, SignedIn),
        // The suite allows both: to try all keys, or, as we do, not to guess.
        Module {
            provider: FakeUpstream::rotate_keys,
            ..lying(
                "oidcc-client-test-kid-absent-multiple-jwks",
                without_kids,
                Refused("id_token_key_unknown"),
            )
        },
        module("oidcc-client-test-idtoken-sig-rs256", |_| {}, SignedIn),
        lying(
            "oidcc-client-test-idtoken-sig-none",
            |lies| lies.signature = Signature::Unsecured("none"),
            Refused("id_token_algorithm"),
        ),
        lying("oidcc-client-test-invalid-sig-rs256", signed_by_another, forged),
        Module {
            algorithm: Algorithm::Es256,
            ..lying("oidcc-client-test-invalid-sig-es256", signed_by_another, forged)
        },
        // No signature with a shared secret is good enough, whether it fits or not.
        lying(
            "oidcc-client-test-invalid-sig-hs256",
            |lies| {
                lies.header.set("alg", "HS256");
                lies.signature = Signature::Altered(|_| vec![7; 32]);
            },
            Refused("id_token_algorithm"),
        ),
        // RFC 7517 §5: keys of kinds that nobody here knows do not keep the others from being used.
        lying(
            "oidcc-client-test-ignores-unparseable-key-in-jwks",
            |lies| lies.transform_key_set(beside_unknown_keys),
            SignedIn,
        ),
    ]
}

fn beside_unknown_keys(mut set: Value) -> Value {
    let keys = set["keys"].as_array_mut().unwrap();
    keys.insert(0, json!({"kty": "AKP", "alg": "ML-DSA-999", "pub": "AAAA", "kid": "of-tomorrow"}));
    keys.push(json!({"kty": "made-up", "kid": "of-nobody"}));
    set
}

/// Token endpoint and UserInfo (OIDC Core §5.3.2, §5.4, §9).
fn endpoints() -> Vec<Module> {
    vec![
        lying(
            "oidcc-client-test-userinfo-invalid-sub",
            |lies| {
                lies.userinfo.set("sub", "8");
            },
            Outcome::Refused("upstream_userinfo_subject"),
        ),
        module("oidcc-client-test-scope-userinfo-claims", |_| {}, Outcome::SignedIn),
        module(
            "oidcc-client-test-client-secret-basic",
            |upstream| upstream.set_client_auth(ClientAuth::Basic),
            Outcome::SignedIn,
        ),
    ]
}

async fn run_all(mode: ResponseMode) {
    for module in table() {
        let upstream = module.run(mode).await;
        for asked in upstream.requests_to(Endpoint::Authorize) {
            let said = asked.param("response_mode");
            match mode {
                ResponseMode::Query => assert_eq!(said, None, "{}", module.name),
                ResponseMode::FormPost => assert_eq!(said, Some("form_post"), "{}", module.name),
            }
        }
        match module.name {
            "oidcc-client-test-idtoken-sig-rs256" => assert_eq!(upstream.count(Endpoint::Jwks), 1),
            "oidcc-client-test-scope-userinfo-claims" => {
                let asked = &upstream.requests_to(Endpoint::Authorize)[0];
                let scope = asked.param("scope").unwrap().to_owned();
                for wanted in ["profile", "email"] {
                    assert!(scope.split(' ').any(|word| word == wanted), "{scope}");
                }
                assert_eq!(upstream.count(Endpoint::Userinfo), 1);
            }
            "oidcc-client-test-client-secret-basic" => {
                let asked = &upstream.requests_to(Endpoint::Token)[0];
                assert!(asked.header("authorization").unwrap().starts_with("Basic "));
                assert!(asked.param("client_secret").is_none());
            }
            _ => {}
        }
    }
}

/// Basic RP.
#[tokio::test(flavor = "multi_thread")]
async fn by_query() {
    run_all(ResponseMode::Query).await;
}

/// Form Post RP.
#[tokio::test(flavor = "multi_thread")]
async fn by_form_post() {
    run_all(ResponseMode::FormPost).await;
}

/// `oidcc-client-test-form-post-error`, as far as it is ours: an error that the browser posts is a
/// page that says so (OAuth 2.0 Form Post Response Mode §2). We never ask with `prompt=none`.
#[tokio::test(flavor = "multi_thread")]
async fn a_posted_error_is_shown() {
    let upstream = provider(Algorithm::Rs256).await;
    upstream.set_outcome(Answer::Refuse {
        error: "login_required".to_owned(),
        description: Some("Error response using form_post".to_owned()),
    });
    let settings = ResponseMode::FormPost.setting();
    let app = TestApp::builder().upstream("op", &upstream, settings).start().await;
    is_refused(&app, 400, "upstream_refused").await.unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 0);
}
