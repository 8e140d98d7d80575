//! Files that are nobody else's business: read with a warning where others can read them, and made so that they cannot.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;

/// Whom a file is closed to from now on, whatever makes it: everybody but its owner.
const CLOSED: u32 = 0o077;

/// From now on the process makes files and folders that only its owner reads. Those that others need get their mode where
/// they are made. For a program's start: the whole process has one such mask.
pub fn close_new_files() {
    rustix::process::umask(Mode::from_raw_mode(CLOSED));
}

/// Makes a folder that others can pass through and not list, where it is not there yet: Mosquitto's files lie in one.
pub fn passage(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o711))
}

/// Closes what an earlier version left open. What is not there, or not this user's, stays as it is.
pub fn close(path: &Path) {
    let Ok(about) = std::fs::symlink_metadata(path) else {
        return;
    };
    let mode = about.mode() & 0o7777;
    let own = about.uid() == rustix::process::geteuid().as_raw();
    if about.is_symlink() || !own || mode & CLOSED == 0 {
        return;
    }
    match std::fs::set_permissions(path, Permissions::from_mode(mode & !CLOSED)) {
        Ok(()) => tracing::info!("{} is closed to other users", path.display()),
        Err(error) => tracing::warn!(
            "others can read {}, and that cannot be changed ({error})",
            path.display()
        ),
    }
}

/// Reads a key or a password.
pub fn read(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    warn_where_open(path);
    Ok(text)
}

/// Says so where others can read a file that holds a secret.
pub fn warn_where_open(path: &Path) {
    let Ok(about) = std::fs::metadata(path) else {
        return;
    };
    let mode = about.mode() & 0o777;
    if mode & CLOSED != 0 {
        let path = path.display();
        tracing::warn!("OPEN SECRET: others can read {path} (mode {mode:o}); chmod 600 {path}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_was_left_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, inside) = (folder.path().join("f"), folder.path().join("d"));
        std::fs::write(&file, "x").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        std::fs::create_dir(&inside).unwrap();
        std::fs::set_permissions(&inside, Permissions::from_mode(0o755)).unwrap();
        for path in [&file, &inside, &folder.path().join("absent")] {
            close(path);
        }
        assert_eq!((mode(&file), mode(&inside)), (0o600, 0o700));
        let made = folder.path().join("a/b");
        passage(&made).unwrap();
        assert_eq!(mode(&made), 0o711);
    }
}
