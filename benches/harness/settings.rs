//! The configuration under which Keywright is measured, and the clients in it.

use std::fmt::Write as _;

/// The secret of every client here.
pub(crate) const SECRET: &str = "bench-secret-0123456789abcdefghijklmnopqrstuvwxyz";
/// Where apps are sent back to; nothing listens there.
pub(crate) const CALLBACK: &str = "http://localhost:1/cb";
/// [`CALLBACK`] inside a query.
pub(crate) const CALLBACK_ENCODED: &str = "http%3A%2F%2Flocalhost%3A1%2Fcb";
/// The PKCE verifier of every flow: no server sees it before the exchange, so one is enough.
pub(crate) const VERIFIER: &str = "harness-verifier-0123456789-0123456789-0123456789";

/// An app with refresh tokens. Its ID tokens are ES256, because the code-exchange ceiling is two
/// ES256 signatures: with RS256 the signature would drown everything that is ours.
pub(crate) const WEB: &str = "bench-web";
/// An app as it comes: default algorithms, no refresh token.
pub(crate) const APP: &str = "bench-app";
/// The same with ES256 ID tokens.
pub(crate) const APP_ES256: &str = "bench-app-es256";
/// The resource server that introspects.
pub(crate) const API: &str = "bench-api";

/// What every server is called at the stub upstream.
pub(crate) const UPSTREAM_CLIENT: &str = "keywright";

/// What differs between one measured server and another.
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) management_port: u16,
    pub(crate) database: String,
    pub(crate) state: String,
    pub(crate) upstream_port: u16,
    /// Whether who comes over loopback says in `X-Forwarded-For` where they come from.
    pub(crate) is_proxied: bool,
}

impl Settings {
    /// The file, as an administrator would write it.
    pub(crate) fn toml(&self) -> String {
        let mut file = self.server();
        for (suffix, algorithm) in [("es256", "ES256"), ("eddsa", "EdDSA"), ("rs256", "RS256")] {
            // Writing to a string cannot fail.
            let _ = write!(
                file,
                r#"
[[clients]]
id = "bench-{suffix}"
name = "Bench {algorithm}"
secret = "{SECRET}"
type = "confidential"
grant_types = ["client_credentials"]
access_token_signing_alg = "{algorithm}"
"#
            );
        }
        file.push_str(&apps());
        file
    }

    fn server(&self) -> String {
        let Self { port, management_port, database, state, upstream_port, is_proxied } = self;
        let proxies = if *is_proxied { "\"127.0.0.0/8\"" } else { "" };
        format!(
            r#"[server]
issuer = "http://localhost:{port}"
listen = "127.0.0.1:{port}"
management_listen = "127.0.0.1:{management_port}"
trusted_proxies = [{proxies}]

[database]
url = "{database}"

[state]
url = "{state}"

[secrets]
secret_key = "harness-secret-key-0123456789abcdefghijklmnop"

[signup]
federated = "open"

[rate_limits]
requests_per_minute = 10000000
max_new_flows = 1000000000
sign_in_per_minute = 1000000000

[[upstreams]]
slug = "stub"
name = "Stub"
preset = "oidc"
issuer = "http://127.0.0.1:{upstream_port}"
client_id = "{UPSTREAM_CLIENT}"
client_secret = "{SECRET}"
scopes = ["openid", "profile", "email"]
"#
        )
    }
}

fn apps() -> String {
    format!(
        r#"
[[clients]]
id = "{WEB}"
name = "Bench web"
secret = "{SECRET}"
type = "confidential"
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code", "refresh_token"]
scopes = ["openid", "profile", "email", "offline_access"]
id_token_signing_alg = "ES256"
audience = "{API}"

[[clients]]
id = "{APP}"
name = "Bench app"
secret = "{SECRET}"
type = "confidential"
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code"]
scopes = ["openid", "profile", "email"]

[[clients]]
id = "{APP_ES256}"
name = "Bench app ES256"
secret = "{SECRET}"
type = "confidential"
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code"]
scopes = ["openid", "profile", "email"]
id_token_signing_alg = "ES256"

[[clients]]
id = "{API}"
name = "Bench API"
secret = "{SECRET}"
type = "confidential"
grant_types = ["client_credentials"]
"#
    )
}
