//! Rollouts: letting time pass, doing what people ask, and publishing what follows.

use super::Fleet;
use crate::link::LinkClosed;
use crate::rollouts::Command;
use crate::say::{send_desired, send_roots};
use crate::store::{StoreError, events, groups};

impl Fleet {
    pub(super) async fn roll(&mut self) -> Result<(), LinkClosed> {
        match self.rollouts.tick(&self.store, &self.signer).await {
            Ok(published) => {
                for group in published {
                    self.publish(group).await?;
                }
                self.tell_newest().await;
            }
            Err(error) => {
                self.memory.roll_failures += 1;
                if self.memory.roll_failures.is_power_of_two() {
                    tracing::error!("a rollout cannot go on: {error}");
                }
            }
        }
        Ok(())
    }

    pub(super) async fn command(&mut self, command: Command) -> Result<(), LinkClosed> {
        let Command { ask, answer } = command;
        let done = self.rollouts.ask(&self.store, &self.signer, ask).await;
        self.tell_newest().await;
        let published = match done {
            Ok((id, published)) => {
                // Whoever asked may have gone; what was asked for is done all the same.
                let _ = answer.send(Ok(id));
                published
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                None
            }
        };
        match published {
            Some(group) => self.publish(group).await,
            None => Ok(()),
        }
    }

    async fn publish(&self, group: groups::Group) -> Result<(), LinkClosed> {
        send_roots(&self.link, &self.fleet, &group.name, &self.signer).await?;
        send_desired(&self.link, &self.fleet, &group.name, group.message).await
    }

    /// Wakes those who wait for events.
    async fn tell_newest(&self) {
        let newest: Result<i64, StoreError> = async {
            let mut tx = self.store.read().await?;
            events::newest(&mut tx).await
        }
        .await;
        match newest {
            Ok(newest) => self.tell(newest),
            Err(error) => tracing::error!("{error}"),
        }
    }
}
