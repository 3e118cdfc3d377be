//! The end of sessions that an upstream has ended on its side, by whichever way it says so.

use crate::{
    app::App,
    audit::Event,
    foundation::clock::Timestamp,
    sessions,
    store::{Connection, StoreResult, audit_events, grants::RevokedBecause, sessions::Session},
};

/// The way in which an upstream has said it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Channel {
    /// It has told us itself.
    Back,
    /// A frame at the browser has.
    Front,
}

impl Channel {
    const fn word(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Front => "front",
        }
    }
}

/// Ends sessions with their tokens, plans to tell the apps, and keeps the events with it.
pub(super) async fn end(
    app: &App,
    conn: &mut Connection,
    ended: &[Session],
    channel: Channel,
    now: Timestamp,
) -> StoreResult<()> {
    for session in ended {
        sessions::end(conn, session, &app.clients, RevokedBecause::UpstreamLogout, now).await?;
        let mut event = Event::done("upstream_logout").user(&session.user_id);
        if let Some(slug) = &session.upstream {
            event = event.upstream(slug);
        }
        let event = event.detail("session", session.id.as_str()).detail("channel", channel.word());
        audit_events::insert(conn, &event.row(now, app.random())).await?;
    }
    Ok(())
}
