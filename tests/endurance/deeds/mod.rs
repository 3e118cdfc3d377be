//! What people and apps do while the house may die at any moment. Each deed writes into the ledger what
//! was acknowledged, and what was asked without an answer.

pub(crate) mod account;
pub(crate) mod entering;
mod once;
mod tokens;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    house::Site,
    ledger::{Household, Standing},
    wire::{Answer, Deed, Trouble},
};

/// Deeds are done by the people who came last; all others only have to stay as they are.
const ACTIVE: usize = 6;
/// For so long after a sign-in the ways into an account can be changed, in seconds; the house allows
/// five minutes.
const YOUNG: i64 = 240;

/// Does one thing after another until the house is gone, or it is time to stop.
pub(crate) fn work(home: &mut Household, site: &Site, stop: &AtomicBool) -> Result<(), String> {
    let forgets = site.may_forget.load(Ordering::Relaxed);
    while !stop.load(Ordering::Acquire) {
        let (done, in_a_flow) = one_deed(home, site);
        match done {
            Ok(()) | Err(Trouble::Cut) => {}
            Err(Trouble::Gone) => break,
            Err(Trouble::Away) => thread::sleep(Duration::from_millis(20)),
            // What was under way is short-lived: it may be forgotten, and never done twice.
            Err(Trouble::Broken(text)) if in_a_flow && forgets && !text.starts_with("twice:") => {}
            Err(Trouble::Broken(text)) => return Err(text),
        }
    }
    Ok(())
}

/// Does something; also whether it hung on short-lived state.
fn one_deed(home: &mut Household, site: &Site) -> (Deed<()>, bool) {
    let calm: Vec<usize> = home
        .people
        .iter()
        .enumerate()
        .skip(home.people.len().saturating_sub(ACTIVE))
        .filter(|(_, person)| person.doubt.is_none())
        .map(|(at, _)| at)
        .collect();
    if calm.is_empty() || home.chance.percent(if home.people.len() < 4 { 40 } else { 6 }) {
        return (entering::sign_up(home, site), true);
    }
    let who = calm[home.chance.below(calm.len())];
    home.people[who].is_touched = true;
    if home.people[who].link.is_some() && home.chance.percent(40) {
        return (once::use_link(home, site, who), true);
    }
    if home.crews.last().is_some_and(|crew| crew.asked.is_empty() && crew.members.is_empty())
        && calm.len() > 1
        && home.chance.percent(40)
    {
        return (once::accept(home, site, &calm), true);
    }
    match home.chance.below(100) {
        0..18 => (entering::sign_in(home, site, who), true),
        18..32 => (entering::come_again(home, site, who), true),
        32..62 => (tokens::rotate(home, site, who), false),
        62..70 => (tokens::give_back(home, site, who), false),
        70..77 => (account::sign_out(home, site, who), false),
        77..84 => (account::change_password(home, site, who), false),
        84..93 => (account::make_token(home, site, who), false),
        _ => (account::revoke_token(home, site, who), false),
    }
}

/// One of the sessions of a person that are good, and young if that matters.
fn good_session(home: &mut Household, site: &Site, who: usize, young: bool) -> Option<usize> {
    let since = site.now() - YOUNG;
    let good: Vec<usize> = home.people[who]
        .sessions
        .iter()
        .enumerate()
        .filter(|(_, own)| own.standing == Standing::Good && (!young || own.since > since))
        .map(|(at, _)| at)
        .collect();
    (!good.is_empty()).then(|| good[home.chance.below(good.len())])
}

/// Whether it is unknown what became of a request.
pub(crate) const fn is_unknown<T>(done: &Deed<T>) -> bool {
    matches!(done, Err(Trouble::Cut | Trouble::Away))
}

/// Does the same twice at once.
fn twice<A: Send, B: Send>(
    one: impl FnOnce() -> Deed<A> + Send,
    other: impl FnOnce() -> Deed<B> + Send,
) -> (Deed<A>, Deed<B>) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        (one, other.join().expect("a thread that does not panic"))
    })
}

/// How one of two that wanted the same came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Won,
    Refused,
    Unknown,
}

/// What an answer means: `won` and `refused` are the statuses of success and of a refusal.
fn outcome(what: &str, answer: &Deed<Answer>, (won, refused): (&[u16], &[u16])) -> Deed<Outcome> {
    match answer {
        Ok(answer) if won.contains(&answer.status) => Ok(Outcome::Won),
        Ok(answer) if refused.contains(&answer.status) => Ok(Outcome::Refused),
        Ok(answer) if answer.status == 503 => Ok(Outcome::Unknown),
        Ok(answer) => Err(answer.unexpected(what)),
        Err(Trouble::Broken(text)) => Err(Trouble::Broken(text.clone())),
        Err(Trouble::Gone) => Ok(Outcome::Refused),
        Err(Trouble::Cut | Trouble::Away) => Ok(Outcome::Unknown),
    }
}
