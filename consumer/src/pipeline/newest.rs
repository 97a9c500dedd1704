//! Newest: of the records of one commit with equal keys, the newest stays.
//!
//! The store accepts each natural key once per statement (I4).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use chrono::{DateTime, Utc};

/// Each key once, with its newest record; of two equally new ones the later in `records`.
pub fn newest<K: Eq + Hash, T>(
    records: Vec<T>,
    key: impl Fn(&T) -> K,
    time: impl Fn(&T) -> DateTime<Utc>,
) -> Vec<T> {
    let mut kept: HashMap<K, T> = HashMap::with_capacity(records.len());
    for record in records {
        match kept.entry(key(&record)) {
            Entry::Occupied(mut known) if time(&record) >= time(known.get()) => {
                known.insert(record);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(empty) => {
                empty.insert(record);
            }
        }
    }
    kept.into_values().collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_newest_record_of_a_key_stays() {
        let now = Utc::now();
        let old = now - TimeDelta::minutes(1);
        let records = vec![(1, now, "new"), (1, old, "old"), (2, old, "first"), (2, old, "second")];
        let mut kept = newest(records, |record| record.0, |record| record.1);
        kept.sort_unstable();
        assert_eq!(kept, [(1, now, "new"), (2, old, "second")]);
    }
}
