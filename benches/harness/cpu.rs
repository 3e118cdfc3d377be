//! CPU time and memory of process trees, from /proc (see proc(5)).

use std::collections::HashMap;
use std::fs;

use anyhow::Context as _;

/// The kernel counts in hundredths of a second towards user space on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// One line of /proc/PID/stat, as far as it is needed.
struct Stat {
    parent: u32,
    ticks: u64,
    /// The time of children that have ended and were waited for.
    gone_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything, also parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first field after the name is number 3 of proc(5).
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        ticks: number(14)? + number(15)?,
        gone_ticks: number(16)? + number(17)?,
    })
}

/// User and system time of a process and all its descendants, all threads, in seconds.
pub(crate) fn tree_seconds(root: u32) -> anyhow::Result<f64> {
    let mut stats = HashMap::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, stat(pid)?))) {
            stats.insert(pid, stat);
        }
    }
    let mut ticks = 0;
    for (pid, stat) in &stats {
        let mut ancestor = *pid;
        while ancestor != root && ancestor > 1 {
            ancestor = stats.get(&ancestor).map_or(0, |stat| stat.parent);
        }
        if ancestor == root {
            ticks += stat.ticks + stat.gone_ticks;
        }
    }
    anyhow::ensure!(stats.contains_key(&root), "process {root} is gone");
    #[expect(clippy::cast_precision_loss, reason = "ticks of one run are far below 2^52")]
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// The parent of a process, if it is on this machine and has the name of a program.
pub(crate) fn parent_named(pid: u32, program: &str) -> Option<u32> {
    is_named(pid, program).then(|| stat(pid)).flatten().map(|stat| stat.parent)
}

/// Whether a process is on this machine and its name begins so.
pub(crate) fn is_named(pid: u32, program: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with(program))
}

/// Proportional set size of a process, in MiB.
pub(crate) fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .with_context(|| format!("{path} has no Pss line"))?
        .parse()?;
    Ok(kib / 1024.0)
}

/// The load average of the last minute.
pub(crate) fn load_average() -> f64 {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN)
}
