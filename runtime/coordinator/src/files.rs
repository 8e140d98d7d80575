//! Plan files in an object store, each under the digest of its bytes, checked as it is written.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as Key};
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
        Ok(())
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
