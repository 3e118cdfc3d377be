//! Whether the house stands by what it has said, asked after each restart.

mod doubts;
mod people;
pub(crate) mod rows;
mod tokens;

use std::{thread, time::Duration};

use crate::{
    house::Site,
    ledger::{Household, Person, Standing},
    wire::{Deed, Trouble},
};

/// So many people to whom nothing has happened are looked at too.
const SAMPLE: usize = 2;
const TRIES: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// Checks all households at once.
pub(crate) fn check_all(homes: &mut [Household], site: &Site) -> Result<(), String> {
    thread::scope(|scope| {
        let asked: Vec<_> =
            homes.iter_mut().map(|home| scope.spawn(move || check(home, site))).collect();
        let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
        answers.into_iter().collect()
    })
}

/// Checks everything about whoever did something in this round, and a few others.
fn check(home: &mut Household, site: &Site) -> Result<(), String> {
    let mut meant: Vec<usize> = Vec::new();
    for (at, person) in home.people.iter().enumerate() {
        if person.is_touched || person.doubt.is_some() {
            meant.push(at);
        }
    }
    for _ in 0..SAMPLE {
        let any = home.chance.below(home.people.len());
        if any < home.people.len() && !meant.contains(&any) {
            meant.push(any);
        }
    }
    for who in meant {
        let name = home.people[who].name.clone();
        patiently(&name, || check_person(home, site, who))?;
    }
    patiently("invitations", || people::crews(home, site))?;
    for person in &mut home.people {
        person.forget_some();
    }
    let excess = home.crews.len().saturating_sub(3);
    home.crews.drain(..excess);
    Ok(())
}

/// Whether something that this person has asked got no answer.
pub(crate) fn is_in_doubt(person: &Person) -> bool {
    person.doubt.is_some()
        || !person.lost_codes.is_empty()
        || person.families.iter().any(tokens::is_repeatable)
}

/// Asks again, while everything may still die.
pub(crate) fn settle(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    doubts::settle(home, site, who)?;
    tokens::repeat_all(home, site, who)
}

fn check_person(home: &mut Household, site: &Site, who: usize) -> Deed<()> {
    doubts::settle(home, site, who)?;
    people::check(home, site, who)?;
    tokens::check(home, site, who)?;
    home.people[who].is_touched = false;
    Ok(())
}

/// A house that is ready answers. On a machine that is busy it may say 503 for a while.
fn patiently(about: &str, mut step: impl FnMut() -> Deed<()>) -> Result<(), String> {
    for _ in 0..TRIES {
        match step() {
            Ok(()) => return Ok(()),
            Err(Trouble::Away) => thread::sleep(PAUSE),
            Err(Trouble::Broken(text)) => return Err(format!("{about}: {text}")),
            Err(other) => {
                return Err(format!("{about}: no answer from a house that is ready: {other:?}"));
            }
        }
    }
    Err(format!("{about}: 503, {TRIES} times"))
}

/// What it has to be that something stands like this; none if both are right.
const fn expected(standing: Standing) -> Option<bool> {
    match standing {
        Standing::Good => Some(true),
        Standing::Over => Some(false),
        Standing::InDoubt => None,
    }
}

/// The standing of what was found good or not.
const fn found(is_good: bool) -> Standing {
    if is_good { Standing::Good } else { Standing::Over }
}
