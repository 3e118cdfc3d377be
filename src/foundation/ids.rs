//! The ids of our own things.
//!
//! Ids are UUIDs of version 7: they sort by time, so that indexes stay dense, and they carry
//! enough chance that none is ever given out twice. They are names, not secrets.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{clock::Timestamp, random::Random};

text_id! {
    /// A person's account. It is the `sub` of every token and is never given to anybody else.
    UserId
}
text_id! {
    /// What ties an account to a subject at an upstream.
    IdentityId
}
text_id! {
    /// A browser session, as lists and logout tokens name it (`sid`); not the cookie's secret.
    SessionId
}
text_id! {
    /// One authorization of one client: the family of all tokens that come from one code.
    GrantId
}
text_id! {
    /// An app, as its administrator named it (`client_id`).
    ClientId
}
text_id! {
    /// A signing key (`kid`).
    KeyId
}
text_id! {
    /// An upstream's short name, part of its callback address.
    UpstreamSlug
}
text_id! {
    /// An invitation.
    InvitationId
}
text_id! {
    /// A personal access token, as lists and events name it; not its secret.
    PersonalAccessTokenId
}
text_id! {
    /// A mail in the outbox.
    MailId
}
text_id! {
    /// A wish to get back into an account.
    RecoveryId
}
text_id! {
    /// A second factor of a person's.
    FactorId
}
text_id! {
    /// A server that runs, new at every start.
    InstanceId
}
text_id! {
    /// The short id on an error page under which the whole story is kept.
    TraceId
}

/// Counts the ids of this process, so that those of one second sort in the order of their making
/// (RFC 9562 §6.2).
static MADE: AtomicU32 = AtomicU32::new(0);

/// A fresh UUID of version 7: 26 bits of counter before 48 bits of chance.
fn uuid_v7(random: &dyn Random, now: Timestamp) -> String {
    let mut chance = super::random::bytes::<10>(random);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    // The first twelve bits stand beside the version, the next six beside the variant.
    let [a, b, c, d] = [made >> 22 & 0x0f, made >> 14 & 0xff, made >> 8 & 0x3f, made & 0xff];
    for (byte, counted) in chance.iter_mut().zip([a, b, c, d]) {
        *byte = u8::try_from(counted).unwrap_or(u8::MAX);
    }
    let millis = u64::try_from(now.unix()).unwrap_or(0).saturating_mul(1_000);
    uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid().to_string()
}

macro_rules! generated {
    ($($name:ident),+) => {$(
        impl $name {
            /// A fresh id.
            pub fn generate(random: &dyn Random, now: Timestamp) -> Self {
                Self::new(uuid_v7(random, now))
            }
        }
    )+};
}
generated!(
    UserId,
    IdentityId,
    SessionId,
    GrantId,
    InvitationId,
    PersonalAccessTokenId,
    MailId,
    FactorId,
    RecoveryId,
    InstanceId
);

impl TraceId {
    /// A fresh id that a person can read out over the telephone: eight letters and digits out of
    /// an alphabet without look-alikes (40 bits, enough to name one story among the kept ones).
    pub fn generate(random: &dyn Random) -> Self {
        const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
        let chance = super::random::bytes::<8>(random);
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from);
        Self::new(chance.iter().filter_map(letter).collect::<String>())
    }

    /// The id somebody typed, if it has the right shape.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let fits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self::new(text))
    }
}
