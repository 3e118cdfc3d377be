//! Audit events and the stories they belong to.
//!
//! What was acknowledged to somebody is written in the transaction that did it. Refusals are
//! queued and written in batches by one task, so that a stranger's bad requests cost less than
//! good ones; a full queue drops the event, and the metric and the log say so.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    foundation::{
        clock::{Clock, Timestamp},
        ids::{ClientId, TraceId, UpstreamSlug, UserId},
        random::Random,
    },
    store::{
        Store, StoreError,
        audit_events::{self, AuditEvent, Outcome},
    },
};

/// How many events may wait to be written.
const QUEUE: usize = 4_096;
/// How many are written in one transaction.
const BATCH: usize = 200;
/// The longest text that one field of an event keeps (IJ-14).
const MAX_TEXT: usize = 500;

/// An event before it has an id and a time.
#[derive(Clone, Debug)]
pub struct Event {
    action: &'static str,
    outcome: Outcome,
    reason: Option<String>,
    trace_id: Option<TraceId>,
    user_id: Option<UserId>,
    client_id: Option<ClientId>,
    upstream: Option<UpstreamSlug>,
    address: Option<String>,
    detail: Map<String, Value>,
}

impl Event {
    /// Something was done.
    pub fn done(action: &'static str) -> Self {
        Self::new(action, Outcome::Done, None)
    }

    /// Something was refused, for a reason in one word.
    pub fn refused(action: &'static str, reason: impl Into<String>) -> Self {
        Self::new(action, Outcome::Refused, Some(reason.into()))
    }

    fn new(action: &'static str, outcome: Outcome, reason: Option<String>) -> Self {
        Self {
            action,
            outcome,
            reason,
            trace_id: None,
            user_id: None,
            client_id: None,
            upstream: None,
            address: None,
            detail: Map::new(),
        }
    }

    /// Names the story.
    #[must_use]
    pub fn trace(mut self, trace: &TraceId) -> Self {
        self.trace_id = Some(trace.clone());
        self
    }

    /// The story, if one was named.
    pub const fn trace_id(&self) -> Option<&TraceId> {
        self.trace_id.as_ref()
    }

    /// Names the person.
    #[must_use]
    pub fn user(mut self, user: &UserId) -> Self {
        self.user_id = Some(user.clone());
        self
    }

    /// Names the client.
    #[must_use]
    pub fn client(mut self, client: &ClientId) -> Self {
        self.client_id = Some(client.clone());
        self
    }

    /// Names the upstream.
    #[must_use]
    pub fn upstream(mut self, upstream: &UpstreamSlug) -> Self {
        self.upstream = Some(upstream.clone());
        self
    }

    /// Names the address that the request came from.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Adds anything else. Never a secret.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => json!(printable(&text)),
            other => other,
        };
        self.detail.insert(name.to_owned(), value);
        self
    }

    /// The row of this event.
    pub fn row(self, now: Timestamp, random: &dyn Random) -> AuditEvent {
        AuditEvent {
            // Sorts by time, like all our ids.
            id: UserId::generate(random, now).as_str().to_owned(),
            at: now,
            action: self.action.to_owned(),
            outcome: self.outcome,
            reason: self.reason.map(|reason| printable(&reason)),
            trace_id: self.trace_id,
            user_id: self.user_id,
            client_id: self.client_id,
            upstream: self.upstream,
            address: self.address,
            detail: Value::Object(self.detail).to_string(),
        }
    }
}

/// A text on one line, without control characters, and not longer than a field may be.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

enum Message {
    Keep(Box<AuditEvent>),
    Flush(oneshot::Sender<()>),
}

/// Where events go that need no transaction.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Message>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Audit")
    }
}

/// The other end of the queue.
pub struct AuditWriter {
    queue: mpsc::Receiver<Message>,
    store: Arc<Store>,
}

impl std::fmt::Debug for AuditWriter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AuditWriter")
    }
}

impl Audit {
    /// A queue and its writer, which somebody has to run.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> (Self, AuditWriter) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { queue: sender, clock, random }, AuditWriter { queue: receiver, store })
    }

    /// Keeps an event soon.
    pub fn note(&self, event: Event) {
        let row = event.row(self.clock.now(), &*self.random);
        if self.queue.try_send(Message::Keep(Box::new(row))).is_err() {
            tracing::error!("audit event dropped: the queue is full");
        }
    }

    /// Waits until everything noted so far is kept.
    pub async fn flush(&self) {
        let (done, waiting) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // The writer is gone only when the process ends.
            let _ = waiting.await;
        }
    }
}

impl AuditWriter {
    /// Writes events until every [`Audit`] is gone.
    pub async fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH);
        while self.queue.recv_many(&mut messages, BATCH).await > 0 {
            let mut events = Vec::new();
            let mut flushes = Vec::new();
            for message in messages.drain(..) {
                match message {
                    Message::Keep(event) => events.push(*event),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            if let Err(error) = self.write(&events).await {
                tracing::error!(%error, lost = events.len(), "audit events could not be kept");
            }
            for done in flushes {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    async fn write(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut connection = self.store.connection().await?;
        connection
            .transaction(async |conn| {
                for event in events {
                    audit_events::insert(conn, event).await?;
                }
                Ok(())
            })
            .await
    }
}
