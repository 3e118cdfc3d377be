//! Accounts, sessions, tokens for programs, links and invitations.

use super::{expected, found};
use crate::{
    browser::Browser,
    deeds::entering::{enter, enter_as},
    house::{Site, below_the_issuer},
    ledger::{Household, Session, Standing},
    tokens_of::{family_of, introspect, redeem},
    wire::{APPS, Deed, broken},
};

/// Whether somebody is signed in at a browser.
pub(super) fn is_in(browser: &Browser) -> Deed<bool> {
    // Looked at with a copy: an answer to who is not signed in takes the cookies away.
    let answer = browser.clone().get("/account")?.expect("the account's own page", &[200, 303])?;
    Ok(answer.status == 200)
}

/// Everything about a person but what apps have.
pub(super) fn check(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    passwords(home, site, who)?;
    let person = &mut home.people[who];
    for session in &mut person.sessions {
        home.counts.checked("sessions");
        let is_good = is_in(&session.browser)?;
        if expected(session.standing).is_some_and(|right| right != is_good) {
            return broken(format!("a session that is {:?} is good: {is_good}", session.standing));
        }
        session.standing = found(is_good);
    }
    for personal in &mut person.personal {
        home.counts.checked("program tokens");
        let is_good = introspect(site, &personal.secret)?.json()["active"] == true;
        if expected(personal.standing).is_some_and(|right| right != is_good) {
            return broken(format!(
                "a token for a program that is {:?} is good: {is_good}",
                personal.standing
            ));
        }
        personal.standing = found(is_good);
    }
    for link in std::mem::take(&mut person.dead_links) {
        home.counts.checked("used links");
        let mut browser = Browser::new(site.port);
        let page = browser.visit(below_the_issuer(&link))?.page("a used link")?;
        if page.form("/recovery/password").is_some() {
            return broken("a link that was used opens the account again");
        }
    }
    Ok(())
}

/// The password is right, and those before it are not.
fn passwords(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let person = &mut home.people[who];
    let name = person.name.clone();
    for former in person.former.drain(..).rev().take(2) {
        home.counts.checked("former passwords");
        if enter(site, &APPS[0], &name, &former)?.is_some() {
            return broken("a password that was replaced is right again");
        }
    }
    home.counts.checked(if person.is_federated { "upstream sign-ins" } else { "passwords" });
    let Some((browser, code)) = enter_as(site, &APPS[0], person)? else {
        return broken(format!("the account or its password is lost: {}", person.password));
    };
    let id = home.next_number();
    let session = Session { id, browser, standing: Standing::Good, since: site.now() };
    home.people[who].sessions.push(session);
    // Whoever comes from the upstream is still the same person.
    let answer = redeem(site, &APPS[0], &code)?.expect("a code", &[200])?;
    let family = family_of(site, &APPS[0], id, code, &answer)?;
    home.people[who].take_family(family)
}

/// Whoever was told to be in the group of an invitation is, and nobody else.
pub(super) fn crews(home: &mut Household, site: &Site) -> Deed<()> {
    for at in 0..home.crews.len() {
        let mut members = Vec::new();
        for who in 0..home.people.len() {
            let name = home.people[who].name.clone();
            if !home.crews[at].concerns(&name) {
                continue;
            }
            if belongs(home, site, who, at)? {
                members.push(name);
            }
        }
        home.counts.checked("invitations");
        let crew = &mut home.crews[at];
        let wrong = crew.members.iter().any(|name| !members.contains(name))
            || crew.refused.iter().any(|name| members.contains(name))
            || members.len() > 1;
        if wrong {
            return broken(format!("{members:?} have the group of {crew:?}"));
        }
        if members.is_empty() && !crew.asked.is_empty() {
            // Nothing was done: it is as good as before.
            crew.asked.clear();
            crew.refused.clear();
        } else {
            crew.refused.extend(crew.asked.drain(..).filter(|name| !members.contains(name)));
            crew.members = members;
        }
    }
    Ok(())
}

/// Whether a person's own page shows the group.
fn belongs(home: &Household, site: &Site, who: usize, crew: usize) -> Deed<bool> {
    let person = &home.people[who];
    let good = person.sessions.iter().rev().find(|own| own.standing == Standing::Good);
    let mut browser = match good {
        Some(session) => session.browser.clone(),
        None => match enter_as(site, &APPS[0], person)? {
            Some((browser, _)) => browser,
            None => return broken(format!("{}: the password is lost", person.name)),
        },
    };
    let page = browser.get("/account")?.expect("the account's own page", &[200])?;
    Ok(page.body.contains(&home.crews[crew].name))
}
