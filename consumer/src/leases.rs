//! Which entries this worker holds, and until when it may commit their results.
//!
//! A lease starts when an entry is delivered and starts anew with every renewal, which runs on
//! its own task and connection so that nothing slow delays it. An entry that a renewal reports
//! lost belongs to someone else: its result is dropped before it reaches a commit. No commit
//! starts in the last part of a lease either ([`Leases::may_commit`]), so that it ends before
//! another worker may take the entry over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isobar_broker::{EntryId, Lane};
use tokio::sync::Notify;

/// Everything that this worker holds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leases {
    held: Arc<Mutex<HashMap<(Lane, EntryId), Lease>>>,
    released: Arc<Notify>,
    /// How long after its start a result may still be committed.
    usable: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    since: Instant,
    lost: bool,
}

impl Leases {
    /// `usable` is the claim idle less a margin for the commit itself.
    pub fn new(usable: Duration) -> Self {
        Self { held: Arc::default(), released: Arc::default(), usable }
    }

    /// `since` is a moment before the broker handed the entry out.
    pub fn hold(&self, lane: Lane, id: EntryId, since: Instant) {
        self.lock().insert((lane, id), Lease { since, lost: false });
    }

    pub fn release(&self, lane: Lane, ids: &[EntryId]) {
        let mut held = self.lock();
        for id in ids {
            held.remove(&(lane, *id));
        }
        drop(held);
        self.released.notify_waiters();
    }

    pub fn holds(&self, lane: Lane, id: EntryId) -> bool {
        self.lock().contains_key(&(lane, id))
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until something is released; check before and after.
    pub async fn until_released(&self, at_most: Duration) {
        // A release between the caller's check and this wait is caught by the bound.
        let _ = tokio::time::timeout(at_most, self.released.notified()).await;
    }

    /// Whether a commit of this entry's result may start now.
    pub fn may_commit(&self, lane: Lane, id: EntryId, now: Instant) -> bool {
        self.lock()
            .get(&(lane, id))
            .is_some_and(|lease| !lease.lost && now.duration_since(lease.since) < self.usable)
    }

    /// What is to be renewed in a lane.
    pub fn ids(&self, lane: Lane) -> Vec<EntryId> {
        let held = self.lock();
        held.iter()
            .filter(|(key, lease)| key.0 == lane && !lease.lost)
            .map(|(key, _)| key.1)
            .collect()
    }

    /// Books one renewal that began at `began`: all of `asked` live on but for `lost`.
    pub fn renewed(&self, lane: Lane, asked: &[EntryId], lost: &[EntryId], began: Instant) {
        let mut held = self.lock();
        for id in asked {
            if let Some(lease) = held.get_mut(&(lane, *id)) {
                lease.since = lease.since.max(began);
            }
        }
        for id in lost {
            if let Some(lease) = held.get_mut(&(lane, *id)) {
                lease.lost = true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Lane, EntryId), Lease>> {
        // The map stays whole whatever panicked while it was locked.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EntryId = EntryId { ms: 1, seq: 0 };

    #[test]
    fn a_lost_or_old_lease_commits_nothing() {
        let leases = Leases::new(Duration::from_secs(50));
        let start = Instant::now();
        leases.hold(Lane::Tasks, ID, start);
        assert!(leases.may_commit(Lane::Tasks, ID, start + Duration::from_secs(49)));
        assert!(!leases.may_commit(Lane::Tasks, ID, start + Duration::from_secs(50)));

        let renewal = start + Duration::from_secs(15);
        leases.renewed(Lane::Tasks, &[ID], &[], renewal);
        assert!(leases.may_commit(Lane::Tasks, ID, start + Duration::from_mins(1)));

        leases.renewed(Lane::Tasks, &[ID], &[ID], renewal);
        assert!(!leases.may_commit(Lane::Tasks, ID, renewal));
        assert!(leases.ids(Lane::Tasks).is_empty(), "a lost entry is not renewed again");
        assert!(!leases.may_commit(Lane::Control, ID, renewal), "lanes are apart");
    }
}
