//! Waiting for an answer, and no longer than until a deadline.

use std::{future::Future, pin::pin, task::Poll};

use tokio::time::{Instant, timeout_at};

/// So often it is looked for an answer once more after the deadline.
const LOOKS: usize = 4;

/// What comes of it until the deadline.
///
/// A process that is short of CPU may not have looked for an answer that is there. Before it gives up it
/// lets everything else have a turn, the reading of answers too, and looks again: otherwise a storm of
/// sign-ins would make a Redis that answers at once look as if it were away.
pub(super) async fn by<T>(deadline: Instant, asked: impl Future<Output = T>) -> Option<T> {
    let mut asked = pin!(asked);
    if let Ok(answer) = timeout_at(deadline, &mut asked).await {
        return Some(answer);
    }
    for _ in 0..LOOKS {
        tokio::task::yield_now().await;
        if let Poll::Ready(answer) = futures_util::poll!(&mut asked) {
            return Some(answer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The deadline has passed before anybody could look: what is there by then is seen.
    #[tokio::test]
    async fn an_answer_that_nobody_could_look_at_in_time_is_seen() {
        let (answer, asked) = tokio::sync::oneshot::channel();
        let past = Instant::now();
        let answering = async move {
            tokio::task::yield_now().await;
            answer.send(7).unwrap();
        };
        let (seen, ()) = tokio::join!(by(past, asked), answering);
        assert_eq!(seen, Some(Ok(7)));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let deadline = Instant::now() + Duration::from_millis(10);
        assert_eq!(by(deadline, std::future::pending::<()>()).await, None);
    }
}
