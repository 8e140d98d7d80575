//! Where in the base a block's bytes might come from: places that share short strings with it.

use std::collections::{BTreeMap, HashMap};
use std::vec::Vec;

/// The length of a string that is looked up. Weights that all drifted share few longer ones with their base.
const SEED: usize = 4;
/// Strings that occur more often say nothing about a place.
const COMMON: usize = 24;
/// The window of the new file in which places are voted for, in bytes.
const WINDOW: usize = 1024;
/// How many places of a window are tried.
const BEST: usize = 4;
/// Places that were good for earlier blocks and are tried again.
const REMEMBERED: usize = 8;

/// The strings of a base, and which shifts were good so far.
pub(super) struct Seeds<'a> {
    base: &'a [u8],
    places: HashMap<[u8; SEED], Vec<u32>>,
    remembered: Vec<i64>,
    ends: i64,
}

impl<'a> Seeds<'a> {
    pub(super) fn new(base: &'a [u8], new: &[u8]) -> Seeds<'a> {
        let mut places: HashMap<[u8; SEED], Vec<u32>> = HashMap::new();
        for (at, seed) in base.windows(SEED).enumerate() {
            if let Ok(seed) = seed.try_into() {
                let list = places.entry(seed).or_default();
                // One more than is used, to tell what is common.
                if list.len() <= COMMON {
                    list.push(at as u32);
                }
            }
        }
        Seeds {
            base,
            places,
            remembered: Vec::new(),
            ends: base.len() as i64 - new.len() as i64,
        }
    }

    /// Shifts (place in the base less place in the new file) that are worth trying for a block.
    pub(super) fn candidates(&self, content: &[u8], at: usize) -> Vec<i64> {
        let mut shifts = self.remembered.clone();
        shifts.extend([0, self.ends]);
        let windows = content.len().div_ceil(WINDOW);
        for window in 0..windows {
            let from = window * WINDOW;
            let part = &content[from..content.len().min(from + WINDOW + SEED - 1)];
            let mut votes: BTreeMap<i64, u32> = BTreeMap::new();
            for (offset, seed) in part.windows(SEED).enumerate() {
                let Some(list) = seed
                    .first_chunk::<SEED>()
                    .and_then(|seed| self.places.get(seed))
                else {
                    continue;
                };
                if list.len() <= COMMON {
                    for &place in list {
                        *votes
                            .entry(i64::from(place) - (at + from + offset) as i64)
                            .or_default() += 1;
                    }
                }
            }
            let mut votes: Vec<(i64, u32)> = votes.into_iter().collect();
            votes.sort_by_key(|&(shift, count)| (core::cmp::Reverse(count), shift));
            shifts.extend(votes.iter().take(BEST).map(|&(shift, _)| shift));
        }
        shifts.sort_unstable();
        shifts.dedup();
        let end = (at + content.len()) as i64;
        shifts.retain(|shift| end + shift > 0 && at as i64 + shift < self.base.len() as i64);
        shifts
    }

    /// Keeps the shifts that a block used.
    pub(super) fn remember(&mut self, shifts: &[i64]) {
        for &shift in shifts {
            self.remembered.retain(|&known| known != shift);
            self.remembered.insert(0, shift);
        }
        self.remembered.truncate(REMEMBERED);
    }
}
