//! `[[clients]]`: the apps that sign people in through Keywright.

use std::collections::HashSet;

use url::Url;

use super::{
    client_claims::{self, ClientClaim},
    client_keys::{self, AssertionAudience, JwksText, PreviousSecret},
    problems::Problems,
    sections::ServerSettings,
    upstreams::{LOCAL, UpstreamSettings, is_staleness},
    values::word_setting,
};
use crate::{
    foundation::{
        clock::Span,
        ids::{ClientId, UpstreamSlug},
        secret::Secret,
    },
    protocol::{
        acr::Level,
        jwa::SigningAlgorithm,
        redirect_uri::{is_loopback, registration_fault},
        scope::{self, Scope},
        words::{AuthMethod, GrantType, ResponseMode},
    },
};

text_enum! {
    /// What a client can keep to itself (RFC 6749 §2.1).
    ClientType {
        /// It has a secret.
        Confidential = "confidential",
        /// It runs in a browser and cannot have a secret.
        Public = "public",
        /// It runs on a person's device, cannot have a secret, and listens on any loopback port
        /// (RFC 8252 §7.3).
        Native = "native",
    }
}

text_enum! {
    /// Whether a confidential client must use PKCE.
    PkcePolicy {
        /// Always.
        Required = "required",
        /// Not at first; once it has used it, always.
        Ratchet = "ratchet",
    }
}

text_enum! {
    /// Where the claims about a person are put.
    ClaimPlacement {
        /// Into the ID token and UserInfo: what most apps rely on.
        Full = "full",
        /// Into UserInfo only (OIDC Core §5.4).
        Lean = "lean",
    }
}
text_enum! {
    /// When people are asked whether an app may know and do what it asks for.
    ConsentPolicy {
        /// Never: the administrator has agreed for everybody.
        Never = "never",
        /// The first time, and whenever it asks for more.
        Once = "once",
    }
}
word_setting!(
    ConsentPolicy,
    ClientType,
    PkcePolicy,
    ClaimPlacement,
    GrantType,
    ResponseMode,
    SigningAlgorithm
);

section! {
    /// One app that signs people in through Keywright.
    pub struct ClientSettings {
        /// Its `client_id`.
        id: ClientId,
        /// What people know it as.
        name: String,
        /// What it can keep to itself.
        r#type: ClientType = ClientType::Confidential,
        /// Its secret, unless it is public or native or proves itself in a way that needs none.
        secret: Option<Secret>,
        /// Secrets that it had before and that still count, so that it can be given a new one without
        /// being down. The log and the audit trail tell when one is still in use.
        previous_secrets: Vec<PreviousSecret> = Vec::new(),
        /// How it proves who it is. Without this a client with a secret sends it, in the header or in
        /// the form; whatever is named here is then the only way, but for those two, which are one.
        token_endpoint_auth_method: Option<AuthMethod>,
        /// The only algorithm of its assertions: RS256 to RS512, PS256 to PS512, ES256, ES384 or `EdDSA`
        /// with `private_key_jwt`, HS256 to HS512 with `client_secret_jwt`. Without this any of them.
        token_endpoint_auth_signing_alg: Option<String>,
        /// What its assertions may name as their audience (`aud`).
        assertion_audience: AssertionAudience = AssertionAudience::Endpoints,
        /// Its public keys, as a JWKS (RFC 7517 §5).
        jwks: Option<JwksText>,
        /// Where it publishes them: `https`, or `http` at a loopback address.
        jwks_uri: Option<Url>,
        /// With `tls_client_auth`: the subject of its certificate, such as "CN=app,O=Example"
        /// (RFC 4514).
        tls_client_auth_subject_dn: Option<String>,
        /// The same: a DNS name that its certificate has.
        tls_client_auth_san_dns: Option<String>,
        /// The same: a URI that its certificate has.
        tls_client_auth_san_uri: Option<String>,
        /// Where people may be sent back to; compared byte for byte.
        redirect_uris: Vec<String> = Vec::new(),
        /// Where people may be sent after signing out; compared byte for byte.
        post_logout_redirect_uris: Vec<String> = Vec::new(),
        /// Where it is told, server to server, that a session has ended (OIDC Back-Channel Logout
        /// §2.2): `https`, or `http` to a loopback address.
        backchannel_logout_uri: Option<Url>,
        /// What it may do at the token endpoint.
        grant_types: Vec<GrantType> = vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
        /// How it may ask for its answer.
        response_modes: Vec<ResponseMode> = vec![ResponseMode::Query, ResponseMode::FormPost],
        /// The scopes that it may have.
        scopes: Vec<String> = scope::KNOWN.iter().map(|word| (*word).to_owned()).collect(),
        /// The service account that it is by `client_credentials`; otherwise it is itself.
        service_account: Option<String>,
        /// Who its access tokens are for (`aud`), when it is not itself.
        audience: Option<String>,
        /// Whether it must use PKCE. Public and native clients always must.
        pkce: PkcePolicy = PkcePolicy::Required,
        /// Only members of one of these groups may enter; empty means everybody.
        allowed_groups: Vec<String> = Vec::new(),
        /// The upstreams by which people may come, by slug; "local" stands for accounts of our own.
        /// Empty means all. One alone is where everybody is sent.
        allowed_upstreams: Vec<UpstreamSlug> = Vec::new(),
        /// The upstream to which people are sent without being asked how they want to sign in,
        /// except after signing out. Whoever is signed in already goes straight on.
        preferred_upstream: Option<UpstreamSlug>,
        /// The least level at which people must have signed in. An app can ask for more with
        /// `acr_values`.
        require_acr: Option<Level>,
        /// Whether its tokens are always bound to a key that it proves to hold (`DPoP`). Without this they
        /// are when it shows such a proof.
        dpop_bound_access_tokens: bool = false,
        /// Whether its access tokens are bound to the certificate that it shows (RFC 8705 §3).
        tls_client_certificate_bound_access_tokens: bool = false,
        /// How long its access tokens are good; `tokens.access_token_lifetime` otherwise.
        access_token_lifetime: Option<Span>,
        /// How long its ID tokens are good; `tokens.id_token_lifetime` otherwise.
        id_token_lifetime: Option<Span>,
        /// What its access tokens are signed with.
        access_token_signing_alg: SigningAlgorithm = SigningAlgorithm::Es256,
        /// What its ID tokens are signed with.
        id_token_signing_alg: SigningAlgorithm = SigningAlgorithm::Rs256,
        /// What answers to its authorization requests are signed with, where it asks for a response
        /// mode that ends in `.jwt` (JARM).
        authorization_signed_response_alg: SigningAlgorithm = SigningAlgorithm::Rs256,
        /// Whether it has to push its authorization requests (RFC 9126 §6), so that nothing of them goes
        /// through the browser.
        require_pushed_authorization_requests: bool = false,
        /// When people are asked whether it may know and do what it asks for. It can have them asked
        /// each time with `prompt=consent` (OIDC Core §3.1.2.4).
        consent: ConsentPolicy = ConsentPolicy::Never,
        /// Where the claims about a person are put.
        id_token_claims: ClaimPlacement = ClaimPlacement::Full,
        /// Claims that it gets beyond those of its scopes, in the ID token and UserInfo.
        claims: Vec<ClientClaim> = Vec::new(),
        /// For how long the word of the upstream that signed a person in counts for this app, when
        /// that is shorter than the upstream's own `max_staleness`.
        max_staleness: Option<Span>,
        /// Whether it may draw its own forms and sign people in by the JSON API
        /// (docs/api.md). Such an app sees people's passwords, and can offer neither passkeys nor the
        /// upstreams: the code flow is better wherever it is possible. This is for an app of one's own
        /// that signs people in by itself today, and cannot show our pages yet.
        api: bool = false,
        /// Whether its refresh tokens are kept from its pages: it gets its tokens at `/session/token`,
        /// and the refresh token is a cookie between the browser and Keywright. For a public client that
        /// runs in a browser, on the same site as Keywright.
        session_token: bool = false,
        /// Whether its refresh tokens outlive the person's sign-out.
        offline_after_logout: bool = false,
        /// Whether it can be used at all.
        enabled: bool = true,
    }
}

impl ClientSettings {
    /// Whether it cannot prove who it is.
    pub fn is_public(&self) -> bool {
        self.r#type != ClientType::Confidential
    }

    fn has(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }
}

pub(super) fn check(
    clients: &[ClientSettings],
    upstreams: &[UpstreamSettings],
    server: &ServerSettings,
    problems: &mut Problems,
) {
    let mut seen = HashSet::new();
    for (index, client) in clients.iter().enumerate() {
        let at = |name: &str| format!("clients.{index}.{name}");
        if !seen.insert(&client.id) {
            problems.add(&at("id"), &client.id, "is used twice; choose another");
        }
        check_id(client.id.as_str(), &at("id"), problems);
        client_keys::check(client, server, &at, problems);
        check_addresses(client, &at, problems);
        check_grants(client, &at, problems);
        check_session_token(client, &at("session_token"), problems);
        check_lifetimes(client, &at, problems);
        check_upstreams(client, upstreams, &at, problems);
        client_claims::check(client, &at, problems);
    }
}

fn check_id(id: &str, at: &str, problems: &mut Problems) {
    let fits = |byte: u8| byte.is_ascii_graphic() && !br#""\:"#.contains(&byte);
    if id.is_empty() || id.len() > 255 || !id.bytes().all(fits) {
        let fix =
            "must be 1 to 255 printable ASCII characters without space, quote, colon, backslash";
        problems.add(at, format!("{id:?}"), fix);
    }
    // A client acting for itself is its own `sub`; a person's is a UUID (RFC 9700 §4.15).
    if uuid::Uuid::parse_str(id).is_ok() {
        problems.add(at, id, "must not be a UUID: those name people");
    }
}

fn check_addresses(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let lists = [
        ("redirect_uris", &client.redirect_uris),
        ("post_logout_redirect_uris", &client.post_logout_redirect_uris),
    ];
    for (name, addresses) in lists {
        for address in addresses {
            if let Some(fault) = registration_fault(address) {
                problems.add(&at(name), format!("{address:?}"), fault);
            }
        }
    }
    if let Some(uri) = &client.backchannel_logout_uri {
        check_backchannel(uri, &at("backchannel_logout_uri"), problems);
    }
    if client.has(GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        problems.add_bare(&at("redirect_uris"), "must name at least one address");
    }
}

/// The address is ours to call (SF-05): nothing that could lead a request astray.
fn check_backchannel(uri: &Url, at: &str, problems: &mut Problems) {
    if !uri.username().is_empty() || uri.password().is_some() {
        problems.add_bare(at, "must not hold a user name or password");
        return;
    }
    let secure = uri.scheme() == "https" || (uri.scheme() == "http" && is_loopback(uri));
    if !secure {
        problems.add(at, uri, "must begin with https:// (http is for loopback only)");
    }
    if uri.fragment().is_some() {
        problems.add(at, uri, "must not have a fragment (OIDC Back-Channel Logout §2.2)");
    }
}

fn check_grants(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    if client.grant_types.is_empty() {
        problems.add_bare(&at("grant_types"), "must name at least one grant type");
    }
    if client.response_modes.is_empty() {
        problems.add_bare(&at("response_modes"), "must name at least one response mode");
    }
    if client.is_public() && client.has(GrantType::ClientCredentials) {
        let fix = "\"client_credentials\" needs a confidential client (RFC 6749 §4.4)";
        problems.add_bare(&at("grant_types"), fix);
    }
    if let Some(name) = &client.service_account
        && !client.has(GrantType::ClientCredentials)
    {
        let fix = "is of use with \"client_credentials\" among grant_types only";
        problems.add(&at("service_account"), format!("{name:?}"), fix);
    }
    for word in &client.scopes {
        if Scope::parse(word).is_none_or(|scope| scope.iter().count() != 1) {
            problems.add(&at("scopes"), format!("{word:?}"), "is not one scope (RFC 6749 §3.3)");
        }
    }
    if client.audience.as_ref().is_some_and(String::is_empty) {
        problems.add_bare(&at("audience"), "must not be empty; leave it out instead");
    }
}

/// The cookie is for pages: an app that has a secret, or a device to itself, keeps its own tokens.
fn check_session_token(client: &ClientSettings, at: &str, problems: &mut Problems) {
    if !client.session_token {
        return;
    }
    if client.r#type != ClientType::Public {
        problems.add(
            at,
            true,
            "is for clients of type = \"public\"; leave it out, or set the type",
        );
    }
    if !client.has(GrantType::RefreshToken) || !client.has(GrantType::AuthorizationCode) {
        let fix = "needs \"authorization_code\" and \"refresh_token\" among grant_types";
        problems.add(at, true, fix);
    }
}

/// What it names has to be there: a name that is mistyped must not shut everybody out, or let
/// everybody in.
fn check_upstreams(
    client: &ClientSettings,
    upstreams: &[UpstreamSettings],
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    let known = |slug: &UpstreamSlug| upstreams.iter().any(|upstream| upstream.slug == *slug);
    let allowed = &client.allowed_upstreams;
    for slug in allowed.iter().filter(|slug| slug.as_str() != LOCAL && !known(slug)) {
        let fix = "is the slug of no upstream (\"local\" stands for accounts of our own)";
        problems.add(&at("allowed_upstreams"), format!("{:?}", slug.as_str()), fix);
    }
    if let Some(slug) = &client.preferred_upstream {
        let at = at("preferred_upstream");
        if !known(slug) {
            problems.add(&at, format!("{:?}", slug.as_str()), "is the slug of no upstream");
        } else if !allowed.is_empty() && !allowed.contains(slug) {
            let fix = "is not among allowed_upstreams";
            problems.add(&at, format!("{:?}", slug.as_str()), fix);
        }
    }
}

fn check_lifetimes(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    if let Some(span) = client.max_staleness.filter(|span| !is_staleness(*span)) {
        problems.add(&at("max_staleness"), span, "must be between \"1m\" and \"30d\"");
    }
    let lifetimes = [
        ("access_token_lifetime", client.access_token_lifetime),
        ("id_token_lifetime", client.id_token_lifetime),
    ];
    for (name, lifetime) in lifetimes {
        if let Some(span) = lifetime.filter(|s| *s == Span::ZERO || *s > Span::from_days(1)) {
            problems.add(&at(name), span, "must be between \"1s\" and \"1d\"");
        }
    }
}
