//! Where in the base a block's bytes might come from: places that share short strings with it.

use std::collections::BTreeMap;
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
    /// Every place, by the string that stands there and then by itself.
    places: Vec<u32>,
    /// Where the places of strings with these first two bytes begin in `places`.
    starts: Vec<u32>,
    remembered: Vec<i64>,
    ends: i64,
}

fn seed_at(base: &[u8], at: u32) -> [u8; SEED] {
    let found = base.get(at as usize..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or_default()
}

fn bucket(seed: [u8; SEED]) -> usize {
    usize::from(u16::from_be_bytes([seed[0], seed[1]]))
}

impl<'a> Seeds<'a> {
    pub(super) fn new(base: &'a [u8], new: &[u8]) -> Seeds<'a> {
        let count = base.len().saturating_sub(SEED - 1) as u32;
        let mut places: Vec<u32> = (0..count).collect();
        places.sort_unstable_by_key(|&at| (seed_at(base, at), at));
        let mut starts = Vec::with_capacity((1 << 16) + 1);
        for (i, &at) in (0u32..).zip(&places) {
            while starts.len() <= bucket(seed_at(base, at)) {
                starts.push(i);
            }
        }
        starts.resize((1 << 16) + 1, count);
        Seeds {
            base,
            places,
            starts,
            remembered: Vec::new(),
            ends: base.len() as i64 - new.len() as i64,
        }
    }

    /// Every place of a string.
    fn places(&self, seed: [u8; SEED]) -> &[u32] {
        let at = bucket(seed);
        let (from, to) = (self.starts[at] as usize, self.starts[at + 1] as usize);
        let list = &self.places[from..to];
        let first = list.partition_point(|&place| seed_at(self.base, place) < seed);
        let list = &list[first..];
        // More are not used, and which string is common need not be known.
        let some = &list[..list.len().min(COMMON + 1)];
        &some[..some.partition_point(|&place| seed_at(self.base, place) == seed)]
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
                let Some(&seed) = seed.first_chunk::<SEED>() else {
                    continue;
                };
                let list = self.places(seed);
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
