//! `isobar healthcheck`: checks that a local process is alive; for containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use isobar_settings::values::ListenAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, warn_about_names};
use crate::exit::Exit;

/// A process that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_BYTES: u64 = 4 * 1024;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar healthcheck --path /readyz")]
pub struct Args {
    /// Address of the process [default: ISOBAR_LISTEN]
    #[arg(long, value_name = "ADDR")]
    address: Option<ListenAddress>,
    /// Path to request: /livez, /readyz or /healthz
    #[arg(long, default_value = "/livez")]
    path: String,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let address = match args.address {
        Some(address) => {
            warn_about_names();
            address.0
        }
        None => app.settings()?.listen.0,
    };
    let address = reachable(address);
    let request = tokio::time::timeout(PATIENCE, get_status(address, &args.path));
    let status =
        request.await.with_context(|| format!("{address} did not answer in {PATIENCE:?}"))??;
    ensure!(status == "200", "{address}{} answered {status}", args.path);
    Ok(Exit::Done)
}

/// A process that listens on all addresses is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The status of one GET. An HTTP client with TLS would be too much for that.
async fn get_status(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nothing answers at {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).context("the answer is not HTTP")?;
    Ok(status.to_owned())
}
