//! Looking after the signing keys.

use crate::app::App;

/// Loads the keys again if any instance has changed them.
pub(super) async fn refresh(app: &App) -> anyhow::Result<()> {
    app.keys.refresh(&app.store, app.now()).await
}

/// Makes the keys that are due.
pub(super) async fn tend(app: &App) -> anyhow::Result<()> {
    app.keys.tend(&app.store, app.now()).await
}
