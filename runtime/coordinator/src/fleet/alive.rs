//! Whether robots are there: births, wills and signs of life as they come, and a word from those that are silent.

use std::time::{Duration, Instant};

use sanderling_wire::{Birth, Name, Presence, RunId, State};
use sqlx::AnyConnection;

use super::{After, Fleet, Heard, about};
use crate::clock::now_ms;
use crate::decide::news::news;
use crate::decide::presence::{Known, Said, after, is_to_be_asked};
use crate::link::LinkClosed;
use crate::store::events::add as note;
use crate::store::{StoreError, devices, events};

/// Who says nothing for so long is asked whether it is there. Robots speak every 10 s, unless they were told otherwise.
const QUIET: Duration = Duration::from_secs(90);
/// How long robots have to come back by themselves after the connection did.
const RETURN: Duration = Duration::from_secs(5);
/// How long a robot has to answer.
const ANSWER: Duration = Duration::from_secs(15);
/// How far seen times may lie ahead before the clock must have been wrong.
const AHEAD: Duration = Duration::from_secs(60);
/// Robots that are asked at once.
const CALLS: usize = 256;
/// Starts of a robot that are remembered.
const STARTS: usize = 4;

impl Fleet {
    pub(super) async fn heard(
        &mut self,
        tx: &mut AnyConnection,
        to_do: &mut After,
        device: &Name,
        said: Said,
        live: bool,
    ) -> Result<(), StoreError> {
        let known = self.known(tx, device).await?;
        if is_to_be_asked(known, said) {
            to_do.introduce.push(device.clone());
        }
        match after(known, said) {
            Some(next) => self.change(tx, device, next, live).await,
            None => Ok(()),
        }
    }

    pub(super) async fn presence(
        &mut self,
        tx: &mut AnyConnection,
        to_do: &mut After,
        device: &Name,
        presence: &Presence,
        heard: Heard<'_>,
    ) -> Result<(), StoreError> {
        let live = !heard.retained;
        match presence {
            Presence::Born(Birth { session, group, .. }) => {
                let said = Said::Born {
                    session: *session,
                    retained: heard.retained,
                };
                self.heard(tx, to_do, device, said, live).await?;
                // An older birth that the broker had kept says nothing new.
                if self
                    .known(tx, device)
                    .await?
                    .is_some_and(|k| k.session == *session)
                {
                    devices::set_birth(tx, device, group, heard.payload, live).await?;
                }
                match heard.run {
                    Some(run) if live => self.began(tx, device, run).await,
                    _ => Ok(()),
                }
            }
            // That a robot is gone is no sign of its life.
            Presence::Gone(session) => {
                let said = Said::Gone(*session);
                self.heard(tx, to_do, device, said, false).await
            }
        }
    }

    /// A start of a robot connected. No start comes back after a later one: where it does, both live.
    async fn began(
        &mut self,
        tx: &mut AnyConnection,
        device: &Name,
        run: RunId,
    ) -> Result<(), StoreError> {
        let starts = self.memory.starts.entry(device.clone()).or_default();
        if starts.last() == Some(&run) {
            return Ok(());
        }
        let came_back = starts.contains(&run);
        starts.retain(|start| *start != run);
        starts.push(run);
        if starts.len() > STARTS {
            starts.remove(0);
        }
        if !came_back {
            return Ok(());
        }
        let before = devices::get(tx, device).await?.map_or(0, |d| d.clone_ms);
        devices::set_clone(tx, device).await?;
        // Once for each hour, not with each turn that they take.
        if now_ms().abs_diff(before) < 3_600_000 {
            return Ok(());
        }
        let text = "is the name of two robots: a copied card or state folder? Give one of them another name; \
                    until then they take turns, and the results of both are counted";
        tracing::warn!("{device} {text}");
        note(tx, about("clone", device, text)).await
    }

    /// A message that names its connection: a robot that is not known is asked who it is.
    pub(super) async fn alive(
        &mut self,
        tx: &mut AnyConnection,
        to_do: &mut After,
        device: &Name,
        said: Said,
        retained: bool,
    ) -> Result<(), StoreError> {
        if retained {
            if is_to_be_asked(self.known(tx, device).await?, said) {
                to_do.introduce.push(device.clone());
            }
            return Ok(());
        }
        self.heard(tx, to_do, device, said, true).await
    }

    pub(super) async fn state(
        &mut self,
        tx: &mut AnyConnection,
        to_do: &mut After,
        device: &Name,
        state: &State,
        payload: &[u8],
        retained: bool,
    ) -> Result<(), StoreError> {
        self.alive(tx, to_do, device, Said::Alive(state.session), retained)
            .await?;
        if self
            .known(tx, device)
            .await?
            .is_some_and(|k| state.session < k.session)
        {
            return Ok(());
        }
        let before = devices::get(tx, device).await?.and_then(|d| d.state);
        devices::set_state(tx, device, payload, !retained).await?;
        if let Some((kind, text)) = news(before.as_ref(), state) {
            tracing::info!("{device} {text}");
            note(tx, about(kind, device, &text)).await?;
        }
        Ok(())
    }

    /// What the broker kept says nothing about who lives, and a will that a broker lost with its memory is never said. So
    /// whoever was not heard since the connection came back, or for long, is asked, and who does not answer is gone.
    pub(super) async fn call_roll(&mut self) -> Result<(), LinkClosed> {
        let Some(connected) = self.memory.connected else {
            return Ok(());
        };
        if connected.elapsed() < RETURN {
            return Ok(());
        }
        let silent = match self.silent().await {
            Ok(silent) => silent,
            Err(error) => {
                tracing::error!("{error}");
                return Ok(());
            }
        };
        let now = Instant::now();
        self.memory
            .called
            .retain(|name, _| silent.iter().any(|device| device.name == *name));
        let mut gone = Vec::new();
        let mut calls = 0;
        for device in silent {
            match self.memory.called.get(&device.name) {
                Some(called) if now.duration_since(*called) >= ANSWER => gone.push(device),
                Some(_) => {}
                None if calls < CALLS => {
                    calls += 1;
                    self.memory.called.insert(device.name.clone(), now);
                    self.order(&device.name, sanderling_wire::Order::Rebirth)
                        .await?;
                }
                None => {}
            }
        }
        if !gone.is_empty()
            && let Err(error) = self.are_gone(gone).await
        {
            tracing::error!("{error}");
        }
        Ok(())
    }

    async fn silent(&mut self) -> Result<Vec<devices::Device>, StoreError> {
        let now = now_ms();
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        // A clock that was set back must not make everybody silent for ever.
        self.memory.lost_ms = self.memory.lost_ms.min(now);
        let since = self.memory.lost_ms.max(now - millis(QUIET));
        let mut tx = self.store.read().await?;
        devices::silent(&mut tx, since, now.saturating_add(millis(AHEAD))).await
    }

    async fn are_gone(&mut self, gone: Vec<devices::Device>) -> Result<(), StoreError> {
        let mut tx = self.store.write().await?;
        if self.store.is_shared() {
            self.memory.known.clear();
        }
        for device in gone {
            // It may have spoken, to another coordinator too, while this one decided.
            let now = devices::get(&mut tx, &device.name).await?;
            if now.is_none_or(|now| now.seen_ms != device.seen_ms) {
                continue;
            }
            tracing::info!("{} does not answer", device.name);
            let known = Known {
                online: false,
                ..device.known
            };
            self.change(&mut tx, &device.name, known, false).await?;
            self.memory.called.remove(&device.name);
        }
        let newest = events::newest(&mut tx).await?;
        if let Err(error) = tx.commit().await {
            self.memory.known.clear();
            return Err(error.into());
        }
        self.tell(newest);
        Ok(())
    }
}
