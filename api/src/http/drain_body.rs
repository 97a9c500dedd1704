//! Reads and discards the rest of a request body after an early answer.
//!
//! A server that closes while a client still sends resets the connection, and the reset may overtake
//! the answer: the client sees a broken pipe instead of the 413.
//!
//! Guarantees: the client receives the answer. At most [`LINGER_LIMIT`] and [`LINGER_BYTES`] are spent
//! on one body; a client that sends more is disconnected.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

const LINGER_LIMIT: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 1 << 30;

/// The same body. When it is dropped, a task in `tasks` reads and discards the rest.
pub fn drain_on_drop(body: Body, tasks: &TaskTracker) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::from_stream(DrainOnDrop { rest: Some(body.into_data_stream()), tasks: tasks.clone() })
}

struct DrainOnDrop {
    /// `None` after the end or an error.
    rest: Option<BodyDataStream>,
    tasks: TaskTracker,
}

impl Stream for DrainOnDrop {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = rest.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }
}

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        // After the runtime has ended, no connection is left to read from.
        if let Some(rest) = self.rest.take()
            && let Ok(runtime) = Handle::try_current()
        {
            self.tasks.spawn_on(discard(rest), &runtime);
        }
    }
}

async fn discard(mut rest: BodyDataStream) {
    let discarded = async {
        let mut bytes = 0;
        while let Some(Ok(piece)) = rest.next().await {
            bytes += piece.len();
            if bytes > LINGER_BYTES {
                break;
            }
        }
    };
    // A client that still sends after the limit is disconnected; it was already answered.
    let _ = timeout(LINGER_LIMIT, discarded).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn an_unread_body_is_read_to_its_end() {
        let tasks = TaskTracker::new();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let pieces = stream::iter(0..100).map(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::io::Error>(Bytes::from_static(b"piece"))
        });
        let body = drain_on_drop(Body::from_stream(pieces), &tasks);
        let mut stream = body.into_data_stream();
        assert!(stream.next().await.is_some());
        drop(stream);
        tasks.close();
        tasks.wait().await;
        assert_eq!(sent.load(Ordering::SeqCst), 100);
    }
}
