//! Private keys in files: readable by their owner alone, and never written over another.

use anyhow::{Context, bail};
use sanderling_trust::{KeyFile, Role, SigningKey};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A key of 32 bytes from the system's source of randomness.
pub fn new(role: Role) -> anyhow::Result<KeyFile> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the system gives no random bytes")?;
    let key = SigningKey::from_secret(&secret);
    Ok(KeyFile { role, key })
}

/// Writes a new file that only its owner can read, and gets it onto the disk.
pub fn write(path: &Path, key: &KeyFile) -> anyhow::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
            "{} exists, and a key that is overwritten is lost; choose another --dir, or move it away",
            path.display()
        ),
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(key.to_string().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a key that must be for this role.
pub fn read(path: &Path, role: Role) -> anyhow::Result<KeyFile> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = KeyFile::parse(&text).with_context(|| path.display().to_string())?;
    if file.role != role {
        bail!(
            "{} is a {} key, and a {role} key is needed here",
            path.display(),
            file.role
        );
    }
    if let Ok(meta) = fs::metadata(path)
        && meta.permissions().mode() & 0o077 != 0
    {
        eprintln!("warning: others can read {}; chmod 600 it", path.display());
    }
    Ok(file)
}

/// The private keys of a directory, with the files they stand in, by name.
pub fn in_folder(folder: &Path) -> anyhow::Result<Vec<(PathBuf, KeyFile)>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "key"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let key = KeyFile::parse(&text).with_context(|| path.display().to_string())?;
        Ok((path, key))
    };
    paths.into_iter().map(read).collect()
}

/// A key's name: the first 8 bytes of the SHA-256 of the public key, in hex.
pub fn id(public: &[u8; 32]) -> String {
    crate::text::hex(&sanderling_trust::id(public))
}
