//! The boot counter: a number that is raised at every start and never comes twice, so that no two results of a robot
//! ever carry the same number.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sanderling_slots::crc32;

use crate::durable;

/// Raises the counter in the file at `path` and gives the new value, durable before it is used.
///
/// Where the file is missing or damaged (a new disk, a wiped one) the count begins at the seconds since 1970: a robot
/// that began at 1 again would repeat numbers, and its results would be taken for duplicates.
pub fn next(path: &Path) -> io::Result<u32> {
    let before = match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let boot = match before {
        Some(before) => before.saturating_add(1),
        None => seconds_since_1970(),
    };
    // A disk without room for another file still takes the bytes of this one, and a robot must start on it.
    durable::replace(path, &format(boot)).or_else(|_| overwrite(path, &format(boot)))?;
    Ok(boot)
}

fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()
}

fn seconds_since_1970() -> u32 {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
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

    #[test]
    fn grows_by_one_and_survives_damage_without_repeating() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("boot");
        let first = next(&path).expect("room for 8 bytes");
        assert!(first > 1_600_000_000, "{first}");
        assert_eq!(next(&path).expect("room"), first + 1);
        std::fs::write(&path, b"torn").expect("room");
        assert!(next(&path).expect("room") >= first);
    }
}
