//! What a connection does, so that one that does nothing is closed.
//!
//! Half a request is waited for only shortly (HT-01); between two requests a connection may rest for
//! longer than any usual proxy keeps one, so that it is the proxy that closes it. One slow clock per
//! connection sees to both: a timer for each request's head would be a good part of what a small
//! answer costs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Version,
    rt::{Read, ReadBufCursor, Write},
};

/// How often a connection is looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// How many looks in a row may find half a request, or none at all on a new connection: 8 to 10
/// seconds.
const MAX_HALF_READ: u32 = 4;
/// How many looks in a row may find a connection resting: a minute and a half.
const MAX_RESTING: u32 = 45;

/// What a connection has done.
#[derive(Debug, Default)]
pub(super) struct Activity {
    running: AtomicU32,
    begun: AtomicU32,
    /// Something was read that does not belong to a request that runs or ran.
    half_read: AtomicBool,
    multiplexed: AtomicBool,
}

impl Activity {
    /// A request's head is there.
    pub(super) fn begin(&self, version: Version) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            // Kept alive or given up by its own pings.
            self.multiplexed.store(true, Ordering::Relaxed);
        }
    }

    /// A request is answered.
    pub(super) fn end(&self) {
        self.half_read.store(false, Ordering::Relaxed);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns when the connection has done nothing for too long.
    pub(super) async fn stalls(&self) {
        let (mut before, mut looks) = ((0, true), 0);
        loop {
            tokio::time::sleep(INTERVAL).await;
            let begun = self.begun.load(Ordering::Relaxed);
            let half_read = begun == 0 || self.half_read.load(Ordering::Relaxed);
            let busy = self.running.load(Ordering::Relaxed) > 0
                || self.multiplexed.load(Ordering::Relaxed);
            // Time that was rested does not count against a request that has just begun to come.
            let changed = before != (begun, half_read);
            looks = if busy || changed { 0 } else { looks + 1 };
            before = (begun, half_read);
            if looks >= if half_read { MAX_HALF_READ } else { MAX_RESTING } {
                return;
            }
        }
    }
}

/// A stream that notes what is read.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Notes what is read from `stream`.
    pub(super) fn new(stream: S, activity: &Arc<Activity>) -> Self {
        Self { stream, activity: Arc::clone(activity) }
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.half_read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
