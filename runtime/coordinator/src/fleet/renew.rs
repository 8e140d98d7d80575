//! Keeping what the fleet key signed from running out, and bringing what an older program wrote up to date.

use sanderling_wire::{DEFAULT_CHUNK, Name};

use super::Fleet;
use crate::compose::{Order, compose};
use crate::link::LinkClosed;
use crate::say::send_desired;
use crate::store::groups::{self, Group};
use crate::store::{StoreError, devices};

impl Fleet {
    /// Signs anew what is due, under the same serial, and publishes it.
    pub(super) async fn renew(&mut self) -> Result<(), LinkClosed> {
        match self.renewed().await {
            Ok(renewed) => {
                for group in renewed {
                    send_desired(&self.link, &self.fleet, &group.name, group.message).await?;
                }
            }
            Err(error) => self.complain(&error),
        }
        Ok(())
    }

    async fn renewed(&mut self) -> Result<Vec<Group>, StoreError> {
        let mut due = Vec::new();
        let mut tx = self.store.read().await?;
        let limit = self.link.chunk_limit();
        for group in groups::list(&mut tx).await? {
            match self.signer.renewed(&group.message) {
                None => {
                    let smaller = |limit| self.signer.with_smaller_chunks(&group.message, limit);
                    if let Some(message) = limit.and_then(smaller) {
                        due.push(groups::read(message, group.set_ms)?);
                    }
                }
                Some(Ok(message)) => {
                    let set_ms = group.set_ms;
                    due.push(groups::read(message, set_ms)?);
                    self.memory.refused.remove(&group.name);
                }
                // Once for each group, not with each look.
                Some(Err(refusal)) if self.memory.refused.insert(group.name.clone()) => {
                    tracing::error!(
                        "the desired state of {} cannot be signed: its release: {refusal}; push a release that is signed",
                        group.name
                    );
                }
                Some(Err(_)) => {}
            }
        }
        drop(tx);
        if due.is_empty() {
            return Ok(due);
        }
        let mut tx = self.store.write().await?;
        let mut kept = Vec::new();
        for group in due {
            // A push may have come between.
            let now = groups::get(&mut tx, &group.name).await?;
            if now.is_some_and(|now| now.serial == group.serial) {
                groups::set(&mut tx, &group).await?;
                tracing::info!(
                    "the desired state of {} is signed anew (serial {})",
                    group.name,
                    group.serial
                );
                kept.push(group);
            }
        }
        tx.commit().await?;
        Ok(kept)
    }

    /// Writes anew what an older program published in another form.
    pub(super) async fn modernize(&mut self) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        for (group, model, version) in groups::outdated(&mut tx).await? {
            let names = (Name::new(&group), Name::new(&model));
            let (Ok(group), Ok(model)) = names else {
                continue;
            };
            let order = Order::everybody(group.clone(), model, version, DEFAULT_CHUNK);
            match compose(&mut tx, &self.signer, &order).await {
                Ok(composed) => groups::set(&mut tx, &composed).await?,
                Err(error) => tracing::error!("the desired state of {group}: {error}"),
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Every group that robots or desired states name.
    pub(super) async fn group_names(&self) -> Result<Vec<Name>, StoreError> {
        let mut tx = self.store.read().await?;
        let mut names = devices::groups(&mut tx).await?;
        names.extend(groups::list(&mut tx).await?.into_iter().map(|g| g.name));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
