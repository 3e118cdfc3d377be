//! What people and apps do while the house may die at any moment. Each deed writes into the ledger what
//! was acknowledged, and what was asked without an answer.

pub(crate) mod account;
mod asking;
pub(crate) mod entering;
mod federated;
mod once;
mod tokens;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    checks,
    house::Site,
    ledger::{Household, Standing},
    wire::{Answer, Deed, Trouble},
};

/// Deeds are done by the people who came last; all others only have to stay as they are.
const ACTIVE: usize = 6;
/// For so long after a sign-in the ways into an account can be changed, in seconds; the house allows
/// five minutes.
const YOUNG: i64 = 240;

/// Whoever is told to come back does so after this.
const PAUSE: Duration = Duration::from_millis(50);

/// Does one thing after another until the house is gone, or it is time to stop.
pub(crate) fn work(home: &mut Household, site: &Site, stop: &AtomicBool) -> Result<(), String> {
    while !stop.load(Ordering::Acquire) {
        let losses = site.losses();
        let deed = one_deed(home, site);
        let forgets = site.losses() != losses;
        if let Err(trouble) = &deed.done {
            home.counts.failed(deed.kind, trouble);
        }
        match deed.done {
            Ok(()) | Err(Trouble::Cut) => {}
            Err(Trouble::Gone) if !site.is_proxied => break,
            Err(Trouble::Gone | Trouble::Away) => thread::sleep(PAUSE),
            // What was under way is short-lived: it may be forgotten, and never done twice.
            Err(Trouble::Broken(text))
                if deed.in_a_flow && forgets && !text.starts_with("twice:") => {}
            Err(Trouble::Broken(text)) => return Err(text),
        }
    }
    Ok(())
}

/// Something that was done, or not.
pub(crate) struct Done {
    pub(crate) kind: &'static str,
    pub(crate) done: Deed<()>,
    /// Whether it hung on short-lived state.
    in_a_flow: bool,
}

/// Does something.
pub(crate) fn one_deed(home: &mut Household, site: &Site) -> Done {
    let flow = |kind, done| Done { kind, done, in_a_flow: true };
    let single = |kind, done| Done { kind, done, in_a_flow: false };
    let active = home.people.len().saturating_sub(ACTIVE)..home.people.len();
    let doubted = active.clone().find(|at| checks::is_in_doubt(&home.people[*at]));
    if let Some(who) = doubted.filter(|_| site.is_proxied)
        && home.chance.percent(30)
    {
        return flow("a doubt settled", checks::settle(home, site, who));
    }
    let calm: Vec<usize> = active.filter(|at| home.people[*at].doubt.is_none()).collect();
    if calm.is_empty() || home.chance.percent(if home.people.len() < 4 { 40 } else { 6 }) {
        return flow("sign-up", entering::come(home, site));
    }
    let who = calm[home.chance.below(calm.len())];
    home.people[who].is_touched = true;
    if home.people[who].link.is_some() && home.chance.percent(40) {
        return flow("a link used", once::use_link(home, site, who));
    }
    if home.crews.last().is_some_and(|crew| crew.asked.is_empty() && crew.members.is_empty())
        && calm.len() > 1
        && home.chance.percent(40)
    {
        return flow("an invitation taken", once::accept(home, site, &calm));
    }
    match home.chance.below(100) {
        0..16 => flow("sign-in", entering::sign_in(home, site, who)),
        16..28 => flow("an app opened", entering::come_again(home, site, who)),
        28..54 => single("refresh", tokens::rotate(home, site, who)),
        54..64 => single("a token asked about", asking::ask(home, site, who)),
        64..68 => single("what is over", asking::try_what_is_over(home, site, who)),
        68..74 => single("revocation", tokens::give_back(home, site, who)),
        74..80 => single("sign-out", account::sign_out(home, site, who)),
        80..86 => single("another password", account::change_password(home, site, who)),
        86..94 => single("a program's token", account::make_token(home, site, who)),
        _ => single("a program's token revoked", account::revoke_token(home, site, who)),
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
