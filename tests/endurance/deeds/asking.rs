//! What apps ask about tokens, and what becomes of those who try what is over, while everything may die:
//! an answer is a right one, or none.

use crate::{
    house::Site,
    ledger::{Household, Standing},
    tokens_of::{introspect, is_good},
    wire::{APPS, Deed, broken},
};

/// Near the end of a token the clocks decide, in seconds.
const MARGIN: i64 = 3;

/// An app asks about one of the access tokens of a person.
pub(super) fn ask(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let families = home.people[who].families.len();
    if families == 0 {
        return Ok(());
    }
    let family = home.chance.below(families);
    let by_introspection = home.chance.percent(60);
    let family = &home.people[who].families[family];
    // One app is told nothing about the tokens of another.
    let by_introspection = by_introspection && family.app == &APPS[0];
    let Some(access) = family.access.last() else { return Ok(()) };
    let now = site.now();
    let right = match (family.standing, access.standing) {
        (Standing::Good, Standing::Good) if access.expires_at > now + MARGIN => true,
        (Standing::Over, _) | (_, Standing::Over) => false,
        _ if access.expires_at < now - MARGIN => false,
        _ => return Ok(()),
    };
    let found = if by_introspection {
        introspect(site, &access.token)?.json()["active"] == true
    } else {
        is_good(site, &access.token)?
    };
    // It may have expired while it was asked about.
    if found != right && (found || access.expires_at > site.now() + MARGIN) {
        return broken(format!(
            "an access token that is {:?}, of a family that is {:?}, is good: {found}",
            access.standing, family.standing
        ));
    }
    home.counts.acknowledged(if right { "good token asked about" } else { "dead token refused" });
    Ok(())
}

/// Somebody comes with a session that is over, or an app with a token for a program that is.
pub(super) fn try_what_is_over(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let person = &home.people[who];
    let over = person.sessions.iter().rev().find(|own| own.standing == Standing::Over);
    if let Some(session) = over {
        let answer = session.browser.clone().get("/account")?;
        if answer.expect("a session that is over", &[200, 303])?.status == 200 {
            return broken(format!("{}: a session that was over lives again", person.name));
        }
        home.counts.acknowledged("dead session refused");
    }
    let person = &home.people[who];
    let over = person.personal.iter().rev().find(|own| own.standing == Standing::Over);
    if let Some(personal) = over {
        if introspect(site, &personal.secret)?.json()["active"] != false {
            return broken(format!("{}: a token that was revoked is good again", person.name));
        }
        home.counts.acknowledged("dead program token refused");
    }
    Ok(())
}
