//! Simulated time: a queue of what arrives when, and who does something about it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use sanderling_rollout::{BanditPolicy, Event, OnTrip, Policy, Status, StrategyName, summary};
use sanderling_wire::{Kind, Manifest, Name, Signed, Topic, decode};

use crate::chance::Chance;
use crate::coordinator::Coordinator;
use crate::figures::{Figures, Moment};
use crate::keys::Keys;
use crate::network::Network;
use crate::options::Options;
use crate::robot::{Job, Lot, Robot, Wish, image_of};
use crate::shelf::{Release, name};

/// The moment at which every simulation begins, in ms since 1970.
const DAWN_MS: u64 = 1_750_000_000_000;
const TICK_MS: u64 = 5_000;
/// The rollout is started once robots have introduced themselves.
const START_MS: u64 = 60_000;
/// How long robots that come back are watched after nothing changes any more.
const TAIL_MS: u64 = 1_800_000;
/// The mean time without a connection.
const AWAY_MS: f64 = 3.0 * 3_600_000.0;

enum What {
    Connect(u32),
    Disconnect(u32),
    ToRobot {
        robot: u32,
        session: u64,
        chunk: bool,
        payload: Rc<[u8]>,
    },
    ToFleet {
        topic: Rc<str>,
        payload: Rc<[u8]>,
        robot: u32,
    },
    Work(u32, Job),
    Kill,
    Tick,
}

struct World {
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// What the queue's last numbers stand for.
    events: Vec<Option<What>>,
    free: Vec<u32>,
    count: u64,
    robots: Vec<Robot>,
    network: Network,
    coordinator: Coordinator,
    keys: Keys,
    shelf: [Release; 2],
    weather: Chance,
    fleet: Name,
    group: Name,
    retained: Option<Rc<[u8]>>,
    publishes: u32,
    away: f64,
}

fn policy(options: &Options) -> Result<Policy, String> {
    let wanted = serde_json::Value::String(options.rollout.clone());
    let strategy: StrategyName =
        serde_json::from_value(wanted).map_err(|error| format!("--rollout: {error}"))?;
    let mut policy = Policy {
        soak_s: Some(options.soak),
        ..Policy::new(strategy)
    };
    if options.revert {
        policy.on_trip = OnTrip::Revert;
    }
    if strategy == StrategyName::Bandit {
        policy.bandit = Some(BanditPolicy {
            interval_s: options.soak.max(1),
            seed: options.seed,
            ..BanditPolicy::default()
        });
    }
    policy.check().map_err(|error| error.to_string())?;
    Ok(policy)
}

/// Runs a fleet to its end. Gives the figures, and the course for a picture.
pub fn run(options: &Options) -> Result<(Figures, Vec<Moment>), String> {
    let policy = policy(options)?;
    let keys = Keys::new(options.seed);
    let shelf =
        [1, 2].map(|version| Release::new(&keys, version, options.model_bytes, options.seed));
    let group = name("all");
    let first = decode::<Signed<'_>>(&shelf[0].signed)
        .and_then(|signed| signed.read::<Manifest>())
        .map_err(|error| error.to_string())?;
    let first = image_of(&first).ok_or("the first version is for no board")?;
    let serial = sanderling_trust::serial::effective(1, 1);
    let mut lots = Chance::new(options.seed, 1 << 61);
    let mut lot = || {
        let trial = lots.happens(0.5);
        match lots.happens(options.bad.0) {
            _ if options.bad_model => Lot::FailsTrial,
            true if trial => Lot::FailsTrial,
            true => Lot::FailsSelfTest,
            false => Lot::Fine,
        }
    };
    let robots = (0..options.devices)
        .map(|i| Robot::new(i, options.seed, lot(), first, serial))
        .collect();
    let coordinator = Coordinator::new(policy, group.clone(), options.seed, &shelf[0], &shelf[1]);
    let mut world = World {
        now: DAWN_MS,
        queue: BinaryHeap::new(),
        events: Vec::new(),
        free: Vec::new(),
        count: 0,
        robots,
        network: Network::new(options.seed, options.loss.0.min(0.9)),
        coordinator,
        keys,
        shelf,
        weather: Chance::new(options.seed, 1 << 62),
        fleet: name("sim"),
        group,
        retained: None,
        publishes: 0,
        away: options.offline.0.min(0.99),
    };
    world.dawn(options);
    world.until_nothing_changes(options)
}

impl World {
    fn at(&mut self, time: u64, what: What) {
        self.count += 1;
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.events.push(None);
                u32::try_from(self.events.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.events.get_mut(place as usize) {
            *slot = Some(what);
        }
        self.queue.push(Reverse((time, self.count, place)));
    }

    fn dawn(&mut self, options: &Options) {
        for robot in 0..options.devices {
            // All are known: who is away was here before.
            let at = self.now + self.weather.between(0, START_MS / 2);
            self.at(at, What::Connect(robot));
            let beat = self.now + self.weather.between(0, 300_000);
            self.at(beat, What::Work(robot, Job::Beat));
            if self.weather.happens(self.away) {
                let at = self.now + self.weather.between(START_MS / 2 + 1_000, START_MS - 1_000);
                self.at(at, What::Disconnect(robot));
            } else if self.away > 0.0 {
                let at = self.now + START_MS + self.weather.wait(self.here());
                self.at(at, What::Disconnect(robot));
            }
        }
        for _ in 0..options.kills {
            let at = self.now + START_MS + self.weather.between(0, 40 * 60_000);
            self.at(at, What::Kill);
        }
        self.at(self.now, What::Tick);
    }

    /// The mean time with a connection, such that the part that is away stays the same.
    fn here(&self) -> f64 {
        AWAY_MS * (1.0 - self.away) / self.away
    }

    fn until_nothing_changes(
        mut self,
        options: &Options,
    ) -> Result<(Figures, Vec<Moment>), String> {
        let end = DAWN_MS + options.hours * 3_600_000;
        let mut course: Vec<Moment> = Vec::new();
        let mut over_since: Option<u64> = None;
        let mut largest_wave = 0;
        let mut kills = 0;
        while let Some(Reverse((time, _, place))) = self.queue.pop() {
            self.now = time;
            self.free.push(place);
            let Some(what) = self.events.get_mut(place as usize).and_then(Option::take) else {
                continue;
            };
            match what {
                What::Tick => {
                    let passed = time - DAWN_MS;
                    self.tick(passed);
                    let status = &self.coordinator.rollout.head.status;
                    let still = status.is_over() || matches!(status, Status::Paused(_));
                    if still {
                        over_since.get_or_insert(time);
                    } else {
                        over_since = None;
                    }
                    if passed.is_multiple_of(60_000) || still && over_since == Some(time) {
                        let summary = summary(&self.coordinator.rollout, time);
                        largest_wave = largest_wave.max(summary.stage_robots);
                        course.push(Moment {
                            minute: passed / 60_000,
                            updated: summary.updated,
                            failed: summary.failed + summary.fell_back,
                            offline: summary.offline,
                            known: summary.known,
                            share: summary.share,
                        });
                    }
                    if time >= end || over_since.is_some_and(|since| time >= since + TAIL_MS) {
                        break;
                    }
                    self.at(time + TICK_MS, What::Tick);
                }
                What::Kill => {
                    kills += 1;
                    self.coordinator
                        .restart()
                        .map_err(|error| error.to_string())?;
                    // A coordinator that connects publishes what it finds; so robots hear it once more.
                    if let Some(retained) = self.retained.clone() {
                        self.publish(&retained);
                    }
                }
                other => self.happens(other),
            }
        }
        let ended = over_since.unwrap_or(self.now);
        Ok((self.figures(options, largest_wave, kills, ended)?, course))
    }

    fn tick(&mut self, passed: u64) {
        let by = || "anna".to_owned();
        match self.coordinator.rollout.head.status {
            Status::Draft if passed >= START_MS => {
                self.coordinator.event(Event::Start { by: by() }, self.now)
            }
            Status::Holding => self.coordinator.event(Event::Resume { by: by() }, self.now),
            _ => self.coordinator.event(Event::Tick, self.now),
        }
        let [old, new] = &self.shelf;
        if let Some(desired) = self.coordinator.desired(&self.keys, [old, new], self.now) {
            self.retained = Some(Rc::clone(&desired));
            self.publishes += 1;
            self.publish(&desired);
        }
    }

    fn publish(&mut self, desired: &Rc<[u8]>) {
        for robot in 0..self.robots.len() {
            if self.robots[robot].online {
                self.deliver(robot, desired);
            }
        }
    }

    fn deliver(&mut self, robot: usize, desired: &Rc<[u8]>) {
        let topic = Topic::desired(&self.fleet, &self.group).text().len();
        if let Some(arrives) = self
            .network
            .send("desired", topic + desired.len(), true, self.now)
        {
            self.send_robot(robot, arrives, false, Rc::clone(desired));
        }
    }

    fn send_robot(&mut self, robot: usize, arrives: u64, chunk: bool, payload: Rc<[u8]>) {
        let to = &mut self.robots[robot];
        let arrives = arrives.max(to.last_down);
        to.last_down = arrives;
        let session = to.session;
        let robot = u32::try_from(robot).unwrap_or(u32::MAX);
        self.at(
            arrives,
            What::ToRobot {
                robot,
                session,
                chunk,
                payload,
            },
        );
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Connect(robot) => {
                let at = robot as usize;
                let power = self.weather.happens(0.5);
                let wishes = self.robots[at].connect(power, self.now);
                self.fulfil(at, wishes);
                if let Some(retained) = self.retained.clone() {
                    self.deliver(at, &retained);
                }
                if self.away > 0.0 && self.now > DAWN_MS + START_MS {
                    let leaves = self.now + self.weather.wait(self.here());
                    self.at(leaves, What::Disconnect(robot));
                }
            }
            What::Disconnect(robot) => {
                let at = robot as usize;
                let farewell = self.robots[at].disconnect();
                self.say(at, Kind::Birth, farewell);
                let back = self.now + self.weather.wait(AWAY_MS);
                self.at(back, What::Connect(robot));
            }
            What::ToRobot {
                robot,
                session,
                chunk,
                payload,
            } => {
                let at = robot as usize;
                let to = &mut self.robots[at];
                // What was on its way over a connection that broke is gone; what is retained comes again.
                if !to.online || to.session != session {
                    return;
                }
                let wishes = if chunk {
                    to.chunk(&payload, self.now)
                } else {
                    to.desired(&self.keys, &self.group, &payload, self.now)
                };
                self.fulfil(at, wishes);
            }
            What::ToFleet {
                topic,
                payload,
                robot,
            } => {
                let [old, new] = &self.shelf;
                let letters = self
                    .coordinator
                    .hear(&topic, &payload, [old, new], self.now);
                for letter in letters {
                    let bytes = topic.len() + letter.payload.len();
                    if let Some(arrives) =
                        self.network.send("chunk", bytes, false, letter.leaves_ms)
                    {
                        self.send_robot(robot as usize, arrives, true, letter.payload);
                    }
                }
            }
            What::Work(robot, job) => {
                let at = robot as usize;
                let wishes = self.robots[at].job(job, self.now);
                self.fulfil(at, wishes);
            }
            What::Kill | What::Tick => {}
        }
    }

    fn fulfil(&mut self, robot: usize, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Say(kind, payload) => self.say(robot, kind, payload),
                Wish::Later(ms, job) => {
                    let who = u32::try_from(robot).unwrap_or(u32::MAX);
                    self.at(self.now + ms, What::Work(who, job));
                }
            }
        }
    }

    fn say(&mut self, robot: usize, kind: Kind, payload: Rc<[u8]>) {
        let from = &mut self.robots[robot];
        let topic = Topic::device(&self.fleet, &from.name, kind).text();
        let sent = self
            .network
            .send(kind.as_str(), topic.len() + payload.len(), true, self.now);
        let Some(arrives) = sent else { return };
        let arrives = arrives.max(from.last_up);
        from.last_up = arrives;
        let robot = u32::try_from(robot).unwrap_or(u32::MAX);
        self.at(
            arrives,
            What::ToFleet {
                topic: topic.as_str().into(),
                payload,
                robot,
            },
        );
    }

    fn figures(
        &self,
        options: &Options,
        largest_wave: u64,
        kills: u32,
        ended: u64,
    ) -> Result<Figures, String> {
        let summary = summary(&self.coordinator.rollout, self.now);
        let count = |which: &dyn Fn(&Robot) -> bool| {
            u32::try_from(self.robots.iter().filter(|robot| which(robot)).count())
                .unwrap_or(u32::MAX)
        };
        let harmed = count(&|robot| robot.harmed);
        let updated = count(&|robot| robot.version() == 2);
        let state =
            serde_json::to_vec(&self.coordinator.rollout).map_err(|error| error.to_string())?;
        let line = |audit: &sanderling_rollout::Audit| {
            let minute = audit.at_ms.saturating_sub(DAWN_MS) / 60_000;
            format!(
                "{minute:>5} min  {}: {:?}: {}",
                audit.by, audit.act, audit.text
            )
        };
        Ok(Figures {
            devices: options.devices,
            rollout: options.rollout.clone(),
            seed: options.seed,
            status: summary.status,
            why: summary.why.map(|why| why.text),
            stage: summary.stage,
            stages: summary.stages,
            updated,
            on_old: count(&|robot| robot.version() == 1),
            failed: summary.failed,
            fell_back: summary.fell_back,
            offline: count(&|robot| !robot.online),
            blast_radius: harmed,
            largest_wave,
            blast_within_one_wave: u64::from(harmed) <= largest_wave,
            agree_with_coordinator: summary.updated.abs_diff(u64::from(updated))
                <= summary.offline + summary.updating,
            simulated_s: (self.now - DAWN_MS) / 1000,
            rollout_s: ended.saturating_sub(DAWN_MS + START_MS) / 1000,
            coordinator_kills: kills,
            publishes: self.publishes,
            bytes: self.network.sent.clone(),
            bytes_total: self.network.sent.values().map(|sent| sent.bytes).sum(),
            rollout_state_bytes: state.len() as u64,
            audit: self.coordinator.audit.iter().map(line).collect(),
        })
    }
}
