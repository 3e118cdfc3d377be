//! What is advertised about proving who one is: what works, and nothing else (RFC 8414 §2).

use serde_json::{Value, json};

use crate::support::app::{ISSUER, TestApp};

const PLACES: [&str; 3] = ["token", "introspection", "revocation"];

async fn methods(server: &str) -> Value {
    let server = format!("[server]\nissuer = {ISSUER:?}\n{server}");
    let app = TestApp::builder().config(&server).start().await;
    app.get("/.well-known/openid-configuration", None).await.json()
}

/// IN-10: methods by certificate stand there only where a proxy passes certificates on, and the one that
/// needs an authority only where there is one. Who proves nothing may not introspect.
#[tokio::test(flavor = "multi_thread")]
async fn methods_are_listed_where_they_work() {
    let usual =
        ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"];
    let proxy = "trusted_proxies = [\"10.0.0.0/8\"]\nclient_certificate_header = \"Client-Cert\"\n";
    let authority = super::certificates::Authority::new();
    let both = format!("{proxy}client_certificate_ca = '''{}'''", authority.pem());
    for (server, more) in [
        ("", vec![]),
        (proxy, vec!["self_signed_tls_client_auth"]),
        (&*both, vec!["tls_client_auth", "self_signed_tls_client_auth"]),
    ] {
        let metadata = methods(server).await;
        for place in PLACES {
            let none = if place == "introspection" { vec![] } else { vec!["none"] };
            let expected = [&usual[..], &more, &none].concat();
            let name = format!("{place}_endpoint_auth_methods_supported");
            assert_eq!(metadata[&name], json!(expected), "{name}");
            let name = format!("{place}_endpoint_auth_signing_alg_values_supported");
            let algorithms = metadata[&name].as_array().unwrap();
            assert!(!algorithms.contains(&json!("none")), "{name} (RFC 8414 §2)");
            assert_eq!(algorithms.len(), 12, "{name}");
        }
    }
}
