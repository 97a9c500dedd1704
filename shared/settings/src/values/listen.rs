//! Addresses to listen on: `127.0.0.1:8000`, `0.0.0.0:8000`, `[::1]:8000` or `localhost:8000`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// An address and a port; `localhost` is 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local_port = text
            .split_once(':')
            .filter(|(host, _)| host.eq_ignore_ascii_case("localhost"))
            .and_then(|(_, port)| port.parse().ok());
        let local = local_port.map(|port: u16| (Ipv4Addr::LOCALHOST, port).into());
        local.or_else(|| text.parse().ok()).map(Self).ok_or_else(|| {
            format!(
                "invalid address {text:?}: expected an IP address and a port, for example \
                 127.0.0.1:8000, or 0.0.0.0:8000 for all addresses"
            )
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_port_and_names_are_refused() {
        for (text, shown) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("localhost:8000", "127.0.0.1:8000"),
            ("LOCALHOST:0", "127.0.0.1:0"),
            ("[::1]:8000", "[::1]:8000"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().expect(text).to_string(), shown);
        }
        for text in
            ["", "8000", ":8000", "127.0.0.1", "localhost", "localhost:http", "*:8000", "isobar:80"]
        {
            let error = text.parse::<ListenAddress>().expect_err(text);
            assert!(error.contains("for example 127.0.0.1:8000"), "{error}");
        }
    }
}
