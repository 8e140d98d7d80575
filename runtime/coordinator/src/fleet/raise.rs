//! Serials that robots hold from elsewhere: another registry, another group, or a clock that was in the future.
//!
//! A robot ignores what is older than it has accepted. What it has accepted it says, so a group whose serial lies below
//! is said again with one above. A robot can claim any number; up to half of all numbers are followed, and the other
//! half remains for counting.

use sanderling_trust::serial;
use sanderling_wire::{Desired, Name, Signed, decode};

use super::Fleet;
use crate::link::LinkClosed;
use crate::say::send_desired;
use crate::store::devices::{self, Device};
use crate::store::events::{Note, add as note};
use crate::store::groups::{self, FOLLOWED, Group};
use crate::store::{StoreError, events};

impl Fleet {
    /// Raises the serials of groups whose robots hold higher ones, and publishes them.
    pub(super) async fn raise(&mut self) -> Result<(), LinkClosed> {
        match self.raised().await {
            Ok(raised) => {
                for group in raised {
                    send_desired(&self.link, &self.fleet, &group.name, group.message).await?;
                }
            }
            Err(error) => tracing::error!("{error}"),
        }
        Ok(())
    }

    async fn raised(&mut self) -> Result<Vec<Group>, StoreError> {
        let mut tx = self.store.read().await?;
        let mut due: Vec<Name> = Vec::new();
        for group in groups::list(&mut tx).await? {
            let robots = devices::list(&mut tx, Some(&group.name)).await?;
            let held = groups::held(&robots, self.signer.epoch());
            self.say_beyond(&robots, &group.name);
            if held > group.serial || self.signer.was_ahead(&group.message) {
                due.push(group.name);
            }
        }
        drop(tx);
        let mut raised = Vec::new();
        if due.is_empty() {
            return Ok(raised);
        }
        let mut tx = self.store.write().await?;
        for name in due {
            // A push may have come between.
            let robots = devices::list(&mut tx, Some(&name)).await?;
            let held = groups::held(&robots, self.signer.epoch());
            let Some(group) = groups::get(&mut tx, &name).await? else {
                continue;
            };
            let ahead = self.signer.was_ahead(&group.message);
            if held <= group.serial && !ahead {
                continue;
            }
            let serial = groups::next_serial(&mut tx, &name, self.signer.epoch()).await?;
            let signed: Signed<'_> = decode(&group.message).map_err(StoreError::corrupt)?;
            let mut desired: Desired<'_> = signed.read().map_err(StoreError::corrupt)?;
            desired.serial = serial;
            let message = match self.signer.message(&desired) {
                Ok(message) => message,
                Err(error) => {
                    tracing::error!("the desired state of {name}: {error}");
                    continue;
                }
            };
            let next = groups::read(message, group.set_ms)?;
            groups::set(&mut tx, &next).await?;
            let why = match ahead {
                true => "it was signed by a clock that was ahead; set this machine's clock if it is behind now".to_owned(),
                false => format!(
                    "a robot of it had accepted {held}, from another registry, another group, or a clock that was ahead"
                ),
            };
            let text = format!("its serial goes from {} to {serial}: {why}", group.serial);
            tracing::warn!("{name}: {text}");
            let event = Note {
                kind: "desired",
                device: None,
                group: Some(&name),
                text: &text,
            };
            note(&mut tx, event).await?;
            raised.push(next);
        }
        let newest = events::newest(&mut tx).await?;
        tx.commit().await?;
        self.tell(newest);
        Ok(raised)
    }

    /// Says once for each robot that it holds a serial that nobody follows, and what to do.
    fn say_beyond(&mut self, robots: &[Device], group: &Name) {
        let epoch = u64::from(self.signer.epoch().unwrap_or(0));
        for device in robots {
            let held = device.state.as_ref().map_or(0, |state| state.serial);
            let beyond = serial::epoch(held) > epoch
                || (serial::epoch(held) == epoch && serial::plain(held) >= FOLLOWED);
            if beyond && self.memory.beyond.insert(device.name.clone()) {
                tracing::error!(
                    "{} of {group} says that it accepted serial {} of epoch {}, and ignores what comes before that. This \
                     fleet is at epoch {epoch}: with keys, `sanderling keys rotate fleet` and `sanderling keys publish` \
                     begin a higher one; without, `sanderling keys init` does",
                    device.name,
                    serial::plain(held),
                    serial::epoch(held)
                );
            }
        }
    }
}
