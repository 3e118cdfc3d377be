//! What a connection does, so that one that does nothing is closed.
//!
//! Half a request is waited for only shortly (HT-01), and so is somebody who does not take an answer
//! (HT-02); between two requests a connection may rest for longer than any usual proxy keeps one, so
//! that it is the proxy that closes it. One slow clock per connection sees to all of it: a timer for
//! each request's head would be a good part of what a small answer costs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
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
/// Whoever takes less of an answer between two looks takes nothing.
const LEAST_TAKEN: u64 = 1_024;

/// How a connection came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// Half a request came, or no first one, or an answer is not taken.
    Stalled,
    /// Nothing is asked.
    Resting,
}

/// What a connection has done.
#[derive(Debug, Default)]
pub(super) struct Activity {
    running: AtomicU32,
    begun: AtomicU32,
    written: AtomicU64,
    /// Something was read that does not belong to a request that runs or ran.
    half_read: AtomicBool,
    /// Something is to be written, and nobody takes it.
    blocked: AtomicBool,
    multiplexed: AtomicBool,
}

/// A request that runs. It ends with this, whether it is answered or given up.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.half_read.store(false, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Activity {
    /// A request's head is there.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        Running(Arc::clone(self))
    }

    /// Returns when the connection has done nothing for too long.
    pub(super) async fn quiet(&self, stall: Duration, idle: Duration) -> Quiet {
        // So many looks in a row; what has just begun to stall is not seen by the first.
        let looks_in = |time: Duration| (time.as_secs() / INTERVAL.as_secs()).max(2) - 1;
        let (mut before, mut looks) = ((0, true), 0);
        let (mut written, mut blocked) = (0, 0);
        loop {
            tokio::time::sleep(INTERVAL).await;
            let taken = self.written.load(Ordering::Relaxed);
            let is_stuck = self.blocked.load(Ordering::Relaxed) && taken - written < LEAST_TAKEN;
            (written, blocked) = (taken, if is_stuck { blocked + 1 } else { 0 });
            let begun = self.begun.load(Ordering::Relaxed);
            let half_read = begun == 0 || self.is_half_read();
            // Time that was rested does not count against a request that has just begun to come.
            let changed = before != (begun, half_read);
            let busy = self.running.load(Ordering::Relaxed) > 0 || blocked > 0;
            looks = if busy || changed { 0 } else { looks + 1 };
            before = (begun, half_read);
            if blocked >= looks_in(stall) || half_read && looks >= looks_in(stall) {
                return Quiet::Stalled;
            }
            if looks >= looks_in(idle) {
                return Quiet::Resting;
            }
        }
    }

    /// Between the requests of HTTP/2 there is always something to be read, and it says nothing.
    fn is_half_read(&self) -> bool {
        self.half_read.load(Ordering::Relaxed) && !self.multiplexed.load(Ordering::Relaxed)
    }

    fn wrote<T>(&self, polled: &Poll<io::Result<T>>, count: impl Fn(&T) -> usize) {
        self.blocked.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(done)) = polled {
            self.written.fetch_add(count(done) as u64, Ordering::Relaxed);
        }
    }
}

/// A stream that notes what is read and written.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Notes what is read from `stream`, and written to it.
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.activity.wrote(&written, |count| *count);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.activity.wrote(&flushed, |()| 0);
        flushed
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.activity.wrote(&written, |count| *count);
        written
    }
}
