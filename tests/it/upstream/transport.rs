//! How upstreams are reached: over TLS that is checked, or over loopback.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use keywright::config::{self, Environment};
use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslAcceptor, SslMethod},
    x509::{X509, X509NameBuilder},
};

use super::{Witness, fails, gets_in, is_refusal_page};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, FakeUpstream},
    journey::authorize_path,
};

fn upstream(lines: &str) -> String {
    format!(
        "[[upstreams]]\nslug = \"kc\"\nname = \"K\"\nclient_id = \"c\"\n\
         client_secret = \"0123456789abcdef\"\n{lines}\n"
    )
}

/// UP-35: http is for loopback, checking certificates cannot be switched off, and an issuer is an
/// issuer.
#[test]
fn unsafe_ways_to_an_upstream_are_no_configuration() {
    let wrong = [
        ("issuer = \"http://sso.example.org\"", "upstreams.0.issuer"),
        ("issuer = \"http://127.0.0.1.evil.test\"", "upstreams.0.issuer"),
        ("issuer = \"http://10.0.0.1\"", "upstreams.0.issuer"),
        ("issuer = \"ftp://sso.example.org\"", "upstreams.0.issuer"),
        ("issuer = \"https://user:pw@sso.example.org\"", "upstreams.0.issuer"),
        ("issuer = \"https://sso.example.org/?a=b\"", "upstreams.0.issuer"),
        ("issuer = \"https://sso.example.org/#f\"", "upstreams.0.issuer"),
        ("issuer = [\"https://sso.example.org\"]", "upstreams.0.issuer"),
        ("", "upstreams.0.issuer"),
    ];
    let fine = "issuer = \"https://sso.example.org\"\n";
    let unknown = ["disable_tls_verify", "insecure_skip_verify", "verify", "link_only"];
    let unknown =
        unknown.map(|name| (format!("{fine}{name} = true"), format!("upstreams.0.{name}")));
    let algs = [
        ("id_token_algs = [\"HS256\"]", "upstreams.0.id_token_algs"),
        ("id_token_algs = [\"none\"]", "upstreams.0.id_token_algs"),
        ("slug = \"../kc\"", ""),
        ("scopes = [\"email\"]", "upstreams.0.scopes"),
        ("email_trust = \"maybe\"", "upstreams.0.email_trust"),
        ("preset = \"okto\"", "upstreams.0.preset"),
    ];
    let algs = algs.map(|(line, at)| (format!("{fine}{line}"), at.to_owned()));
    let wrong = wrong.map(|(line, at)| (line.to_owned(), at.to_owned()));
    for (lines, at) in wrong.into_iter().chain(unknown).chain(algs) {
        let read = config::parse(&upstream(&lines), &Environment::new());
        let said = read.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(&at), "{lines}: {said}");
    }
    config::parse(&upstream(fine), &Environment::new()).unwrap();
}

/// UP-35: endpoints in metadata are as safe as the issuer, or are not used.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_cannot_lead_to_plain_http_elsewhere() {
    let (app, upstream) = TestApp::with_upstream().await;
    for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        for address in
            ["http://sso.example.org/x", "http://169.254.169.254/latest", "http://10.0.0.1/"]
        {
            upstream.behave();
            upstream.misbehave(|lies| {
                lies.metadata.set(name, address);
            });
            let event = fails(&app, &upstream, "kc").await.unwrap();
            let reason = event.reason.as_deref();
            assert_eq!(reason, Some("upstream_endpoint_insecure"), "{name} {address}");
        }
    }
    upstream.behave();
    gets_in(&app, "kc").await.unwrap();
    assert_eq!(upstream.count(Endpoint::Token), 1);
}

/// A key, and a certificate for `localhost` that it has signed itself.
pub(crate) fn self_signed() -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    let names = openssl::x509::extension::SubjectAlternativeName::new()
        .dns("localhost")
        .build(&certificate.x509v3_context(None, None))
        .unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (key, certificate.build())
}

/// What accepts connections under this certificate.
pub(crate) fn acceptor(key: &PKey<Private>, certificate: &X509) -> SslAcceptor {
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    acceptor.build()
}

/// A server on a loopback port with a certificate that nobody has signed. Answers its issuer, and
/// whether it has read anything over TLS.
fn self_signed_server() -> (String, Arc<AtomicBool>) {
    let (key, certificate) = self_signed();
    let acceptor = acceptor(&key, &certificate);
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let read = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&read);
    // One connection is all that the test makes; the thread ends with the process at the latest.
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        if let Ok(mut stream) = acceptor.accept(stream) {
            let some = stream.read(&mut [0; 1]).is_ok_and(|count| count > 0);
            heard.store(some, Ordering::SeqCst);
        }
    });
    (issuer, read)
}

/// UP-35: a certificate that nobody trusts ends the connection before a word is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_has_signed_is_not_accepted() {
    let (issuer, heard) = self_signed_server();
    let text = upstream(&format!("issuer = {issuer:?}"));
    let app = TestApp::builder().config(&text).start().await;
    let witness = Witness::of(&app).await;
    let journey = app.browser().visit(&authorize_path("web", &[])).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), 503, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_unreachable"));
    assert!(event.detail.to_lowercase().contains("certificate"), "{}", event.detail);
    assert!(!heard.load(Ordering::SeqCst));
}

/// The secret goes where the provider wants it, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_secret_goes_only_to_the_token_endpoint() {
    use crate::support::fake_upstream::{CLIENT_SECRET, ClientAuth};
    for (setting, auth) in [("basic", ClientAuth::Basic), ("post", ClientAuth::Post)] {
        let upstream = FakeUpstream::start().await;
        upstream.set_client_auth(auth);
        let more = format!("client_auth = {setting:?}");
        let app = TestApp::builder().upstream("kc", &upstream, &more).start().await;
        gets_in(&app, "kc").await.unwrap();
        for request in upstream.requests() {
            let carries = request.header("authorization").is_some_and(|v| v.starts_with("Basic "))
                || request.param("client_secret") == Some(CLIENT_SECRET);
            assert_eq!(carries, request.endpoint == Endpoint::Token, "{:?}", request.endpoint);
        }
    }
}
