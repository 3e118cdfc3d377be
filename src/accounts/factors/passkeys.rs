//! Passkeys (Web Authentication Level 3): keys that never leave their device, bound to our origin, so that they
//! cannot be phished. Each is kept by the authenticator (discoverable) and opened by its owner (user
//! verification), and is therefore two factors in one.

use serde::{Deserialize, Serialize};
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        CredentialID, DiscoverableAuthentication, Passkey, PasskeyRegistration,
        PublicKeyCredential, RegisterPublicKeyCredential, Uuid, WebauthnError,
    },
};

use crate::{
    config::Issuer,
    foundation::{clock::Timestamp, ids::FactorId, ids::UserId, random::Random},
    store::{passkeys::PasskeyRow, users::User},
};

/// How many passkeys an account may have.
pub const MOST_PASSKEYS: usize = 20;

/// Why a passkey does not count.
pub type PasskeyFault = WebauthnError;

/// The ceremonies of this origin.
#[derive(Debug)]
pub struct Passkeys(Webauthn);

/// A passkey that is being added. It stays with us.
#[derive(Debug, Serialize, Deserialize)]
pub struct Adding(PasskeyRegistration);

/// Somebody who is signing in with a passkey. It stays with us.
#[derive(Debug, Serialize, Deserialize)]
pub struct Presenting(DiscoverableAuthentication);

/// A passkey that was presented rightly.
#[derive(Debug)]
pub struct Presented {
    /// The credential as it is now, as JSON.
    pub credential: String,
    /// How (RFC 8176 §2): a key that is copied between devices is one of software.
    pub methods: [&'static str; 3],
}

impl Passkeys {
    /// Those of an issuer; none for one without a name, for which browsers make no passkeys.
    pub fn new(issuer: &Issuer, place: &str) -> Option<Self> {
        let origin = url::Url::parse(issuer.as_str()).ok()?;
        let domain = origin.domain()?.to_owned();
        let builder = WebauthnBuilder::new(&domain, &origin).ok()?.rp_name(place);
        builder.build().ok().map(Self)
    }

    /// Begins adding one to an account: what the browser gets, as JSON, and what stays here.
    pub fn begin_adding(
        &self,
        user: &User,
        known: &[PasskeyRow],
    ) -> Result<(String, Adding), PasskeyFault> {
        let id =
            Uuid::try_parse(user.id.as_str()).map_err(|_not_ours| PasskeyFault::InvalidUsername)?;
        let known = known.iter().map(|row| CredentialID::from(row.credential_id.clone())).collect();
        let display = user.name.as_deref().unwrap_or(&user.username);
        let begun = self.0.start_passkey_registration(id, &user.username, display, Some(known));
        let (options, state) = begun?;
        let mut options = serde_json::to_value(options).map_err(PasskeyFault::ParseJSONFailure)?;
        let selection = options.pointer_mut("/publicKey/authenticatorSelection");
        if let Some(selection) = selection.and_then(|selection| selection.as_object_mut()) {
            // It has to be found without a username.
            selection.insert("residentKey".to_owned(), "required".into());
            selection.insert("requireResidentKey".to_owned(), true.into());
        }
        Ok((json(&options)?, Adding(state)))
    }

    /// Takes what the browser answers.
    pub fn add(
        &self,
        answer: &str,
        state: &Adding,
        (user, name): (&UserId, String),
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<PasskeyRow, PasskeyFault> {
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let passkey = self.0.finish_passkey_registration(&answer, &state.0)?;
        Ok(PasskeyRow {
            id: FactorId::generate(random, now),
            user_id: user.clone(),
            credential_id: passkey.cred_id().clone(),
            credential: json(&passkey)?,
            name,
            created_at: now,
            last_used_at: None,
        })
    }

    /// Begins a sign-in by whichever passkey there is: what the browser gets, as JSON, and what stays
    /// here.
    pub fn begin(&self) -> Result<(String, Presenting), PasskeyFault> {
        let (options, state) = self.0.start_discoverable_authentication()?;
        Ok((json(&options)?, Presenting(state)))
    }

    /// Which passkey the browser answers with, and whose the browser says it is.
    pub fn identify(&self, answer: &str) -> Result<(UserId, Vec<u8>), PasskeyFault> {
        let answer: PublicKeyCredential = read(answer)?;
        let (user, credential) = self.0.identify_discoverable_authentication(&answer)?;
        Ok((UserId::new(user.to_string()), credential.to_owned()))
    }

    /// Checks the answer against what is kept of the passkey (Web Authentication §7.2). Whatever is wrong, nothing
    /// has changed.
    pub fn check(
        &self,
        answer: &str,
        state: Presenting,
        row: &PasskeyRow,
    ) -> Result<Presented, PasskeyFault> {
        let answer: PublicKeyCredential = read(answer)?;
        let mut passkey: Passkey = read(&row.credential)?;
        let result = self.0.finish_discoverable_authentication_v2(&answer, state.0, &passkey)?;
        if !result.user_verified() {
            return Err(PasskeyFault::UserNotVerified);
        }
        passkey.update_credential(&result);
        let key = if result.backup_eligible() { "swk" } else { "hwk" };
        Ok(Presented { credential: json(&passkey)?, methods: [key, "user", "mfa"] })
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, PasskeyFault> {
    serde_json::to_string(value).map_err(PasskeyFault::ParseJSONFailure)
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, PasskeyFault> {
    serde_json::from_str(text).map_err(PasskeyFault::ParseJSONFailure)
}
