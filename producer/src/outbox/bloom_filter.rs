//! A Bloom filter of task ids, of fixed size.
//!
//! "Not contained" is certain; "contained" must be looked up. With a million keys one new key in
//! 5,000 is looked up, with ten million one in four.

use isobar_model::ids::TaskId;

#[derive(Debug)]
pub struct BloomFilter {
    bits: Vec<u64>,
}

impl BloomFilter {
    const BITS: usize = 1 << 25;

    pub fn new() -> Self {
        Self { bits: vec![0; Self::BITS / 64] }
    }

    pub fn add(&mut self, id: &TaskId) {
        for at in bit_positions(id) {
            self.bits[at / 64] |= 1 << (at % 64);
        }
    }

    pub fn may_contain(&self, id: &TaskId) -> bool {
        bit_positions(id).all(|at| self.bits[at / 64] & (1 << (at % 64)) != 0)
    }
}

/// Ids are hashes already: their four quarters serve as four hash functions.
fn bit_positions(id: &TaskId) -> impl Iterator<Item = usize> {
    let quarters = id.0.as_bytes().as_chunks::<4>().0;
    quarters.iter().map(|quarter| u32::from_le_bytes(*quarter) as usize % BloomFilter::BITS)
}

#[cfg(test)]
mod tests {
    use isobar_model::ids::JobId;

    use super::*;

    fn ids(from: usize, to: usize) -> Vec<TaskId> {
        let job = JobId::derive("test", "slot");
        (from..to).map(|n| job.task(&n.to_string())).collect()
    }

    #[test]
    fn contained_ids_are_found_and_others_rarely() {
        let mut filter = BloomFilter::new();
        for id in &ids(0, 50_000) {
            filter.add(id);
        }
        assert!(ids(0, 50_000).iter().all(|id| filter.may_contain(id)));
        let wrong = ids(50_000, 100_000).iter().filter(|id| filter.may_contain(id)).count();
        assert!(wrong < 20, "{wrong}");
    }
}
