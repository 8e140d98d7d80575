//! What a start finds: whether registry and model files belong together, and what is missing.

use std::path::Path;

use crate::files::{Broken, Files};
use crate::run::RunError;
use crate::store::{Store, StoreError, deltas, events, holdouts, models};

/// Checks what a restart finds, and says what is missing. Gives the newest event's number.
pub async fn begin(store: &Store, files: &Files) -> Result<i64, RunError> {
    let mut tx = store.read().await?;
    let newest = events::newest(&mut tx).await?;
    let digests = models::digests(&mut tx).await?;
    let holdouts = holdouts::digests(&mut tx).await?;
    let ways = deltas::files(&mut tx).await?;
    drop(tx);
    for (digest, size) in holdouts {
        if files.size(&digest).await? != Some(size) {
            tracing::error!(
                "the holdout file {digest} is missing or damaged; remove that holdout and add it again"
            );
        }
    }
    for digest in ways.iter().filter_map(|delta| delta.digest) {
        if files.size(&digest).await?.is_none() {
            tracing::warn!("the delta {digest} is missing; robots pull the full file instead");
            let mut tx = store.write().await?;
            deltas::forget(&mut tx, &digest).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
    }
    for (digest, size) in digests {
        match files.size(&digest).await? {
            Some(found) if found == size => {}
            Some(_) => {
                files.note(&digest, Broken::Damaged);
            }
            None => {
                files.note(&digest, Broken::Missing);
            }
        }
    }
    Ok(newest)
}

/// Refuses to begin an empty registry beside model files: one that was lost would be replaced without a word, and
/// everything that robots run would be unknown.
pub fn is_not_lost(registry: &Path, objects: &Path) -> Result<(), RunError> {
    let what = match std::fs::metadata(registry) {
        Ok(found) if found.len() > 0 => return Ok(()),
        Ok(_) => "empty",
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "missing",
        // Opening it says why it cannot be read.
        Err(_) => return Ok(()),
    };
    let holds_files = std::fs::read_dir(objects.join("sha256"))
        .is_ok_and(|mut folders| folders.any(|folder| folder.is_ok()));
    match holds_files {
        true => Err(RunError::Lost {
            registry: registry.display().to_string(),
            what,
            objects: objects.display().to_string(),
        }),
        false => Ok(()),
    }
}
