//! Whether the data directory can be written: asked by writing to it, because free bytes, quotas, and rights each tell a
//! part only.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the registry's first files need, in bytes.
pub const AT_START: usize = 64 * 1024;
/// One block of a file system, in bytes.
pub const ONE_BLOCK: usize = 4096;

/// No two probes share a file.
static PROBES: AtomicU64 = AtomicU64::new(0);

/// Writes a file of so many bytes and takes it away again.
pub fn probe(folder: &Path, bytes: usize) -> std::io::Result<()> {
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("probe-{number}.part"));
    let write = || {
        let mut file = std::fs::File::create(&path)?;
        file.write_all(&vec![0x5a; bytes])
    };
    let written = write();
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}
