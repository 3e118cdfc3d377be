//! What happens without a request: key rotation, looking after upstreams, renewing leases, telling
//! apps of sign-outs, handing over mail, purging. Every instance does all of it; the database decides who is first.

mod busy;
mod deletions;
mod keys;
mod logout;
mod mail;
mod presence;
mod purge;
mod recovery;
mod rules;
mod upstreams;

use std::time::Duration;

use crate::{app::App, leases};

const DAY: Duration = Duration::from_secs(86_400);

/// Starts all jobs. They end when the house stops.
pub fn start(app: &App) {
    app.tasks.spawn(every(Duration::from_secs(1), app.clone(), keys::refresh));
    app.tasks.spawn(every(Duration::from_secs(30), app.clone(), keys::tend));
    app.tasks.spawn(every(Duration::from_secs(1), app.clone(), rules::look));
    app.tasks.spawn(every(Duration::from_secs(5), app.clone(), upstreams::look_after));
    app.tasks.spawn(every(DAY, app.clone(), upstreams::remind));
    let queues = logout::Queues::new();
    let tell = async move |app: &App| queues.begin(app).await.map(drop);
    app.tasks.spawn(every(Duration::from_secs(1), app.clone(), tell));
    let rounds = mail::Rounds::new();
    let hand_over = async move |app: &App| rounds.begin(app).await.map(drop);
    app.tasks.spawn(every(Duration::from_secs(1), app.clone(), hand_over));
    app.tasks.spawn(every(Duration::from_secs(1), app.clone(), recovery::answer_all));
    app.tasks.spawn(every(Duration::from_secs(5), app.clone(), leases::tend));
    app.tasks.spawn(every(Duration::from_secs(60), app.clone(), purge));
    app.tasks.spawn(every(Duration::from_secs(60), app.clone(), erase_deleted));
}

async fn every(interval: Duration, app: App, job: impl AsyncFn(&App) -> anyhow::Result<()>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.stopping.cancelled() => return,
        }
        match job(&app).await {
            Ok(()) => failing = false,
            // Said once, and not every second while the database is away.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a job failed and will be tried again"
                );
            }
            Err(_) => {}
        }
    }
}

pub use deletions::erase_deleted;
pub use logout::deliver as deliver_logouts;
pub use mail::deliver_all as deliver_mail;
pub use presence::Presence;
pub use purge::purge;
pub use recovery::answer_all as answer_recoveries;
pub use upstreams::look_after as look_after_upstreams;
