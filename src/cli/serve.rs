//! `keywright serve`: run the identity provider until told to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{Ambient, App},
    config::{Config, DatabaseUrl},
    jobs, router, server,
};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let settings = config.server.clone();
    if let DatabaseUrl::Sqlite(file) = &config.database.url {
        tracing::info!(file = %file.display(), "the database is a file");
    }
    let public = server::bind(settings.listen, "server.listen").await?;
    let management = server::bind(settings.management_listen, "server.management_listen").await?;
    let app = App::start(config, Ambient::default()).await?;
    jobs::start(&app);
    let drain = settings.drain_timeout.to_std();
    let servers = [
        app.tasks.spawn(server::serve(public, router::public(&app), app.stopping.clone(), drain)),
        app.tasks.spawn(server::serve(
            management,
            router::management(&app),
            app.stopping.clone(),
            drain,
        )),
    ];
    tracing::info!(issuer = app.urls.issuer(), listen = %settings.listen, "ready");
    stop_signal().await?;
    tracing::info!("stopping");
    app.stopping.cancel();
    for server in servers {
        server.await?;
    }
    app.audit.flush().await;
    Ok(())
}

/// Waits for SIGTERM or SIGINT. A second one ends the process at once.
pub(super) async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    insist(terminate, interrupt);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this watcher ends with the process")]
fn insist(mut terminate: tokio::signal::unix::Signal, mut interrupt: tokio::signal::unix::Signal) {
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
}
