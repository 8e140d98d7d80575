//! The boot counter: a number that is raised at every start, so that no two results of a robot carry the same number.
//!
//! It is not asked of the clock, because a robot without one begins every life at the same time. Where nothing is stored
//! the count begins at a random place, above every number that older programs took from the clock, and each start adds a
//! random step: two robots that began as copies of one card count apart from their first start on. What the numbers
//! are not random enough for, the run is (see [`crate::runs`]).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sanderling_slots::crc32;

use crate::durable;

/// Where a count begins at least. Older programs began at the seconds since 1970.
const FIRST: u32 = 1 << 31;
/// Where a count begins at most, so that it has room to grow.
const LAST_FIRST: u32 = u32::MAX - (1 << 24);
/// The largest step from one start to the next.
const STEP: u32 = 1 << 12;

/// The number of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// This start.
    pub number: u32,
    /// The start before, where one is known.
    pub before: Option<u32>,
}

/// Raises the counter in the file at `path` and gives the new value, durable before it is used.
pub fn next(path: &Path) -> io::Result<Boot> {
    let before = match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let chance = random::<4>().map(u32::from_le_bytes)?;
    let step = chance % STEP + 1;
    let number = match before.and_then(|before| before.checked_add(step)) {
        Some(number) => number,
        None => FIRST + chance % (LAST_FIRST - FIRST),
    };
    // A disk without room for another file still takes the bytes of this one, and a robot must start on it.
    durable::replace(path, &format(number)).or_else(|_| overwrite(path, &format(number)))?;
    Ok(Boot { number, before })
}

/// Random bytes of the system's.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()
}

/// The counter, and a CRC over it.
fn format(boot: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&boot.to_le_bytes());
    bytes[4..].copy_from_slice(&crc32(&boot.to_le_bytes()).to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<u32> {
    let boot: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    (bytes == format(u32::from_le_bytes(boot))).then(|| u32::from_le_bytes(boot))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program wrote whose counts began at the clock: 1,795,413,661.
    const STORED: [u8; 8] = [0x9d, 0xd6, 0x03, 0x6b, 0xf4, 0x44, 0x27, 0x16];

    #[test]
    fn grows_at_every_start() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("boot");
        let first = next(&path).expect("room for 8 bytes");
        assert_eq!(first.before, None);
        assert!(first.number >= FIRST, "{first:?}");
        let mut before = first.number;
        for _ in 0..100 {
            let boot = next(&path).expect("room");
            assert_eq!(boot.before, Some(before));
            assert!(boot.number > before);
            before = boot.number;
        }
    }

    #[test]
    fn wiped_storage_and_copied_storage_begin_elsewhere() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let starts: std::collections::BTreeSet<u32> = (0..32)
            .map(|life| {
                next(&path(&life.to_string()))
                    .expect("room for 8 bytes")
                    .number
            })
            .collect();
        assert_eq!(starts.len(), 32, "each life has numbers of its own");
        // Two copies may draw the same step once, and not ten times in a row.
        std::fs::copy(path("0"), path("copy")).expect("room");
        let of = |name: &str| -> Vec<u32> {
            let boots = (0..10).map(|_| next(&path(name)).expect("room").number);
            boots.collect()
        };
        assert_ne!(of("0"), of("copy"));
    }

    #[test]
    fn goes_on_from_what_an_older_program_stored_and_begins_anew_after_damage() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("boot");
        std::fs::write(&path, STORED).expect("room");
        let boot = next(&path).expect("room");
        assert_eq!(boot.before, Some(1_795_413_661));
        assert!(boot.number > 1_795_413_661);
        std::fs::write(&path, b"torn").expect("room");
        assert!(next(&path).expect("room").number >= FIRST);
    }
}
