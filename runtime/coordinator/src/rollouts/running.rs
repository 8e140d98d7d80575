//! One rollout that is under way: its steps, and what they write down.

use std::collections::{BTreeMap, BTreeSet};

use sanderling_rollout::{Action, Audit, Event, Key, Refusal, State, Version, arms, step};
use sanderling_wire::Manifest;
use sqlx::AnyConnection;

use super::OrderError;
use super::message::order;
use super::report::{self, key};
use crate::clock::now_ms;
use crate::compose::{Order, compose};
use crate::signer::Signer;
use crate::store::rollouts::{self, Rollout};
use crate::store::{StoreError, audit, devices, events, groups};

/// A rollout that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub rollout: Rollout,
    pub state: State,
    pub candidate: Manifest,
}

/// What steps changed.
#[derive(Default)]
pub(super) struct Changes {
    pub head: bool,
    pub publish: bool,
    pub records: BTreeSet<Key>,
    pub audit: Vec<Audit>,
}

impl Changes {
    pub fn any(&self) -> bool {
        self.head || self.publish || !self.records.is_empty() || !self.audit.is_empty()
    }
}

impl Running {
    /// One step, its results gathered.
    pub fn take(&mut self, event: Event, changes: &mut Changes) -> Option<Refusal> {
        let head = self.state.head.clone();
        let state = std::mem::replace(
            &mut self.state,
            State {
                head,
                devices: BTreeMap::new(),
            },
        );
        let next = step(state, event, u64::try_from(now_ms()).unwrap_or(0));
        self.state = next.state;
        changes.head |= next.head_changed;
        changes.publish |= next
            .actions
            .iter()
            .any(|action| matches!(action, Action::Publish { .. }));
        changes.records.extend(next.changed);
        changes.audit.extend(next.audit);
        next.refused
    }

    /// Takes what is new in the device table.
    pub async fn look(
        &mut self,
        tx: &mut AnyConnection,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        let parts = arms(&self.state);
        for device in devices::list(tx, Some(&self.rollout.group)).await? {
            let key = key(&self.rollout.salt, &device.name);
            let record = self.state.devices.get(&key).map(|record| record.order);
            let arm = parts.iter().find(|arm| key.place() <= arm.upto);
            let told = arm.is_some_and(|arm| arm.run == Some(Version::Candidate));
            for event in report::events(key, &device, record, &self.candidate, told) {
                let _ = self.take(event, changes);
            }
        }
        Ok(())
    }

    /// Writes down what changed, and makes the group's next message where the arms did.
    pub async fn save(
        &self,
        tx: &mut AnyConnection,
        signer: &Signer,
        changes: &Changes,
    ) -> Result<Option<groups::Group>, OrderError> {
        let id = self.rollout.id;
        let group = self.rollout.group.as_str();
        for key in &changes.records {
            rollouts::set_device(tx, id, *key, self.state.devices.get(key)).await?;
        }
        let release = &self.state.head.candidate;
        for line in &changes.audit {
            let act = serde_json::to_value(line.act).map_err(StoreError::corrupt)?;
            let entry = audit::Entry {
                at_ms: i64::try_from(line.at_ms).unwrap_or(i64::MAX),
                by: &line.by,
                act: act.as_str().unwrap_or_default(),
                rollout: Some(id),
                group: Some(group),
                model: Some((&release.model, Some(release.version))),
                text: &line.text,
            };
            audit::add(tx, &entry).await?;
            let text = format!("rollout {id}: {}: {}", entry.act, line.text);
            tracing::info!("group {group}, {text} (by {})", line.by);
            let note = events::Note {
                kind: "rollout",
                device: None,
                group: Some(group),
                text: &text,
            };
            events::add(tx, note).await?;
        }
        if changes.head {
            rollouts::set_head(tx, id, &self.state.head).await?;
        }
        if !changes.publish {
            return Ok(None);
        }
        let order = self.message()?;
        let composed = compose(tx, signer, &order).await?;
        groups::set(tx, &composed).await?;
        Ok(Some(composed))
    }

    /// What the group should do now: only the releases that an arm names.
    fn message(&self) -> Result<Order, StoreError> {
        let head = &self.state.head;
        order(
            &self.rollout,
            head.base.as_ref(),
            &head.candidate,
            &arms(&self.state),
        )
    }
}
