//! Writes a result to a file, all of it or none.

use anyhow::{Context, anyhow};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Puts `bytes` at `path`. A file there is replaced at once when all bytes are on disk, so
/// that a full disk or a crash leaves the old file or none; a device is written directly.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let is_device = fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    let result = if is_device {
        write(path, bytes)
    } else {
        write_beside(path, bytes)
    };
    result
        .map_err(|error| advise(&error))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(bytes)
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial);
    let filled = File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    if filled.is_err() {
        // Whatever went wrong first is the error to report.
        let _ = fs::remove_file(&partial);
    }
    filled
}

fn advise(error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull => "; free some space or choose another place",
        io::ErrorKind::NotFound => "; make the directory first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a place that you may write to"
        }
        io::ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    };
    anyhow!("{error}{advice}")
}
