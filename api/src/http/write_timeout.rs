//! Cuts off a client that does not read its answer.
//!
//! A handler that streams waits for its client, with all that it holds. So a connection that has
//! something to send must get rid of [`PROGRESS_BYTES`] in each period, or it fails with `TimedOut`
//! and the handler's stream is dropped. A client that takes a byte now and then is no better than
//! one that takes none. An idle connection, or one that waits for the next event, has nothing to
//! send and is not meant. Reading has limits elsewhere: the head in the server, bodies in handlers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a client has to take in a period, or all of it if there is less.
pub const PROGRESS_BYTES: usize = 16 * 1024;

pub struct SlowReader<S> {
    stream: S,
    period: Duration,
    /// While something waits to be sent: when the period ends, and what went out in it.
    waiting: Option<Waiting>,
}

struct Waiting {
    deadline: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> SlowReader<S> {
    pub fn new(stream: S, period: Duration) -> Self {
        Self { stream, period, waiting: None }
    }

    /// Notes how a write went; an error if the client has had its time.
    fn after(&mut self, written: Poll<usize>, context: &mut Context<'_>) -> io::Result<()> {
        let end = Instant::now() + self.period;
        match (&mut self.waiting, written) {
            (None, Poll::Ready(_)) => return Ok(()),
            (None, Poll::Pending) => {
                self.waiting = Some(Waiting { deadline: Box::pin(sleep_until(end)), bytes: 0 });
            }
            (Some(waiting), Poll::Ready(bytes)) => {
                waiting.bytes += bytes;
                if waiting.bytes >= PROGRESS_BYTES {
                    waiting.bytes = 0;
                    waiting.deadline.as_mut().reset(end);
                }
            }
            (Some(_), Poll::Pending) => {}
        }
        let waiting = self.waiting.as_mut().expect("something waits, or this returned above");
        if waiting.deadline.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlowReader<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes)?;
        self.after(written, context)?;
        written.map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces)?;
        self.after(written, context)?;
        written.map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper flushes once it has written all it had: then nobody waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowReader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    const PERIOD: Duration = Duration::from_secs(30);

    /// What becomes of 1 MiB for a client that takes `bytes` every `pause`.
    async fn send_to(bytes: usize, pause: Duration) -> io::Result<()> {
        let (ours, mut client) = duplex(4 * 1024);
        let mut sender = SlowReader::new(ours, PERIOD);
        let sending = async {
            sender.write_all(&vec![0; 1024 * 1024]).await?;
            sender.flush().await
        };
        let taking = async {
            let mut piece = vec![0; bytes];
            loop {
                sleep(pause).await;
                if client.read_exact(&mut piece).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            sent = sending => sent,
            () = taking => unreachable!("the client never ends by itself"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_next_to_nothing_is_cut_off_after_the_period() {
        for (bytes, pause) in [(1, Duration::from_hours(1)), (1, Duration::from_millis(10))] {
            let start = Instant::now();
            let error = send_to(bytes, pause).await.expect_err("cut off");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() <= PERIOD + Duration::from_secs(1), "{bytes}, {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_slowly_but_steadily_gets_all_of_it() {
        let start = Instant::now();
        send_to(4 * 1024, Duration::from_secs(5)).await.expect("all is sent");
        assert!(start.elapsed() > 10 * PERIOD);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_taken_all_there_is_may_wait_for_ever() {
        let (ours, mut client) = duplex(8);
        let mut sender = SlowReader::new(ours, PERIOD);
        for _ in 0..3 {
            let event = async {
                sender.write_all(b"data: 0123456789\n\n").await?;
                sender.flush().await
            };
            let mut taken = [0; 18];
            let (sent, received) = tokio::join!(event, client.read_exact(&mut taken));
            sent.expect("sent");
            received.expect("received");
            sleep(Duration::from_hours(1)).await;
        }
    }
}
