//! Slots for connections: how many a server keeps, and how many of one client.
//!
//! A connection beyond the limits gets a reserved slot: it is served one answer, and only probes are
//! answered with more than a 503. So an orchestrator learns that the process lives, whatever clients
//! hold, and clients learn why they are refused. If all reserved slots are taken, the oldest is given
//! to the newcomer, so a connection that sends nothing never keeps out one that does.
//!
//! Guarantees: taking a slot never waits. No client has all ordinary slots.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::http::rate_limit::client_of;

/// More than a server accepts before it serves what it has accepted.
const RESERVED_SLOTS: usize = 256;

/// Marks the requests of a connection in a reserved slot.
#[derive(Clone, Copy, Debug)]
pub struct ProbesOnly;

#[derive(Debug)]
pub struct ConnectionSlots {
    total: usize,
    per_client: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Clients without a connection are removed.
    by_client: HashMap<IpAddr, usize>,
    /// The oldest first.
    reserved: VecDeque<(u64, CancellationToken)>,
    next_id: u64,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    kind: SlotKind,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
enum SlotKind {
    Ordinary(IpAddr),
    Reserved { id: u64, displaced: CancellationToken },
}

impl ConnectionSlots {
    pub fn new(total: usize, per_client: usize) -> Self {
        Self { total, per_client, taken: Arc::default() }
    }

    pub fn take(&self, peer: IpAddr) -> ConnectionSlot {
        let client = client_of(peer);
        let mut taken = lock(&self.taken);
        let of_client = taken.by_client.get(&client).copied().unwrap_or_default();
        let kind = if taken.total < self.total && of_client < self.per_client {
            taken.total += 1;
            taken.by_client.insert(client, of_client + 1);
            SlotKind::Ordinary(client)
        } else {
            taken.reserve()
        };
        ConnectionSlot { kind, taken: Arc::clone(&self.taken) }
    }
}

impl Taken {
    fn reserve(&mut self) -> SlotKind {
        if self.reserved.len() >= RESERVED_SLOTS
            && let Some((_, oldest)) = self.reserved.pop_front()
        {
            oldest.cancel();
        }
        let (id, displaced) = (self.next_id, CancellationToken::new());
        self.next_id += 1;
        self.reserved.push_back((id, displaced.clone()));
        SlotKind::Reserved { id, displaced }
    }

    fn give_back(&mut self, kind: &SlotKind) {
        match kind {
            SlotKind::Ordinary(client) => {
                self.total -= 1;
                if let Some(count) = self.by_client.get_mut(client) {
                    *count -= 1;
                    if *count == 0 {
                        self.by_client.remove(client);
                    }
                }
            }
            SlotKind::Reserved { id, .. } => self.reserved.retain(|(other, _)| other != id),
        }
    }
}

impl ConnectionSlot {
    pub fn is_reserved(&self) -> bool {
        matches!(self.kind, SlotKind::Reserved { .. })
    }

    /// Returns when a newcomer has this slot; an ordinary slot is never taken away.
    pub async fn displaced(&self) {
        match &self.kind {
            SlotKind::Ordinary(_) => std::future::pending().await,
            SlotKind::Reserved { displaced, .. } => displaced.cancelled().await,
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        lock(&self.taken).give_back(&self.kind);
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    // After a panic elsewhere the counts are still right.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn one_client_leaves_room_for_others_and_gives_back_what_it_had() {
        let slots = ConnectionSlots::new(4, 2);
        let other: IpAddr = [192, 0, 2, 1].into();
        let mut held: Vec<_> = (0..3).map(|_| slots.take(ONE)).collect();
        let reserved: Vec<bool> = held.iter().map(ConnectionSlot::is_reserved).collect();
        assert_eq!(reserved, [false, false, true]);
        let others: Vec<_> = (0..2).map(|_| slots.take(other)).collect();
        assert!(others.iter().all(|slot| !slot.is_reserved()));
        assert!(slots.take([192, 0, 2, 2].into()).is_reserved(), "four in all");
        held.remove(0);
        assert!(!slots.take(ONE).is_reserved());
        drop((held, others));
        let taken = lock(&slots.taken);
        assert!(taken.total == 0 && taken.by_client.is_empty() && taken.reserved.is_empty());
    }

    #[test]
    fn the_newest_has_the_reserved_slot_of_the_oldest() {
        let slots = ConnectionSlots::new(0, 0);
        let held: Vec<_> = (0..=RESERVED_SLOTS).map(|_| slots.take(ONE)).collect();
        let displaced = |slot: &ConnectionSlot| slot.displaced().now_or_never().is_some();
        assert!(displaced(&held[0]));
        assert!(!held[1..].iter().any(displaced));
        drop(held);
        assert!(lock(&slots.taken).reserved.is_empty());
    }
}
