//! TLS of our own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use keywright::{
    config::{self, Environment},
    server::{Certificates, Terms, keep_fresh},
};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode, SslVersion},
    x509::{X509, X509NameBuilder},
};

use crate::support::{app::TestApp, server::Server};

/// Writes a certificate with this number, and its key.
fn write_pair(folder: &Path, number: u32, days: u32) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(number).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(days).unwrap()).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    fs::write(folder.join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    fs::write(folder.join("certificate.pem"), builder.build().to_pem().unwrap()).unwrap();
}

fn settings(folder: &Path) -> String {
    format!(
        "[server]\nissuer = \"https://id.test\"\ntls_certificate_file = '{}'\ntls_key_file = '{}'",
        folder.join("certificate.pem").display(),
        folder.join("key.pem").display()
    )
}

/// A client of one version of TLS, which speaks these protocols.
#[derive(Clone, Copy)]
struct Client {
    version: SslVersion,
    suites: &'static str,
    protocols: &'static [u8],
}

const MODERN: Client =
    Client { version: SslVersion::TLS1_3, suites: "DEFAULT", protocols: b"\x08http/1.1" };

impl Client {
    fn connect(self, address: SocketAddr) -> Option<SslStream<TcpStream>> {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_min_proto_version(Some(self.version)).unwrap();
        builder.set_max_proto_version(Some(self.version)).unwrap();
        // So that it is the server that refuses what is weak.
        builder.set_cipher_list(&format!("{}:@SECLEVEL=0", self.suites)).unwrap();
        builder.set_alpn_protos(self.protocols).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let configured = builder.build().configure().unwrap().verify_hostname(false);
        configured.connect("localhost", stream).ok()
    }

    async fn number(self, address: SocketAddr) -> Option<String> {
        let connected = tokio::task::spawn_blocking(move || self.connect(address)).await.unwrap();
        let certificate = connected?.ssl().peer_certificate().unwrap();
        let number = certificate.serial_number().to_bn().unwrap();
        Some(number.to_dec_str().unwrap().to_string())
    }
}

fn ask(stream: &mut SslStream<TcpStream>) -> String {
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: id.test\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = [0; 16_384];
    let read = stream.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

async fn serve(folder: &Path) -> (TestApp, Server, Arc<Certificates>) {
    let app = TestApp::builder().config(&settings(folder)).start().await;
    let certificates = Certificates::open(&app.app.config.server).unwrap().unwrap();
    let terms = Terms::of(&app.app.config, Some(Arc::clone(&certificates)));
    let server = Server::start_on(&app, terms).await;
    (app, server, certificates)
}

/// HT-13: TLS 1.2 and 1.3 and nothing older, no weak suite, HTTP/2 where the client has it; plain text
/// is not answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoken_is_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), 1, 90);
    let (_app, server, _) = serve(folder.path()).await;
    let address = server.address;
    let connect = async |client: Client| {
        tokio::task::spawn_blocking(move || client.connect(address)).await.unwrap()
    };
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let mut stream = connect(Client { version, ..MODERN }).await.expect("TLS of today");
        let answer = tokio::task::spawn_blocking(move || ask(&mut stream)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        assert!(connect(Client { version, ..MODERN }).await.is_none(), "{version:?}");
    }
    let old = Client { version: SslVersion::TLS1_2, ..MODERN };
    for suites in
        ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-SHA:AES256-GCM-SHA384"]
    {
        assert!(connect(Client { suites, ..old }).await.is_none(), "{suites}");
    }
    let good = Client { suites: "ECDHE-ECDSA-AES128-GCM-SHA256", ..old };
    assert!(connect(good).await.is_some(), "the client's own doing");
    let both = Client { protocols: b"\x02h2\x08http/1.1", ..MODERN };
    let chosen = connect(both).await.unwrap().ssl().selected_alpn_protocol().map(<[u8]>::to_vec);
    assert_eq!(chosen.as_deref(), Some(b"h2".as_slice()));

    let plain = server.say("GET / HTTP/1.1\r\nhost: id.test\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1"), "{plain:?}");
    server.stopping.cancel();
}

/// FT-62: renewed files are shown without a restart, what cannot be used changes nothing, and whoever is
/// connected notices nothing of either.
#[tokio::test(flavor = "multi_thread")]
async fn renewed_files_are_shown_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), 1, 90);
    let (app, server, certificates) = serve(folder.path()).await;
    let address = server.address;
    let fresh = tokio::spawn(keep_fresh(app.app.clone(), Arc::clone(&certificates)));
    let early = tokio::task::spawn_blocking(move || {
        let mut early = MODERN.connect(address).unwrap();
        ask(&mut early);
        early
    });
    let mut early = early.await.unwrap();
    assert_eq!(MODERN.number(address).await.as_deref(), Some("1"));
    let first = certificates.ends_at();

    // Half of a change: the key is another certificate's.
    let elsewhere = tempfile::tempdir().unwrap();
    write_pair(elsewhere.path(), 2, 180);
    let copy = |name| fs::copy(elsewhere.path().join(name), folder.path().join(name)).unwrap();
    copy("key.pem");
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(MODERN.number(address).await.as_deref(), Some("1"), "the pair that works goes on");
    assert_eq!(certificates.ends_at(), first);
    copy("certificate.pem");
    for _ in 0..300 {
        if certificates.ends_at() != first {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(MODERN.number(address).await.as_deref(), Some("2"));
    let answer = tokio::task::spawn_blocking(move || ask(&mut early)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let ends = certificates.ends_at().unix();
    let line = format!("keywright_tls_certificate_expires_seconds{{listener=\"public\"}} {ends}");
    for _ in 0..100 {
        if app.app.metrics.render().unwrap().contains(&line) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(app.app.metrics.render().unwrap().contains(&line), "{line}");
    app.app.stopping.cancel();
    fresh.await.unwrap();
    server.stopping.cancel();
}

/// What is wrong with the files is said at the start, with the setting and the file.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_named() {
    keywright::app::install_tls_provider();
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), 1, 90);
    let open = || {
        let text = format!(
            "{}\n[secrets]\nsecret_key = \"0123456789abcdef-of-the-tests-0123\"",
            settings(folder.path())
        );
        let config = config::parse(&text, &Environment::new()).unwrap();
        Certificates::open(&config.server).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(open(), Ok(()));
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let good = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    let other = tempfile::tempdir().unwrap();
    write_pair(other.path(), 2, 90);
    let foreign = fs::read(other.path().join("key.pem")).unwrap();
    let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    for (texts, setting, what) in [
        ((good.1.clone(), good.1.clone()), "tls_certificate_file", "no certificates"),
        ((damaged, good.1.clone()), "tls_certificate_file", "damaged"),
        ((good.0.clone(), good.0.clone()), "tls_key_file", "no private key"),
        ((good.0.clone(), foreign), "tls_key_file", "not the certificate's key"),
    ] {
        fs::write(&certificate, texts.0).unwrap();
        fs::write(&key, texts.1).unwrap();
        let said = open().unwrap_err();
        assert!(said.contains(&format!("server.{setting}")) && said.contains(what), "{said}");
        assert!(said.contains(".pem") && !said.contains("BEGIN"), "{said}");
    }
    fs::remove_file(&key).unwrap();
    let said = open().unwrap_err();
    assert!(said.contains("server.tls_key_file") && said.contains("key.pem"), "{said}");
}

#[test]
fn certificate_and_key_belong_together() {
    let parse = |text: &str| config::parse(text, &Environment::new()).unwrap_err().to_string();
    let said = parse("[server]\ntls_certificate_file = \"x\"");
    assert!(said.contains("server.tls_key_file"), "{said}");
    assert!(said.contains("server.issuer"), "it is http: {said}");
    let said = parse("[server]\ntls_key_file = \"x\"");
    assert!(said.contains("server.tls_certificate_file"), "{said}");
}
