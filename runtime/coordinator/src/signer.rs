//! The fleet's key: what the coordinator signs with it, and the root that it publishes.
//!
//! The directory of keys holds `root` (the chain that `sanderling keys` writes) and a file `fleet*.key`.
//! Root and release keys do not belong here. Without a root the fleet is unsigned, and says so.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sanderling_trust::{KeyFile, Refusal, Role, SigningKey, Trust, check};
use sanderling_wire::{
    Desired, EncodeError, MAX_DESIRED, MAX_SMALL_MESSAGE, Root, Signed, decode, encode,
};

use crate::clock::now_ms;
use crate::secrets;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{path}: {error}; check the files in --keys")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: String,
    },
    /// There is a root, and no private key that it names.
    #[error(
        "{path} has a root and no fleet*.key that root {version} names; copy the fleet's key there, or remove `root` to run an unsigned fleet"
    )]
    NoFleetKey {
        /// The directory.
        path: String,
        /// The root's version.
        version: u32,
    },
    /// The root is not to be believed.
    #[error("the root is refused: {0}")]
    Root(#[from] Refusal),
    /// There is no root that a new one could follow.
    #[error(
        "this fleet has no root that a new one could follow; put the first one into --keys and start again"
    )]
    Unsigned,
}

struct Keys {
    trust: Trust,
    /// The chain of roots, as published.
    chain: Vec<u8>,
    fleet: SigningKey,
}

/// Signs desired states.
pub struct Signer {
    folder: PathBuf,
    life: Duration,
    keys: RwLock<Option<Keys>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let epoch = self.epoch();
        f.debug_struct("Signer")
            .field("folder", &self.folder)
            .field("epoch", &epoch)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the directory of keys. `life`: how long a signed desired state is to be believed.
    pub fn open(folder: &Path, life: Duration) -> Result<Signer, KeysError> {
        let root = folder.join("root");
        let keys = match std::fs::read(&root) {
            Ok(chain) => {
                let trust = Trust::anchor(&chain).map_err(|error| file(&root, error))?;
                Some(Keys {
                    fleet: fleet_key(folder, trust.root())?,
                    trust,
                    chain,
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(file(&root, error)),
        };
        match &keys {
            Some(keys) => tracing::info!(
                "root {} (epoch {}): desired states are signed",
                keys.trust.root().version,
                keys.trust.root().epoch
            ),
            None => tracing::warn!(
                "UNSIGNED FLEET: there is no root in {}, so robots without a root install whatever the broker says, \
                 and robots with one install nothing; `sanderling keys init` makes keys",
                folder.display()
            ),
        }
        Ok(Signer {
            folder: folder.to_owned(),
            life,
            keys: RwLock::new(keys),
        })
    }

    fn with<T>(&self, look: impl FnOnce(&Keys) -> T) -> Option<T> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().map(look)
    }

    /// The epoch of the root; none: the fleet is unsigned.
    pub fn epoch(&self) -> Option<u32> {
        self.with(|keys| keys.trust.root().epoch)
    }

    /// The root that counts.
    pub fn root(&self) -> Option<Root> {
        self.with(|keys| keys.trust.root().clone())
    }

    /// The chain of roots, as it is published.
    pub fn chain(&self) -> Option<Vec<u8>> {
        self.with(|keys| keys.chain.clone())
    }

    /// Follows to a newer root, keeps it in the directory, and gives its version.
    pub fn follow(&self, chain: &[u8]) -> Result<u32, KeysError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.as_mut().ok_or(KeysError::Unsigned)?;
        let mut trust = keys.trust.clone();
        if !trust.follow(chain)? {
            return Ok(trust.root().version);
        }
        let fleet = fleet_key(&self.folder, trust.root())?;
        let path = self.folder.join("root");
        let beside = self.folder.join("root.part");
        std::fs::write(&beside, chain)
            .and_then(|()| std::fs::File::open(&beside)?.sync_all())
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(|error| file(&path, error))?;
        *keys = Keys {
            trust,
            chain: chain.to_vec(),
            fleet,
        };
        Ok(keys.trust.root().version)
    }

    /// Whether robots with this fleet's root would believe a release's signatures.
    pub fn check_release(&self, signed: &Signed<'_>) -> Result<(), Refusal> {
        self.with(|keys| check(keys.trust.root(), Role::Release, signed))
            .unwrap_or(Ok(()))
    }

    /// The message for a desired state: issued now, signed where the fleet has a root.
    pub fn message(&self, desired: &Desired<'_>) -> Result<Vec<u8>, EncodeError> {
        let mut desired = desired.clone();
        desired.issued_s = u64::try_from(now_ms() / 1000).unwrap_or(0);
        let expires = desired.issued_s.saturating_add(self.life.as_secs());
        desired.expires_s = self.epoch().map(|_| expires);
        let mut inner = [0; MAX_DESIRED];
        let statement = encode(&desired, &mut inner)?;
        let mut signed: Signed<'_> = Signed::unsigned(statement);
        let signature = self.with(|keys| keys.fleet.sign(Role::Fleet, statement));
        // The list is empty, so there is room for one.
        signed.signatures.extend(signature);
        let mut outer = [0; MAX_SMALL_MESSAGE];
        Ok(encode(&signed, &mut outer)?.to_vec())
    }

    /// The same desired state with smaller chunks, where it proposes larger ones than `limit`.
    pub fn with_smaller_chunks(&self, message: &[u8], limit: u32) -> Option<Vec<u8>> {
        let signed: Signed<'_> = decode(message).ok()?;
        let mut desired: Desired<'_> = signed.read().ok()?;
        if desired.chunk_size <= limit {
            return None;
        }
        desired.chunk_size = limit;
        self.message(&desired).ok()
    }

    /// Whether a desired state was signed by a clock that was ahead. A robot without a clock of its own goes by that time
    /// until it hears a higher serial.
    pub fn was_ahead(&self, message: &[u8]) -> bool {
        let issued_s = decode::<Signed<'_>>(message)
            .and_then(|signed| signed.read::<Desired<'_>>().map(|desired| desired.issued_s));
        let now_s = u64::try_from(now_ms() / 1000).unwrap_or(0);
        let ahead = |issued_s| issued_s > now_s.saturating_add(sanderling_trust::MAX_AHEAD_S);
        self.epoch().is_some() && issued_s.is_ok_and(ahead)
    }

    /// The same desired state signed anew, where that is due: half of its life is over, or its
    /// signature is none that the root names. None where nothing is due.
    pub fn renewed(&self, message: &[u8]) -> Option<Result<Vec<u8>, Refusal>> {
        let root = self.root()?;
        let signed: Signed<'_> = decode(message).ok()?;
        let desired: Desired<'_> = signed.read().ok()?;
        let now_s = u64::try_from(now_ms() / 1000).unwrap_or(0);
        let half = desired.issued_s.saturating_add(self.life.as_secs() / 2);
        let fresh = now_s < half && desired.issued_s <= now_s && desired.expires_s.is_some();
        if fresh && check(&root, Role::Fleet, &signed).is_ok() {
            return None;
        }
        let releases = desired.releases.iter();
        if let Some(refusal) = releases
            .into_iter()
            .find_map(|release| self.check_release(release).err())
        {
            return Some(Err(refusal));
        }
        self.message(&desired).ok().map(Ok)
    }
}

fn file(path: &Path, error: impl ToString) -> KeysError {
    KeysError::File {
        path: path.display().to_string(),
        error: error.to_string(),
    }
}

/// The private key in `fleet*.key` that the root names.
fn fleet_key(folder: &Path, root: &Root) -> Result<SigningKey, KeysError> {
    let entries = std::fs::read_dir(folder).map_err(|error| file(folder, error))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("fleet") || !name.ends_with(".key") {
            continue;
        }
        let path = entry.path();
        let text = secrets::read(&path).map_err(|error| file(&path, error))?;
        let key = KeyFile::parse(&text).map_err(|error| file(&path, error))?;
        let public = key.key.public();
        let named = root.fleet.keys.iter().any(|&index| {
            let named = root.keys.get(usize::from(index));
            named == Some(&public)
        });
        if key.role == Role::Fleet && named {
            return Ok(key.key);
        }
    }
    Err(KeysError::NoFleetKey {
        path: folder.display().to_string(),
        version: root.version,
    })
}
