//! Makes deltas where nobody signs: from the newest other versions of a model that the registry holds.
//!
//! A fleet with a root gets what release keys signed, deltas included; then nothing is made here.

use std::sync::Arc;
use std::time::Duration;

use sanderling_delta::{MakeError, block_for, make_while, pays};
use sanderling_wire::{Digest, Name};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::files::{FileError, Files, sha256};
use crate::signer::Signer;
use crate::store::deltas::{self, Delta};
use crate::store::models::{self, Model, Plan};
use crate::store::{Store, StoreError};

/// Versions that deltas start from, for each plan.
const BASES: usize = 2;
/// The largest plan from or to which a delta is made, in bytes: making takes about 10 times as much memory.
const MAX_PLAN: u64 = 32 << 20;

/// Why no delta was made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Files(#[from] FileError),
    #[error("{0}")]
    Make(MakeError),
    #[error("the thread that made it ended")]
    Thread,
}

/// The maker of deltas.
#[derive(Debug)]
pub struct Deltas {
    store: Store,
    files: Files,
    signer: Arc<Signer>,
    /// How long a registration or a push may wait for deltas.
    limit: Duration,
    /// One is made at a time.
    turn: Arc<Semaphore>,
}

impl Deltas {
    /// A maker that gives up after `limit`; zero: it makes none.
    pub fn new(store: Store, files: Files, signer: Arc<Signer>, limit: Duration) -> Deltas {
        Deltas {
            store,
            files,
            signer,
            limit,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Makes what lacks among the deltas to this version, for as long as the limit lets it. What goes wrong is logged:
    /// robots can do without.
    pub async fn prepare(&self, name: &Name, version: u32) {
        if self.limit.is_zero() || self.signer.epoch().is_some() {
            return;
        }
        let until = Instant::now() + self.limit;
        let wanted = match self.wanted(name, version).await {
            Ok(wanted) => wanted,
            Err(error) => return tracing::error!("deltas to {name} v{version}: {error}"),
        };
        for (base, of, plan) in wanted {
            let late = || {
                tracing::warn!(
                    "no delta from {name} v{of} to v{version}: it takes longer than {} s; raise --delta-seconds",
                    self.limit.as_secs()
                );
            };
            let turn = Arc::clone(&self.turn).acquire_owned();
            let Ok(Ok(turn)) = timeout_at(until, turn).await else {
                return late();
            };
            match self.one(&base, &plan, until, turn).await {
                Ok(Some(size)) => tracing::info!(
                    "delta from {name} v{of} to v{version} for {}: {size} of {} bytes",
                    plan.target,
                    plan.size
                ),
                Ok(None) => tracing::info!(
                    "no delta from {name} v{of} to v{version} for {}: it does not pay",
                    plan.target
                ),
                Err(Failed::Make(MakeError::Stopped)) => return late(),
                Err(error) => {
                    tracing::error!("no delta from {name} v{of} to v{version}: {error}");
                }
            }
        }
    }

    /// Pairs of plans without a delta, with the version of the first.
    async fn wanted(
        &self,
        name: &Name,
        version: u32,
    ) -> Result<Vec<(Plan, u32, Plan)>, StoreError> {
        let mut tx = self.store.read().await?;
        let list = models::list(&mut tx, Some(name)).await?;
        let Some(model) = list.iter().find(|model| model.version == version) else {
            return Ok(Vec::new());
        };
        // A manifest that release keys signed is taken as it is.
        if model.signed {
            return Ok(Vec::new());
        }
        let mut wanted = Vec::new();
        for plan in &model.artifacts {
            let known = deltas::to(&mut tx, &digest(plan)?).await?;
            for (base, of) in bases(&list, version, plan) {
                let base_digest = digest(base)?;
                if known.iter().all(|delta| delta.base != base_digest) {
                    wanted.push((base.clone(), of, plan.clone()));
                }
            }
        }
        Ok(wanted)
    }

    /// Makes one delta; its size where it pays.
    async fn one(
        &self,
        base: &Plan,
        plan: &Plan,
        until: Instant,
        turn: OwnedSemaphorePermit,
    ) -> Result<Option<u64>, Failed> {
        let (base_digest, plan_digest) = (digest(base)?, digest(plan)?);
        let old = self.files.read(&base_digest, 0..base.size).await?;
        let new = self.files.read(&plan_digest, 0..plan.size).await?;
        let full = new.len();
        let make = move || {
            // It ends with the thread, which looks at the time less often than who waits for it.
            let _turn = turn;
            make_while(&old, &new, block_for(new.len()), || Instant::now() < until)
        };
        let made = timeout_at(until, tokio::task::spawn_blocking(make)).await;
        let made = made.map_err(|_| Failed::Make(MakeError::Stopped))?;
        let bytes = made.map_err(|_| Failed::Thread)?.map_err(Failed::Make)?;
        let mut delta = Delta {
            plan: plan_digest,
            base: base_digest,
            digest: None,
            size: bytes.len() as u64,
        };
        if pays(bytes.len(), full) {
            let own = sha256(&bytes);
            delta.digest = Some(own);
            // The file first: a row must never stand for a file that is not there.
            self.files.put(&own, bytes).await?;
        }
        let mut tx = self.store.write().await?;
        deltas::add(&mut tx, &delta).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(delta.digest.map(|_| delta.size))
    }
}

fn digest(plan: &Plan) -> Result<Digest, StoreError> {
    plan.digest.parse().map_err(StoreError::corrupt)
}

/// The plans to start from: those of the newest other versions for the same target.
fn bases<'m>(list: &'m [Model], version: u32, plan: &Plan) -> Vec<(&'m Plan, u32)> {
    let mut bases: Vec<(&Plan, u32)> = Vec::new();
    for model in list.iter().rev().filter(|model| model.version != version) {
        let same_target = model.artifacts.iter().find(|base| {
            base.target == plan.target
                && base.digest != plan.digest
                && base.size.max(plan.size) <= MAX_PLAN
                && bases.iter().all(|(known, _)| known.digest != base.digest)
        });
        bases.extend(same_target.map(|base| (base, model.version)));
    }
    bases.truncate(BASES);
    bases
}
