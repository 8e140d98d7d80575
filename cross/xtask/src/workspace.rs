//! Where things are: the checkout, what is built, what is shared, what is cached.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The checkout's top folder. Cargo says at run time where it is: several checkouts may
/// share a target directory, and with it this program.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest
        .ancestors()
        .nth(2)
        .unwrap_or(&manifest)
        .to_path_buf()
}

/// The target directory that this very program was built into: `TARGET/debug/xtask`.
pub fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let target = program
        .ancestors()
        .nth(2)
        .context("this program lies outside a target directory")?;
    Ok(target.to_path_buf())
}

/// Recordings and reference models that are not part of the project: the folder that
/// `SANDERLING_SHARED` names, or `../shared` beside the checkout; `None` where there is none.
pub fn shared() -> Option<PathBuf> {
    let folder = match std::env::var_os("SANDERLING_SHARED") {
        Some(path) => PathBuf::from(path),
        None => root().parent()?.join("shared"),
    };
    folder.is_dir().then_some(folder)
}

/// The folder for what outlives a checkout: the Python environment and installed tools.
pub fn cache() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("sanderling"))
}

/// The first file called `name` in the folders of `PATH`.
pub fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    if name.is_absolute() {
        return name.is_file().then(|| name.to_path_buf());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// A path as a person wants to read it: relative to the checkout where it lies inside.
pub fn short(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
