//! Which run a start was: the random number that tells one start of this robot from every other one, also from that of
//! a copied card, kept for as long as results of that start wait.
//!
//! ```text
//! magic "RUNS", format 1, zeros to 8 | entries: boot u32, run 16 | CRC-32 over all before
//! ```

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use sanderling_slots::crc32;
use sanderling_wire::RunId;

use crate::boot::random;
use crate::durable;

const HEADER: [u8; 8] = *b"RUNS\x01\0\0\0";
const ENTRY: usize = 4 + 16;

/// The runs of the starts that still matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    entries: Vec<(u32, RunId)>,
}

impl Runs {
    /// Reads what the file at `path` says of the starts in `waiting`, adds a new run for `boot`, and stores both. After
    /// an error the file is as it was and this start has no run: what is not stored would be forgotten by the next
    /// start, and its results would be taken for others.
    pub fn open(path: &Path, boot: u32, waiting: &BTreeSet<u32>) -> (Runs, Option<io::Error>) {
        let mut runs = Runs {
            entries: std::fs::read(path)
                .map(|bytes| parse(&bytes).unwrap_or_default())
                .unwrap_or_default(),
        };
        runs.entries
            .retain(|(of, _)| *of != boot && waiting.contains(of));
        let stored = random().and_then(|run| {
            let mut next = runs.clone();
            next.entries.push((boot, RunId(run)));
            durable::replace(path, &format(&next.entries))?;
            Ok(next)
        });
        match stored {
            Ok(next) => (next, None),
            Err(error) => (runs, Some(error)),
        }
    }

    /// The run of a start; none where an older program numbered it.
    pub fn of(&self, boot: u32) -> Option<RunId> {
        let entry = self.entries.iter().find(|(of, _)| *of == boot);
        entry.map(|(_, run)| *run)
    }
}

fn format(entries: &[(u32, RunId)]) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for (boot, run) in entries {
        bytes.extend_from_slice(&boot.to_le_bytes());
        bytes.extend_from_slice(&run.0);
    }
    let crc = crc32(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<Vec<(u32, RunId)>> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32(body).to_le_bytes() != *crc {
        return None;
    }
    let entries = body.strip_prefix(&HEADER)?.chunks_exact(ENTRY);
    entries
        .map(|entry| {
            let (boot, run) = entry.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*boot), RunId(run.try_into().ok()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_keeps_its_run_while_results_of_it_wait() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs");
        let (first, error) = Runs::open(&path, 7, &BTreeSet::new());
        assert!(error.is_none(), "{error:?}");
        let run = first.of(7).expect("it was stored");
        let (second, _) = Runs::open(&path, 9, &BTreeSet::from([7, 3]));
        assert_eq!(second.of(7), Some(run));
        assert_eq!(second.of(3), None, "an older program numbered it");
        assert_ne!(second.of(9), Some(run));
        let (third, _) = Runs::open(&path, 10, &BTreeSet::from([9]));
        assert_eq!((third.of(7), third.of(9)), (None, second.of(9)));
        // A copy of the card has the old runs and a new one of its own.
        let copy = folder.path().join("copy");
        std::fs::copy(&path, &copy).expect("room");
        let waiting = BTreeSet::from([10]);
        let (original, _) = Runs::open(&path, 11, &waiting);
        let (copy, _) = Runs::open(&copy, 11, &waiting);
        assert_eq!(original.of(10), copy.of(10));
        assert_ne!(original.of(11), copy.of(11));
    }

    #[test]
    fn damage_and_a_disk_that_takes_nothing_leave_no_false_run() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs");
        let (_, error) = Runs::open(&path, 7, &BTreeSet::new());
        assert!(error.is_none(), "{error:?}");
        let mut bytes = std::fs::read(&path).expect("it was stored");
        bytes[13] ^= 1;
        std::fs::write(&path, bytes).expect("room");
        let (runs, _) = Runs::open(&path, 8, &BTreeSet::from([7]));
        assert_eq!(runs.of(7), None);
        let nowhere = folder.path().join("no folder").join("runs");
        let (runs, error) = Runs::open(&nowhere, 8, &BTreeSet::new());
        assert_eq!((runs.of(8), error.is_some()), (None, true));
    }
}
