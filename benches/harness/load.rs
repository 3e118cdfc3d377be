//! The closed loop: every worker sends its next request as soon as the last is answered.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::workers::{Step, Worker};

/// A worker that fails so often is not measuring anything.
const MAX_ERRORS: usize = 20;

/// What one measurement saw from outside.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) requests: usize,
    pub(crate) errors: usize,
    pub(crate) first_error: Option<String>,
    pub(crate) elapsed: Duration,
    /// In microseconds, ascending.
    pub(crate) latencies: Vec<u32>,
}

impl Sample {
    /// Requests per second of wall time.
    pub(crate) fn rate(&self) -> f64 {
        as_f64(self.requests) / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency below which this share of the requests stays, in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count is a count"
        )]
        let at = (as_f64(last) * share).round() as usize;
        self.latencies.get(at).copied().map_or(0.0, f64::from)
    }

    fn absorb(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latencies.extend(other.latencies);
    }
}

/// A count as a number to calculate with.
pub(crate) fn as_f64(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
    let number = count as f64;
    number
}

/// Lets all workers loop until the time is over or what they consume is used up.
///
/// Requests under way at the end are finished and counted: none is cut off half-way.
pub(crate) async fn run(workers: Vec<Worker>, window: Duration) -> (Sample, Vec<Worker>) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, start + window));
    }
    let mut total = Sample::default();
    let mut workers = Vec::new();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok((sample, worker)) => {
                total.absorb(sample);
                workers.push(worker);
            }
            Err(failure) => {
                total.errors += 1;
                total.first_error.get_or_insert_with(|| failure.to_string());
            }
        }
    }
    total.elapsed = start.elapsed();
    total.latencies.sort_unstable();
    (total, workers)
}

async fn work(mut worker: Worker, deadline: Instant) -> (Sample, Worker) {
    let mut sample = Sample::default();
    let mut begun = Instant::now();
    while begun < deadline && sample.errors < MAX_ERRORS {
        let step = worker.step().await;
        let ended = Instant::now();
        match step {
            Ok(Step::Done) => {
                sample.requests += 1;
                let micros = ended.duration_since(begun).as_micros();
                sample.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
            Ok(Step::Exhausted) => break,
            Err(error) => {
                sample.errors += 1;
                sample.first_error.get_or_insert_with(|| format!("{error:#}"));
            }
        }
        begun = ended;
    }
    (sample, worker)
}
