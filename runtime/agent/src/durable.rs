//! Files that survive power loss: written beside their place, synced, renamed, and the folder synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` with `bytes`; whoever reads it, at whatever moment, sees the old bytes or the new ones.
/// Both the bytes and the name are on the medium when this returns.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder_of(path)
}

/// Replaces the file at `path` for readers that live now, without waiting for the medium: a power cut may bring the
/// old bytes back.
pub fn replace_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

/// The same for a file that other programs of this machine read.
pub fn show(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    fs::write(&beside, bytes)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644))?;
    fs::rename(&beside, path)
}

/// Makes a folder that is nobody else's business, and closes one that an earlier version left open.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        // A folder that is another user's stays as its owner wants it.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7700));
    }
    Ok(())
}

/// Makes the creation, renaming or removal of `path` durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A name in the same folder, so that the rename stays inside one file system.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        for text in ["one", "another"] {
            replace(&path, text.as_bytes()).expect("room for a few bytes");
            assert_eq!(fs::read_to_string(&path).expect("just written"), text);
        }
        replace_unsynced(&path, b"third").expect("room for a few bytes");
        assert_eq!(fs::read(&path).expect("just written"), b"third");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
