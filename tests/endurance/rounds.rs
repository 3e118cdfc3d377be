//! A round: people and apps at work, a kill in the middle of it, a restart, and the question whether
//! everything holds.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};

use crate::{
    chance::Chance,
    checks, deeds,
    grounds::Grounds,
    house::House,
    keys::KeyBook,
    ledger::{Counts, Crew, Household},
    wire::Trouble,
};

/// So many are at work at once.
const WORKERS: usize = 4;
/// How long a store that was killed stays away while people go on.
const AWAY: Duration = Duration::from_millis(200);

/// Until the page has a form for accounts of the house, which it has not without any.
const FORM_APPEARS: Duration = Duration::from_millis(1_200);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Keywright,
    Postgres,
    KeywrightAndPostgres,
    Redis,
}

impl Victim {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keywright => "Keywright",
            Self::Postgres => "PostgreSQL",
            Self::KeywrightAndPostgres => "Keywright and PostgreSQL",
            Self::Redis => "Redis",
        }
    }

    const fn is_keywright(self) -> bool {
        matches!(self, Self::Keywright | Self::KeywrightAndPostgres)
    }

    const fn is_postgres(self) -> bool {
        matches!(self, Self::Postgres | Self::KeywrightAndPostgres)
    }
}

/// What a seed decides about its round.
struct Plan {
    victim: Victim,
    /// When the kill comes.
    life: Duration,
    /// How much time passes in the house before the next start, in seconds.
    leap: i64,
    /// When somebody begins to rotate the keys, and after how long that is killed too.
    rotation: Option<(Duration, Option<Duration>)>,
}

impl Plan {
    fn of(chance: &mut Chance, has_servers: bool) -> Self {
        let milliseconds = |from: usize, to: usize, chance: &mut Chance| {
            Duration::from_millis(u64::try_from(from + chance.below(to - from)).unwrap())
        };
        let victim = match chance.below(100) {
            0..12 if has_servers => Victim::Postgres,
            12..22 if has_servers => Victim::KeywrightAndPostgres,
            22..32 if has_servers => Victim::Redis,
            _ => Victim::Keywright,
        };
        let life = milliseconds(50, 900, chance);
        let leap =
            if chance.percent(25) { 40 + i64::try_from(chance.below(560)).unwrap() } else { 0 };
        let rotation = chance.percent(30).then(|| {
            let killed = chance.percent(50).then(|| milliseconds(5, 200, chance));
            (milliseconds(0, 150, chance), killed)
        });
        Self { victim, life, leap, rotation }
    }
}

/// All that was done in a run.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) victims: BTreeMap<Victim, u64>,
    pub(crate) counts: Counts,
    pub(crate) restarts: Vec<Duration>,
    pub(crate) recoveries: Vec<Duration>,
    pub(crate) signatures: usize,
    pub(crate) keys: usize,
    pub(crate) leaps: u64,
}

/// A house with the people in it.
pub(crate) struct Inhabited {
    pub(crate) house: House,
    homes: Vec<Household>,
    /// Whether its database is put back after each kill, so that the checker has something to find.
    loses: bool,
}

impl Inhabited {
    /// A new house, which has never run.
    pub(crate) fn new(
        grounds: &Grounds,
        program: &Path,
        seed: u64,
        loses: bool,
    ) -> anyhow::Result<Self> {
        let stores = grounds.stores_for(seed)?;
        let mut house = House::new(program, stores, &mut Chance::new(seed, 99));
        house.start()?;
        house.serves(Instant::now())?;
        look(&house)?;
        let homes = settle(&house, 0..WORKERS)?;
        Ok(Self { house, homes, loses })
    }

    /// One round.
    pub(crate) fn round(
        &mut self,
        grounds: &mut Grounds,
        seed: u64,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let mut chance = Chance::new(seed, 0);
        let plan = Plan::of(&mut chance, grounds.has_servers());
        for home in &mut self.homes {
            home.chance = Chance::new(seed, 1 + u64::try_from(home.number)?);
        }
        prepare(&self.house, &mut self.homes, &mut chance)?;
        if self.loses {
            self.house.kill();
            self.house.copy_database(false)?;
            self.house.start()?;
        }
        let rotated = self.live(&plan, grounds)?;
        if self.loses {
            self.house.copy_database(true)?;
        }
        self.come_back(&plan, grounds, tally)?;
        self.check(rotated, tally)?;
        tally.rounds += 1;
        *tally.victims.entry(plan.victim).or_default() += 1;
        for home in &mut self.homes {
            tally.counts.add(&std::mem::take(&mut home.counts));
        }
        Ok(())
    }

    /// Work, and the kill. Answers what the one who rotated the keys was told.
    fn live(&mut self, plan: &Plan, grounds: &mut Grounds) -> anyhow::Result<Option<Output>> {
        let (site, stop) = (Arc::clone(&self.house.site), AtomicBool::new(false));
        let verb = self.house.verb(&["key", "rotate"]);
        let (house, homes, site, stop) = (&mut self.house, &mut self.homes, &site, &stop);
        thread::scope(|scope| {
            let workers: Vec<_> = homes
                .iter_mut()
                .map(|home| scope.spawn(move || deeds::work(home, site, stop)))
                .collect();
            let locksmith = plan.rotation.map(|when| scope.spawn(move || rotate(verb, when)));
            thread::sleep(plan.life);
            if plan.victim.is_postgres() {
                grounds.kill_postgres();
            }
            if plan.victim == Victim::Redis {
                site.forgets();
                grounds.kill_redis();
                site.forgets();
            }
            if plan.victim.is_keywright() {
                house.kill();
            } else {
                thread::sleep(AWAY);
            }
            stop.store(true, Ordering::Release);
            let worked: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            for done in worked {
                done.map_err(|text| anyhow!("before the kill: {text}"))?;
            }
            locksmith.map_or(Ok(None), |locksmith| locksmith.join().unwrap())
        })
    }

    /// Everything is started again.
    fn come_back(
        &mut self,
        plan: &Plan,
        grounds: &mut Grounds,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let since = Instant::now();
        grounds.start_again()?;
        if plan.victim.is_keywright() {
            if plan.leap > 0 {
                self.house.let_time_pass(plan.leap);
                tally.leaps += 1;
            }
            tally.restarts.push(self.house.start()?);
            self.house.serves(since)?;
        } else {
            self.house.still_runs()?;
            tally.recoveries.push(self.house.serves(since)?);
        }
        self.house.check_log(plan.victim != Victim::Keywright)
    }

    /// Whether everything holds.
    fn check(&mut self, rotated: Option<Output>, tally: &mut Tally) -> anyhow::Result<()> {
        let site = Arc::clone(&self.house.site);
        let (signatures, keys) = site.keys.check(site.port, site.now()).map_err(in_words)?;
        tally.signatures += signatures;
        tally.keys = tally.keys.max(keys);
        checks::rows::check(self.house.database())?;
        if let Some(output) = rotated {
            acknowledged_keys(&self.house, &output)?;
        }
        checks::check_all(&mut self.homes, &site)
            .map_err(|text| anyhow!("after the restart: {text}"))?;
        // What the checker has done was acknowledged too.
        look(&self.house)?;
        self.house.check_log(false)
    }
}

/// Households with these numbers, each with somebody in it.
pub(crate) fn settle(house: &House, numbers: Range<usize>) -> anyhow::Result<Vec<Household>> {
    let mut homes: Vec<Household> = numbers.map(Household::new).collect();
    for home in &mut homes {
        deeds::entering::sign_up(home, &house.site).map_err(in_words)?;
    }
    thread::sleep(FORM_APPEARS);
    Ok(homes)
}

pub(crate) fn in_words(trouble: Trouble) -> anyhow::Error {
    match trouble {
        Trouble::Broken(text) => anyhow!(text),
        other => anyhow!("the house is ready and does not answer: {other:?}"),
    }
}

pub(crate) fn look(house: &House) -> anyhow::Result<()> {
    house.site.keys.look(house.site.port).map_err(in_words)
}

/// What an administrator gives to people now and then: a way back in, an invitation.
pub(crate) fn prepare(
    house: &House,
    homes: &mut [Household],
    chance: &mut Chance,
) -> anyhow::Result<()> {
    let among = homes.len();
    let home = &mut homes[chance.below(among)];
    let newest = home.people.len().min(5);
    let at = home.people.len().saturating_sub(1 + chance.below(newest));
    if chance.percent(35)
        && let Some(person) = home.people.get_mut(at).filter(|person| !person.is_federated)
    {
        let made = house.run_json(&["user", "recover", &person.name, "--json"])?;
        let link = made["link"].as_str().context("no link was made")?.to_owned();
        // Any older one is gone.
        person.dead_links.extend(person.link.replace(link));
        person.is_touched = true;
        home.counts.acknowledged("link made");
    }
    let home = &mut homes[chance.below(among)];
    let is_open = home.crews.last().is_some_and(|crew| crew.members.is_empty());
    if chance.percent(35) && home.people.len() > 1 && !is_open {
        let number = home.next_number();
        // Looked for on pages: none is the beginning of another.
        let name = format!("crew-{}-{number}-one", home.number);
        let made = house.run_json(&["invite", "create", "--group", &name, "--json"])?;
        let link = made["link"].as_str().context("no invitation was made")?.to_owned();
        let (members, refused, asked) = (Vec::new(), Vec::new(), Vec::new());
        home.crews.push(Crew { name, link, members, refused, asked });
        home.counts.acknowledged("invitation made");
    }
    Ok(())
}

/// Rotates the keys beside the server; what it was told, unless it was killed itself.
pub(crate) fn rotate(
    mut verb: Command,
    (begins, killed): (Duration, Option<Duration>),
) -> anyhow::Result<Option<Output>> {
    thread::sleep(begins);
    let mut running = verb.spawn()?;
    if let Some(after) = killed {
        thread::sleep(after);
        running.kill()?;
        running.wait()?;
        return Ok(None);
    }
    Ok(Some(running.wait_with_output()?))
}

/// Every key that was said to take over is there (FT-51).
pub(crate) fn acknowledged_keys(house: &House, output: &Output) -> anyhow::Result<()> {
    let said = String::from_utf8_lossy(&output.stdout);
    let list = house.run_json(&["key", "list", "--json"])?;
    for line in said.lines().filter_map(|line| line.strip_suffix(" will take over.")) {
        let Some((_, kid)) = line.split_once(": ") else {
            bail!("key rotate says {line:?}");
        };
        ensure!(KeyBook::is_listed(&list, kid), "the new key {kid} is lost");
    }
    Ok(())
}
