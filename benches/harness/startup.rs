//! Start and idle memory: from the start of the process to the first 200 of `/readyz`.

use std::time::Duration;

use crate::cpu;
use crate::flows::Party;
use crate::servers::{Keywright, Server};
use crate::summary::Range;

/// How long a server rests before its idle memory is read.
const REST: Duration = Duration::from_secs(3);

/// What starting and resting cost.
pub(crate) struct Startup {
    /// The first start ever, with migrations and new keys, in milliseconds.
    pub(crate) first_ms: f64,
    /// Starts on the existing database, in milliseconds.
    pub(crate) again_ms: Range,
    /// CPU time of such a start until ready, in milliseconds.
    pub(crate) again_cpu_ms: Range,
    /// Proportional set size at rest, in MiB.
    pub(crate) idle_mib: f64,
}

/// Starts Keywright several times and leaves the last one running.
pub(crate) async fn measure(
    keywright: &Keywright,
    management: &Party,
    times: usize,
) -> anyhow::Result<(Startup, Server)> {
    let mut server = keywright.serve()?;
    let first = server.ready(management).await?;
    // Keys may still be in the making; a start on an existing database finds them all.
    tokio::time::sleep(REST).await;
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..times.max(1) {
        drop(server);
        server = keywright.serve()?;
        walls.push(milliseconds(server.ready(management).await?));
        cpus.push(cpu::tree_seconds(server.pid())? * 1000.0);
    }
    tokio::time::sleep(REST).await;
    let startup = Startup {
        first_ms: milliseconds(first),
        again_ms: Range::of(&walls),
        again_cpu_ms: Range::of(&cpus),
        idle_mib: cpu::pss_mib(server.pid())?,
    };
    Ok((startup, server))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
