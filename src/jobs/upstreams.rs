//! Looking after the upstreams: whether they are there, and for how long our secrets there are good.

use futures_util::future::join_all;

use crate::{app::App, federation::SecretEnd};

/// Asks the upstreams that are away, in doubt, or have not been asked for a while. A person should
/// not be the first to find out.
pub async fn look_after(app: &App) -> anyhow::Result<()> {
    let now = app.now();
    join_all(app.upstreams.iter().map(|upstream| upstream.look_after(now))).await;
    Ok(())
}

/// Says which secrets end soon, or have ended.
pub(super) async fn remind(app: &App) -> anyhow::Result<()> {
    for upstream in app.upstreams.iter() {
        let slug = upstream.slug();
        match upstream.secret_end(app.now()) {
            SecretEnd::Far => {}
            SecretEnd::Near(day) => {
                tracing::warn!(upstream = %slug, %day, "the client secret ends soon; make a new one");
            }
            SecretEnd::Over(day) => {
                tracing::error!(upstream = %slug, %day, "the client secret has ended");
            }
        }
    }
    Ok(())
}
