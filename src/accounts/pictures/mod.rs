//! Pictures of people: whatever is uploaded is drawn anew, so that nothing of a file but its colours is
//! ever kept or served (IJ-05).
//!
//! Few can upload at once, and one is drawn at a time, on a thread of its own: what that takes of memory
//! is bounded whatever comes. A decoder that panics has refused.

mod drawing;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use drawing::PictureFault;

/// The largest file that is taken.
pub const MAX_FILE: usize = 2 * 1_024 * 1_024;
/// So many files at once are read and wait to be drawn.
const PLACES: usize = 8;

/// Where pictures are drawn.
#[derive(Clone, Debug)]
pub struct Pictures {
    places: Arc<Semaphore>,
    drawing: Arc<Semaphore>,
}

/// A place for one file.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Default for Pictures {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self { places, drawing: Arc::new(Semaphore::new(1)) }
    }
}

impl Pictures {
    /// A place for a file that is about to be read; none, if too many are.
    pub fn admit(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// Draws a picture anew: a WebP of at most 256 by 256 pixels.
    pub async fn draw(&self, place: Place, file: Bytes) -> Result<Vec<u8>, PictureFault> {
        let turn = Arc::clone(&self.drawing).acquire_owned().await;
        let turn = turn.map_err(|_closed| PictureFault::Damaged)?;
        let drawn = tokio::task::spawn_blocking(move || {
            let drawn = drawing::draw(&file);
            // Held to the end of the work, even if whoever asked has gone away.
            drop((turn, place));
            drawn
        });
        drawn.await.unwrap_or_else(|panicked| {
            tracing::error!(%panicked, "a picture could not be drawn");
            Err(PictureFault::Damaged)
        })
    }
}
