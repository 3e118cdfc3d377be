//! What works once: a link into an account, an invitation for one. Two try at the same time.

use super::{Outcome, good_session, outcome, twice};
use crate::{
    browser::Browser,
    house::{Site, below_the_issuer},
    html::Form,
    ledger::{Doubt, Household},
    wire::{Answer, Deed, Trouble, broken},
};

/// Opens a person's link, and the form behind it.
pub(crate) fn open_link(site: &Site, link: &str) -> Deed<Result<(Browser, Form), Answer>> {
    let mut browser = Browser::new(site.port);
    let page = browser.visit(below_the_issuer(link))?.page("a link")?;
    match page.form("/recovery/password") {
        Some(form) => Ok(Ok((browser, form))),
        None => page.answer.expect("a link", &[410]).map(Err),
    }
}

/// A person uses the link that was given to them, at two browsers.
pub(super) fn use_link(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    let (one, other) = (home.password(), home.password());
    let alone = home.chance.percent(50);
    let person = &mut home.people[who];
    let link = person.link.clone().unwrap_or_default();
    let open = || match open_link(site, &link) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(refused)) => Err(refused.unexpected("a link that was not used is refused")),
        // Nothing is done by looking.
        Err(Trouble::Broken(text)) => Err(Trouble::Broken(text)),
        Err(_) => Err(Trouble::Gone),
    };
    let mut first = open()?;
    let mut second = open()?;
    let mut tried = vec![one.clone()];
    let answers = if alone {
        vec![first.0.submit(&first.1, &[("password", &one)])]
    } else {
        tried.push(other.clone());
        let both = twice(
            || first.0.submit(&first.1, &[("password", &one)]),
            || second.0.submit(&second.1, &[("password", &other)]),
        );
        vec![both.0, both.1]
    };
    let outcomes: Vec<Outcome> = answers
        .iter()
        .map(|answer| outcome("a link into an account", answer, (&[200], &[410])))
        .collect::<Deed<_>>()?;
    let winners: Vec<usize> =
        (0..outcomes.len()).filter(|at| outcomes[*at] == Outcome::Won).collect();
    match winners[..] {
        [winner] => {
            person.take_password(tried.swap_remove(winner), true);
            home.counts.acknowledged("link used");
            Ok(())
        }
        [] if outcomes.contains(&Outcome::Unknown) => {
            person.doubt = Some(Doubt::Password { new: tried, by_link: true });
            home.counts.unanswered("link used");
            Err(Trouble::Cut)
        }
        [] if answers.iter().any(|answer| matches!(answer, Err(Trouble::Gone))) => {
            Err(Trouble::Gone)
        }
        [] => broken("a link was refused to both who had it"),
        _ => broken("twice: a link was used twice"),
    }
}

/// Two people want to take the newest invitation, which is for one.
pub(super) fn accept(home: &mut Household, site: &Site, calm: &[usize]) -> Deed<()> {
    let mut ready = Vec::new();
    for who in calm {
        let Some(at) = good_session(home, site, *who, false) else { continue };
        let crew = home.crews.last().expect("there is one");
        let mut browser = home.people[*who].sessions[at].browser.clone();
        let form = match browser.visit(below_the_issuer(&crew.link))?.page("an invitation")? {
            page if page.answer.status == 200 => page.need_form("/invitation")?,
            page => return Err(page.answer.unexpected("an invitation that nobody has taken")),
        };
        ready.push((home.people[*who].name.clone(), browser, form));
        if ready.len() == 2 {
            break;
        }
    }
    let [one, other] = &mut ready[..] else { return Ok(()) };
    let both = twice(|| one.1.submit(&one.2, &[]), || other.1.submit(&other.2, &[]));
    let crew = home.crews.last_mut().expect("there is one");
    let mut won = 0;
    for (name, answer) in [(&one.0, both.0), (&other.0, both.1)] {
        match outcome("an invitation", &answer, (&[303], &[410]))? {
            Outcome::Won => {
                is_at_home(&answer)?;
                won += 1;
                crew.members.push(name.clone());
                home.counts.acknowledged("invitation taken");
            }
            Outcome::Unknown => {
                crew.asked.push(name.clone());
                home.counts.unanswered("invitation taken");
            }
            Outcome::Refused if matches!(answer, Err(Trouble::Gone)) => {}
            Outcome::Refused => crew.refused.push(name.clone()),
        }
    }
    for person in home.people.iter_mut().filter(|person| crew.concerns(&person.name)) {
        person.is_touched = true;
    }
    if won > 1 {
        return broken("twice: two have taken an invitation for one");
    }
    if won == 0 && crew.asked.is_empty() && crew.refused.len() == 2 {
        return broken("an invitation was refused to both who had it");
    }
    Ok(())
}

/// Whoever was let in goes to their own page, and not to sign in.
fn is_at_home(answer: &Deed<Answer>) -> Deed<()> {
    match answer {
        Ok(answer) if answer.location() != Some("/account") => {
            Err(answer.unexpected("an invitation that was taken"))
        }
        _ => Ok(()),
    }
}
