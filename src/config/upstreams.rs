//! `[[upstreams]]`: the identity providers at which people sign in.

use url::Url;

use super::{
    lists::OneOrMore,
    mapping::{
        self, ClaimSettings, EmailTrust, GroupSettings, UpstreamAdmission, UpstreamSignup,
        VerifiedForm,
    },
    problems::Problems,
    values::word_setting,
};
use crate::{
    foundation::{clock::Span, ids::UpstreamSlug, secret::Secret},
    protocol::redirect_uri::is_loopback,
};

text_enum! {
    /// A kind of upstream with habits of its own.
    Preset {
        /// Any OpenID Provider.
        Oidc = "oidc",
        /// Keycloak.
        Keycloak = "keycloak",
    }
}

text_enum! {
    /// How we prove ourselves at the upstream's token endpoint (OIDC Core §9).
    ClientAuthentication {
        /// `client_secret_basic`.
        Basic = "basic",
        /// `client_secret_post`.
        Post = "post",
    }
}
word_setting!(Preset, ClientAuthentication);

section! {
    /// One identity provider at which people sign in.
    pub struct UpstreamSettings {
        /// Its short name, part of the callback address `/upstream/SLUG/callback`.
        slug: UpstreamSlug,
        /// What the button says.
        name: String,
        /// The kind of provider.
        preset: Preset = Preset::Oidc,
        /// Its issuer. A missing or extra slash at the end is found out.
        issuer: Url,
        /// Our client id there.
        client_id: String,
        /// Our client secret there.
        client_secret: Option<Secret>,
        /// How the secret is sent.
        client_auth: ClientAuthentication = ClientAuthentication::Basic,
        /// The scopes that we ask for.
        scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        /// Signature algorithms that are accepted in its ID tokens.
        id_token_algs: Vec<String> = ["RS256", "ES256", "EdDSA", "PS256"].map(str::to_owned).to_vec(),
        /// Whether UserInfo is asked for claims that the ID token lacks.
        userinfo: bool = true,
        /// What its word about an e-mail address is worth.
        email_trust: EmailTrust = EmailTrust::Claim,
        /// Which claim says that the address is verified: a path with dots. `email_verified` speaks
        /// of the claim `email`; any other speaks of the first source of `claims.email`.
        email_verified_claim: String = "email_verified".to_owned(),
        /// What that claim has to hold: only `true`, or, for providers that write it otherwise,
        /// also the texts "true" and "1" and the number 1.
        email_verified_as: VerifiedForm = VerifiedForm::Boolean,
        /// From which claims the account is filled. Each setting lists its sources; the first that
        /// holds something usable counts. A source is a path with dots, or a table:
        /// `{ claim = "upn", match = "^(.*)@old$", rename = "$1@new" }` takes a claim only if it
        /// matches, `{ value = "Guest" }` is a fixed text.
        claims: ClaimSettings,
        /// Which groups are taken over: one table, or a list of them, whose groups are put
        /// together. Without any, none are.
        groups: OneOrMore<GroupSettings> = OneOrMore::from_iter([]),
        /// Who may enter through this upstream, known or new. Without it, everybody who can sign
        /// in there. Each list that is given must be met.
        admit: Option<UpstreamAdmission>,
        /// Who may get an account through this upstream. Where it is given, it decides alone;
        /// elsewhere `signup.federated` does.
        signup: Option<UpstreamSignup>,
        /// For how long its word about a person counts. It is asked again in the background from
        /// half of this time on; a session that it has not confirmed for so long ends, with all
        /// tokens, and no token outlives it. Without it, the word given at the sign-in counts for
        /// the whole session.
        max_staleness: Option<Span>,
        /// How long a request to it may take.
        timeout: Span = Span::from_seconds(5),
        /// Whether it can be used at all.
        enabled: bool = true,
    }
}

const ALGORITHMS: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

pub(super) fn check(upstreams: &[UpstreamSettings], problems: &mut Problems) {
    for (index, upstream) in upstreams.iter().enumerate() {
        let at = |name: &str| format!("upstreams.{index}.{name}");
        let slug = upstream.slug.as_str();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if slug.is_empty() || slug.len() > 40 || !slug.bytes().all(fits) {
            let fix = "must be 1 to 40 small letters, digits and hyphens";
            problems.add(&at("slug"), format!("{slug:?}"), fix);
        }
        if upstreams.iter().take(index).any(|other| other.slug == upstream.slug) {
            problems.add(&at("slug"), format!("{slug:?}"), "is used twice; choose another");
        }
        check_issuer(&upstream.issuer, &at("issuer"), problems);
        if upstream.client_secret.is_none() {
            problems.add_bare(&at("client_secret"), "must be set (or client_secret_file)");
        }
        if !upstream.scopes.iter().any(|scope| scope == "openid") {
            problems.add_bare(&at("scopes"), "must contain \"openid\"");
        }
        for alg in upstream.id_token_algs.iter().filter(|alg| !ALGORITHMS.contains(&alg.as_str())) {
            let fix = format!("is not accepted; choose from {}", ALGORITHMS.join(", "));
            problems.add(&at("id_token_algs"), format!("{alg:?}"), fix);
        }
        if let Some(span) = upstream.max_staleness.filter(|span| !is_staleness(*span)) {
            problems.add(&at("max_staleness"), span, "must be between \"1m\" and \"30d\"");
        }
        mapping::check(upstream, &at, problems);
    }
}

/// Shorter ones would have the upstream asked all the time.
pub(super) fn is_staleness(span: Span) -> bool {
    (Span::from_minutes(1)..=Span::from_days(30)).contains(&span)
}

fn check_issuer(issuer: &Url, at: &str, problems: &mut Problems) {
    let secure = issuer.scheme() == "https" || (issuer.scheme() == "http" && is_loopback(issuer));
    if !secure {
        problems.add(at, issuer, "must begin with https:// (http is for loopback only)");
    }
    if !issuer.username().is_empty() || issuer.password().is_some() {
        problems.add_bare(at, "must not hold a user name or password");
    }
    if issuer.query().is_some() || issuer.fragment().is_some() {
        problems.add(at, issuer, "must not have a query or fragment (OIDC Discovery §2)");
    }
}
