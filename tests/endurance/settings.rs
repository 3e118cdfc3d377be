//! How a house is configured, and what its logs may not say.

use crate::{ledger::PASSWORD_MARK, wire::APPS};

/// For so long the previous refresh token gets the same answer again, in seconds.
pub(crate) const GRACE: i64 = 30;
/// Under this name a house knows the upstream, and the upstream the house.
pub(crate) const UPSTREAM: &str = "corp";

const SECRET_KEY: &str = "endurance-secret-key-0123456789abcdefghijklmnop";
const UPSTREAM_SECRET: &str = "corp-secret-of-the-endurance-run-0123456789";

/// What no log may hold: the secrets of the configuration, what passwords and tokens look like.
pub(crate) const SECRETS: [&str; 10] = [
    SECRET_KEY,
    "-secret-of-the-endurance-run",
    PASSWORD_MARK,
    "kw_ac_",
    "kw_rt_",
    "kw_se_",
    "kw_ol_",
    "kw_in_",
    "kw_pat_",
    "eyJ",
];

/// What differs between houses.
pub(crate) struct Settings<'s> {
    /// The port of the issuer.
    pub(crate) port: u16,
    pub(crate) database: &'s str,
    pub(crate) state: &'s str,
    /// How many serve it; more than one stand behind a proxy.
    pub(crate) instances: usize,
    /// The port of the upstream, if there is one.
    pub(crate) upstream: Option<u16>,
    /// How long access tokens and ID tokens are good, in seconds.
    pub(crate) token_lifetime: u32,
}

impl Settings<'_> {
    /// The file.
    pub(crate) fn toml(&self) -> String {
        let Self { port, database, state, instances, token_lifetime, .. } = self;
        let proxies = if *instances > 1 { "\"127.0.0.0/8\"" } else { "" };
        let mut text = format!(
            r#"[server]
issuer = "http://localhost:{port}"
instances = {instances}
trusted_proxies = [{proxies}]

[database]
url = "{database}"

[state]
url = "{state}"

[tokens]
refresh_grace = "{GRACE}s"
access_token_lifetime = "{token_lifetime}s"
id_token_lifetime = "{token_lifetime}s"

[keys]
publish_lead = "10s"
jwks_max_age = "10s"
{COMMON}"#
        );
        if let Some(port) = self.upstream {
            text.push_str(&format!(
                "\n[[upstreams]]\nslug = \"{UPSTREAM}\"\nname = \"Corp\"\npreset = \"oidc\"\n\
                 issuer = \"http://localhost:{port}\"\nclient_id = \"{UPSTREAM}\"\n\
                 client_secret = \"{UPSTREAM_SECRET}\"\ntimeout = \"20s\"\n"
            ));
        }
        for app in &APPS {
            let kind = if app.is_public {
                "type = \"public\"".to_owned()
            } else {
                format!("secret = \"{}\"", app.secret())
            };
            text.push_str(&format!(
                "\n[[clients]]\nid = \"{}\"\nname = \"{}\"\n{kind}\nredirect_uris = [\"{}\"]\n\
                 access_token_signing_alg = \"{}\"\nid_token_signing_alg = \"{}\"\n",
                app.id,
                app.id,
                app.callback(),
                app.algorithms.0,
                app.algorithms.1
            ));
        }
        text
    }
}

/// The file of an upstream on `port`, at which people of the house on `house` sign in.
pub(crate) fn upstream_toml(port: u16, house: u16, file: &str) -> String {
    format!(
        "[server]\nissuer = \"http://localhost:{port}\"\n\n[database]\nurl = \"sqlite:{file}\"\n{COMMON}\n\
         [[clients]]\nid = \"{UPSTREAM}\"\nname = \"The house\"\nsecret = \"{UPSTREAM_SECRET}\"\n\
         redirect_uris = [\"http://localhost:{house}/upstream/{UPSTREAM}/callback\"]\n"
    )
}

/// What all have in common: hashes that cost little, doors that are open, brakes that do not brake.
const COMMON: &str = r#"
[secrets]
secret_key = "endurance-secret-key-0123456789abcdefghijklmnop"

[sessions]
max_per_person = 1000

[passwords]
argon2_memory_kib = 64
argon2_passes = 1
min_strength = 0

[signup]
local = "open"
email = "off"

[rate_limits]
requests_per_minute = 1000000
sign_in_per_minute = 1000000
sign_up_per_hour = 1000000
recovery_per_hour = 1000000
failed_accounts_per_network = 1000000
client_failures_per_minute = 1000000
max_new_flows = 1000000
"#;
