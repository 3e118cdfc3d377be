//! Discovery: the same for everybody, and each thing it lists works.

use axum::http::Request;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    refresh::family::{Tokens, ask, open_app, redeem_as, sign_in_with},
    support::{
        app::{Answer, ISSUER, TestApp},
        fake_upstream::FakeUpstream,
        journey::{VERIFIER, authorize_path, code_by_session, code_for},
    },
};

const DOCUMENTS: [&str; 3] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
];

async fn metadata(app: &TestApp) -> Value {
    app.get(DOCUMENTS[0], None).await.json()
}

fn words(metadata: &Value, name: &str) -> Vec<String> {
    let list = metadata[name].as_array().unwrap_or_else(|| panic!("no {name}"));
    list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

async fn with_header(app: &TestApp, path: &str, name: &str, value: &str) -> Answer {
    let request = Request::builder().uri(format!("{ISSUER}{path}")).header(name, value);
    app.send(request.body(Bytes::new()).unwrap()).await
}

/// IN-10: nothing of a request shows in the documents.
#[tokio::test(flavor = "multi_thread")]
async fn the_documents_are_the_same_for_every_request() {
    let proxies = format!("[server]\nissuer = {ISSUER:?}\ntrusted_proxies = [\"10.0.0.0/8\"]");
    let app = TestApp::builder().config(&proxies).start().await;
    for path in DOCUMENTS {
        let plain = app.get(path, None).await;
        assert_eq!(plain.status, 200);
        for (name, value) in [
            ("host", "evil.test"),
            ("host", "id.test:8443"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "host=evil.test;proto=http"),
            ("x-original-url", "/evil"),
            ("x-rewrite-url", "/evil"),
            ("accept-language", "fr"),
            ("accept", "application/xml"),
            ("origin", "https://evil.test"),
            ("cookie", "__Host-kw-session=x"),
        ] {
            let answer = with_header(&app, path, name, value).await;
            assert_eq!(answer.status, 200, "{name}");
            assert_eq!(answer.body, plain.body, "{path} {name}: {value}");
            assert_eq!(answer.headers, plain.headers, "{path} {name}: {value}");
        }
    }
    let [openid, oauth, _] = DOCUMENTS.map(|path| app.get(path, None));
    assert_eq!(openid.await.body, oauth.await.body);
    assert_eq!(metadata(&app).await["issuer"], ISSUER);
}

/// IN-10: every endpoint that is named is there, and none that is not built is named.
#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_that_is_named_is_there() {
    let app = TestApp::start().await;
    let metadata = metadata(&app).await;
    let mut named = Vec::new();
    for (name, value) in metadata.as_object().unwrap() {
        let is_address = name.ends_with("_endpoint") || name.ends_with("_uri");
        if let Some(address) = value.as_str().filter(|_| is_address) {
            let path = address.strip_prefix(ISSUER).unwrap_or_else(|| panic!("{name}: {address}"));
            let (got, posted) = (app.get(path, None).await, app.post(path, &[], &[]).await);
            let statuses = [got.status.as_u16(), posted.status.as_u16()];
            assert!(!statuses.contains(&404) && statuses != [405, 405], "{name}: {statuses:?}");
            named.push(name.as_str());
        }
    }
    assert_eq!(named.len(), 8, "{named:?}");
    for absent in [
        "device_authorization_endpoint",
        "registration_endpoint",
        "backchannel_authentication_endpoint",
        "check_session_iframe",
        "frontchannel_logout_supported",
        "resource_indicators_supported",
    ] {
        assert!(metadata.get(absent).is_none(), "{absent}");
    }
    for path in ["/register", "/device_authorization", "/device", "/bc-authorize"] {
        assert_eq!(app.get(path, None).await.status, 404, "{path}");
        assert_eq!(app.post(path, &[], &[]).await.status, 404, "{path}");
    }
}

/// IN-10: the listed grant types and ways of authenticating are those that work.
#[tokio::test(flavor = "multi_thread")]
async fn the_listed_grants_and_methods_work() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let metadata = metadata(&app).await;
    let grants = words(&metadata, "grant_types_supported");
    // The last one works for apps that may use it: `personal_access_tokens::exchange`.
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    assert_eq!(grants, ["authorization_code", "refresh_token", "client_credentials", exchange]);
    let mut browser = app.browser();
    let tokens = sign_in_with(&app, &mut browser, "web", "bob").await;
    tokens.refreshed(&app).await;
    let own = ask(&app, "m2m", &[("grant_type", "client_credentials")]).await;
    assert_eq!(own.status, 200);

    for (name, client, path) in [
        ("token_endpoint_auth_methods_supported", "m2m", "/token"),
        ("introspection_endpoint_auth_methods_supported", "m2m", "/introspect"),
        ("revocation_endpoint_auth_methods_supported", "m2m", "/revoke"),
    ] {
        for method in words(&metadata, name) {
            let form = [("grant_type", "client_credentials"), ("token", "x")];
            let secret = [("client_id", "m2m"), ("client_secret", "m2m-secret-0123456789")];
            let answer = match method.as_str() {
                "client_secret_basic" => app.post_as(client, path, &form).await,
                "client_secret_post" => app.post(path, &[&form[..], &secret].concat(), &[]).await,
                "none" if path == "/token" => {
                    let tokens = open_app(&app, &mut browser, "spa").await;
                    tokens.try_refresh(&app).await
                }
                // `client_auth::algorithms`: with every algorithm that is listed.
                "client_secret_jwt" | "private_key_jwt" => continue,
                "none" => app.post(path, &[("token", "x"), ("client_id", "spa")], &[]).await,
                other => panic!("{other} is listed for {path}"),
            };
            assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        }
    }
}

/// IN-10: the listed response types, modes and challenge methods are those that work.
#[tokio::test(flavor = "multi_thread")]
async fn the_listed_ways_of_asking_for_a_code_work() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let metadata = metadata(&app).await;
    assert_eq!(words(&metadata, "response_types_supported"), ["code"]);
    assert_eq!(words(&metadata, "code_challenge_methods_supported"), ["S256"]);
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    for mode in words(&metadata, "response_modes_supported") {
        let path = authorize_path("web", &[("response_mode", &mode)]);
        let journey = browser.visit(&path).await;
        let (code, iss) = match mode.as_str() {
            "query" => (journey.param("code"), journey.param("iss")),
            "form_post" => {
                let form = journey.last().form();
                assert_eq!(form.action.as_str(), "https://web.test/cb");
                let value = |name| form.value(name).map(str::to_owned);
                (value("code"), value("iss"))
            }
            other => panic!("{other} is listed"),
        };
        assert_eq!(iss.as_deref(), Some(ISSUER));
        assert_eq!(redeem_as(&app, "web", &code.unwrap()).await.status, 200);
    }
    for (name, value) in [
        ("response_mode", "fragment"),
        ("response_mode", "web_message"),
        ("response_mode", "jwt"),
        ("response_type", "token"),
        ("response_type", "code id_token"),
        ("code_challenge_method", "plain"),
        ("request", "a.b.c"),
        ("request_uri", "urn:x"),
    ] {
        let journey = browser.visit(&authorize_path("web", &[(name, value)])).await;
        assert!(journey.param("error").is_some() && journey.param("code").is_none(), "{value}");
    }
    for name in [
        "claims_parameter_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
    ] {
        assert_eq!(metadata[name], false);
    }
}

/// IN-10: every listed algorithm signs ID tokens for a client that wants it.
#[tokio::test(flavor = "multi_thread")]
async fn every_listed_algorithm_signs() {
    let algorithms = ["RS256", "ES256", "EdDSA"];
    let clients = algorithms.map(|alg| {
        format!(
            "[[clients]]\nid = {alg:?}\nname = {alg:?}\nsecret = \"{alg}-secret-0123456789\"\n\
             redirect_uris = [\"https://web.test/cb\"]\nid_token_signing_alg = {alg:?}\n"
        )
    });
    let app = TestApp::builder().config(&clients.concat()).start().await;
    app.add_user("bob", &[]).await;
    let metadata = metadata(&app).await;
    assert_eq!(words(&metadata, "id_token_signing_alg_values_supported"), algorithms);
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    for alg in algorithms {
        let redirect = [("redirect_uri", "https://web.test/cb")];
        let code = code_by_session(&mut browser, alg, &redirect).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", "https://web.test/cb"),
            ("code_verifier", VERIFIER),
        ];
        let tokens = Tokens::of(alg, &app.post_as(alg, "/token", &form).await);
        let (header, _) = keywright::keys::parse_unverified(tokens.id.as_ref().unwrap()).unwrap();
        assert_eq!(header["alg"], alg);
        tokens.refreshed(&app).await;
    }
}

/// IN-10: every listed scope is granted, and every listed claim is told by somebody.
#[tokio::test(flavor = "multi_thread")]
async fn every_listed_scope_and_claim_is_given() {
    let upstream = FakeUpstream::start().await;
    let rule = "groups = { claim = \"groups\" }";
    let groups = "[[groups]]\nname = \"staff\"\nrole = \"member\"";
    let app = TestApp::builder().config(groups).upstream("kc", &upstream, rule).start().await;
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test", "acr": "2",
        "email_verified": true, "name": "Alice Berg", "groups": ["staff"], "amr": ["otp"],
        "picture": "https://pictures.test/alice",
    }));
    let metadata = metadata(&app).await;
    let mut browser = app.browser();
    for scope in words(&metadata, "scopes_supported") {
        let code = code_by_session(&mut browser, "web", &[("scope", &scope)]).await;
        assert_eq!(redeem_as(&app, "web", &code).await.text("scope"), scope);
    }
    crate::refresh::outside::execute(&app, "UPDATE users SET locale = 'de'").await;
    let tokens = open_app(&app, &mut browser, "web").await;
    let (_, claims) = keywright::keys::parse_unverified(tokens.id.as_ref().unwrap()).unwrap();
    let listed = words(&metadata, "claims_supported");
    for claim in &listed {
        assert!(claims.contains_key(claim), "{claim} is not in {claims:?}");
    }
    for claim in claims.keys() {
        assert!(listed.contains(claim), "{claim} is not listed");
    }
}

/// IN-10: every listed prompt does what it says, also at a browser that is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn every_listed_prompt_prompts() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    for prompt in words(&metadata(&app).await, "prompt_values_supported") {
        let path = authorize_path("web", &[("prompt", &prompt)]);
        let journey = browser.clone().visit(&path).await;
        if prompt == "none" {
            assert!(journey.param("code").is_some());
            let journey = app.browser().visit(&path).await;
            assert_eq!(journey.param("error").as_deref(), Some("login_required"));
        } else {
            assert!(journey.stopped_at.is_none(), "{prompt} showed no page");
            assert_eq!(journey.last().status, 200);
        }
    }
}
