//! Refresh tokens: rotated at each use, reuse kills the family (RFC 9700 §4.14.2).
//!
//! The successor of a token is derived from it under a key of ours, not drawn. So a client whose
//! answer got lost, or two tabs that refresh at once, are given the *same* successor within a
//! short window, and a family never has two living branches. Only whoever holds both the old token
//! and our key could derive the new one.

use crate::{
    foundation::{
        clock::{Span, Timestamp},
        ids::GrantId,
        opaque::{Opaque, OpaqueKind},
        random::Random,
        seal::KeyRing,
        secret::Secret,
    },
    store::{
        Connection, StoreResult,
        refresh_tokens::{self, RefreshToken},
    },
};

/// How far the clocks of two instances may be apart (FT-57).
const CLOCKS_DIFFER: Span = Span::from_seconds(60);

/// The lifetimes of refresh tokens.
#[derive(Clone, Copy, Debug)]
pub struct RefreshPolicy {
    /// How long an unused token lives.
    pub idle_lifetime: Span,
    /// How long the previous token still gets the same answer.
    pub grace: Span,
}

/// What rotation goes by.
#[derive(Clone, Copy, Debug)]
pub struct RefreshRules<'a> {
    /// The lifetimes.
    pub policy: RefreshPolicy,
    /// The keys under which successors are derived.
    pub ring: &'a KeyRing,
}

/// Issues the first token of a family.
pub async fn issue_first(
    conn: &mut Connection,
    grant: &GrantId,
    family_ends: Timestamp,
    policy: RefreshPolicy,
    random: &dyn Random,
    now: Timestamp,
) -> StoreResult<Secret> {
    let opaque = Opaque::generate(OpaqueKind::RefreshToken, random);
    let row = RefreshToken {
        digest: opaque.digest(),
        grant_id: grant.clone(),
        generation: 1,
        issued_at: now,
        expires_at: now.plus(policy.idle_lifetime).min(family_ends),
        consumed_at: None,
    };
    // A family is as young as its grant: there is no generation to collide with.
    let _ = refresh_tokens::insert(conn, &row).await?;
    Ok(opaque.reveal())
}

/// What presenting a refresh token leads to.
#[derive(Debug)]
pub enum Rotated {
    /// The family goes on with this token.
    Successor(Secret),
    /// The token was used before, and not just now: the family must die.
    Reused,
    /// It has expired.
    Expired,
}

/// Uses a token and answers its successor. Races are decided by conditional updates: whoever loses
/// one comes a moment later, within the grace.
pub async fn rotate(
    conn: &mut Connection,
    presented: &Opaque,
    row: &RefreshToken,
    family_ends: Timestamp,
    rules: RefreshRules<'_>,
    now: Timestamp,
) -> StoreResult<Rotated> {
    let RefreshRules { policy, ring } = rules;
    if row.consumed_at.is_none() && row.expires_at <= now {
        return Ok(Rotated::Expired);
    }
    if row.consumed_at.is_none() && refresh_tokens::consume(conn, &row.digest, now).await? {
        let successor = Opaque::from_bits(OpaqueKind::RefreshToken, derive(ring, presented));
        let next = RefreshToken {
            digest: successor.digest(),
            grant_id: row.grant_id.clone(),
            generation: row.generation + 1,
            issued_at: now,
            expires_at: now.plus(policy.idle_lifetime).min(family_ends),
            consumed_at: None,
        };
        let _ = refresh_tokens::insert(conn, &next).await?;
        return Ok(Rotated::Successor(successor.reveal()));
    }
    repeat(conn, presented, row, policy, ring, now).await
}

/// The token was used before. Within the grace after its first use, and as long as its successor is
/// unused, it gets the same successor again.
async fn repeat(
    conn: &mut Connection,
    presented: &Opaque,
    row: &RefreshToken,
    policy: RefreshPolicy,
    ring: &KeyRing,
    now: Timestamp,
) -> StoreResult<Rotated> {
    let successor =
        refresh_tokens::find_generation(conn, &row.grant_id, row.generation + 1).await?;
    let Some(successor) = successor else {
        return Ok(Rotated::Reused);
    };
    // A clock that was set back must not begin the grace anew (FT-56); those of two instances may differ a
    // little.
    let is_past = successor.issued_at.since(now) <= CLOCKS_DIFFER.max(policy.grace);
    let within_grace = is_past && now.since(successor.issued_at) < policy.grace;
    if !within_grace || successor.consumed_at.is_some() {
        return Ok(Rotated::Reused);
    }
    // `secret_key` may have been rotated a moment ago: the former one derived it then.
    let same = ring
        .macs(&[presented.bits()])
        .map(|bits| Opaque::from_bits(OpaqueKind::RefreshToken, bits))
        .find(|candidate| candidate.digest().matches(&successor.digest));
    Ok(same.map_or(Rotated::Reused, |same| Rotated::Successor(same.reveal())))
}

fn derive(ring: &KeyRing, presented: &Opaque) -> [u8; 32] {
    ring.mac(&[presented.bits()])
}
