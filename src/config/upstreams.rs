//! `[[upstreams]]`: the identity providers at which people sign in.

use url::Url;

use super::{
    lists::OneOrMore,
    mapping::{
        self, ClaimSettings, EmailTrust, GroupSettings, UpstreamAdmission, UpstreamSignup,
        VerifiedForm,
    },
    presets::{self, PresetName},
    problems::Problems,
    upstream_checks,
    upstream_values::{Certificates, Day, Levels, Parameters},
    values::word_setting,
};
use crate::{
    foundation::{clock::Span, ids::UpstreamSlug, names::is_domain, secret::Secret},
    protocol::{acr::Level, jwa::FOREIGN_ALGORITHMS},
};

text_enum! {
    /// What an upstream speaks.
    Protocol {
        /// OpenID Connect: an ID token says who has signed in.
        Oidc = "oidc",
        /// OAuth 2.0 without ID tokens: an address of its own says who a token belongs to.
        OAuth2 = "oauth2",
    }
}

text_enum! {
    /// How we prove ourselves at the upstream's token endpoint (OIDC Core §9).
    ClientAuthentication {
        /// `client_secret_basic`.
        Basic = "basic",
        /// `client_secret_post`.
        Post = "post",
        /// `private_key_jwt` (RFC 7523 §2.2).
        PrivateKeyJwt = "private_key_jwt",
        /// `client_secret_post`, with a secret that we sign ourselves, as Apple wants it.
        SignedSecret = "signed_secret",
        /// Not at all: PKCE is the only proof.
        None = "none",
    }
}

text_enum! {
    /// How an upstream's answer comes back to us.
    ResponseMode {
        /// In the address.
        Query = "query",
        /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
        FormPost = "form_post",
    }
}

text_enum! {
    /// Whether signing out here signs out at the upstream too.
    UpstreamLogout {
        /// The person stays signed in there.
        Never = "never",
        /// The browser goes there and comes back (RP-Initiated Logout).
        Always = "always",
    }
}
text_enum! {
    /// What an upstream's word about how well somebody has signed in is worth.
    AcrTrust {
        /// What it says.
        Claim = "claim",
        /// Nothing.
        Never = "never",
    }
}

text_enum! {
    /// Whether what a sign-in asks is sent straight to the upstream (RFC 9126).
    PushedRequests {
        /// Where the upstream offers it.
        Auto = "auto",
        /// Always: without it nobody signs in.
        Always = "always",
        /// Never: it goes through the browser.
        Never = "never",
    }
}

text_enum! {
    /// Whether the upstream's tokens are bound to a key of ours (RFC 9449).
    BoundTokens {
        /// Where the upstream offers it.
        Auto = "auto",
        /// Never: whoever holds a token can use it.
        Never = "never",
    }
}
word_setting!(Protocol, ClientAuthentication, ResponseMode, UpstreamLogout, Level, AcrTrust);

text_enum! {
    /// Which sessions an upstream ends by a frame at a browser (OIDC Front-Channel Logout).
    FrontChannelLogout {
        /// That of this browser, if its cookie comes along.
        Browser = "browser",
        /// Those that began with the session there that is named.
        Sid = "sid",
    }
}
word_setting!(PushedRequests, BoundTokens, FrontChannelLogout);

section! {
    /// One identity provider at which people sign in.
    pub struct UpstreamSettings, prepared by presets::lay_under {
        /// Its short name, part of the callback address `/upstream/SLUG/callback`.
        slug: UpstreamSlug,
        /// What the button says.
        name: String,
        /// The kind of provider. It brings defaults for the settings below, and asks for what its
        /// issuer is made of; see the presets.
        preset: PresetName = PresetName::OIDC,
        /// Its issuer, unless the preset makes it. A missing or extra slash at the end is found out.
        issuer: Url,
        /// Our client id there.
        client_id: String,
        /// Our client secret there.
        client_secret: Option<Secret>,
        /// The day on which that secret ends, where the upstream lets secrets end. The log, the
        /// metrics and `keywright doctor` warn from 30 days before.
        client_secret_expires: Option<Day>,
        /// How we prove ourselves there: `basic` and `post` send the secret, `private_key_jwt` and
        /// `signed_secret` (Apple) sign with the key, `none` does neither.
        client_auth: ClientAuthentication = ClientAuthentication::Basic,
        /// The private key for `private_key_jwt` and `signed_secret`: PEM or JWK.
        client_key: Option<Secret>,
        /// The id under which the upstream knows the key.
        key_id: Option<String>,
        /// Who signs a `signed_secret`: the Apple team.
        team_id: Option<String>,
        /// The scopes that we ask for.
        scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        /// How its answer comes back.
        response_mode: ResponseMode = ResponseMode::Query,
        /// More parameters of the authorization request. Those that are ours cannot be replaced.
        authorization_params: Parameters = Parameters::default(),
        /// What `prompt` says when the app's request says nothing.
        prompt: Option<String>,
        /// The `acr_values` that we ask for. Where a level is wanted that `acr` has words for, these
        /// are asked for instead.
        acr_values: Option<String>,
        /// What its `acr` values mean: `{ "2" = "mfa" }`. One that is not listed, and not known
        /// everywhere, says nothing; then its `amr` tells (RFC 8176).
        acr: Levels = Levels::default(),
        /// What its word about a level is worth: with `never` every sign-in there is one factor.
        acr_trust: AcrTrust = AcrTrust::Claim,
        /// The least level of a sign-in there. One below it is refused.
        require_acr: Option<Level>,
        /// The e-mail domains whose people sign in here: whoever types or brings an address in one
        /// of them is sent there. With any, the page asks for the address first.
        email_domains: Vec<String> = Vec::new(),
        /// Whether it has a button. Without one it is found by address, by hint, and by apps that
        /// name it; a button appears all the same where there is no other way.
        button: bool = true,
        /// Whether what a sign-in asks is sent straight to the provider instead of through the
        /// browser (PAR, RFC 9126): `auto` where it offers that, and through the browser while it
        /// cannot take it; `always` signs nobody in without; `never` goes through the browser.
        par: PushedRequests = PushedRequests::Auto,
        /// Whether its tokens are bound to a key that is made for each sign-in (`DPoP`, RFC 9449):
        /// `auto` where it offers that for ES256, `never` leaves it.
        dpop: BoundTokens = BoundTokens::Never,
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
        /// Whether an unknown person is let into the one account here that has the same address,
        /// if this upstream says that it is verified and it was verified here, by you or by another
        /// upstream with this setting. Whoever controls this upstream can then take over such
        /// accounts. Without it, an unknown person never gets an account that is there.
        link_verified_email: bool = false,
        /// Whether an unknown person may connect themselves with the one account here that has the
        /// same address and has verified it: a code is mailed there, and whoever types it is let into
        /// the account from then on. Accounts with a second factor or a passkey are not offered.
        /// Whoever can sign in there under an address learns whether it has an account here. Needs
        /// mail.
        link_by_code: bool = false,
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
        /// Whether signing out here signs people out there as well. The provider has to know the
        /// address `/upstream/SLUG/signed-out`, to which it sends them back.
        logout: UpstreamLogout = UpstreamLogout::Never,
        /// What its front-channel logout ends, at `/upstream/SLUG/frontchannel-logout`: `browser` the
        /// session of the browser that shows the frame, which works where provider and Keywright are
        /// at one site; `sid` every session that began with the session there which is named. Whoever
        /// learns such a name, as every app there may, can then sign its person out here.
        frontchannel_logout: FrontChannelLogout = FrontChannelLogout::Browser,
        /// The tenants whose people may sign in, by id: the ID token's `tid` has to be one of them.
        tenants: Vec<String> = Vec::new(),
        /// The Workspace domains whose people may sign in: the ID token's `hd` has to be one of them.
        hosted_domains: Vec<String> = Vec::new(),
        /// The organisations of which somebody has to be a member to sign in.
        allowed_orgs: Vec<String> = Vec::new(),
        /// Whether there are ID tokens. Without them, the address `userinfo_endpoint` says who it is.
        protocol: Protocol = Protocol::Oidc,
        /// Without ID tokens: where people sign in.
        authorization_endpoint: Option<Url>,
        /// Without ID tokens: where codes are redeemed.
        token_endpoint: Option<Url>,
        /// Without ID tokens: what says who a token belongs to.
        userinfo_endpoint: Option<Url>,
        /// Without ID tokens: what lists addresses with `primary` and `verified`, as GitHub does.
        emails_endpoint: Option<Url>,
        /// Without ID tokens: what lists the organisations of a person by `login`, as GitHub does.
        orgs_endpoint: Option<Url>,
        /// Without ID tokens: what lists the teams of a person, as GitHub does. They are the groups
        /// `ORG:TEAM`.
        teams_endpoint: Option<Url>,
        /// Without ID tokens: the claim that names the person for ever, a text or a number.
        subject_claim: String = "sub".to_owned(),
        /// Certificates in PEM that are trusted there besides the system's.
        ca: Option<Certificates>,
        /// Where our own requests to it go instead of the issuer's host. Everything else stays: the
        /// `Host` header, the paths, the issuer. People still go to the public address.
        internal_url: Option<Url>,
        /// How long a request to it may take.
        timeout: Span = Span::from_seconds(5),
        /// Whether it can be used at all.
        enabled: bool = true,
    }
}

/// What stands for accounts of our own where upstreams are named.
pub const LOCAL: &str = "local";

pub(super) fn check(upstreams: &[UpstreamSettings], mail: bool, problems: &mut Problems) {
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
        if slug == LOCAL {
            problems.add(
                &at("slug"),
                format!("{slug:?}"),
                "means accounts of our own; choose another",
            );
        }
        if upstream.link_by_code && !mail {
            let fix = "needs mail: set mail.url, or leave it out";
            problems.add(&at("link_by_code"), "true", fix);
        }
        check_domains(upstream, upstreams.get(..index).unwrap_or_default(), &at, problems);
        upstream_checks::check(upstream, &at, problems);
        upstream_checks::check_others(upstream, upstreams, &at("issuer"), problems);
        let foreign = |alg: &&String| !FOREIGN_ALGORITHMS.contains(&alg.as_str());
        for alg in upstream.id_token_algs.iter().filter(foreign) {
            let fix = format!("is not accepted; choose from {}", FOREIGN_ALGORITHMS.join(", "));
            problems.add(&at("id_token_algs"), format!("{alg:?}"), fix);
        }
        if !(Span::from_seconds(1)..=Span::from_seconds(20)).contains(&upstream.timeout) {
            problems.add(&at("timeout"), upstream.timeout, "must be between \"1s\" and \"20s\"");
        }
        if let Some(span) = upstream.max_staleness.filter(|span| !is_staleness(*span)) {
            problems.add(&at("max_staleness"), span, "must be between \"1m\" and \"30d\"");
        }
        mapping::check(upstream, &at, problems);
    }
}

/// A domain leads to one upstream.
fn check_domains(
    upstream: &UpstreamSettings,
    former: &[UpstreamSettings],
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    for domain in &upstream.email_domains {
        let has_it = |other: &&UpstreamSettings| {
            other.email_domains.iter().any(|own| own.eq_ignore_ascii_case(domain))
        };
        if !is_domain(domain) {
            let fix = "must be a domain such as \"example.org\"";
            problems.add(&at("email_domains"), format!("{domain:?}"), fix);
        }
        if let Some(other) = former.iter().find(has_it) {
            let fix = format!("leads to {:?} already", other.slug.as_str());
            problems.add(&at("email_domains"), format!("{domain:?}"), fix);
        }
    }
}

/// Shorter ones would have the upstream asked all the time.
pub(super) fn is_staleness(span: Span) -> bool {
    (Span::from_minutes(1)..=Span::from_days(30)).contains(&span)
}
