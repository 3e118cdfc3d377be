//! `keywright serve`: run the identity provider until told to stop.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::admin;
use crate::{
    app::{Ambient, App, install_tls_provider},
    config::{Config, DatabaseUrl},
    jobs, router,
    server::{self, Terms},
};

/// How long answers to probes may take when everything else has ended.
const PROBES_DRAIN: Duration = Duration::from_secs(2);
/// How much longer than requests the questions may take that these have asked upstreams. With the time for
/// requests this stays below the grace of the chart, after which the process is killed.
const ANSWERS_DRAIN: Duration = Duration::from_secs(10);

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let settings = config.server.clone();
    if let DatabaseUrl::Sqlite(file) = &config.database.url {
        tracing::info!(file = %file.display(), "the database is a file");
    }
    let public = server::reserve(settings.listen, "server.listen")?;
    let probes = server::reserve(settings.management_listen, "server.management_listen")?;
    let stop = StopSignal::listen()?;
    install_tls_provider();
    let certificates = server::Certificates::open(&settings)?;
    let (terms, for_probes) = (Terms::of(&config, certificates.clone()), Terms::of_probes(&config));
    let app = App::start(config, Ambient::default()).await?;
    if app.allowances.is_none() {
        tracing::warn!(
            "rate_limits.enabled = false: nobody is limited in how much they ask for; guessing is"
        );
    }
    let presence = jobs::Presence::begin(&app).await?;
    admin::offer_first(&app).await?;
    let (public, probes) = (public.open()?, probes.open()?);
    presence.keep(&app);
    jobs::start(&app);
    let drain = settings.drain_timeout.to_std();
    let (serving, managing) = (app.stopping.clone(), CancellationToken::new());
    if let Some(certificates) = certificates {
        app.tasks.spawn(server::keep_fresh(app.clone(), certificates));
    }
    let public = server::serve(public, terms, router::public(&app), serving, drain);
    let public = app.tasks.spawn(public);
    let management = router::management(&app);
    let management = server::serve(probes, for_probes, management, managing.clone(), PROBES_DRAIN);
    let management = app.tasks.spawn(management);
    tracing::info!(issuer = app.urls.issuer(), listen = %settings.listen, "ready");
    stop.received().await;
    tracing::info!("stopping");
    app.stopping.cancel();
    let deadline = Instant::now() + drain + ANSWERS_DRAIN;
    public.await?;
    // Whoever asks how things stand is answered for as long as anybody is served.
    managing.cancel();
    management.await?;
    // What an upstream was asked is kept when it answers.
    app.questions.close();
    if tokio::time::timeout_at(deadline, app.questions.wait()).await.is_err() {
        tracing::warn!(
            "an upstream was asked, or a mail handed over, and the answer is not waited for any longer"
        );
    }
    if let Err(error) = presence.end(&app).await {
        tracing::debug!(%error, "the others were not told that this one has ended");
    }
    app.audit.flush().await;
    Ok(())
}

/// Hears SIGTERM and SIGINT from the moment it is made.
pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first one. A second one ends the process at once.
    pub(super) async fn received(mut self) {
        self.next().await;
        self.insist();
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this watcher ends with the process")]
    fn insist(mut self) {
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWERS_DRAIN, PROBES_DRAIN};
    use crate::foundation::clock::Span;

    /// Whoever stops us kills what has not ended within a grace.
    #[test]
    fn everything_ends_within_the_grace_of_whoever_stops_us() {
        let reference = include_str!("../../docs/configuration.md");
        let (_, rest) = reference.split_once("| `drain_timeout` |").unwrap();
        let default = rest.split('|').nth(1).unwrap().trim().trim_matches(['`', '"']);
        let drain = Span::parse(default).unwrap().to_std();
        let worst = drain + ANSWERS_DRAIN.max(PROBES_DRAIN);
        for (who, grace) in [
            (include_str!("../../helm/keywright/values.yaml"), "terminationGracePeriodSeconds: "),
            (include_str!("../../docs/packaging/keywright.service"), "TimeoutStopSec="),
            (include_str!("../../docs/packaging/compose.yaml"), "stop_grace_period: "),
        ] {
            let (_, rest) = who.split_once(grace).unwrap();
            let seconds = rest.lines().next().unwrap().trim().trim_end_matches('s');
            let seconds: u64 = seconds.parse().unwrap();
            assert!(worst.as_secs() + 5 <= seconds, "{worst:?}, {grace}{seconds}");
        }
    }
}
