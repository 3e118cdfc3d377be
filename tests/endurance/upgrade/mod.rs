//! A rolling upgrade: two instances of a former version behind nginx are replaced one by one by the next
//! version, with its migration in between, and then back again; people and apps go on all the time, and
//! nothing that any of them wants may fail (FT-21, FT-41, FT-53). Nobody tries again but nginx, where that
//! does nothing twice.

mod versions;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};

use crate::{
    checks,
    day::Day,
    deeds,
    house::Site,
    instance::{Instance, Program},
    ledger::Household,
    rounds::in_words,
    spans, traffic,
    wire::Trouble,
};

pub(crate) use versions::Versions;

/// One that has come back is left alone for so long: nginx does not look before.
const SETTLED: Duration = Duration::from_millis(2_500);

/// What happens one after the other.
const STAGES: [&str; 6] = [
    "both of the former version",
    "the same, and the schema of the next",
    "one of each version",
    "both of the next version",
    "one of each version, on the way back",
    "both of the former version again",
];

/// What all workers share.
struct Load<'l> {
    site: &'l Site,
    stage: AtomicUsize,
    done: AtomicBool,
}

/// What one worker has seen in each stage.
#[derive(Default)]
struct Seen {
    deeds: [u64; STAGES.len()],
    slowest: [Duration; STAGES.len()],
    failures: Vec<String>,
}

/// An upgrade, and back, that takes so long. `brutally` kills instead of telling to stop, and has to fail.
pub(crate) fn run(
    versions: &Versions,
    seed: u64,
    length: Duration,
    brutally: bool,
) -> anyhow::Result<()> {
    println!("from {} to {}, and back, with seed {seed}", versions.old.display(), versions.what);
    let mut day = Day::begin(&versions.old, seed)?;
    let (seen, stops) = under_load(&mut day, versions, length, brutally)?;
    let port = day.house.site.port;
    report(&seen, &stops);
    println!("\n{}", traffic::drawn(port));
    let failures: Vec<String> = seen.into_iter().flat_map(|seen| seen.failures).collect();
    if brutally {
        return match &failures[..] {
            [] => Err(anyhow!("instances were killed under load, and nobody has noticed it")),
            [first, ..] => {
                println!("\nnoticed {} times: {first}", failures.len());
                Ok(())
            }
        };
    }
    if !failures.is_empty() {
        let text = format!("{} things failed:\n{}", failures.len(), failures.join("\n"));
        bail!("{}", day.keep(&text));
    }
    check(&mut day).map_err(|error| anyhow!(day.keep(&format!("{error:#}"))))
}

fn under_load(
    day: &mut Day,
    versions: &Versions,
    length: Duration,
    brutally: bool,
) -> anyhow::Result<(Vec<Seen>, Vec<Duration>)> {
    let pause = length / u32::try_from(STAGES.len())?;
    let Day { house, homes, .. } = day;
    let (stage, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let load = &Load { site: &house.site, stage, done };
    let roll = Roll { program: &house.program, load, pause, brutally };
    let instances = &mut house.instances;
    thread::scope(|scope| {
        let workers: Vec<_> =
            homes.iter_mut().map(|home| scope.spawn(move || work(home, load))).collect();
        let rolled = roll.forth_and_back(instances, versions);
        load.done.store(true, Ordering::Release);
        let seen = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        Ok((seen, rolled?))
    })
}

/// How instances are replaced.
struct Roll<'r> {
    program: &'r Program,
    load: &'r Load<'r>,
    pause: Duration,
    brutally: bool,
}

impl Roll<'_> {
    fn forth_and_back(
        &self,
        instances: &mut [Instance],
        versions: &Versions,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut stops = Vec::new();
        let next = self.program.with_file(&versions.new);
        let former = self.program.with_file(&versions.old);
        self.stay();
        let said = next.run(0, &["migrate"])?;
        println!("keywright migrate of the next version: {}", said.trim().replace('\n', "; "));
        self.enter(1);
        let mut stage = 1;
        for program in [&next, &former] {
            for instance in &mut *instances {
                stops.extend(self.replace(instance, program)?);
                stage += 1;
                self.enter(stage);
            }
        }
        Ok(stops)
    }

    fn enter(&self, stage: usize) {
        println!("{}", STAGES[stage]);
        self.load.stage.store(stage, Ordering::Release);
        self.stay();
    }

    fn stay(&self) {
        thread::sleep(self.pause);
    }

    /// As an operator would do it: tell it to stop, start the other version, wait until it is ready.
    fn replace(
        &self,
        instance: &mut Instance,
        program: &Program,
    ) -> anyhow::Result<Option<Duration>> {
        let took = if self.brutally {
            instance.kill();
            None
        } else {
            Some(instance.stop()?)
        };
        instance.program = program.clone();
        instance.start(0)?;
        thread::sleep(SETTLED);
        Ok(took)
    }
}

/// Does one thing after another, each of which has to succeed.
fn work(home: &mut Household, load: &Load<'_>) -> Seen {
    let mut seen = Seen::default();
    while !load.done.load(Ordering::Acquire) {
        let begun = Instant::now();
        let deed = deeds::one_deed(home, load.site);
        let stage = load.stage.load(Ordering::Acquire);
        seen.deeds[stage] += 1;
        seen.slowest[stage] = seen.slowest[stage].max(begun.elapsed());
        let Err(trouble) = deed.done else { continue };
        let why = match &trouble {
            Trouble::Broken(text) => text.clone(),
            other => other.name().to_owned(),
        };
        seen.failures.push(format!("{}: {}: {why}", STAGES[stage], deed.kind));
        thread::sleep(Duration::from_millis(50));
    }
    seen
}

fn report(seen: &[Seen], stops: &[Duration]) {
    for (at, stage) in STAGES.iter().enumerate() {
        let deeds: u64 = seen.iter().map(|seen| seen.deeds[at]).sum();
        let slowest = seen.iter().map(|seen| seen.slowest[at]).max().unwrap_or_default();
        println!("  {deeds:>8} things done, the slowest in {slowest:.0?}: {stage}");
    }
    println!("an instance has stopped when told: {}", spans(stops));
}

/// Whether everything holds that was acknowledged by either version.
fn check(day: &mut Day) -> anyhow::Result<()> {
    let site = &day.house.site;
    let (signatures, keys) = site.keys.check(site.port, site.now()).map_err(in_words)?;
    checks::rows::check(day.house.database())?;
    checks::check_all(&mut day.homes, site).map_err(|text| anyhow!("afterwards: {text}"))?;
    day.proxy.still_runs()?;
    day.house.check_log(false)?;
    let mut counts = crate::ledger::Counts::default();
    for home in &day.homes {
        counts.add(&home.counts);
    }
    counts.print();
    println!("  {signatures:>8} signatures, by up to {keys} keys at once");
    Ok(())
}
