//! Providers inside: certificates of one's own, and addresses that only servers reach.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use openssl::ssl::{SslAcceptor, SslStream};
use serde_json::json;
use url::Url;

use super::{
    Witness, claims_for_app, gets_in, is_refusal_page, start_at,
    transport::{acceptor, self_signed},
};
use crate::support::{
    app::TestApp,
    fake_upstream::{CLIENT_SECRET, Endpoint, FakeUpstream},
    journey::authorize_path,
};

/// Speaks TLS on a loopback port and passes requests on to a plain one, one for each connection.
/// Answers the port.
fn tls_in_front_of(plain: &str, acceptor: SslAcceptor) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = plain.trim_start_matches("http://").to_owned();
    let acceptor = Arc::new(acceptor);
    // The threads end with the process at the latest.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (acceptor, plain) = (Arc::clone(&acceptor), plain.clone());
            std::thread::spawn(move || {
                if let Ok(stream) = acceptor.accept(stream) {
                    pass_on(stream, &plain);
                }
            });
        }
    });
    port
}

fn pass_on(mut client: SslStream<TcpStream>, plain: &str) {
    let mut request = Vec::new();
    let mut piece = [0; 4_096];
    while !is_whole(&request) {
        match client.read(&mut piece) {
            Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut server = TcpStream::connect(plain).unwrap();
    server.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    let _ = client.write_all(&answer);
    let _ = client.shutdown();
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

/// UP-35: a provider under a certificate of one's own is reached when that is trusted for it; under
/// another certificate or another name it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_trusted_for_its_upstream_only() {
    let (key, certificate) = self_signed();
    let upstream = FakeUpstream::start().await;
    let port = tls_in_front_of(&upstream.origin(), acceptor(&key, &certificate));
    let plain = upstream.stand_behind(&format!("https://localhost:{port}"));
    upstream.misbehave(|lies| {
        // The browser of the tests speaks no TLS.
        lies.metadata.set("authorization_endpoint", format!("{plain}/authorize"));
    });
    let folder = tempfile::tempdir().unwrap();
    let trust = |name: &str, pem: Vec<u8>| {
        let file = folder.path().join(name);
        std::fs::write(&file, pem).unwrap();
        format!("ca_file = {file:?}")
    };
    let right = trust("right.pem", certificate.to_pem().unwrap());
    let app = TestApp::builder().upstream("kc", &upstream, &right).start().await;
    gets_in(&app, "kc").await.unwrap();

    let other = trust("other.pem", self_signed().1.to_pem().unwrap());
    for (lines, issuer) in [
        (other.as_str(), upstream.issuer()),
        ("", upstream.issuer()),
        (right.as_str(), format!("https://127.0.0.1:{port}")),
    ] {
        let lines = format!("issuer = {issuer:?}\nclient_secret = {CLIENT_SECRET:?}\n{lines}");
        let app = TestApp::builder().preset("kc", &upstream, &lines).start().await;
        let witness = Witness::of(&app).await;
        let journey = app.browser().visit(&authorize_path("web", &[])).await;
        let event = witness.only_refusal().await.unwrap();
        is_refusal_page(journey.last(), 503, &event).unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_unreachable"), "{lines}");
    }
}

/// Our own requests go inside, under the public name; people, issuer and account know the public
/// address only.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_ours_go_inside_and_people_outside() {
    let upstream = FakeUpstream::start().await;
    let inside = upstream.stand_behind("https://sso.corp.test:8443");
    upstream.set_person(json!({"sub": "7", "preferred_username": "seven"}));
    let app = TestApp::builder()
        .upstream("kc", &upstream, &format!("internal_url = {inside:?}"))
        .start()
        .await;
    let mut browser = app.browser();
    browser.stop_at("https://sso.corp.test:8443/");
    let page = start_at(&mut browser, "kc").await;
    let outside = browser.follow(page).await.landing().clone();
    let mut reached = Url::parse(&inside).unwrap();
    reached.set_path(outside.path());
    reached.set_query(outside.query());
    let page = browser.get(reached.as_str()).await;
    let journey = browser.follow(page).await;
    assert_eq!(claims_for_app(&app, &journey).await["preferred_username"], "seven");
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token, Endpoint::Userinfo] {
        let requests = upstream.requests_to(endpoint);
        assert_eq!(requests.len(), 1, "{endpoint:?}");
        assert_eq!(requests[0].header("host"), Some("sso.corp.test:8443"), "{endpoint:?}");
    }
    let mut connection = app.app.connection().await.unwrap();
    let known =
        keywright::store::identities::find(&mut connection, "https://sso.corp.test:8443", "7");
    assert!(known.await.unwrap().is_some());
}

/// SF-07: what lies at another host than the issuer's is asked there, and not inside.
#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_not_turned_inside() {
    let (inside, elsewhere) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let own = inside.stand_behind("https://sso.corp.test");
    let token_endpoint =
        elsewhere.url(Endpoint::Token).replace("http://127.0.0.1", "https://localhost");
    inside.misbehave(|lies| {
        lies.metadata.set("authorization_endpoint", "https://sso.corp.test/authorize");
        lies.metadata.set("token_endpoint", token_endpoint);
    });
    let app = TestApp::builder()
        .upstream("kc", &inside, &format!("internal_url = {own:?}"))
        .start()
        .await;
    let mut browser = app.browser();
    browser.stop_at("https://sso.corp.test/");
    let page = start_at(&mut browser, "kc").await;
    let outside = browser.follow(page).await.landing().clone();
    let mut reached = Url::parse(&own).unwrap();
    reached.set_path(outside.path());
    reached.set_query(outside.query());
    let page = browser.get(reached.as_str()).await;
    let witness = Witness::of(&app).await;
    let journey = browser.follow(page).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), 400, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_unreachable"));
    assert_eq!(inside.count(Endpoint::Token), 0);
}

/// A file that holds no certificate is a problem of the configuration.
#[test]
fn a_ca_file_without_a_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "-----BEGIN PRIVATE KEY-----").unwrap();
    let text = format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"K\"\nissuer = \"https://kc.test\"\n\
         client_id = \"c\"\nclient_secret = \"s\"\nca_file = {file:?}"
    );
    let read = keywright::config::parse(&text, &keywright::config::Environment::new());
    let said = read.map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("upstreams.0.ca: must hold certificates"), "{said}");
}
