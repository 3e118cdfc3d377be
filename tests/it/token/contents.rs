//! What tokens say, for how long, and that nobody can talk anything into them.

use keywright::config::{self, Environment};
use serde_json::{Map, Value, json};

use crate::{
    refresh::family::{Tokens, open_app, redeem_as},
    support::{
        app::{ISSUER, TestApp},
        clock::START,
        journey::{NONCE, code_by_session, code_for},
    },
};

type Object = Map<String, Value>;

fn open(token: &str) -> (Object, Object) {
    keywright::keys::parse_unverified(token).unwrap()
}

fn names(claims: &Object) -> Vec<&str> {
    claims.keys().map(String::as_str).collect()
}

fn sorted(claims: &Object) -> Vec<&str> {
    let mut names = names(claims);
    names.sort_unstable();
    names
}

/// The key ids that the JWKS publishes, with their algorithms.
async fn published(app: &TestApp) -> Vec<(String, String)> {
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    jwks["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (text(key, "kid"), text(key, "alg")))
        .collect()
}

/// TK-17: the access token is one (RFC 9068), for its audience, for its time.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_says_what_rfc_9068_asks_and_no_more() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &["staff"]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let answer = redeem_as(&app, "web", &code).await;
    assert_eq!(answer.json()["expires_in"], 900);
    assert_eq!(answer.json()["token_type"], "Bearer");
    let (header, claims) = open(&answer.text("access_token"));
    assert_eq!(sorted(&header), ["alg", "kid", "typ"]);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let kid = header["kid"].as_str().unwrap().to_owned();
    assert!(published(&app).await.contains(&(kid, "ES256".to_owned())));
    let mut expected = vec![
        "iss",
        "sub",
        "aud",
        "client_id",
        "iat",
        "exp",
        "jti",
        "scope",
        "auth_time",
        "acr",
        "sid",
        "groups",
    ];
    expected.sort_unstable();
    assert_eq!(sorted(&claims), expected);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], json!(bob.id));
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!("web"), &json!("web")));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(START), &json!(START + 900)));
    assert_eq!(claims["auth_time"], START);
    assert_eq!(claims["groups"], json!(["staff"]));
    assert_eq!(claims["scope"], "openid profile email groups offline_access");
}

/// TK-17: what the client is configured with shows in its tokens.
#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_and_audiences_are_those_of_the_client() {
    let config = r#"
[tokens]
access_token_lifetime = "5m"
id_token_lifetime = "2m"

[[clients]]
id = "api-client"
name = "Api client"
secret = "api-client-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
audience = "https://api.test/"
access_token_lifetime = "90s"
id_token_lifetime = "60s"
access_token_signing_alg = "EdDSA"
id_token_signing_alg = "ES256"
id_token_claims = "lean"
"#;
    let app = TestApp::builder().config(config).start().await;
    app.add_user("bob", &[]).await;
    let form = [("grant_type", "client_credentials")];
    let default = app.post_as("m2m", "/token", &form).await;
    assert_eq!(default.json()["expires_in"], 300);
    let (_, claims) = open(&default.text("access_token"));
    assert_eq!(claims["exp"], START + 300);

    let mut browser = app.browser();
    let web = Tokens::of(
        "web",
        &redeem_as(&app, "web", &code_for(&mut browser, "web", "bob", &[]).await).await,
    );
    assert_eq!(open(web.id.as_ref().unwrap()).1["exp"], START + 120);
    let redirect = [("redirect_uri", "https://web.test/cb")];
    let code = code_by_session(&mut browser, "api-client", &redirect).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://web.test/cb"),
        ("code_verifier", crate::support::journey::VERIFIER),
    ];
    let answer = app.post_as("api-client", "/token", &form).await;
    assert_eq!(answer.json()["expires_in"], 90);
    let (header, access) = open(&answer.text("access_token"));
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(access["aud"], "https://api.test/");
    assert_eq!(access["exp"], START + 90);
    let (header, id) = open(&answer.text("id_token"));
    assert_eq!(header["alg"], "ES256");
    assert_eq!((&id["aud"], &id["exp"]), (&json!("api-client"), &json!(START + 60)));
    // Lean: who and how, and nothing about the person.
    assert!(!id.contains_key("email") && !id.contains_key("preferred_username"));
    let bearer = format!("Bearer {}", answer.text("access_token"));
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.json()["email"], "bob@corp.test");
}

/// TK-17: the ID token is for the client alone and tells the truth about the sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_is_for_the_client_and_tells_how_the_person_signed_in() {
    let app = TestApp::start().await;
    let bob = app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    app.clock.advance(120);
    let tokens = open_app(&app, &mut browser, "evil").await;
    let (header, claims) = open(tokens.id.as_ref().unwrap());
    assert_eq!((&header["typ"], &header["alg"]), (&json!("JWT"), &json!("RS256")));
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], json!(bob.id));
    assert_eq!(claims["aud"], "evil");
    assert_eq!(claims["nonce"], NONCE);
    assert_eq!(claims["amr"], json!(["pwd"]));
    assert_eq!(claims["acr"], "sfa", "a password is one factor");
    // The sign-in was two minutes ago, and that is what it says.
    assert_eq!((&claims["auth_time"], &claims["iat"]), (&json!(START), &json!(START + 120)));
    assert_eq!(claims["sid"], open(&tokens.access).1["sid"]);
}

/// TK-17: claims come with their scopes, and `email_verified` is a boolean even when nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn claims_come_with_their_scopes_alone() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
        "name": "Alice Berg", "picture": "https://pictures.test/alice", "groups": ["staff"],
    }));
    let profile = ["name", "picture", "preferred_username", "updated_at"];
    let table: [(&str, &[&str]); 5] = [
        ("openid", &[]),
        ("openid email", &["email", "email_verified"]),
        ("openid profile", &profile),
        ("openid groups", &["groups"]),
        ("openid unknown admin", &[]),
    ];
    let personal = [&profile[..], &["email", "email_verified", "groups"]].concat();
    for (scope, expected) in table {
        let mut browser = app.browser();
        let code = code_by_session(&mut browser, "web", &[("scope", scope)]).await;
        let answer = redeem_as(&app, "web", &code).await;
        let bearer = format!("Bearer {}", answer.text("access_token"));
        let userinfo = app.get("/userinfo", Some(&bearer)).await.json();
        let id_token = open(&answer.text("id_token")).1;
        for claims in [userinfo.as_object().unwrap(), &id_token] {
            let mut told = names(claims);
            told.retain(|name| personal.contains(name));
            told.sort_unstable();
            assert_eq!(told, expected, "{scope}");
            if let Some(verified) = claims.get("email_verified") {
                assert_eq!(verified, &json!(false));
            }
        }
    }
}

/// TK-19: what an upstream calls something cannot become a claim of ours.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_an_upstream_never_pass_into_our_tokens() {
    let (app, upstream) = TestApp::with_upstream().await;
    let smuggled = [
        "roles",
        "role",
        "permissions",
        "scope",
        "client_id",
        "jti",
        "cnf",
        "act",
        "may_act",
        "entitlements",
        "realm_access",
        "urn:id:admin",
        "urn:zitadel:iam:org",
        "is_admin",
        "token_type",
        "active",
    ];
    let mut person = json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
        "email_verified": "true",
    });
    for name in smuggled {
        person[name] = json!("smuggled");
    }
    upstream.set_person(person);
    let tokens = open_app(&app, &mut app.browser(), "web").await;
    let userinfo = app.get("/userinfo", Some(&tokens.bearer())).await.json();
    let form = [("token", tokens.access.as_str())];
    let introspected = app.post_as("web", "/introspect", &form).await.json();
    let all = [
        json!(open(&tokens.access).1),
        json!(open(tokens.id.as_ref().unwrap()).1),
        userinfo,
        introspected,
    ];
    for claims in all {
        assert!(!claims.to_string().contains("smuggled"), "{claims}");
        assert_ne!(claims["sub"], "7");
        assert_eq!(claims.get("email_verified").unwrap_or(&json!(false)), &json!(false));
    }
}

/// TK-19: nor can the configuration map anything onto a claim that is ours.
#[test]
fn reserved_claims_cannot_be_mapped() {
    for name in ["iss", "sub", "aud", "exp", "email_verified", "roles", "acr", "urn:id:x"] {
        let text = format!(
            "[secrets]\nsecret_key = {:?}\n[[upstreams]]\nslug = \"kc\"\nname = \"Kc\"\n\
             issuer = \"https://kc.test\"\nclient_id = \"x\"\nclient_secret = \"y\"\n\
             claims = {{ {name:?} = [\"department\"] }}",
            crate::support::database::SECRET_KEY
        );
        let problems = config::parse(&text, &Environment::new()).unwrap_err().to_string();
        assert!(problems.contains("upstreams.0.claims"), "{name}: {problems}");
    }
}

/// TK-18: whoever comes with another subject is another person, whatever else is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_subject_with_an_old_name_and_address_is_a_new_person() {
    let (app, upstream) = TestApp::with_upstream().await;
    let person = |sub: &str| {
        json!({ "sub": sub, "preferred_username": "alice", "email": "alice@corp.test",
                "email_verified": true })
    };
    upstream.set_person(person("7"));
    let old = open_app(&app, &mut app.browser(), "web").await;
    upstream.set_person(person("8"));
    let new = open_app(&app, &mut app.browser(), "web").await;
    let subject = |tokens: &Tokens| open(&tokens.access).1["sub"].clone();
    assert_ne!(subject(&old), subject(&new));
    assert_eq!(app.count("users").await, 2);
    upstream.set_person(person("7"));
    let again = open_app(&app, &mut app.browser(), "web").await;
    assert_eq!(subject(&again), subject(&old));
}
