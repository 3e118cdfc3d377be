//! What apps do with tokens: rotate them, and give them back.

use super::{is_unknown, twice};
use crate::{
    house::Site,
    ledger::{Family, Household, Standing},
    tokens_of::{refresh, take_answer},
    wire::{Answer, Deed, Trouble, broken, post_as},
};

/// A family of this person that is good and waits for nothing.
fn good_family(home: &mut Household, who: usize) -> Option<usize> {
    let is_good =
        |family: &Family| family.standing == Standing::Good && family.rotating_since.is_none();
    let families = &home.people[who].families;
    let good: Vec<usize> = (0..families.len()).filter(|at| is_good(&families[*at])).collect();
    (!good.is_empty()).then(|| good[home.chance.below(good.len())])
}

/// An app uses a refresh token; sometimes twice at once, as two tabs do (P4).
pub(super) fn rotate(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_family(home, who) else { return Ok(()) };
    let family = &mut home.people[who].families[at];
    let (app, token) = (family.app, family.tokens.last().cloned().unwrap_or_default());
    let asked_at = site.now();
    let answers = if home.chance.percent(15) {
        let both = twice(|| refresh(site, app, &token), || refresh(site, app, &token));
        vec![both.0, both.1]
    } else {
        vec![refresh(site, app, &token)]
    };
    let mut good: Vec<Answer> = Vec::new();
    let mut trouble = None;
    for answer in answers {
        match answer.and_then(|answer| answer.expect("a good refresh token", &[200])) {
            Ok(answer) => good.push(answer),
            Err(Trouble::Broken(text)) => return broken(text),
            // One of two that was not sent says nothing about the other.
            Err(Trouble::Gone) => trouble = trouble.or(Some(Trouble::Gone)),
            Err(unknown) => trouble = Some(unknown),
        }
    }
    if let [one, other] = &good[..]
        && one.text("refresh_token") != other.text("refresh_token")
    {
        return broken("twice: two successors of one refresh token");
    }
    match (good.first(), trouble) {
        (Some(answer), _) => {
            take_answer(site, family, answer)?;
            home.counts.acknowledged("token rotated");
            Ok(())
        }
        (None, Some(Trouble::Gone)) => Err(Trouble::Gone),
        (None, trouble) => {
            family.rotating_since = Some(asked_at);
            home.counts.unanswered("token rotated");
            Err(trouble.unwrap_or(Trouble::Cut))
        }
    }
}

/// An app gives a whole family back, or one access token.
pub(super) fn give_back(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_family(home, who) else { return Ok(()) };
    let one_access_token = home.chance.percent(40);
    let family = &mut home.people[who].families[at];
    let (token, standing, kind) = match family.access.last_mut() {
        Some(access) if one_access_token && access.standing == Standing::Good => {
            (access.token.clone(), &mut access.standing, "access token revoked")
        }
        _ => {
            let token = family.tokens.last().cloned().unwrap_or_default();
            (token, &mut family.standing, "family revoked")
        }
    };
    let done = post_as(site.port, family.app, "/revoke", &[("token", &token)]);
    let done = done.and_then(|answer| answer.expect("revocation", &[200]));
    if is_unknown(&done) {
        *standing = Standing::InDoubt;
        home.counts.unanswered(kind);
    }
    done?;
    *standing = Standing::Over;
    home.counts.acknowledged(kind);
    Ok(())
}
