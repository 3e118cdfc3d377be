//! Claims under our own signature that still open nothing.

use keywright::keys::TokenType;
use serde_json::{Map, Value, json};

use super::{app_with_bob, forge::sign_as_us, opens_nothing, read, userinfo};
use crate::support::{
    app::TestApp,
    journey::{is_active, refresh},
};

fn with(claims: &Map<String, Value>, name: &str, value: Option<Value>) -> Map<String, Value> {
    let mut claims = claims.clone();
    match value {
        Some(value) => drop(claims.insert(name.to_owned(), value)),
        None => drop(claims.remove(name)),
    }
    claims
}

async fn assert_refused(
    app: &TestApp,
    claims: &Map<String, Value>,
    name: &str,
    value: Option<Value>,
) {
    let shown = format!("{name} = {value:?}");
    let token = sign_as_us(app, TokenType::Access, &with(claims, name, value));
    opens_nothing(app, &token).await.unwrap_or_else(|fault| panic!("{shown}: {fault}"));
}

/// JW-16: the issuer is ours to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_issuer_counts() {
    let (app, bob) = app_with_bob().await;
    let (_, claims) = read(&bob.access_token);
    let again = sign_as_us(&app, TokenType::Access, &claims);
    assert_eq!(userinfo(&app, &again).await.status, 200, "unchanged claims are good");
    let issuers = [
        json!("https://id.test/"),
        json!("https://ID.test"),
        json!("http://id.test"),
        json!("https://id.test:443"),
        json!("https://id.test.evil.test"),
        json!("https://id.tes"),
        json!("https://xn--d-0ia.test"),
        json!(["https://id.test"]),
        json!(""),
        json!(null),
        json!(7),
        json!(" https://id.test"),
    ];
    for issuer in issuers {
        assert_refused(&app, &claims, "iss", Some(issuer)).await;
    }
    assert_refused(&app, &claims, "iss", None).await;
}

/// JW-13, JW-14: a time that cannot be read is no time; one that is past is past.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_readable_time_ahead_counts() {
    let (app, bob) = app_with_bob().await;
    let (_, claims) = read(&bob.access_token);
    let now = app.clock.unix();
    let times = [
        json!(now),
        json!(now - 1),
        json!(now - 600),
        json!((now + 600).to_string()),
        json!(1e300),
        json!(-1),
        json!(null),
        json!([now + 600]),
        json!(true),
        json!("NaN"),
        json!({}),
    ];
    for time in times {
        assert_refused(&app, &claims, "exp", Some(time)).await;
    }
    assert_refused(&app, &claims, "exp", None).await;
}

/// JW-15, JW-17: who a token belongs to is looked up, and what is not there is not good.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_nobody_opens_nothing() {
    let (app, bob) = app_with_bob().await;
    let (_, claims) = read(&bob.access_token);
    let foreign = format!("{}.x", uuid::Uuid::now_v7());
    for jti in [json!("x.y"), json!(foreign), json!("."), json!("'--.x")] {
        assert_refused(&app, &claims, "jti", Some(jti)).await;
    }
    for client in [json!("nobody"), json!(""), json!(null), json!(["web"])] {
        assert_refused(&app, &claims, "client_id", Some(client)).await;
    }
    assert_refused(&app, &claims, "client_id", None).await;
}

/// JW-15: a token is nothing to an app that it is not meant for.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_tells_only_those_whom_a_token_concerns() {
    let (app, bob) = app_with_bob().await;
    assert!(is_active(&app, "web", &bob.access_token).await);
    for other in ["evil", "members"] {
        let told = app.post_as(other, "/introspect", &[("token", &bob.access_token)]).await;
        assert_eq!(&told.body[..], b"{\"active\":false}");
        let told = app.post_as(other, "/introspect", &[("token", &bob.refresh_token)]).await;
        assert_eq!(&told.body[..], b"{\"active\":false}");
    }
}

/// JW-14: an access token is good until its `exp`, not a second longer.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_ends_at_its_exp() {
    let (app, bob) = app_with_bob().await;
    let (_, claims) = read(&bob.access_token);
    let life = claims["exp"].as_i64().unwrap() - app.clock.unix();
    app.clock.advance(life - 1);
    assert_eq!(userinfo(&app, &bob.access_token).await.status, 200);
    app.clock.advance(1);
    opens_nothing(&app, &bob.access_token).await.unwrap();
    assert_eq!(refresh(&app, "web", &bob.refresh_token).await.status, 200);
}

/// JW-10: secrets and nothing sign no token of ours.
#[test]
fn weak_algorithms_are_no_configuration() {
    use keywright::config::{Environment, parse};
    let client = "[[clients]]\nid = \"a\"\nname = \"A\"\nsecret = \"0123456789abcdef0123\"\n\
                  redirect_uris = [\"https://a.test/cb\"]\n";
    for name in ["id_token_signing_alg", "access_token_signing_alg"] {
        for alg in ["HS256", "none", "None", "RS512", "ES512", ""] {
            let text = format!("{client}{name} = {alg:?}");
            let said = parse(&text, &Environment::new()).map(|_| ()).unwrap_err().to_string();
            assert!(said.contains(&format!("clients.0.{name}")), "{alg}: {said}");
        }
        for alg in ["RS256", "ES256", "EdDSA"] {
            parse(&format!("{client}{name} = {alg:?}"), &Environment::new()).unwrap();
        }
    }
}
