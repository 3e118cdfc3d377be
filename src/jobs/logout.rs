//! Telling apps that sessions have ended (OIDC Back-Channel Logout §2.5).
//!
//! The outbox is durable: what a sign-out has planned is tried until the app has said yes or a day
//! has passed, whatever is restarted meanwhile. No person waits for an app.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{sync::Semaphore, task::JoinHandle};

use super::busy::{Busy, Taken};
use crate::{
    app::App,
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        ids::ClientId,
    },
    store::logout_deliveries::{self, LogoutDelivery},
    tokens::logout_token,
};

/// How many sign-outs one app is told at once, and how many all of them together.
const AT_ONCE: usize = 4;
const AT_ONCE_IN_ALL: usize = 32;
/// How many of these may go to apps that have failed just now, or before: the others do not wait for them.
const RETRIES_AT_ONCE: usize = 16;
const BATCH: i64 = 64;
const PATIENCE: Duration = Duration::from_secs(5);
/// A try that was begun by an instance which then died is made again after this.
const CLAIM: Span = Span::from_minutes(1);
/// How long to wait after each failure; after the last one it is given up.
const PAUSES: [Span; 9] = [
    Span::from_seconds(5),
    Span::from_seconds(15),
    Span::from_minutes(1),
    Span::from_minutes(5),
    Span::from_minutes(30),
    Span::from_hours(2),
    Span::from_hours(4),
    Span::from_hours(6),
    Span::from_hours(12),
];

/// The apps that are being told something at the moment: each has a queue of its own, so that one that
/// hangs holds up nobody else's.
#[derive(Clone, Debug)]
pub(super) struct Queues {
    busy: Busy<ClientId>,
    posts: Arc<Semaphore>,
    retries: Arc<Semaphore>,
}

impl Queues {
    pub(super) fn new() -> Self {
        Self {
            busy: Busy::default(),
            posts: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)),
            retries: Arc::new(Semaphore::new(RETRIES_AT_ONCE)),
        }
    }

    /// Begins to tell every app that is due and not being told already.
    pub(super) async fn begin(&self, app: &App) -> anyhow::Result<Vec<JoinHandle<()>>> {
        if app.clients.told_of_logout().is_empty() {
            return Ok(Vec::new());
        }
        let now = app.now();
        let due = logout_deliveries::list_clients_due(&mut app.connection().await?, now).await?;
        let free = due.into_iter().filter_map(|client| self.enter(client));
        Ok(free.map(|turn| app.tasks.spawn(turn.serve(app.clone()))).collect())
    }

    fn enter(&self, client: ClientId) -> Option<Turn> {
        let client = self.busy.enter(client)?;
        Some(Turn { queues: self.clone(), client, failing: AtomicBool::new(false) })
    }
}

/// The right to serve the queue of an app; it ends with this value, whatever happens.
struct Turn {
    queues: Queues,
    client: Taken<ClientId>,
    /// Whether the app has failed in this turn.
    failing: AtomicBool,
}

impl Turn {
    async fn serve(self, app: App) {
        if let Err(error) = self.empty(&app).await {
            let client = &self.client.key;
            tracing::warn!(%client, error = format!("{error:#}"), "an app's queue has stopped");
        }
    }

    /// Tells the app everything that is due.
    async fn empty(&self, app: &App) -> anyhow::Result<()> {
        loop {
            let (now, client) = (app.now(), &self.client.key);
            app.keys.catch_up(&app.store, now).await;
            let mut connection = app.connection().await?;
            let due = logout_deliveries::list_due(&mut connection, client, now, BATCH).await?;
            drop(connection);
            for some in due.chunks(AT_ONCE) {
                if app.stopping.is_cancelled() {
                    return Ok(());
                }
                let told = join_all(some.iter().map(|delivery| self.tell(app, delivery))).await;
                told.into_iter().collect::<anyhow::Result<()>>()?;
            }
            if i64::try_from(due.len()).unwrap_or(BATCH) < BATCH {
                return Ok(());
            }
        }
    }

    async fn tell(&self, app: &App, delivery: &LogoutDelivery) -> anyhow::Result<()> {
        let slow = delivery.tries > 0 || self.failing.load(Ordering::Relaxed);
        let retries = &self.queues.retries;
        let _retry = if slow { Some(retries.acquire().await?) } else { None };
        let _permit = self.queues.posts.acquire().await?;
        let told = tell(app, delivery).await?;
        self.failing.fetch_or(!told, Ordering::Relaxed);
        Ok(())
    }
}

/// Tells every app that is due, and waits until all have been asked.
pub async fn deliver(app: &App) -> anyhow::Result<()> {
    for queue in Queues::new().begin(app).await? {
        queue.await?;
    }
    Ok(())
}

/// One try, unless another instance makes it. Answers whether it has not failed.
async fn tell(app: &App, delivery: &LogoutDelivery) -> anyhow::Result<bool> {
    // Those before it may have taken their time, and a claim and a token count from now.
    let now = app.now();
    let until = now.plus(CLAIM);
    if !logout_deliveries::claim(&mut app.connection().await?, delivery, until).await? {
        return Ok(true);
    }
    let told = post(app, delivery, now).await;
    // The app may have taken its time.
    let now = app.now();
    let mut connection = app.connection().await?;
    let event = |event: Event| {
        let event = event.client(&delivery.client_id).user(&delivery.user_id);
        let event = event.detail("session", delivery.session_id.as_str());
        event.detail("tries", delivery.tries + 1)
    };
    let Err(fault) = told else {
        logout_deliveries::delivered(&mut connection, delivery, now).await?;
        app.metrics.count_logout("delivered");
        app.audit.note(event(Event::done("backchannel_logout")));
        return Ok(true);
    };
    let pause = usize::try_from(delivery.tries).ok().and_then(|tries| PAUSES.get(tries));
    let next = pause.map(|pause| now.plus(*pause));
    logout_deliveries::failed(&mut connection, delivery, &fault, next).await?;
    let client = &delivery.client_id;
    tracing::warn!(%client, fault, "an app could not be told of a sign-out");
    if next.is_none() {
        let given_up = event(Event::refused("backchannel_logout", "given_up"));
        app.audit.note(given_up.detail("what", fault));
    }
    app.metrics.count_logout(if next.is_none() { "given_up" } else { "failed" });
    Ok(false)
}

/// Posts the logout token; what went wrong, if the app does not say yes.
async fn post(app: &App, delivery: &LogoutDelivery, now: Timestamp) -> Result<(), String> {
    let Some(client) = app.clients.find(delivery.client_id.as_str()) else {
        return Err("the client is gone".to_owned());
    };
    let Some(uri) = &client.settings.backchannel_logout_uri else {
        return Err("the client has no backchannel_logout_uri any more".to_owned());
    };
    let (user, session) = (&delivery.user_id, &delivery.session_id);
    let token = logout_token::issue_logout_token(app.issuing(now), &client, user, session);
    let token = token.map_err(|error| error.to_string())?;
    let form = [("logout_token", token.as_str())];
    match app.http.post_form(uri, &form, PATIENCE).await {
        Ok(200..=299) => Ok(()),
        Ok(status) => Err(format!("it answered with status {status}")),
        Err(fault) => Err(fault.detail),
    }
}
