//! Looking what administrators have changed.

use crate::app::App;

/// Takes over what groups mean by now, and how far the doors are open.
pub(super) async fn look(app: &App) -> anyhow::Result<()> {
    Ok(app.rules.look(&app.store).await?)
}
