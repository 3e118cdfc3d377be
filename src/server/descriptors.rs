//! How many files the process may have open: connections must leave some for everything else
//! (FT-47).

/// What connections leave for the databases, upstreams, mail, the log and the probes.
const RESERVED: usize = 160;

/// Raises the limit as far as it goes, and says how many connections it leaves room for.
#[cfg(target_os = "linux")]
pub(super) fn room() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let files = limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    files.saturating_sub(RESERVED).max(1)
}

/// Elsewhere nobody is asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn room() -> usize {
    usize::MAX
}
