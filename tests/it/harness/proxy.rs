//! A TCP proxy that does to a connection what networks do.
//!
//! The first few connections that have carried a number of bytes get the fault, later ones pass. So
//! a test needs no clock: it is over when the pipeline has recovered, and it asks the proxy how many
//! connections had it. It knows nothing of what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CHUNK: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request arrives, its reply never does: the connection is cut.
    CutBeforeReply,
    /// The reply is passed on, and then the connection is cut.
    CutAfterReply,
    /// The connection is refused before anything is said.
    Refuse,
    /// Half open: nothing more is said by either side, and nobody hangs up.
    Silence,
    /// Each reply comes so much later.
    Late(Duration),
    /// Each reply comes a byte at a time.
    Trickle,
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub kind: Kind,
    /// It begins when the server has said so many bytes on a connection.
    pub after_bytes: u64,
    /// So many connections get it.
    pub connections: u64,
}

#[derive(Debug)]
pub struct Proxy {
    port: u16,
    had_it: Arc<AtomicU64>,
    /// Ends with the proxy, and every connection with it.
    _listening: JoinSet<()>,
}

impl Proxy {
    /// In front of what listens on `port` of this machine.
    pub async fn start(port: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let had_it = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&had_it);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let line = Line { fault, had_it: Arc::clone(&counter) };
                connections.spawn(line.carry(client, port));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port: own, had_it, _listening: listening }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that had the fault.
    pub fn had_it(&self) -> u64 {
        self.had_it.load(Ordering::SeqCst)
    }
}

/// One connection.
struct Line {
    fault: Fault,
    had_it: Arc<AtomicU64>,
}

impl Line {
    async fn carry(self, client: TcpStream, port: u16) {
        if self.fault.kind == Kind::Refuse && self.takes_it() {
            return;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let Ok(server) = TcpStream::connect(address).await else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let asking = forward(from_client, to_server);
        // Whoever ends first ends both: the other half would wait for ever.
        tokio::select! {
            () = asking => {}
            () = self.answer(from_server, to_client) => {}
        }
    }

    /// Whether this connection is one of those.
    fn takes_it(&self) -> bool {
        let one_more = |count: u64| (count < self.fault.connections).then_some(count + 1);
        self.had_it.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut chunk, mut said, mut has_it) = (vec![0; CHUNK], 0_u64, false);
        loop {
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            if !has_it && said >= self.fault.after_bytes && self.fault.kind != Kind::Refuse {
                has_it = self.takes_it();
            }
            said += length as u64;
            let reply = &chunk[..length];
            let passed_on = match self.fault.kind {
                Kind::CutBeforeReply if has_it => return,
                Kind::CutAfterReply if has_it => {
                    let _ = to.write_all(reply).await;
                    return;
                }
                Kind::Silence if has_it => std::future::pending().await,
                Kind::Late(by) if has_it => {
                    tokio::time::sleep(by).await;
                    to.write_all(reply).await
                }
                Kind::Trickle if has_it => trickle(&mut to, reply).await,
                _ => to.write_all(reply).await,
            };
            if passed_on.is_err() {
                return;
            }
        }
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // An error is the end of the connection, and that is all there is to say of it.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn trickle(to: &mut OwnedWriteHalf, reply: &[u8]) -> std::io::Result<()> {
    for byte in reply {
        to.write_all(std::slice::from_ref(byte)).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}
