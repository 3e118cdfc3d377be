//! What became of requests that got no answer: one outcome or the other, and each of them whole (FT-43).

use crate::{
    browser::Browser,
    deeds::entering::{enter, make_account},
    house::Site,
    ledger::{Doubt, Household, Session, Standing},
    tokens_of::{family_of, redeem},
    wire::{APPS, Deed, broken},
};

use super::people::is_in;

/// Finds out, and writes it down.
pub(super) fn settle(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    match home.people[who].doubt.clone() {
        None => {}
        Some(Doubt::Made) => made(home, site, who)?,
        Some(Doubt::Password { new, by_link }) => password(home, site, who, (new, by_link))?,
        Some(Doubt::SignOut(session)) => {
            let person = &mut home.people[who];
            let own = person.sessions.iter().find(|own| own.id == session);
            if let Some(own) = own
                && !is_in(&own.browser)?
            {
                person.sign_out(session);
            }
            home.counts.checked("doubts settled");
        }
    }
    home.people[who].doubt = None;
    lost_codes(home, site, who)
}

/// Either the account is there and its password opens it, or the name is free.
fn made(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let (name, password) = (home.people[who].name.clone(), home.people[who].password.clone());
    home.counts.checked("doubts settled");
    let id = home.next_number();
    let since = site.now();
    let browser = if let Some((browser, _)) = enter(site, &APPS[0], &name, &password)? {
        browser
    } else {
        let mut browser = Browser::new(site.port);
        if !make_account(&mut browser, &name, &password)? {
            return broken("half an account: the name is taken, and the password is wrong");
        }
        browser
    };
    home.people[who].sessions.push(Session { id, browser, standing: Standing::Good, since });
    Ok(())
}

/// Exactly one password is right. If it is a new one, everything else has ended; otherwise nothing has:
/// the checks that follow ask for the one or the other.
fn password(
    home: &mut Household,
    site: &Site,
    who: usize,
    (new, by_link): (Vec<String>, bool),
) -> Deed<()> {
    home.counts.checked("doubts settled");
    let name = home.people[who].name.clone();
    let mut right = Vec::new();
    for password in &new {
        if enter(site, &APPS[0], &name, password)?.is_some() {
            right.push(password.clone());
        }
    }
    let old = home.people[who].password.clone();
    let old_is_right = enter(site, &APPS[0], &name, &old)?.is_some();
    match (&right[..], old_is_right) {
        ([], true) => {}
        ([password], false) => {
            home.people[who].take_password(password.clone(), by_link);
            // That it is wrong was seen just now.
            home.people[who].former.pop();
        }
        (right, old) => {
            return broken(format!(
                "after a change without an answer {} of {} new passwords are right, and the old one: {old}",
                right.len(),
                new.len()
            ));
        }
    }
    Ok(())
}

/// A code whose redemption got no answer is redeemed now, or never. What came of it before, if anything
/// did, ends by this at the latest (FT-15).
fn lost_codes(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    while let Some((app, code)) = home.people[who].lost_codes.last().cloned() {
        home.counts.checked("lost codes");
        let answer = redeem(site, app, &code)?.expect("a code again", &[200, 400])?;
        home.people[who].lost_codes.pop();
        if answer.status == 400 {
            if !answer.refuses_with("invalid_grant") {
                return Err(answer.unexpected("a code again"));
            }
            continue;
        }
        // Nobody has used it before, so this is the first family.
        let mut family = family_of(site, app, 0, code.clone(), &answer)?;
        let third = redeem(site, app, &code)?;
        if !third.refuses_with("invalid_grant") {
            return Err(third.unexpected("twice: a code was redeemed and redeemed again"));
        }
        family.standing = Standing::Over;
        home.people[who].take_family(family)?;
    }
    Ok(())
}
