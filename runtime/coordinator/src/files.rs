//! Plan files in an object store, each under the digest of its bytes, checked as it is written.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::local::LocalFileSystem;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as Key};
use sanderling_wire::Digest;
use sha2::{Digest as _, Sha256};

/// Why a file could not be kept or given.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The storage said no.
    #[error(
        "the store of model files failed: {0}; check free space and rights in the data directory"
    )]
    Storage(#[from] object_store::Error),
    /// What was written reads back as something else.
    #[error("the store of model files gave back {got} for {digest}; the disk is not to be trusted")]
    Damaged {
        /// What was written.
        digest: Digest,
        /// What came back.
        got: Digest,
    },
    /// The directory could not be made.
    #[error("the directory {path} cannot be made: {error}")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The store of model files.
#[derive(Clone, Debug)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    checked: Arc<Mutex<Checked>>,
}

/// What was found when files were read whole.
#[derive(Debug, Default)]
struct Checked {
    /// Those that have their digest, as they were then.
    whole: HashMap<Digest, ObjectMeta>,
    broken: BTreeMap<Digest, Broken>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is gone.
    Missing,
    /// Its bytes are others.
    Damaged,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Missing => {
                "the coordinator's file of this plan is missing; register the same plan again"
            }
            Broken::Damaged => {
                "the coordinator's file of this plan is damaged; register the same plan again"
            }
        })
    }
}

fn key(digest: &Digest) -> Key {
    let hex = digest.to_string();
    let (folder, file) = hex.split_at(2);
    Key::from(format!("sha256/{folder}/{file}"))
}

impl Files {
    /// A store in a directory, which is made.
    pub fn in_directory(path: &Path) -> Result<Files, FileError> {
        std::fs::create_dir_all(path).map_err(|error| FileError::Directory {
            path: path.display().to_string(),
            error,
        })?;
        Ok(Files {
            store: Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true)),
            checked: Arc::default(),
        })
    }

    /// Keeps bytes and reads them back.
    pub async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), FileError> {
        let key = key(digest);
        self.store.put(&key, bytes.into()).await?;
        let got = sha256(&self.store.get(&key).await?.bytes().await?);
        if got != *digest {
            return Err(FileError::Damaged {
                digest: *digest,
                got,
            });
        }
        self.checked().broken.remove(digest);
        Ok(())
    }

    /// Whether a file has its digest: read whole the first time, and whenever its size or time changed since. What is
    /// wrong is logged once.
    pub async fn check(&self, digest: &Digest) -> Result<Option<Broken>, FileError> {
        let meta = match self.store.head(&key(digest)).await {
            Ok(meta) => meta,
            Err(object_store::Error::NotFound { .. }) => {
                return Ok(Some(self.note(digest, Broken::Missing)));
            }
            Err(error) => return Err(error.into()),
        };
        let same = |known: &ObjectMeta| {
            (known.size, known.last_modified) == (meta.size, meta.last_modified)
        };
        if self.checked().whole.get(digest).is_some_and(same) {
            return Ok(None);
        }
        let bytes = match self.store.get(&key(digest)).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => {
                return Ok(Some(self.note(digest, Broken::Missing)));
            }
            Err(error) => return Err(error.into()),
        };
        let got = tokio::task::spawn_blocking(move || sha256(&bytes)).await;
        if got.ok() != Some(*digest) {
            return Ok(Some(self.note(digest, Broken::Damaged)));
        }
        let mut checked = self.checked();
        checked.broken.remove(digest);
        checked.whole.insert(*digest, meta);
        Ok(None)
    }

    /// Remembers, and says once, that a file is of no use.
    pub fn note(&self, digest: &Digest, broken: Broken) -> Broken {
        let mut checked = self.checked();
        checked.whole.remove(digest);
        if checked.broken.insert(*digest, broken) != Some(broken) {
            tracing::error!("{digest}: {broken}");
        }
        broken
    }

    /// What is known to be wrong with a file.
    pub fn broken(&self, digest: &Digest) -> Option<Broken> {
        self.checked().broken.get(digest).copied()
    }

    fn checked(&self) -> MutexGuard<'_, Checked> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece of a file.
    pub async fn read(&self, digest: &Digest, range: Range<u64>) -> Result<Vec<u8>, FileError> {
        Ok(self.store.get_range(&key(digest), range).await?.to_vec())
    }

    /// Deletes a file; one that is not there is deleted already.
    pub async fn remove(&self, digest: &Digest) -> Result<(), FileError> {
        match self.store.delete(&key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The size of a file in bytes, or nothing when there is none.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, FileError> {
        match self.store.head(&key(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
