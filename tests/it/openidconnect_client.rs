//! Another code base as an app, over real sockets: the `openidconnect` crate finds us, sends a
//! person, redeems the code, verifies the ID token by itself, asks UserInfo and refreshes.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use keywright::{
    router,
    server::{self, Terms},
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, NonceVerifier,
    OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreIdTokenVerifier,
        CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
    },
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{
    app::{SECRET, TestApp},
    browser::Browser,
    clock::START,
    http::Network,
    journey::sign_in_on_page,
};

const REDIRECT_URI: &str = "https://rp.test/callback";

/// The client as the crate makes it from our metadata.
type App = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Keywright behind a socket.
struct Served {
    app: TestApp,
    issuer: String,
    // Dropping it ends the server.
    _server: JoinSet<()>,
}

async fn serve() -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let mut builder = TestApp::builder().config(&format!("[server]\nissuer = {issuer:?}"));
    for alg in ["RS256", "ES256", "EdDSA"] {
        builder = builder.config(&format!(
            "[[clients]]\nid = \"rp-{alg}\"\nname = {alg:?}\nsecret = \"rp-{alg}{SECRET}\"\n\
             redirect_uris = [{REDIRECT_URI:?}]\nid_token_signing_alg = {alg:?}"
        ));
    }
    let app = builder.start().await;
    app.add_user("bob", &["staff"]).await;
    let router = router::public(&app.app);
    let stopping = app.app.stopping.clone();
    let drain = Duration::from_secs(1);
    let terms = Terms::with(&app.app.config.connections);
    let server = JoinSet::from_iter([server::serve(listener, terms, router, stopping, drain)]);
    Served { app, issuer, _server: server }
}

/// The crate's way out: plain HTTP over TCP, without redirects.
async fn http(request: HttpRequest) -> Result<HttpResponse, Infallible> {
    let answer = Network::new().send(request.map(Bytes::from)).await;
    Ok(answer.map(|body| body.to_vec()))
}

async fn discover(issuer: &str, id: &str) -> App {
    let issuer = IssuerUrl::new(issuer.to_owned()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
    let secret = ClientSecret::new(format!("{id}{SECRET}"));
    CoreClient::from_provider_metadata(metadata, ClientId::new(id.to_owned()), Some(secret))
        .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap())
}

/// The crate's own verifier, at the time of the test.
fn verifier<'a>(
    served: &Served,
    client: &'a App,
    alg: &CoreJwsSigningAlgorithm,
) -> CoreIdTokenVerifier<'a> {
    let now = DateTime::from_timestamp(served.app.clock.unix(), 0).unwrap();
    client.id_token_verifier().set_allowed_algs([alg.clone()]).set_time_fn(move || now)
}

/// A person signs in and the client gets tokens.
async fn sign_in(served: &Served, client: &App) -> (CoreTokenResponse, Nonce) {
    let (challenge, pkce) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let scopes = ["profile", "email", "groups", "offline_access"];
    let (address, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(scopes.map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let mut browser = Browser::over_network(&served.issuer);
    browser.stop_at(REDIRECT_URI);
    let journey = browser.visit(address.as_str()).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    assert_eq!(journey.param("state").as_ref(), Some(state.secret()));
    assert_eq!(journey.param("iss").as_ref(), Some(&served.issuer));
    let code = AuthorizationCode::new(journey.param("code").unwrap());
    let exchange = client.exchange_code(code).unwrap().set_pkce_verifier(pkce);
    (exchange.request_async(&http).await.unwrap(), nonce)
}

/// The claims of the ID token, after all that the crate verifies.
fn verified(
    tokens: &CoreTokenResponse,
    verifier: &CoreIdTokenVerifier<'_>,
    nonce: impl NonceVerifier,
) -> Result<CoreIdTokenClaims, String> {
    let id_token = tokens.id_token().ok_or("no ID token")?;
    let claims = id_token.claims(verifier, nonce).map_err(|error| error.to_string())?;
    let alg = id_token.signing_alg().map_err(|error| error.to_string())?;
    let key = id_token.signing_key(verifier).map_err(|error| error.to_string())?;
    let hash = AccessTokenHash::from_token(tokens.access_token(), alg, key);
    let hash = hash.map_err(|error| error.to_string())?;
    if claims.access_token_hash() != Some(&hash) {
        return Err("at_hash differs".to_owned());
    }
    Ok(claims.clone())
}

async fn userinfo(client: &App, tokens: &CoreTokenResponse, who: &CoreIdTokenClaims) -> String {
    let subject = Some(who.subject().clone());
    let request = client.user_info(tokens.access_token().clone(), subject).unwrap();
    let claims: CoreUserInfoClaims = request.request_async(&http).await.unwrap();
    assert_eq!(claims.subject(), who.subject());
    assert_eq!(claims.email_verified(), Some(true));
    claims.email().unwrap().to_string()
}

/// The whole life of a sign-in at a client with this algorithm.
async fn whole_journey(id: &str, alg: CoreJwsSigningAlgorithm) {
    let served = serve().await;
    let client = discover(&served.issuer, id).await;
    let verifier_now = verifier(&served, &client, &alg);
    let (tokens, nonce) = sign_in(&served, &client).await;
    let claims = verified(&tokens, &verifier_now, &nonce).unwrap();
    assert_eq!(claims.issuer().as_str(), served.issuer);
    assert_eq!(claims.preferred_username().unwrap().as_str(), "bob");
    assert_eq!(claims.auth_time().unwrap().timestamp(), START);
    assert_eq!(tokens.expires_in(), Some(Duration::from_secs(900)));
    assert_eq!(userinfo(&client, &tokens, &claims).await, "bob@corp.test");

    // The verifier is not one that lets everything pass.
    let wrong = Nonce::new("another".to_owned());
    assert!(verified(&tokens, &verifier_now, &wrong).unwrap_err().contains("nonce"));
    let other = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384;
    assert!(verified(&tokens, &verifier(&served, &client, &other), &nonce).is_err());
    served.app.clock.advance(3_600);
    let late = verifier(&served, &client, &alg);
    assert!(verified(&tokens, &late, &nonce).unwrap_err().contains("expired"));

    let refresh_token = tokens.refresh_token().unwrap();
    let exchange = client.exchange_refresh_token(refresh_token).unwrap();
    let fresh = exchange.request_async(&http).await.unwrap();
    let without_nonce = |nonce: Option<&Nonce>| match nonce {
        None => Ok(()),
        Some(_) => Err("a nonce on a refresh".to_owned()),
    };
    let again = verified(&fresh, &late, without_nonce).unwrap();
    assert_eq!(again.subject(), claims.subject());
    assert_eq!(again.auth_time(), claims.auth_time());
    assert_ne!(fresh.refresh_token().unwrap().secret(), refresh_token.secret());
    assert_eq!(userinfo(&client, &fresh, &again).await, "bob@corp.test");

    // A used token after its grace: the crate sees the error of RFC 6749, and the family is over.
    served.app.clock.advance(60);
    let exchange = client.exchange_refresh_token(refresh_token).unwrap();
    let refused = exchange.request_async(&http).await.unwrap_err();
    let openidconnect::RequestTokenError::ServerResponse(refused) = refused else {
        panic!("no answer of the server: {refused:?}");
    };
    assert_eq!(refused.error().as_ref(), "invalid_grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openidconnect_crate_signs_in_with_rs256() {
    whole_journey("rp-RS256", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openidconnect_crate_signs_in_with_es256() {
    whole_journey("rp-ES256", CoreJwsSigningAlgorithm::EcdsaP256Sha256).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openidconnect_crate_signs_in_with_eddsa() {
    whole_journey("rp-EdDSA", CoreJwsSigningAlgorithm::EdDsa).await;
}

/// The crate believes only the issuer that it asked for, and that is the one without a slash.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_with_a_slash_too_many_is_not_ours() {
    let served = serve().await;
    let issuer = IssuerUrl::new(format!("{}/", served.issuer)).unwrap();
    let refused = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap_err();
    assert!(format!("{refused:?}").contains("unexpected issuer"), "{refused:?}");
}
