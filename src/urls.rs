//! Our own addresses: every path once, every absolute address from the issuer and never from a
//! request (RL-10).

use crate::{config::Issuer, foundation::ids::UpstreamSlug};

/// Paths of the public listener.
pub mod path {
    /// OIDC Discovery §4.
    pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
    /// RFC 8414 §3.
    pub const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";
    /// RFC 7517 §5.
    pub const JWKS: &str = "/.well-known/jwks.json";
    /// RFC 6749 §3.1.
    pub const AUTHORIZE: &str = "/authorize";
    /// RFC 9126 §2.
    pub const PAR: &str = "/par";
    /// RFC 6749 §3.2.
    pub const TOKEN: &str = "/token";
    /// The token endpoint of browser apps that keep no refresh token.
    pub const SESSION_TOKEN: &str = "/session/token";
    /// OIDC Core §5.3.
    pub const USERINFO: &str = "/userinfo";
    /// RFC 7662 §2.
    pub const INTROSPECT: &str = "/introspect";
    /// RFC 7009 §2.
    pub const REVOKE: &str = "/revoke";
    /// RP-Initiated Logout §2.
    pub const LOGOUT: &str = "/logout";
    /// Choosing a way to sign in.
    pub const LOGIN: &str = "/login";
    /// Giving a second factor, or setting one up, as a part of signing in.
    pub const SECOND_FACTOR: &str = "/login/second-factor";
    /// Signing in with a passkey.
    pub const PASSKEY: &str = "/login/passkey";
    /// Connecting who has signed in elsewhere with the account that they have here.
    pub const CONNECT: &str = "/login/connect";
    /// Agreeing to what an app may know and do.
    pub const CONSENT: &str = "/consent";
    /// Making a local account.
    pub const SIGNUP: &str = "/signup";
    /// Confirming an address.
    pub const VERIFY_EMAIL: &str = "/verify-email";
    /// Getting back into an account.
    pub const RECOVERY: &str = "/recovery";
    /// The code that was mailed.
    pub const RECOVERY_CODE: &str = "/recovery/code";
    /// The new password.
    pub const RECOVERY_PASSWORD: &str = "/recovery/password";
    /// Taking an invitation.
    pub const INVITATION: &str = "/invitation";
    /// A person's own pages.
    pub const ACCOUNT: &str = "/account";
    /// Ending one of one's sessions.
    pub const END_SESSION_OF_MINE: &str = "/account/sessions/end";
    /// Ending all others.
    pub const END_OTHER_SESSIONS_OF_MINE: &str = "/account/sessions/end-others";
    /// Signing out everywhere.
    pub const EVERYWHERE: &str = "/account/everywhere";
    /// The apps that hold tokens of one's own.
    pub const APPS_OF_MINE: &str = "/account/apps";
    /// Taking them away from one.
    pub const DISCONNECT_APP_OF_MINE: &str = "/account/apps/disconnect";
    /// What has happened to one's account.
    pub const ACTIVITY: &str = "/account/activity";
    /// Everything that is held about oneself.
    pub const EXPORT: &str = "/account/export";
    /// One's own personal access tokens.
    pub const TOKENS_OF_MINE: &str = "/account/tokens";
    /// Revoking one of them.
    pub const REVOKE_TOKEN_OF_MINE: &str = "/account/tokens/revoke";
    /// Proving anew who one is.
    pub const PROVE: &str = "/account/prove";
    /// One's password.
    pub const MY_PASSWORD: &str = "/account/password";
    /// Taking one's password away.
    pub const REMOVE_MY_PASSWORD: &str = "/account/password/remove";
    /// One's address.
    pub const MY_EMAIL: &str = "/account/email";
    /// Having the link to one's address sent again.
    pub const VERIFY_MY_EMAIL: &str = "/account/email/verify";
    /// What one is called.
    pub const MY_PROFILE: &str = "/account/profile";
    /// One's picture.
    pub const MY_PICTURE: &str = "/account/picture";
    /// Somebody's picture, for whoever knows its name.
    pub const PICTURE: &str = "/picture/{name}";
    /// Deleting one's account.
    pub const MY_DELETION: &str = "/account/delete";
    /// Taking that back.
    pub const KEEP_MY_ACCOUNT: &str = "/account/keep";
    /// One's passkeys.
    pub const PASSKEYS: &str = "/account/passkeys";
    /// One's second factors.
    pub const TWO_STEP: &str = "/account/two-step";
    /// Linking an account at an upstream to one's own.
    pub const LINK: &str = "/account/link";
    /// Taking such a link away.
    pub const UNLINK: &str = "/account/unlink";
    /// Going to an upstream.
    pub const UPSTREAM_START: &str = "/upstream/{slug}/start";
    /// Coming back from an upstream.
    pub const UPSTREAM_CALLBACK: &str = "/upstream/{slug}/callback";
    /// An upstream says that a session there has ended (OIDC Back-Channel Logout §2.5).
    pub const UPSTREAM_BACKCHANNEL_LOGOUT: &str = "/upstream/{slug}/backchannel-logout";
    /// An upstream says so in a frame at the browser (OIDC Front-Channel Logout §2).
    pub const UPSTREAM_FRONTCHANNEL_LOGOUT: &str = "/upstream/{slug}/frontchannel-logout";
    /// Coming back from signing out at an upstream.
    pub const UPSTREAM_SIGNED_OUT: &str = "/upstream/{slug}/signed-out";
    /// What describes the JSON API.
    pub const API_DOCUMENT: &str = "/api/v1/openapi.json";
    /// Style, script and icons, under a name that holds their hash.
    pub const ASSET: &str = "/assets/{name}";
    /// The process is there.
    pub const LIVEZ: &str = "/livez";
    /// The process can serve.
    pub const READYZ: &str = "/readyz";
    /// The mails that are shown instead of being sent.
    pub const MAIL: &str = "/mail";
    /// Prometheus.
    pub const METRICS: &str = "/metrics";
}

/// Our absolute addresses.
#[derive(Clone, Debug)]
pub struct Urls {
    issuer: Issuer,
}

impl Urls {
    /// Addresses below this issuer.
    pub const fn new(issuer: Issuer) -> Self {
        Self { issuer }
    }

    /// The issuer itself.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// The address of a picture.
    pub fn picture(&self, name: &str) -> String {
        format!("{}{}", self.issuer(), path::PICTURE.replace("{name}", name))
    }

    /// Whether browsers reach us over TLS.
    pub fn is_https(&self) -> bool {
        self.issuer.is_https()
    }

    /// A path below the issuer.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }

    /// Where an upstream sends people back to who have signed out there.
    pub fn upstream_signed_out(&self, slug: &UpstreamSlug) -> String {
        self.absolute(&path::UPSTREAM_SIGNED_OUT.replace("{slug}", slug.as_str()))
    }

    /// Where an upstream sends people back to.
    pub fn upstream_callback(&self, slug: &UpstreamSlug) -> String {
        self.absolute(&path::UPSTREAM_CALLBACK.replace("{slug}", slug.as_str()))
    }
}

/// The parameter that says where a person goes on who has proved anew who they are.
pub const THEN: &str = "then";

/// The pages of a person that ask for such a proof. Nothing else is gone to after it.
const BEHIND_PROOF: [&str; 7] = [
    path::MY_PASSWORD,
    path::MY_EMAIL,
    path::MY_PROFILE,
    path::MY_DELETION,
    path::TOKENS_OF_MINE,
    path::PASSKEYS,
    path::TWO_STEP,
];

/// Where a person proves anew who they are, to go on at one of those pages.
pub fn prove(page: &str) -> String {
    format!("{}?{THEN}={page}", path::PROVE)
}

/// The page of this name, if it is one of those; else the first of their own pages.
pub fn page_behind_proof(name: Option<&str>) -> &'static str {
    let found = BEHIND_PROOF.into_iter().find(|page| name == Some(*page));
    found.unwrap_or(path::ACCOUNT)
}

/// Where a sign-in in progress goes to an upstream.
pub fn upstream_start(slug: &UpstreamSlug, flow: &str) -> String {
    format!("{}?flow={flow}", path::UPSTREAM_START.replace("{slug}", slug.as_str()))
}

/// Where the answer of an upstream is fetched that was posted with this `state`.
pub fn upstream_answer(slug: &UpstreamSlug, state: &str) -> String {
    format!("{}?state={state}", path::UPSTREAM_CALLBACK.replace("{slug}", slug.as_str()))
}

/// Where somebody makes an account, as a part of a sign-in in progress.
pub fn signup(flow: &str) -> String {
    format!("{}?flow={flow}", path::SIGNUP)
}

/// Where somebody gets back into their account, as a part of a sign-in in progress.
pub fn recovery(flow: &str) -> String {
    format!("{}?flow={flow}", path::RECOVERY)
}

/// Where somebody goes on who has an invitation.
pub fn invitation(flow: &str) -> String {
    format!("{}?flow={flow}", path::INVITATION)
}

/// Where a sign-in in progress asks for a second factor.
pub fn second_factor(flow: &str) -> String {
    format!("{}?flow={flow}", path::SECOND_FACTOR)
}

/// Where a sign-in in progress shows that an account is its person's.
pub fn connect(flow: &str) -> String {
    format!("{}?flow={flow}", path::CONNECT)
}

/// Where the person of a sign-in in progress agrees to what the app may know and do.
pub fn consent(flow: &str) -> String {
    format!("{}?flow={flow}", path::CONSENT)
}

/// Where a sign-in in progress chooses its way.
pub fn login(flow: &str) -> String {
    format!("{}?flow={flow}", path::LOGIN)
}
