//! Getting in: an account, a sign-in, a code, tokens.

use super::{Outcome, federated, good_session, is_unknown, outcome, twice};
use crate::{
    browser::{Browser, Landing},
    house::Site,
    ledger::{Doubt, Household, Person, Session, Standing},
    tokens_of::{authorize_path, family_of, redeem},
    upstream::enrol,
    wire::{APPS, App, Deed, Trouble, broken},
};

/// Somebody new comes, with an account to be made here or at the upstream.
pub(super) fn come(home: &mut Household, site: &Site) -> Deed<()> {
    match site.upstream {
        Some(port) if home.chance.percent(35) => come_from(home, port),
        _ => sign_up(home, site),
    }
}

fn newcomer(home: &mut Household) -> Person {
    let number = home.next_number();
    Person::new(format!("p{}x{number}", home.number), home.password())
}

fn come_from(home: &mut Household, upstream: u16) -> Deed<()> {
    let mut person = newcomer(home);
    if !enrol(upstream, &person.name, &person.password)? {
        return broken(format!("{}: the name of nobody is taken upstream", person.name));
    }
    person.is_federated = true;
    home.counts.acknowledged("account made upstream");
    home.people.push(person);
    Ok(())
}

/// Somebody new makes an account.
pub(crate) fn sign_up(home: &mut Household, site: &Site) -> Deed<()> {
    let mut person = newcomer(home);
    let mut browser = Browser::new(site.port);
    let made = make_account(&mut browser, &person.name, &person.password);
    match made {
        Ok(true) => {
            let (id, since) = (home.next_number(), site.now());
            person.sessions.push(Session { id, browser, standing: Standing::Good, since });
            home.counts.acknowledged("account made");
            home.people.push(person);
            Ok(())
        }
        Ok(false) => broken(format!("{}: the name of nobody is taken", person.name)),
        Err(trouble) => {
            if matches!(trouble, Trouble::Cut | Trouble::Away) {
                home.counts.unanswered("account made");
                person.doubt = Some(Doubt::Made);
                home.people.push(person);
            }
            Err(trouble)
        }
    }
}

/// Whether there is an account of this name now that was not there before.
pub(crate) fn make_account(browser: &mut Browser, name: &str, password: &str) -> Deed<bool> {
    // Until the form is sent nothing can have been done.
    let unsent = |trouble: Trouble| match trouble {
        Trouble::Broken(text) => Trouble::Broken(text),
        _ => Trouble::Gone,
    };
    let page = browser.visit("/signup").map_err(unsent)?.page("sign-up")?;
    let form = page.need_form("/signup").map_err(unsent)?;
    let answer = browser.submit(&form, &[("username", name), ("password", password)])?;
    let answer = answer.expect(&format!("sign-up of {name}"), &[303, 422])?;
    Ok(answer.status == 303)
}

/// A person signs in at a new browser, on the way to an app, and gets tokens there.
pub(super) fn sign_in(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let app = &APPS[home.chance.below(APPS.len())];
    let (name, password) = (home.people[who].name.clone(), home.people[who].password.clone());
    let kind = if home.people[who].is_federated { "sign-in by the upstream" } else { "sign-in" };
    let signed_in = enter_as(site, app, &home.people[who]);
    if is_unknown(&signed_in) {
        home.counts.unanswered(kind);
    }
    let Some((browser, code)) = signed_in? else {
        return broken(format!("{name}: the password is refused: {password}"));
    };
    home.counts.acknowledged(kind);
    let id = home.next_number();
    let since = site.now();
    let session = Session { id, browser, standing: Standing::Good, since };
    home.people[who].sessions.push(session);
    take_code(home, site, (who, id), app, code)
}

/// Signs a person in, in the way of their account.
pub(crate) fn enter_as(site: &Site, app: &App, person: &Person) -> Deed<Option<(Browser, String)>> {
    if person.is_federated {
        federated::enter(site, app, &person.name, &person.password).map(Some)
    } else {
        enter(site, app, &person.name, &person.password)
    }
}

/// Signs in with a password at a new browser: the browser and a code; nothing if the password is refused.
pub(crate) fn enter(
    site: &Site,
    app: &App,
    name: &str,
    password: &str,
) -> Deed<Option<(Browser, String)>> {
    let mut browser = Browser::new(site.port);
    let page = browser.visit(&authorize_path(app))?.page("authorize")?;
    let form = page.need_form("/login")?;
    let answer = browser.submit(&form, &[("username", name), ("password", password)])?;
    let answer = answer.expect(&format!("sign-in of {name}"), &[302, 303, 400])?;
    if answer.status == 400 {
        return if answer.body.contains("is not right") {
            Ok(None)
        } else {
            Err(answer.unexpected(&format!("sign-in of {name}")))
        };
    }
    match browser.follow("/login", answer)? {
        Landing::App(Some(code)) if browser.has_session() => Ok(Some((browser, code))),
        Landing::App(_) => broken(format!("{name}: signed in without a code or a session")),
        Landing::Page(page) => {
            Err(page.answer.unexpected(&format!("{name}: the sign-in ends on a page")))
        }
    }
}

/// A person who is signed in opens an app.
pub(super) fn come_again(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let Some(at) = good_session(home, site, who, false) else {
        return sign_in(home, site, who);
    };
    let app = &APPS[home.chance.below(APPS.len())];
    let person = &mut home.people[who];
    let session = &mut person.sessions[at];
    let id = session.id;
    match session.browser.visit(&authorize_path(app))? {
        Landing::App(Some(code)) => take_code(home, site, (who, id), app, code),
        Landing::App(None) => broken(format!("{}: sent back without a code", person.name)),
        Landing::Page(page) => {
            let what = format!("{}: a session that was good is not", person.name);
            Err(page.answer.unexpected(&what))
        }
    }
}

/// An app redeems a code; sometimes twice at once.
fn take_code(
    home: &mut Household,
    site: &Site,
    (who, session): (usize, u64),
    app: &'static App,
    code: String,
) -> Deed<()> {
    let at_once = home.chance.percent(15);
    let (one, other) = if at_once {
        let both = twice(|| redeem(site, app, &code), || redeem(site, app, &code));
        (both.0, Some(both.1))
    } else {
        (redeem(site, app, &code), None)
    };
    let statuses: (&[u16], &[u16]) = (&[200], if at_once { &[400] } else { &[] });
    let outcomes = [Some(&one), other.as_ref()].into_iter().flatten();
    let outcomes: Vec<Outcome> = outcomes
        .map(|answer| outcome("redeeming a code", answer, statuses))
        .collect::<Deed<_>>()?;
    let won = outcomes.iter().filter(|outcome| **outcome == Outcome::Won).count();
    if won > 1 {
        return broken("twice: a code was redeemed twice");
    }
    if won == 0 {
        let gone = matches!(one, Err(Trouble::Gone));
        if outcomes.contains(&Outcome::Unknown) {
            home.counts.unanswered("code redeemed");
            home.people[who].lost_codes.push((app, code));
            return Err(Trouble::Cut);
        }
        return if gone {
            Err(Trouble::Gone)
        } else {
            broken("a code was refused to both who had it")
        };
    }
    let winner = one.ok().filter(|answer| answer.status == 200).or(other.and_then(Result::ok));
    let mut family = family_of(site, app, session, code, &winner.expect("one has won"))?;
    if at_once {
        // Whoever came second has ended it, if it was noticed as a second use.
        family.standing = Standing::InDoubt;
    }
    home.counts.acknowledged("code redeemed");
    home.people[who].take_family(family)
}
