//! Families of refresh tokens, and the access tokens that came of them.

use super::{expected, found};
use crate::{
    house::Site,
    ledger::{Family, Household, Standing},
    settings::GRACE,
    tokens_of::{is_good, redeem, refresh, take_answer},
    wire::{Answer, Deed, broken},
};

/// So much of the grace is left to a slow machine, in seconds.
const MARGIN: i64 = 8;

/// All families of a person.
pub(super) fn check(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let mut families = std::mem::take(&mut home.people[who].families);
    let checked = families.iter_mut().try_for_each(|family| of_family(home, site, family));
    home.people[who].families = families;
    checked
}

fn of_family(home: &mut Household, site: &Site, family: &mut Family) -> Deed<()> {
    match family.standing {
        Standing::Good if is_repeatable(family) => {
            home.counts.checked("rotations without an answer");
            repeat(site, family)?;
        }
        Standing::Good => {
            home.counts.checked("refresh tokens");
            go_on(site, family)?;
        }
        Standing::InDoubt => {
            home.counts.checked("doubts settled");
            let newest = family.tokens.last().cloned().unwrap_or_default();
            let answer = use_token(site, family, &newest)?;
            family.standing = found(answer.status == 200);
            if answer.status == 200 {
                take_answer(site, family, &answer)?;
            }
        }
        Standing::Over => {}
    }
    if family.standing == Standing::Good {
        if home.chance.percent(12) {
            home.counts.checked("codes used again");
            code_again(site, family)?;
        } else if home.chance.percent(25) && may_be_reuse(site, family) {
            home.counts.checked("refresh tokens used again");
            reuse(site, family)?;
        }
    }
    if family.standing == Standing::Over {
        home.counts.checked("families that are over");
        over(site, family)?;
    }
    home.counts.checked("access tokens");
    access(site, family)
}

/// Uses a token: an answer with tokens, or `invalid_grant`.
fn use_token(site: &Site, family: &Family, token: &str) -> Deed<Answer> {
    let answer = refresh(site, family.app, token)?.expect("a refresh token", &[200, 400])?;
    if answer.status == 400 && !answer.refuses_with("invalid_grant") {
        return Err(answer.unexpected("a refresh token"));
    }
    Ok(answer)
}

/// The newest token that was acknowledged goes on.
fn go_on(site: &Site, family: &mut Family) -> Deed<()> {
    let newest = family.tokens.last().cloned().unwrap_or_default();
    let answer = use_token(site, family, &newest)?;
    if answer.status != 200 {
        return Err(answer.unexpected("an acknowledged refresh token is lost"));
    }
    take_answer(site, family, &answer)
}

/// Whether the newest token was used without an answer.
pub(super) fn is_repeatable(family: &Family) -> bool {
    family.standing == Standing::Good && family.rotating_since.is_some()
}

/// Apps that got no answer ask again.
pub(super) fn repeat_all(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    for family in home.people[who].families.iter_mut().filter(|family| is_repeatable(family)) {
        home.counts.checked("rotations without an answer");
        ask_again(site, family)?;
    }
    Ok(())
}

/// The same; what comes of it goes on.
fn repeat(site: &Site, family: &mut Family) -> Deed<()> {
    ask_again(site, family)?;
    if family.standing == Standing::Good { go_on(site, family) } else { Ok(()) }
}

/// FT-42: whoever got no answer tries again with the token there is, and gets a pair that works. After the
/// grace that may be a reuse, which ends the family.
fn ask_again(site: &Site, family: &mut Family) -> Deed<()> {
    let age = site.now() - family.rotating_since.unwrap_or_default();
    let token = family.tokens.last().cloned().unwrap_or_default();
    let answer = use_token(site, family, &token)?;
    if answer.status == 200 {
        return take_answer(site, family, &answer);
    }
    if age < GRACE - MARGIN {
        let what = format!("FT-42: a rotation without an answer, {age} s ago, is not repeated");
        return Err(answer.unexpected(&what));
    }
    family.rotating_since = None;
    family.standing = Standing::Over;
    Ok(())
}

/// The first use of a code is known for ever, and a second one ends what came of it (CD-06).
fn code_again(site: &Site, family: &mut Family) -> Deed<()> {
    // Should this get no answer, it is so.
    family.standing = Standing::InDoubt;
    let answer = redeem(site, family.app, &family.code)?;
    if !answer.refuses_with("invalid_grant") {
        return Err(answer.unexpected("twice: a code that was redeemed"));
    }
    family.standing = Standing::Over;
    Ok(())
}

fn may_be_reuse(site: &Site, family: &Family) -> bool {
    // The one before the newest was used when the newest was issued: its grace is over, or a third came.
    family.tokens.len() > 2
        || (family.tokens.len() > 1 && site.now() - family.issued_at > GRACE + 1)
}

/// A token that was used, and not just now, ends the family (RT-01).
fn reuse(site: &Site, family: &mut Family) -> Deed<()> {
    family.standing = Standing::InDoubt;
    let used = if family.tokens.len() > 2 { family.tokens.len() - 3 } else { 0 };
    let answer = use_token(site, family, &family.tokens[used])?;
    if answer.status != 400 {
        return Err(answer.unexpected("twice: a refresh token was used again"));
    }
    family.standing = Standing::Over;
    Ok(())
}

/// What is over stays over.
fn over(site: &Site, family: &Family) -> Deed<()> {
    let newest = family.tokens.last().cloned().unwrap_or_default();
    let answer = use_token(site, family, &newest)?;
    if answer.status != 400 {
        return Err(answer.unexpected("a family that was over lives again"));
    }
    Ok(())
}

/// Access tokens are worth something as long as their family lives, they have not expired, and their app
/// has not given them back.
fn access(site: &Site, family: &mut Family) -> Deed<()> {
    let lives = family.standing == Standing::Good;
    for access in &mut family.access {
        // Near its end the clocks decide.
        if (access.expires_at - site.now()).abs() < 3 {
            continue;
        }
        let good = is_good(site, &access.token)?;
        let may_be = lives && access.expires_at > site.now();
        let right = if may_be { expected(access.standing) } else { Some(false) };
        if right.is_some_and(|right| right != good) {
            return broken(format!(
                "an access token that is {:?}, of a family that is {:?}, is good: {good}",
                access.standing, family.standing
            ));
        }
        if may_be {
            access.standing = found(good);
        }
    }
    Ok(())
}
