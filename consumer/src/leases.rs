//! Leases: the entries that this worker holds, and until when it may commit their results.
//!
//! A lease begins with the delivery of an entry and again with every renewal. Renewal has its own
//! task and connection, so that slow work cannot delay it.
//!
//! Guarantees: the result of an entry that a renewal reports lost is not committed. No commit
//! starts in the last part of a lease ([`Leases::may_commit`]), so that it ends before another
//! worker may take the entry over.

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
    /// `usable` is the claim idle minus a margin for the commit itself.
    pub fn new(usable: Duration) -> Self {
        Self { held: Arc::default(), released: Arc::default(), usable }
    }

    /// `since` is a time before the broker delivered the entry.
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

    /// Waits for the next release, at most this long. The caller checks before and after.
    pub async fn until_released(&self, at_most: Duration) {
        // The bound also covers a release between the caller's check and this wait.
        let _ = tokio::time::timeout(at_most, self.released.notified()).await;
    }

    /// Whether a commit of this entry's result may start now.
    pub fn may_commit(&self, lane: Lane, id: EntryId, now: Instant) -> bool {
        self.lock()
            .get(&(lane, id))
            .is_some_and(|lease| !lease.lost && now.duration_since(lease.since) < self.usable)
    }

    /// The entries to renew in a lane.
    pub fn ids(&self, lane: Lane) -> Vec<EntryId> {
        let held = self.lock();
        held.iter()
            .filter(|(key, lease)| key.0 == lane && !lease.lost)
            .map(|(key, _)| key.1)
            .collect()
    }

    /// Records a renewal of `requested` that began at `began`; `lost` were not renewed.
    pub fn renewed(&self, lane: Lane, requested: &[EntryId], lost: &[EntryId], began: Instant) {
        let mut held = self.lock();
        for id in requested {
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
        // A panic while it is locked leaves the map whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EntryId = EntryId { ms: 1, seq: 0 };

    #[test]
    fn a_lost_or_old_lease_is_not_committed() {
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
