//! Lanes and entry ids: the position of an entry in its stream.
//!
//! Guarantees: ids order as numbers, and their text `<ms>-<seq>` reads back to the same id.

use std::fmt;
use std::str::FromStr;

/// Tasks, or the control messages that travel beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    Tasks,
    Control,
}

/// One part in this many of a read is for the control lane, at least one entry. A job's seal does
/// not wait behind a hundred thousand tasks, and tasks do not wait behind as many rejects.
const CONTROL_SHARE: usize = 8;

impl Lane {
    pub const BOTH: [Self; 2] = [Self::Tasks, Self::Control];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Control => "control",
        }
    }

    /// How many of `count` entries a read takes from the control lane before it takes tasks.
    pub(crate) fn control_share(count: usize) -> usize {
        (count / CONTROL_SHARE).max(1)
    }
}

/// An entry's position in its stream; later entries are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl EntryId {
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// The last position before this one.
    #[must_use]
    pub fn before(self) -> Self {
        match self.seq.checked_sub(1) {
            Some(seq) => Self { seq, ..self },
            None => Self { ms: self.ms.saturating_sub(1), seq: u64::MAX },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { ms: ms.parse()?, seq: seq.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_order_as_numbers_and_read_back() {
        let small: EntryId = "999-10".parse().expect("parses");
        let large: EntryId = "1000-2".parse().expect("parses");
        assert!(small < large);
        assert_eq!(large.to_string(), "1000-2");
        assert!("x-1".parse::<EntryId>().is_err());
        assert!(small.before() < small && large.before() > small);
        assert_eq!(EntryId { ms: 7, seq: 0 }.before(), EntryId { ms: 6, seq: u64::MAX });
    }
}
