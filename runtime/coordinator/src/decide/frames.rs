//! Which frames of one boot of one robot were counted, as ranges, so that a result that arrives
//! twice is counted once.

use std::collections::{BTreeMap, BTreeSet};

/// A set of sequence numbers that remembers what changed since it was last written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// First to last, both included; ranges neither touch nor overlap.
    ranges: BTreeMap<u64, u64>,
    touched: BTreeSet<u64>,
}

/// What must be written down: ranges that no longer begin there, and ranges as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// First numbers of ranges that are gone.
    pub removed: Vec<u64>,
    /// Ranges, first and last.
    pub written: Vec<(u64, u64)>,
}

impl Frames {
    /// The set that was written down as these ranges.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> Frames {
        Frames {
            ranges: ranges.into_iter().collect(),
            touched: BTreeSet::new(),
        }
    }

    /// Adds a number; true when it was not there.
    pub fn insert(&mut self, seq: u64) -> bool {
        let mut first = seq;
        let mut last = seq;
        if let Some((&f, &l)) = self.ranges.range(..=seq).next_back() {
            if seq <= l {
                return false;
            }
            if l + 1 == seq {
                first = f;
            }
        }
        if let Some(next) = seq.checked_add(1)
            && let Some(l) = self.ranges.remove(&next)
        {
            self.touched.insert(next);
            last = l;
        }
        self.ranges.insert(first, last);
        self.touched.insert(first);
        true
    }

    /// The range that holds a number.
    pub fn covering(&self, seq: u64) -> Option<(u64, u64)> {
        let (&first, &last) = self.ranges.range(..=seq).next_back()?;
        (seq <= last).then_some((first, last))
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for first in std::mem::take(&mut self.touched) {
            match self.ranges.get(&first) {
                Some(&last) => changes.written.push((first, last)),
                None => changes.removed.push(first),
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain set: the same answers; and the changes, applied to what was written
        /// before, give the set.
        #[test]
        fn agrees_with_a_plain_set(batches in prop::collection::vec(prop::collection::vec(0u64..40, 0..10), 0..12)) {
            let mut frames = Frames::default();
            let mut plain = BTreeSet::new();
            let mut disk = BTreeMap::new();
            for batch in batches {
                for seq in batch {
                    prop_assert_eq!(frames.insert(seq), plain.insert(seq));
                    prop_assert!(frames.covering(seq).is_some_and(|(f, l)| f <= seq && seq <= l));
                }
                let changes = frames.take_changes();
                for first in changes.removed {
                    disk.remove(&first);
                }
                for (first, last) in changes.written {
                    disk.insert(first, last);
                }
                prop_assert_eq!(&disk, &frames.ranges);
                let all: BTreeSet<u64> = disk.iter().flat_map(|(&f, &l)| f..=l).collect();
                prop_assert_eq!(&all, &plain);
                // No two ranges touch.
                for (a, b) in disk.iter().zip(disk.iter().skip(1)) {
                    prop_assert!(a.1 + 1 < *b.0);
                }
            }
        }
    }

    #[test]
    fn the_last_number_of_all_is_no_trap() {
        let mut frames = Frames::default();
        assert!(frames.insert(u64::MAX));
        assert!(!frames.insert(u64::MAX));
        assert!(frames.insert(u64::MAX - 1));
        assert_eq!(frames.covering(u64::MAX), Some((u64::MAX - 1, u64::MAX)));
    }
}
