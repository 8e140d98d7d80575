//! What only time shows: robots that stay behind, and robots that went without a word.

use std::time::Instant;

use sanderling_wire::Name;

use super::{Fleet, PATIENCE};
use crate::decide::fit::Limits;
use crate::decide::standing::{Standing, standing};
use crate::link::LinkClosed;
use crate::store::{StoreError, devices, events, groups};

impl Fleet {
    /// Looks for robots that stay behind, and publishes their group's desired state again: a message
    /// that a broker lost is the one thing that only the fleet can repair.
    pub(super) async fn compare(&mut self) -> Result<(), LinkClosed> {
        self.call_roll().await?;
        if let Err(error) = self.news().await {
            self.complain(&error);
        }
        let behind = match self.behind().await {
            Ok(behind) => {
                self.memory.complaint = None;
                behind
            }
            Err(error) => {
                self.complain(&error);
                return Ok(());
            }
        };
        self.memory
            .behind
            .retain(|name, _| behind.iter().any(|(device, _)| device == name));
        let now = Instant::now();
        let mut again: Vec<Name> = Vec::new();
        for (device, group) in behind {
            let since = *self.memory.behind.entry(device.clone()).or_insert(now);
            if now.duration_since(since) >= PATIENCE {
                tracing::info!("{device} is behind; publishing the desired state of {group} again");
                self.memory.behind.insert(device, now);
                if !again.contains(&group) {
                    again.push(group);
                }
            }
        }
        for group in again {
            self.publish_desired(Some(&group)).await?;
        }
        Ok(())
    }

    /// Says what the registry's trouble is, once and not at each look.
    pub(super) fn complain(&mut self, error: &StoreError) {
        let text = error.to_string();
        if self.memory.complaint.as_ref() != Some(&text) {
            tracing::error!("{text}");
            self.memory.complaint = Some(text);
        }
    }

    /// Wakes those who wait for events.
    pub(super) fn tell(&self, newest: i64) {
        self.news
            .send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }

    /// What other coordinators wrote down, for those who wait here.
    async fn news(&self) -> Result<(), StoreError> {
        if self.store.is_shared() {
            let mut tx = self.store.read().await?;
            let newest = events::newest(&mut tx).await?;
            self.tell(newest);
        }
        Ok(())
    }

    async fn behind(&self) -> Result<Vec<(Name, Name)>, StoreError> {
        let mut tx = self.store.read().await?;
        let mut behind = Vec::new();
        for group in groups::list(&mut tx).await? {
            for device in devices::list(&mut tx, Some(&group.name)).await? {
                let limits = device.birth.as_ref().map(Limits::from);
                let verdict = standing(
                    Some(group.told(&device.name)),
                    limits.as_ref(),
                    device.state.as_ref(),
                );
                if device.known.online && verdict.standing == Standing::Behind {
                    behind.push((device.name, group.name.clone()));
                }
            }
        }
        Ok(behind)
    }
}
