//! Free ports on 127.0.0.1 for servers that must be told their port before they start.
//!
//! The kernel names the port and this process never hands out the same one twice. Another process
//! may still take it before the server binds it: a fixture therefore checks that the server that
//! answers is the one it started, and tries another port when its own ended at once. What can bind
//! by itself (port 0) should, and needs nothing from here.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Mutex;

pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind any port of 127.0.0.1");
        let port = listener
            .local_addr()
            .expect("address of a bound socket")
            .port();
        if GIVEN.lock().expect("no holder panics").insert(port) {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
    }
}
