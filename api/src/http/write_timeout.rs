//! Write timeout: disconnects a client that does not read its answer.
//!
//! A handler that streams waits for its client and holds its resources while it waits.
//!
//! Guarantees: a connection with bytes to send must send [`PROGRESS_BYTES`] in each period, or it
//! fails with `TimedOut` and the handler's stream is dropped. An idle connection, or one that waits
//! for the next event, has nothing to send and never times out.
//! Does not: limit reading (the head: [`super::connection`]; bodies: the handlers).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a client must read in a period, or all that is left if that is less.
pub const PROGRESS_BYTES: usize = 16 * 1024;

pub struct WriteTimeout<S> {
    stream: S,
    period: Duration,
    /// Set while bytes wait to be sent.
    pending: Option<PendingWrite>,
}

/// The end of the period, and the bytes that were sent in it.
struct PendingWrite {
    deadline: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> WriteTimeout<S> {
    pub fn new(stream: S, period: Duration) -> Self {
        Self { stream, period, pending: None }
    }

    /// Counts a write; an error if the client's period is over.
    fn check(&mut self, written: Poll<usize>, context: &mut Context<'_>) -> io::Result<()> {
        let end = Instant::now() + self.period;
        match (&mut self.pending, written) {
            (None, Poll::Ready(_)) => return Ok(()),
            (None, Poll::Pending) => {
                self.pending =
                    Some(PendingWrite { deadline: Box::pin(sleep_until(end)), bytes: 0 });
            }
            (Some(pending), Poll::Ready(bytes)) => {
                pending.bytes += bytes;
                if pending.bytes >= PROGRESS_BYTES {
                    pending.bytes = 0;
                    pending.deadline.as_mut().reset(end);
                }
            }
            (Some(_), Poll::Pending) => {}
        }
        let pending = self.pending.as_mut().expect("set above, or this has returned");
        if pending.deadline.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes)?;
        self.check(written, context)?;
        written.map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces)?;
        self.check(written, context)?;
        written.map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper flushes when it has written everything, so nothing is pending afterwards.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.pending = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
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

    /// Sends 1 MiB to a client that reads `bytes` every `pause`.
    async fn send_to(bytes: usize, pause: Duration) -> io::Result<()> {
        let (ours, mut client) = duplex(4 * 1024);
        let mut sender = WriteTimeout::new(ours, PERIOD);
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
    async fn a_client_that_hardly_reads_is_disconnected() {
        for (bytes, pause) in [(1, Duration::from_hours(1)), (1, Duration::from_millis(10))] {
            let start = Instant::now();
            let error = send_to(bytes, pause).await.expect_err("cut off");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(start.elapsed() <= PERIOD + Duration::from_secs(1), "{bytes}, {pause:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_but_steady_reader_gets_everything() {
        let start = Instant::now();
        send_to(4 * 1024, Duration::from_secs(5)).await.expect("all is sent");
        assert!(start.elapsed() > 10 * PERIOD);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_never_disconnected() {
        let (ours, mut client) = duplex(8);
        let mut sender = WriteTimeout::new(ours, PERIOD);
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
