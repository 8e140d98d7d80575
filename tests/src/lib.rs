//! System tests that start real processes, operator suites, and the rules of the repository.
#![forbid(unsafe_code)]

pub mod graph_shape;

use std::path::{Path, PathBuf};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// The folder of reference networks and recordings, where there is one.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SANDERLING_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// A Python that has the zoo's requirements: `SANDERLING_PYTHON`, or the environment
/// that `cargo xtask setup` makes.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SANDERLING_PYTHON")
        .map(PathBuf::from)
        .or_else(|| {
            let cache = std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
            Some(cache.join("sanderling/venv/bin/python"))
        })?;
    python.is_file().then_some(python)
}

/// Says on one line why a test does nothing here.
pub fn skipped(why: &str) {
    println!("skipped: {why}");
}
