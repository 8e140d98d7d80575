//! What robots say: read, checked, written down in one transaction for each batch, and only then
//! answered.
//!
//! ```text
//! link ──▶ batch of messages ──▶ one transaction ──commit──▶ receipts, orders, requests for chunks
//!                                      └──fails──▶ nothing is answered; robots send again
//! ```

mod alive;
mod compare;
mod count;
mod raise;
mod renew;
mod roll;
mod stranger;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_wire::{
    Cmd, DecodeError, Digest, FrameRange, Health, Inference, Kind, MAX_RECEIPT_RANGES, Name, Need,
    Order, Output, Presence, RunId, State, Topic, decode,
};
use sqlx::AnyConnection;
use tokio::sync::{mpsc, watch};

use crate::clock::{day, now_ms};
use crate::decide::frames::Frames;
use crate::decide::presence::{Known, Said};
use crate::link::{Incoming, Link, LinkClosed};
use crate::rollouts::{Command, Rollouts};
use crate::say::{order_id, send_desired, send_order, send_receipt, send_roots};
use crate::signer::Signer;
use crate::store::events::{Note, add as note};
use crate::store::{Store, StoreError, devices, events, groups, results};

/// Messages handled in one transaction.
const BATCH: usize = 512;
/// Robots and boots that are kept at hand.
const REMEMBERED: usize = 20_000;
/// How often what robots report is compared with what they should run.
const COMPARE: Duration = Duration::from_secs(5);
/// How often rollouts look at what robots report.
const ROLL: Duration = Duration::from_secs(1);
/// How long a robot may be behind before the desired state is published to its group again.
const PATIENCE: Duration = Duration::from_secs(15);

/// The task's parts.
#[derive(Debug)]
pub struct Fleet {
    /// The fleet that is listened to.
    pub fleet: Name,
    /// Where things are written down.
    pub store: Store,
    /// The way to the robots.
    pub link: Arc<Link>,
    /// The fleet's key.
    pub signer: Arc<Signer>,
    /// Where requests for chunks go.
    pub requests: mpsc::Sender<(Name, Need)>,
    /// Told the newest event's number after each commit.
    pub news: watch::Sender<i64>,
    /// Why nothing can be written down, while that is so.
    pub trouble: watch::Sender<Option<String>>,
    /// What was read from the store and is written back to it.
    pub memory: Memory,
    /// The rollouts that are under way.
    pub rollouts: Rollouts,
}

/// What is kept at hand so that it is not read for every message. It is dropped whenever a
/// transaction fails, because the store did not follow it.
#[derive(Debug, Default)]
pub struct Memory {
    known: HashMap<Name, Option<Known>>,
    /// Under which number the frames of a start are kept, and those that were counted.
    numbers: HashMap<(Name, Option<RunId>, u32), i64>,
    frames: HashMap<(Name, i64), Frames>,
    /// The starts of each robot that connected, the newest last.
    starts: HashMap<Name, Vec<RunId>>,
    /// When a robot was last asked to introduce itself, and a group last told again.
    asked: HashMap<Name, Instant>,
    behind: HashMap<Name, Instant>,
    unreadable: HashMap<(Name, Kind), u64>,
    /// Groups whose desired state cannot be signed.
    refused: BTreeSet<Name>,
    /// Since when there was no connection: what was heard later was heard over the one that stands.
    lost_ms: i64,
    /// Since when there is one.
    connected: Option<Instant>,
    /// Robots that went without a word and were asked whether they are there.
    called: HashMap<Name, Instant>,
    /// Robots that hold a serial that nobody follows.
    beyond: BTreeSet<Name>,
    store_failures: u64,
    /// What was said last of the registry's trouble.
    complaint: Option<String>,
    roll_failures: u64,
}

impl Memory {
    /// Keeps it from growing with every robot and boot that was ever heard. Only after a commit: by
    /// then everything in it can be read again.
    fn bound(&mut self) {
        if self.frames.len() > REMEMBERED || self.numbers.len() > REMEMBERED {
            self.forget_frames();
        }
        if self.starts.len() > REMEMBERED {
            self.starts.clear();
        }
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        if self.unreadable.len() > REMEMBERED {
            self.unreadable.clear();
        }
        self.asked.retain(|_, asked| asked.elapsed() <= PATIENCE);
    }

    fn forget_frames(&mut self) {
        self.frames.clear();
        self.numbers.clear();
    }
}

/// What is to be done after the commit.
#[derive(Debug, Default)]
struct After {
    receipts: BTreeMap<(Name, Option<RunId>), Vec<FrameRange>>,
    counted: BTreeSet<(Name, i64)>,
    /// The newest of each robot.
    needs: BTreeMap<Name, Need>,
    introduce: Vec<Name>,
}

/// How a message came.
#[derive(Clone, Copy, Debug)]
struct Heard<'m> {
    payload: &'m [u8],
    /// Kept by the broker from an unknown time before.
    retained: bool,
    /// The start of the robot that it is of, where it says one.
    run: Option<RunId>,
}

/// Results of one batch, by robot and model.
type Tallies = BTreeMap<(Name, Digest), results::Tally>;

impl Fleet {
    /// Handles what comes until the link ends.
    pub async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        self.memory.lost_ms = now_ms();
        if let Err(error) = self.modernize().await {
            tracing::error!("{error}");
        }
        let mut batch = Vec::with_capacity(BATCH);
        let mut compare = tokio::time::interval(COMPARE);
        compare.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut roll = tokio::time::interval(ROLL);
        roll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                n = incoming.recv_many(&mut batch, BATCH) => {
                    if n == 0 {
                        return;
                    }
                    self.handle(std::mem::take(&mut batch)).await
                }
                _ = roll.tick() => self.roll().await,
                Some(command) = commands.recv() => self.command(command).await,
                _ = compare.tick() => self.look_around().await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// What is looked at again and again, because only time shows it.
    async fn look_around(&mut self) -> Result<(), LinkClosed> {
        self.raise().await?;
        self.renew().await?;
        self.compare().await
    }

    async fn handle(&mut self, batch: Vec<Incoming>) -> Result<(), LinkClosed> {
        if batch.contains(&Incoming::Connected) {
            self.publish_roots().await?;
            self.publish_desired(None).await?;
        }
        let written = self.write_down(&batch).await;
        if batch.contains(&Incoming::Disconnected) {
            // Later than anything that was heard before the connection broke.
            self.memory.lost_ms = now_ms() + 1;
        }
        let news = |message: &&Incoming| !matches!(message, Incoming::Message { .. });
        if let Some(last) = batch.iter().rev().find(news) {
            self.memory.connected = (*last == Incoming::Connected).then(Instant::now);
            self.memory.called.clear();
        }
        match written {
            Ok(mut after) => {
                if std::mem::take(&mut self.memory.store_failures) > 0 {
                    self.trouble.send_replace(None);
                    tracing::info!("the registry writes again; asking robots for what was missed");
                    after.introduce.extend(self.everyone().await);
                }
                self.memory.bound();
                self.answer(after).await
            }
            Err(error) => {
                self.memory.known.clear();
                self.memory.forget_frames();
                self.memory.store_failures += 1;
                self.trouble.send_replace(Some(error.to_string()));
                if self.memory.store_failures.is_power_of_two() {
                    tracing::error!("{error}; robots keep what they sent and send it again");
                }
                Ok(())
            }
        }
    }

    /// Every robot that counts as there.
    async fn everyone(&self) -> Vec<Name> {
        let list = async {
            let mut tx = self.store.read().await?;
            devices::list(&mut tx, None).await
        };
        match list.await {
            Ok(list) => list
                .into_iter()
                .filter(|d| d.known.online)
                .map(|d| d.name)
                .collect(),
            Err(error) => {
                tracing::error!("{error}");
                Vec::new()
            }
        }
    }

    async fn write_down(&mut self, batch: &[Incoming]) -> Result<After, StoreError> {
        let mut tx = self.store.write().await?;
        if self.store.is_shared() {
            // Another coordinator may have written since.
            self.memory.known.clear();
            self.memory.forget_frames();
        }
        let mut after = After::default();
        let mut tallies = Tallies::new();
        let mut last: BTreeMap<Name, String> = BTreeMap::new();
        for message in batch {
            let Incoming::Message {
                topic,
                payload,
                retained,
                run,
            } = message
            else {
                continue;
            };
            let Ok(Topic::Device {
                fleet,
                device,
                kind,
            }) = topic.parse::<Topic>()
            else {
                continue;
            };
            // An empty message on a retained topic only clears what the broker kept there.
            if fleet != self.fleet || (payload.is_empty() && kind.is_retained()) {
                continue;
            }
            let read = match kind {
                Kind::Birth => match decode::<Presence>(payload) {
                    Ok(presence) => {
                        let heard = Heard {
                            payload,
                            retained: *retained,
                            run: *run,
                        };
                        self.presence(&mut tx, &mut after, &device, &presence, heard)
                            .await?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Kind::State => match decode::<State>(payload) {
                    Ok(state) => {
                        self.state(&mut tx, &mut after, &device, &state, payload, *retained)
                            .await?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Kind::Health => match decode::<Health>(payload) {
                    Ok(health) => {
                        let said = Said::Alive(health.session);
                        self.alive(&mut tx, &mut after, &device, said, *retained)
                            .await?;
                        devices::set_health(&mut tx, &device, payload).await?;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Kind::Need => decode::<Need>(payload).map(|need| {
                    after.needs.insert(device.clone(), need);
                }),
                Kind::Result => match decode::<Inference>(payload) {
                    Ok(result) => {
                        let known = self.known(&mut tx, &device).await?;
                        if known.is_none_or(|known| !known.online) {
                            after.introduce.push(device.clone());
                        }
                        let heard = Heard {
                            payload,
                            retained: *retained,
                            run: *run,
                        };
                        let new = self
                            .count(&mut tx, &mut after, &device, result.frame, heard)
                            .await?;
                        if new {
                            tallies
                                .entry((device.clone(), result.model))
                                .or_default()
                                .count(&result);
                            last.insert(device.clone(), last_result(&result));
                        }
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Kind::Chunk | Kind::Cmd => Ok(()),
            };
            if let Err(error) = read {
                if let DecodeError::Version(version) = error
                    && matches!(kind, Kind::Birth | Kind::State)
                {
                    self.stranger(&mut tx, (&device, kind), payload, version, *retained)
                        .await?;
                }
                let times = self
                    .memory
                    .unreadable
                    .entry((device.clone(), kind))
                    .or_default();
                *times += 1;
                if times.is_power_of_two() {
                    tracing::warn!("{device}, {}: {error} ({times} so far)", kind.as_str());
                }
            }
        }
        let today = day(now_ms());
        for ((device, model), tally) in &tallies {
            results::add(&mut tx, device, model, today, tally).await?;
        }
        for (device, json) in &last {
            devices::set_last_result(&mut tx, device, json).await?;
        }
        for (device, number) in &after.counted {
            if let Some(frames) = self.memory.frames.get_mut(&(device.clone(), *number)) {
                results::set_frames(&mut tx, device, *number, &frames.take_changes()).await?;
            }
        }
        let newest = events::newest(&mut tx).await?;
        tx.commit().await?;
        self.tell(newest);
        Ok(after)
    }

    async fn known(
        &mut self,
        tx: &mut AnyConnection,
        device: &Name,
    ) -> Result<Option<Known>, StoreError> {
        if let Some(known) = self.memory.known.get(device) {
            return Ok(*known);
        }
        let known = devices::get(tx, device).await?.map(|d| d.known);
        self.memory.known.insert(device.clone(), known);
        Ok(known)
    }

    async fn change(
        &mut self,
        tx: &mut AnyConnection,
        device: &Name,
        next: Known,
        live: bool,
    ) -> Result<(), StoreError> {
        let before = self.known(tx, device).await?;
        devices::set_known(tx, device, next, live).await?;
        self.memory.known.insert(device.clone(), Some(next));
        if before.is_some_and(|k| k.online) != next.online {
            let (kind, text) = if next.online {
                ("online", "is there")
            } else {
                ("offline", "is gone")
            };
            tracing::info!("{device} {text}");
            note(tx, about(kind, device, text)).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, after: After) -> Result<(), LinkClosed> {
        for ((device, run), ranges) in after.receipts {
            for ranges in ranges.chunks(MAX_RECEIPT_RANGES) {
                let order = Order::Receipt(ranges.iter().copied().collect());
                let cmd = Cmd {
                    id: order_id(&order),
                    order,
                };
                send_receipt(&self.link, &self.fleet, &device, &cmd, run).await?;
            }
        }
        for need in after.needs {
            // The supplier replaces a robot's request by its newer one, so this does not grow; when it
            // is behind for that long, the robot asks again.
            if let Err(mpsc::error::TrySendError::Full((device, _))) = self.requests.try_send(need)
            {
                tracing::warn!("too many requests for chunks; {device} must ask again");
            }
        }
        for device in after.introduce {
            let now = Instant::now();
            let asked = self.memory.asked.get(&device);
            if asked.is_none_or(|t| now.duration_since(*t) > PATIENCE) {
                self.memory.asked.insert(device.clone(), now);
                self.order(&device, Order::Rebirth).await?;
            }
        }
        Ok(())
    }

    async fn order(&self, device: &Name, order: Order) -> Result<(), LinkClosed> {
        send_order(
            &self.link,
            &self.fleet,
            device,
            &Cmd {
                id: order_id(&order),
                order,
            },
        )
        .await
    }

    /// The roots come before what they vouch for.
    async fn publish_roots(&self) -> Result<(), LinkClosed> {
        match self.group_names().await {
            Ok(names) => {
                for group in names {
                    send_roots(&self.link, &self.fleet, &group, &self.signer).await?;
                }
            }
            Err(error) => tracing::error!("{error}"),
        }
        Ok(())
    }

    async fn publish_desired(&self, only: Option<&Name>) -> Result<(), LinkClosed> {
        let groups = async {
            let mut tx = self.store.read().await?;
            groups::list(&mut tx).await
        };
        match groups.await {
            Ok(groups) => {
                for group in groups {
                    if only.is_none_or(|name| *name == group.name) {
                        send_desired(&self.link, &self.fleet, &group.name, group.message).await?;
                    }
                }
            }
            Err(error) => tracing::error!("{error}"),
        }
        Ok(())
    }
}

fn about<'a>(kind: &'static str, device: &'a Name, text: &'a str) -> Note<'a> {
    Note {
        kind,
        device: Some(device),
        group: None,
        text,
    }
}

fn last_result(result: &Inference<'_>) -> String {
    let (top, confidence) = match &result.output {
        Output::Class { top, confidence } => (Some(*top), Some(*confidence)),
        Output::Raw { .. } => (None, None),
    };
    serde_json::json!({
        "boot": result.frame.boot,
        "seq": result.frame.seq,
        "digest": result.model.to_string(),
        "top": top,
        "confidence": confidence,
        "truth": result.truth,
        "latency_us": result.latency_us,
        "at_ms": now_ms(),
    })
    .to_string()
}
