//! A connection to PostgreSQL whose bytes are moved by whoever waits for them.
//!
//! Left to a task of its own, a connection costs every statement two changes of task, there and
//! back, and often one to another core. The task that asks can as well write and read by itself:
//! nothing else happens on a connection while it is out of the pool, and nothing at all while it
//! rests.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use diesel::ConnectionResult;
use diesel_async::AsyncPgConnection;
use futures_util::task::AtomicWaker;
use tokio::runtime::Handle;

/// How often work and driver may take turns before others have theirs. A task that has used up its
/// share of time wakes itself, which would otherwise never end.
const TURNS: usize = 16;

/// Moves the bytes of a connection; ends with it.
type Driver = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// A connection and its driver.
pub(super) struct Driven {
    /// Dropped before its driver, which then knows that it is over.
    connection: AsyncPgConnection,
    mover: Mover,
}

/// Polls work and driver in turn, each only when there is something for it to do.
pub(super) struct Mover {
    /// None once it has ended: the connection is closed.
    driver: Option<Driver>,
    bells: Arc<Bells>,
    for_work: Waker,
    for_driver: Waker,
}

/// Who was woken: so the one task knows which half of it has something to do.
#[derive(Default)]
struct Bells {
    work: AtomicBool,
    driver: AtomicBool,
    /// The task that sleeps; nobody while it is awake.
    task: AtomicWaker,
}

struct WorkBell(Arc<Bells>);
struct DriverBell(Arc<Bells>);

impl Wake for WorkBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.work.store(true, Ordering::Release);
        self.0.task.wake();
    }
}

impl Wake for DriverBell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.driver.store(true, Ordering::Release);
        self.0.task.wake();
    }
}

impl Mover {
    fn new(driver: Driver) -> Self {
        let bells = Arc::<Bells>::default();
        bells.driver.store(true, Ordering::Release);
        let for_work = Arc::new(WorkBell(Arc::clone(&bells))).into();
        let for_driver = Arc::new(DriverBell(Arc::clone(&bells))).into();
        Self { driver: Some(driver), bells, for_work, for_driver }
    }

    /// Does `work`, which waits for answers on this connection.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        self.bells.work.store(true, Ordering::Release);
        std::future::poll_fn(|task| self.poll(task, work.as_mut())).await
    }

    fn poll<T>(
        &mut self,
        task: &Context<'_>,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        for _ in 0..TURNS {
            if self.bells.work.swap(false, Ordering::AcqRel)
                && let answer @ Poll::Ready(_) =
                    work.as_mut().poll(&mut Context::from_waker(&self.for_work))
            {
                return answer;
            }
            self.move_bytes();
            if !self.rung() {
                // Whoever rings from now on wakes the task; who did before is seen here.
                self.bells.task.register(task.waker());
                if !self.rung() {
                    return Poll::Pending;
                }
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }

    fn rung(&self) -> bool {
        self.bells.work.load(Ordering::Acquire) || self.bells.driver.load(Ordering::Acquire)
    }

    /// Writes what is to be written and reads what has come, if anything is.
    fn move_bytes(&mut self) {
        if !self.bells.driver.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(driver) = &mut self.driver else {
            return;
        };
        if let Poll::Ready(ended) = driver.as_mut().poll(&mut Context::from_waker(&self.for_driver))
        {
            note(ended);
            self.driver = None;
        }
    }
}

fn note(ended: Result<(), tokio_postgres::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the database ended");
    }
}

impl Driven {
    /// A connection of this client, which this driver belongs to.
    pub(super) async fn new(
        client: tokio_postgres::Client,
        driver: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    ) -> ConnectionResult<Self> {
        let mut mover = Mover::new(Box::pin(driver));
        let connection = mover.drive(AsyncPgConnection::try_from(client)).await?;
        Ok(Self { connection, mover })
    }

    /// The connection, and what has to drive whatever is asked on it.
    pub(super) const fn parts(&mut self) -> (&AsyncPgConnection, &mut Mover) {
        (&self.connection, &mut self.mover)
    }

    /// Whether the server has not hung up, as far as is known without asking it.
    pub(super) fn is_open(&mut self) -> bool {
        self.mover.move_bytes();
        self.mover.driver.is_some()
    }

    /// The connection alone, driven by a task, for who cannot drive it.
    pub(super) fn into_connection(self) -> AsyncPgConnection {
        self.connection
    }
}

impl Drop for Mover {
    /// Goes on by itself: the server is told goodbye (it would otherwise log that somebody was cut
    /// off), or the connection is used without us.
    #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
    fn drop(&mut self) {
        if let (Some(driver), Ok(runtime)) = (self.driver.take(), Handle::try_current()) {
            runtime.spawn(async move { note(driver.await) });
        }
    }
}
