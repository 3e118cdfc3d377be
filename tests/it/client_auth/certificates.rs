//! Certificates behind a proxy (RFC 8705 §2, RFC 9440).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName},
    },
};
use serde_json::{Value, json};

use super::client;
use crate::support::app::{Answer, ISSUER, TestApp};

/// Somebody who certifies apps.
pub(super) struct Authority {
    key: PKey<Private>,
    own: X509,
}

/// What a certificate says.
pub(super) struct Said<'s> {
    subject: &'s [(&'s str, &'s str)],
    names: &'s [&'s str],
    days: (i64, i64),
    for_servers: bool,
}

pub(super) const APP: Said<'static> = Said {
    subject: &[("C", "DE"), ("O", "Fish, Chips"), ("CN", "app")],
    names: &["app.test"],
    days: (-1, 30),
    for_servers: false,
};

/// Noon of 1 June 2026, by the clock of the tests.
const NOW: i64 = 1_780_315_200;

fn new_key() -> PKey<Private> {
    let group = openssl::ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap()
}

fn certificate(said: &Said<'_>, key: &PKey<Private>, by: Option<&Authority>) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    for (kind, value) in said.subject {
        name.append_entry_by_text(kind, value).unwrap();
    }
    let name = name.build();
    let mut made = X509::builder().unwrap();
    made.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    made.set_serial_number(&serial).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(by.map_or(&name, |by| by.own.subject_name())).unwrap();
    made.set_pubkey(key).unwrap();
    let day = |day: i64| Asn1Time::from_unix(NOW + day * 24 * 3_600).unwrap();
    made.set_not_before(&day(said.days.0)).unwrap();
    made.set_not_after(&day(said.days.1)).unwrap();
    if !said.names.is_empty() {
        let mut names = SubjectAlternativeName::new();
        for name in said.names {
            if name.contains(':') {
                names.uri(name)
            } else {
                names.dns(name)
            };
        }
        let names = names.build(&made.x509v3_context(by.map(|by| &*by.own), None)).unwrap();
        made.append_extension(names).unwrap();
    }
    let mut usage = ExtendedKeyUsage::new();
    let usage = if said.for_servers { usage.server_auth() } else { usage.client_auth() };
    made.append_extension(usage.build().unwrap()).unwrap();
    made.sign(by.map_or(key, |by| &by.key), MessageDigest::sha256()).unwrap();
    made.build()
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = new_key();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "Authority").unwrap();
        let name = name.build();
        let mut own = X509::builder().unwrap();
        own.set_version(2).unwrap();
        own.set_subject_name(&name).unwrap();
        own.set_issuer_name(&name).unwrap();
        own.set_pubkey(&key).unwrap();
        own.set_not_before(&Asn1Time::from_unix(NOW - 24 * 3_600).unwrap()).unwrap();
        own.set_not_after(&Asn1Time::from_unix(NOW + 365 * 24 * 3_600).unwrap()).unwrap();
        own.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        own.sign(&key, MessageDigest::sha256()).unwrap();
        Self { key, own: own.build() }
    }

    pub(super) fn pem(&self) -> String {
        String::from_utf8(self.own.to_pem().unwrap()).unwrap()
    }

    pub(super) fn certify(&self, said: &Said<'_>) -> X509 {
        certificate(said, &new_key(), Some(self))
    }
}

/// As RFC 9440 has it.
pub(super) fn field(certificate: &X509) -> String {
    format!(":{}:", STANDARD.encode(certificate.to_der().unwrap()))
}

pub(super) fn server(authority: &Authority) -> String {
    format!(
        "[server]\nissuer = {ISSUER:?}\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
         client_certificate_header = \"Client-Cert\"\nclient_certificate_ca = '''{}'''\n",
        authority.pem()
    )
}

async fn shows(app: &TestApp, lines: &[&str]) -> Answer {
    let headers: Vec<_> = lines.iter().map(|line| ("client-cert", *line)).collect();
    let form = [("grant_type", "client_credentials"), ("client_id", "app")];
    app.post("/token", &form, &headers).await
}

async fn refused(app: &TestApp, lines: &[&str], why: &str) {
    let answer = shows(app, lines).await;
    answer.assert_error(401, "invalid_client");
    assert!(!String::from_utf8_lossy(&answer.body).contains("certificate"));
    let events = app.events().await;
    let event = events.last().unwrap();
    assert_eq!(event.reason.as_deref(), Some("invalid_client"));
    assert!(event.detail.contains(why), "{why:?}: {}", event.detail);
}

async fn start(authority: &Authority, lines: &str) -> TestApp {
    let lines = format!("token_endpoint_auth_method = \"tls_client_auth\"\n{lines}");
    let app =
        TestApp::builder().config(&(server(authority) + &client("app", &lines))).start().await;
    assert_eq!(app.clock.unix(), NOW);
    app
}

/// RFC 8705 §2.1: an authority of ours has certified it, under the name that was agreed upon.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_a_certificate_of_an_authority() {
    let authority = Authority::new();
    let own = authority.certify(&APP);
    for lines in [
        "tls_client_auth_subject_dn = 'CN=app,O=Fish\\, Chips,C=DE'",
        "tls_client_auth_san_dns = \"App.Test\"",
        "tls_client_auth_san_uri = \"spiffe://test/app\"",
    ] {
        let app = start(&authority, lines).await;
        let names: &[&str] = &["app.test", "spiffe://test/app"];
        let own = authority.certify(&Said { names, ..APP });
        let answer = shows(&app, &[&field(&own)]).await;
        assert_eq!(answer.status, 200, "{lines}: {answer:?}");
        for said in [
            Said { subject: &[("CN", "other")], names: &["other.test"], ..APP },
            Said { subject: &[("CN", "app")], names: &["x.app.test", "app.test.evil.test"], ..APP },
            Said { subject: &[("CN", "app.test")], names: &[], ..APP },
        ] {
            let other = authority.certify(&said);
            refused(&app, &[&field(&other)], "not that of the client").await;
        }
        assert_eq!(app.refusals("client_authentication").await.len(), 3);
    }
    // TK-05: a certificate is the only way of such a client.
    let app = start(&authority, "tls_client_auth_san_dns = \"app.test\"").await;
    for form in [
        vec![("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "x")],
        vec![("grant_type", "client_credentials"), ("client_id", "app")],
    ] {
        app.post("/token", &form, &[]).await.assert_error(401, "invalid_client");
    }
    // And it proves nobody else.
    let form =
        [("grant_type", "client_credentials"), ("client_id", "m2m"), ("client_secret", "wrong")];
    let answer = app.post("/token", &form, &[("client-cert", &field(&own))]).await;
    answer.assert_error(401, "invalid_client");
}

/// RFC 8705 §7.3: what no authority of ours has certified, or not for this, or not for now.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_nobody_we_know_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let app = start(&authority, "tls_client_auth_san_dns = \"app.test\"").await;
    let uncertified = "no authority of ours";
    for certificate in [
        stranger.certify(&APP),
        certificate(&APP, &new_key(), None),
        authority.certify(&Said { days: (-30, -1), ..APP }),
        authority.certify(&Said { days: (1, 30), ..APP }),
        authority.certify(&Said { for_servers: true, ..APP }),
    ] {
        refused(&app, &[&field(&certificate)], uncertified).await;
    }
    let own = authority.certify(&APP);
    assert_eq!(shows(&app, &[&field(&own)]).await.status, 200);
    app.clock.advance(31 * 24 * 3_600);
    refused(&app, &[&field(&own)], uncertified).await;
}

/// RFC 9440 §2.1, RFC 8705 §6.5: the forms that proxies have, and none that is ambiguous; from nobody but
/// a proxy of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_only_from_a_proxy_of_ours() {
    let authority = Authority::new();
    let lines = "token_endpoint_auth_method = \"tls_client_auth\"\n\
                 tls_client_auth_san_dns = \"app.test\"";
    let app =
        TestApp::builder().config(&(server(&authority) + &client("app", lines))).start().await;
    let own = authority.certify(&APP);
    let pem = String::from_utf8(own.to_pem().unwrap()).unwrap();
    let base64 = STANDARD.encode(own.to_der().unwrap());
    let encoded: String = pem
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let other = STANDARD.encode(Authority::new().own.to_der().unwrap());
    for line in
        [field(&own), encoded, pem.replace('\n', " "), base64.clone(), format!("{base64},{other}")]
    {
        assert_eq!(shows(&app, &[&line]).await.status, 200, "{line}");
    }
    let good = field(&own);
    let none = "no certificate came from a proxy of ours";
    let (twice, cut) = (format!("{base64},{base64}"), format!("{base64}A"));
    for line in ["", "::", ":AAAA:", "x", "%", "%zz", &cut, &twice, &base64[..40]] {
        refused(&app, &[line], none).await;
    }
    refused(&app, &[&good, &good], none).await;
    refused(&app, &[], none).await;
    let elsewhere = server(&authority).replace("10.0.0.0/8", "192.0.2.0/24");
    let app = TestApp::builder().config(&(elsewhere + &client("app", lines))).start().await;
    refused(&app, &[&good], none).await;
}

/// RFC 8705 §2.2: a certificate that the client has made itself stands in its JWKS.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_shows_the_certificate_that_it_published() {
    let authority = Authority::new();
    let own = certificate(&APP, &new_key(), None);
    let other = certificate(&APP, &new_key(), None);
    let jwk = |certificate: &X509, member: &str, value: Value| {
        let point = certificate.public_key().unwrap().ec_key().unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = openssl::bn::BigNumContext::new().unwrap();
        point.public_key().affine_coordinates(point.group(), &mut x, &mut y, &mut context).unwrap();
        let encode = |number: &BigNum| {
            use base64::engine::general_purpose::URL_SAFE_NO_PAD;
            URL_SAFE_NO_PAD.encode(number.to_vec_padded(32).unwrap())
        };
        let mut jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&x), "y": encode(&y)});
        jwk[member] = value;
        jwk
    };
    let der = own.to_der().unwrap();
    let digest = openssl::hash::hash(MessageDigest::sha256(), &der).unwrap();
    let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    for key in
        [jwk(&own, "x5c", json!([STANDARD.encode(&der)])), jwk(&own, "x5t#S256", json!(digest))]
    {
        let lines = format!(
            "token_endpoint_auth_method = \"self_signed_tls_client_auth\"\njwks = '{}'",
            json!({ "keys": [key] })
        );
        let config = server(&authority) + &client("app", &lines);
        let app = TestApp::builder().config(&config).start().await;
        assert_eq!(shows(&app, &[&field(&own)]).await.status, 200);
        for stranger in [&other, &authority.certify(&APP)] {
            refused(&app, &[&field(stranger)], "not that of the client").await;
        }
        refused(&app, &[], "no certificate").await;
    }
}
