//! The management listener: is the process there, can it serve, and what are its numbers.

use std::time::Duration;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::{
    app::App,
    metrics::UpstreamNumbers,
    protocol::jwa::SigningAlgorithm,
    store::{StoreResult, mail_outbox},
    web::error::json,
};

/// How long the database may take before the instance counts as not ready.
const PATIENCE: Duration = Duration::from_secs(1);

/// `GET /livez`: the process answers.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers and every algorithm can sign. Short-lived state that is away
/// is reported, but does not take the instance out: most of what apps need works without it.
pub async fn readyz(State(app): State<App>) -> Response {
    let database = app.store.ping(PATIENCE).await;
    let state = app.state.ping().await;
    let now = app.now();
    app.keys.catch_up(&app.store, now).await;
    let keys = app.keys.is_ready(now);
    let ready = database.is_ok() && keys && !app.stopping.is_cancelled();
    if let Err(error) = &database {
        tracing::warn!(%error, "not ready");
    }
    let word = |good: bool| if good { "ok" } else { "failed" };
    let body = json!({
        "ready": ready,
        "database": word(database.is_ok()),
        "signing_keys": word(keys),
        "state": word(state.is_ok()),
        "stopping": app.stopping.is_cancelled(),
    });
    json(if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
}

/// `GET /metrics`: the numbers, for Prometheus.
pub async fn metrics(State(app): State<App>) -> Response {
    for upstream in app.upstreams.iter() {
        let secret_expires = upstream.settings.client_secret_expires;
        let numbers = UpstreamNumbers {
            up: !upstream.is_away(),
            clock_ahead: upstream.clock_ahead(),
            secret_expires: secret_expires.map(|day| day.begins().unix()),
        };
        app.metrics.show_upstream(upstream.slug().as_str(), numbers);
    }
    app.metrics.show_store("database", app.store.ping(PATIENCE).await.is_ok());
    app.metrics.show_store("state", app.state.ping().await.is_ok());
    show_key_ages(&app);
    show_waiting_mail(&app).await;
    match app.metrics.render() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// How old the signing keys are: a rotation that does not happen is seen by nothing else.
fn show_key_ages(app: &App) {
    let (now, keys) = (app.now(), app.keys.current());
    for alg in SigningAlgorithm::ALL {
        if let Some(since) = keys.signs_since(*alg, now) {
            app.metrics.show_key_age(alg.as_str(), now.since(since).seconds());
        }
    }
}

/// Counts the outbox. While the database is away the number is the last one.
async fn show_waiting_mail(app: &App) {
    let counting =
        async { StoreResult::Ok(mail_outbox::count_waiting(&mut app.connection().await?).await?) };
    if !app.mail.is_configured() {
        return;
    }
    if let Ok(Ok(count)) = tokio::time::timeout(PATIENCE, counting).await {
        app.metrics.show_waiting_mail(count);
    }
}
