//! The rollouts that are under way: fed from the device table, written down, and turned into desired states.
//!
//! ```text
//! device table ─┐                ┌▶ head, records, audit ─┐
//! orders ───────┼▶ step (pure) ──┤                        ├─ one transaction ─▶ publish the group's message
//! the clock ────┘                └▶ the group's message ──┘
//! ```
//!
//! The group's message is made and stored in the transaction that moves the rollout on. Killed before the commit,
//! nothing happened; killed after it, the message is published at the next connection as every group's is. So a wave is
//! neither begun twice nor left out.

mod message;
mod report;
mod running;

use std::collections::BTreeMap;

use sanderling_rollout::{Event, Policy, Refusal, State};
use sanderling_wire::{Manifest, Name};
use sqlx::AnyConnection;
use tokio::sync::oneshot;

use crate::clock::now_ms;
use crate::compose::ComposeError;
use crate::decide::fit::{Limits, fit};
use crate::files::sha256;
use crate::signer::Signer;
use crate::store::rollouts::{self, Rollout};
use crate::store::{Store, StoreError, devices, groups};

use message::{manifest, registered, release_of, stand_in};
use running::{Changes, Running};

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is none with this number.
    #[error("there is no rollout {0}; `sanderling rollout history` lists them")]
    Unknown(i64),
    /// The group takes part in one.
    #[error(
        "rollout {id} of group {group} is under way; wait for its end, or `sanderling rollout abort {id}`"
    )]
    UnderWay {
        /// The group.
        group: Name,
        /// Its number.
        id: i64,
    },
    /// The group has that version.
    #[error("group {group} has {model} v{version} already")]
    Same {
        /// The group.
        group: Name,
        /// The model.
        model: Name,
        /// The version.
        version: u32,
    },
    /// It does not fit robots of the group.
    #[error("it does not fit {} devices of the group; {}: {}", .0.len(), .0.first().map_or("", |o| o.0.as_str()), .0.first().map_or("", |o| o.1.as_str()))]
    Unfit(Vec<(Name, String)>),
    /// See there.
    #[error("{0}")]
    Refused(Refusal),
    /// See there.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person asks for.
#[derive(Debug)]
pub enum Ask {
    /// A new rollout.
    Start(Box<Start>),
    /// An order to one that is under way.
    Order(i64, Event),
}

/// A new rollout.
#[derive(Debug)]
pub struct Start {
    /// For whom.
    pub group: Name,
    /// The model.
    pub model: Name,
    /// The new version.
    pub version: u32,
    /// How.
    pub policy: Policy,
    /// The size of a chunk, in bytes.
    pub chunk_size: u32,
    /// Who asks.
    pub by: String,
}

/// A question, and where the answer goes: the rollout's number.
#[derive(Debug)]
pub struct Command {
    /// What is asked for.
    pub ask: Ask,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<i64, OrderError>>,
}

/// Every rollout that is under way. Owned by the fleet's task alone.
#[derive(Debug, Default)]
pub struct Rollouts {
    /// By number; none: to be read from the store.
    running: Option<BTreeMap<i64, Running>>,
}

impl Rollouts {
    /// Lets time pass. Gives the groups whose message is to be published.
    pub async fn tick(
        &mut self,
        store: &Store,
        signer: &Signer,
    ) -> Result<Vec<groups::Group>, OrderError> {
        let done = if store.is_shared() {
            self.advance_shared(store, signer).await
        } else {
            self.advance(store, signer).await
        };
        if done.is_err() {
            // The store did not follow.
            self.running = None;
        }
        done
    }

    /// Alone with the database: what was read stays true, and only changes take a transaction that writes.
    async fn advance(
        &mut self,
        store: &Store,
        signer: &Signer,
    ) -> Result<Vec<groups::Group>, OrderError> {
        let mut tx = store.read().await?;
        let all = self.load(&mut tx).await?;
        drop(tx);
        let mut published = Vec::new();
        for running in all.values_mut() {
            let mut changes = Changes::default();
            let mut tx = store.read().await?;
            running.look(&mut tx, &mut changes).await?;
            drop(tx);
            let _ = running.take(Event::Tick, &mut changes);
            if changes.any() {
                let mut tx = store.write().await?;
                published.extend(running.save(&mut tx, signer, &changes).await?);
                tx.commit().await.map_err(StoreError::from)?;
            }
        }
        all.retain(|_, running| !running.state.head.status.is_over());
        Ok(published)
    }

    /// Beside other coordinators: each step is read and written in one transaction, by turns, so that two of them
    /// never take the same step.
    async fn advance_shared(
        &mut self,
        store: &Store,
        signer: &Signer,
    ) -> Result<Vec<groups::Group>, OrderError> {
        self.running = None;
        let mut tx = store.read().await?;
        let idle = rollouts::under_way(&mut tx).await?.is_empty();
        drop(tx);
        let mut published = Vec::new();
        if idle {
            return Ok(published);
        }
        let mut tx = store.write().await?;
        for running in self.load(&mut tx).await?.values_mut() {
            let mut changes = Changes::default();
            running.look(&mut tx, &mut changes).await?;
            let _ = running.take(Event::Tick, &mut changes);
            published.extend(running.save(&mut tx, signer, &changes).await?);
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(published)
    }

    /// Does what a person asks for. Gives the rollout's number, and the group to publish.
    pub async fn ask(
        &mut self,
        store: &Store,
        signer: &Signer,
        ask: Ask,
    ) -> Result<(i64, Option<groups::Group>), OrderError> {
        if store.is_shared() {
            self.running = None;
        }
        let mut tx = store.write().await?;
        let done = match ask {
            Ask::Start(start) => self.start(&mut tx, signer, *start).await,
            Ask::Order(id, event) => self.order(&mut tx, signer, id, event).await,
        };
        let done = match done {
            Ok(done) => tx.commit().await.map(|()| done).map_err(StoreError::from),
            Err(error) => {
                self.running = None;
                return Err(error);
            }
        };
        if done.is_err() {
            self.running = None;
        }
        Ok(done?)
    }

    async fn start(
        &mut self,
        tx: &mut AnyConnection,
        signer: &Signer,
        start: Start,
    ) -> Result<(i64, Option<groups::Group>), OrderError> {
        let Start {
            group,
            model,
            version,
            policy,
            chunk_size,
            by,
        } = start;
        self.load(tx).await?;
        if let Some(id) = rollouts::of_group(tx, &group).await? {
            return Err(OrderError::UnderWay { group, id });
        }
        let now = groups::get(tx, &group).await?;
        // What the robots have that no unfinished rollout reached.
        let base = now.as_ref().and_then(|now| {
            let last = now.arms.iter().rev().find_map(|arm| arm.run)?;
            now.releases.get(usize::from(last))
        });
        if base.is_some_and(|base| base.model == model && base.version == version) {
            return Err(OrderError::Same {
                group,
                model,
                version,
            });
        }
        let created_ms = now_ms();
        let seed = format!("{group} {model} {version} {created_ms}");
        let hash = sha256(seed.as_bytes());
        let salt: [u8; 16] = hash.0.first_chunk().copied().unwrap_or_default();
        let candidate = registered(tx, &model, version).await?;
        let state = State::draft(policy, base.map(release_of), candidate);
        let head = state.head.clone();
        let mut rollout = Rollout {
            id: 0,
            group,
            salt,
            chunk_size,
            head,
            created_ms,
            by: by.clone(),
        };
        rollout.id = rollouts::add(tx, &rollout).await?;
        let id = rollout.id;
        let candidate = manifest(tx, signer, &rollout).await?;
        let known = devices::list(tx, Some(&rollout.group)).await?;
        let unfit: Vec<(Name, String)> = known
            .iter()
            .filter_map(|device| {
                let misfit = fit(&candidate, &Limits::from(device.birth.as_ref()?)).err()?;
                Some((device.name.clone(), misfit.to_string()))
            })
            .collect();
        if !unfit.is_empty() {
            return Err(OrderError::Unfit(unfit));
        }
        let mut running = Running {
            rollout,
            state,
            candidate,
        };
        let mut changes = Changes {
            publish: true,
            ..Changes::default()
        };
        running.look(tx, &mut changes).await?;
        let _ = running.take(Event::Start { by }, &mut changes);
        let published = running.save(tx, signer, &changes).await?;
        self.running.get_or_insert_default().insert(id, running);
        Ok((id, published))
    }

    async fn order(
        &mut self,
        tx: &mut AnyConnection,
        signer: &Signer,
        id: i64,
        event: Event,
    ) -> Result<(i64, Option<groups::Group>), OrderError> {
        let Some(running) = self.load(tx).await?.get_mut(&id) else {
            let known = rollouts::get(tx, id).await?;
            return Err(known.map_or(OrderError::Unknown(id), |_| {
                OrderError::Refused(Refusal::Over)
            }));
        };
        let mut changes = Changes::default();
        if let Some(refusal) = running.take(event, &mut changes) {
            return Err(OrderError::Refused(refusal));
        }
        let published = running.save(tx, signer, &changes).await?;
        if running.state.head.status.is_over()
            && let Some(all) = &mut self.running
        {
            all.remove(&id);
        }
        Ok((id, published))
    }

    /// Those that are under way, read from the store where that was not done.
    async fn load(
        &mut self,
        tx: &mut AnyConnection,
    ) -> Result<&mut BTreeMap<i64, Running>, OrderError> {
        if self.running.is_some() {
            return Ok(self.running.get_or_insert_default());
        }
        let mut all = BTreeMap::new();
        for rollout in rollouts::under_way(tx).await? {
            let state = rollouts::state(tx, &rollout).await?;
            let release = &rollout.head.candidate;
            let found = groups::get(tx, &rollout.group).await?.and_then(|group| {
                let same = |m: &&Manifest| {
                    m.model.as_str() == release.model && m.version == release.version
                };
                group.releases.iter().find(same).cloned()
            });
            let candidate = match found {
                Some(manifest) => manifest,
                None => stand_in(release)?,
            };
            tracing::debug!(
                "rollout {} of group {} goes on: {}, stage {}",
                rollout.id,
                rollout.group,
                state.head.status.word(),
                state.head.stage + 1
            );
            all.insert(
                rollout.id,
                Running {
                    rollout,
                    state,
                    candidate,
                },
            );
        }
        Ok(self.running.insert(all))
    }
}
