//! How we prove ourselves at an upstream's token endpoint where a secret in the settings is not
//! enough: signed assertions (RFC 7523 §2.2), and Apple's secret, which is one too.

use serde_json::json;

use super::fault::UpstreamFault;
use crate::{
    config::{ClientAuthentication, Problems, UpstreamSettings},
    foundation::{
        clock::{Span, Timestamp},
        digest::base64url,
        random::{self, Random},
        secret::Secret,
    },
    keys::ClientKey,
};

/// How long what we sign is good. It is made anew for each request, so nothing has to be renewed.
const LIFE: Span = Span::from_minutes(2);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What proves who we are, besides the secret that the client sends by itself.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The secret of the settings, or nothing at all.
    Settings,
    /// A signed assertion.
    Assertion(ClientKey),
    /// A secret that is signed by the team.
    SignedSecret { key: ClientKey, team_id: String },
}

impl Credentials {
    /// What the settings say; a key that cannot be read is a problem of the configuration.
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, Problems> {
        use ClientAuthentication::{Basic, None, Post, PrivateKeyJwt, SignedSecret};
        let auth = settings.client_auth;
        if matches!(auth, Basic | Post | None) {
            return Ok(Self::Settings);
        }
        let text = settings.client_key.as_ref().map(Secret::expose).unwrap_or_default();
        let key = ClientKey::read(text, settings.key_id.as_deref()).map_err(|error| {
            let setting = format!("upstreams.{}.client_key", settings.slug);
            Problems::one(&setting, format!("cannot be used: {error:#}"))
        })?;
        Ok(match auth {
            PrivateKeyJwt => Self::Assertion(key),
            SignedSecret | Basic | Post | None => {
                Self::SignedSecret { key, team_id: settings.team_id.clone().unwrap_or_default() }
            }
        })
    }

    /// The parameters that prove it to this token endpoint, once.
    pub(super) fn prove(
        &self,
        settings: &UpstreamSettings,
        token_endpoint: &str,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, UpstreamFault> {
        let client_id = &settings.client_id;
        let times = (now.unix(), now.plus(LIFE).unix());
        let sign = |key: &ClientKey, claims: &serde_json::Value| {
            let signed = key.sign(claims);
            signed.map_err(|error| UpstreamFault::unacceptable("client_key_unfit", error))
        };
        match self {
            Self::Settings => Ok(Vec::new()),
            Self::Assertion(key) => {
                // Nobody else can use it: the audience is where it is sent.
                let claims = json!({
                    "iss": client_id, "sub": client_id, "aud": token_endpoint,
                    "jti": base64url(&random::bytes::<16>(random)),
                    "iat": times.0, "exp": times.1,
                });
                let assertion = sign(key, &claims)?;
                let kind = ("client_assertion_type", ASSERTION_TYPE.to_owned());
                Ok(vec![kind, ("client_assertion", assertion)])
            }
            Self::SignedSecret { key, team_id } => {
                let audience = settings.issuer.as_str().trim_end_matches('/');
                let claims = json!({
                    "iss": team_id, "sub": client_id, "aud": audience,
                    "iat": times.0, "exp": times.1,
                });
                Ok(vec![("client_secret", sign(key, &claims)?)])
            }
        }
    }
}
