//! What was acknowledged: everything that the house has said and has to stand by.
//!
//! A household is a few people whom one worker looks after, so that what is written here about a
//! person is written by one hand. A request without a whole answer leaves a *doubt*: both outcomes are
//! allowed, but each is a whole one.

use std::collections::BTreeMap;

use crate::{
    browser::Browser,
    chance::Chance,
    wire::{App, Deed, Trouble, broken},
};

/// What holds of something that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Over,
    /// What should have ended it got no answer.
    InDoubt,
}

/// A session of a person.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) browser: Browser,
    pub(crate) standing: Standing,
    /// When its person has proved who they are.
    pub(crate) since: i64,
}

/// An access token.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) token: String,
    pub(crate) expires_at: i64,
    /// Its app has given this one back.
    pub(crate) standing: Standing,
}

/// What came of one code.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) app: &'static App,
    pub(crate) session: u64,
    pub(crate) code: String,
    /// The refresh tokens, the newest last.
    pub(crate) tokens: Vec<String>,
    pub(crate) access: Vec<Access>,
    pub(crate) standing: Standing,
    /// When the newest was issued.
    pub(crate) issued_at: i64,
    /// When the newest was used without an answer.
    pub(crate) rotating_since: Option<i64>,
    /// Whom all its tokens are about.
    pub(crate) subject: String,
}

/// A personal access token.
#[derive(Debug)]
pub(crate) struct Personal {
    pub(crate) secret: String,
    pub(crate) standing: Standing,
}

/// What got no answer, where more hangs on it than one thing.
#[derive(Clone, Debug)]
pub(crate) enum Doubt {
    /// The account is there, or its name is free.
    Made,
    /// One of these is the password now, and everything else has ended; or nothing has changed.
    Password { new: Vec<String>, by_link: bool },
    /// The session is over with all that came of it; or nothing is.
    SignOut(u64),
}

/// A group that an invitation gives to one person.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) name: String,
    pub(crate) link: String,
    /// Who was told that they are in.
    pub(crate) members: Vec<String>,
    /// Who was told that they are not.
    pub(crate) refused: Vec<String>,
    /// Who asked and got no answer.
    pub(crate) asked: Vec<String>,
}

impl Crew {
    /// Whether somebody had to do with it.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        [&self.members, &self.refused, &self.asked]
            .into_iter()
            .any(|names| names.iter().any(|own| own == name))
    }
}

/// Somebody with an account.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) password: String,
    /// Whether the account comes from the upstream, and the password is one there.
    pub(crate) is_federated: bool,
    /// How apps know this person, for ever.
    pub(crate) subject: Option<String>,
    /// Those that are not it any more, and were not tried yet.
    pub(crate) former: Vec<String>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) families: Vec<Family>,
    pub(crate) personal: Vec<Personal>,
    /// A link that opens the account once.
    pub(crate) link: Option<String>,
    /// Links that were used, or that a change has ended.
    pub(crate) dead_links: Vec<String>,
    /// Codes whose redemption got no answer.
    pub(crate) lost_codes: Vec<(&'static App, String)>,
    pub(crate) doubt: Option<Doubt>,
    /// Something happened to it since it was looked at.
    pub(crate) is_touched: bool,
}

impl Person {
    pub(crate) const fn new(name: String, password: String) -> Self {
        Self {
            name,
            password,
            is_federated: false,
            subject: None,
            former: Vec::new(),
            sessions: Vec::new(),
            families: Vec::new(),
            personal: Vec::new(),
            link: None,
            dead_links: Vec::new(),
            lost_codes: Vec::new(),
            doubt: None,
            is_touched: true,
        }
    }

    /// Takes a family over: apps are told that it is the same person as ever.
    pub(crate) fn take_family(&mut self, family: Family) -> Deed<()> {
        let subject = self.subject.get_or_insert_with(|| family.subject.clone());
        if *subject != family.subject {
            return broken(format!("{} is {subject} and then {}", self.name, family.subject));
        }
        self.families.push(family);
        Ok(())
    }

    /// The password is another one: every session and every family has ended.
    pub(crate) fn take_password(&mut self, new: String, by_link: bool) {
        self.former.push(std::mem::replace(&mut self.password, new));
        for session in &mut self.sessions {
            session.standing = Standing::Over;
        }
        for family in &mut self.families {
            family.standing = Standing::Over;
        }
        if by_link {
            for personal in &mut self.personal {
                personal.standing = Standing::Over;
            }
        }
        self.dead_links.extend(self.link.take());
    }

    /// A session is over, and what came of it.
    pub(crate) fn sign_out(&mut self, session: u64) {
        for own in self.sessions.iter_mut().filter(|own| own.id == session) {
            own.standing = Standing::Over;
        }
        for family in self.families.iter_mut().filter(|family| family.session == session) {
            family.standing = Standing::Over;
        }
    }

    /// Lets go of what is old, so that a check stays short.
    pub(crate) fn forget_some(&mut self) {
        keep_newest(&mut self.sessions, 4);
        keep_newest(&mut self.families, 6);
        keep_newest(&mut self.personal, 4);
        keep_newest(&mut self.dead_links, 2);
        for family in &mut self.families {
            keep_newest(&mut family.tokens, 3);
            keep_newest(&mut family.access, 2);
        }
    }
}

fn keep_newest<T>(things: &mut Vec<T>, most: usize) {
    let excess = things.len().saturating_sub(most);
    things.drain(..excess);
}

/// The people of one worker, and its chance.
pub(crate) struct Household {
    pub(crate) number: usize,
    pub(crate) people: Vec<Person>,
    pub(crate) crews: Vec<Crew>,
    pub(crate) chance: Chance,
    pub(crate) counts: Counts,
    next: u64,
}

impl Household {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            people: Vec::new(),
            crews: Vec::new(),
            chance: Chance::new(0, 0),
            counts: Counts::default(),
            next: 0,
        }
    }

    /// A number that nobody in this household has.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A password that nobody has.
    pub(crate) fn password(&mut self) -> String {
        format!("grey {PASSWORD_MARK} {:016x}", self.chance.bits())
    }
}

/// What stands in every password, so that a log can be searched for them.
pub(crate) const PASSWORD_MARK: &str = "Herons";

/// What was done and looked at.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: BTreeMap<&'static str, u64>,
    pub(crate) checked: BTreeMap<&'static str, u64>,
    pub(crate) unanswered: BTreeMap<&'static str, u64>,
    /// What came to nothing: what was wanted, and why it was not had.
    pub(crate) failed: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counts {
    pub(crate) fn acknowledged(&mut self, kind: &'static str) {
        *self.acknowledged.entry(kind).or_default() += 1;
    }

    pub(crate) fn checked(&mut self, kind: &'static str) {
        *self.checked.entry(kind).or_default() += 1;
    }

    pub(crate) fn unanswered(&mut self, kind: &'static str) {
        *self.unanswered.entry(kind).or_default() += 1;
    }

    /// All of it in a line.
    pub(crate) fn in_a_line(&self) -> String {
        let total = |counts: &BTreeMap<&'static str, u64>| counts.values().sum::<u64>();
        format!(
            "{} acknowledged, {} without an answer, {} checked",
            total(&self.acknowledged),
            total(&self.unanswered),
            total(&self.checked)
        )
    }

    pub(crate) fn print(&self) {
        for (heading, counts) in [
            ("acknowledged", &self.acknowledged),
            ("without an answer", &self.unanswered),
            ("checked", &self.checked),
        ] {
            println!("{heading}:");
            for (kind, count) in counts {
                println!("  {count:>8} {kind}");
            }
        }
    }

    pub(crate) fn failed(&mut self, kind: &'static str, trouble: &Trouble) {
        *self.failed.entry((kind, trouble.name())).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, count) in &other.failed {
            *self.failed.entry(*kind).or_default() += count;
        }
        let add = |own: &mut BTreeMap<&'static str, u64>, more: &BTreeMap<&'static str, u64>| {
            for (kind, count) in more {
                *own.entry(*kind).or_default() += count;
            }
        };
        add(&mut self.acknowledged, &other.acknowledged);
        add(&mut self.checked, &other.checked);
        add(&mut self.unanswered, &other.unanswered);
    }
}
