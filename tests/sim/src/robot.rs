//! A robot: the real state machine of its slots and the real signature checks, over silicon and weather of its own.

mod evidence;
mod pull;

use std::rc::Rc;

use sanderling_slots::{
    Action, Event, Fault, Image, Label, Note, Phase, Policy, Slot, State as Slots, decode as load,
    encode as store, step,
};
use sanderling_trust::{Clock, Floors};
use sanderling_wire::{
    Birth, Chunk, Digest, Failure, FailureCode, Health, Kind, Manifest, Name, Phase as Told,
    Presence, Progress, Running, Session, State, Text, decode,
};

use crate::chance::Chance;
use crate::keys::{Keys, bytes};
use crate::shelf::name;
use evidence::Service;
use pull::Pull;

/// What a robot wants to happen.
pub enum Wish {
    /// A message to the fleet.
    Say(Kind, Rc<[u8]>),
    /// Something that takes the robot a while.
    Later(u64, Job),
}

/// Work that ends later. The number tells work that was given up from work that counts.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    Verify(u64),
    SelfTest(u64),
    Trial(u64),
    /// Chunks were asked for some time ago.
    Patience(u64),
    Beat,
}

/// How the new version does on this robot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lot {
    Fine,
    FailsSelfTest,
    FailsTrial,
}

pub struct Robot {
    pub name: Name,
    pub lot: Lot,
    pub online: bool,
    pub session: u64,
    /// When the last message of each direction arrives: messages of one connection stay in order.
    pub last_up: u64,
    pub last_down: u64,
    /// The new version failed here.
    pub harmed: bool,
    slots: Slots,
    clock: Clock,
    floors: Floors,
    failure: Option<Failure>,
    /// The newest desired state's effective serial and chunk size.
    chunk_size: u32,
    pull: Option<Pull>,
    shadow_pull: Option<Pull>,
    shadow: Option<Service>,
    serves: Option<Service>,
    work: u64,
    board: evidence::Board,
}

/// How often health is told.
const BEAT_MS: u64 = 300_000;
const PATIENCE_MS: u64 = 60_000;
const NEW: u64 = 2;

impl Robot {
    pub fn new(index: u32, seed: u64, lot: Lot, first: Image, serial: u64) -> Robot {
        let mut chance = Chance::new(seed, u64::from(index) + 1);
        let digest = first.digest;
        let slots = [
            Event::Wanted {
                image: first,
                serial,
            },
            Event::Downloaded(digest),
            Event::Verified(digest),
            Event::SelfTested(digest),
            Event::TrialPassed(digest),
        ]
        .into_iter()
        .fold(Slots::default(), |slots, event| {
            step(&slots, event, Policy::default()).state
        });
        Robot {
            name: name(&format!("robot-{index:05}")),
            lot,
            online: false,
            session: 0,
            last_up: 0,
            last_down: 0,
            harmed: false,
            slots,
            clock: Clock::default(),
            floors: Floors::default(),
            failure: None,
            chunk_size: 0,
            pull: None,
            shadow_pull: None,
            shadow: None,
            serves: Some(Service::new(Digest(digest), first.version, 0)),
            work: 0,
            board: evidence::Board::new(&mut chance),
        }
    }

    /// What serves now: the version.
    pub fn version(&self) -> u64 {
        self.slots.runs().map_or(0, |(_, image)| image.version)
    }

    /// The connection stands; `power` when the robot was without power before.
    pub fn connect(&mut self, power: bool, now: u64) -> Vec<Wish> {
        self.online = true;
        self.session += 1;
        self.last_up = now;
        self.last_down = now;
        let mut wishes = vec![self.birth()];
        if power {
            // What was in memory is gone; what was stored is read back.
            if let Ok((slots, _)) = load(&store(&self.slots, 1)) {
                self.slots = slots;
            }
            self.work += 1;
            wishes.extend(self.event(Event::Started, now));
        } else if let Some(pull) = &self.pull {
            wishes.extend(pull.ask(self.session, self.work));
        }
        if let Some(pull) = &self.shadow_pull {
            wishes.extend(pull.ask(self.session, self.work));
        }
        wishes.push(self.state());
        wishes
    }

    pub fn disconnect(&mut self) -> Rc<[u8]> {
        self.online = false;
        bytes(&Presence::Gone(Session(self.session))).into()
    }

    /// What stands on the group's `desired` topic.
    pub fn desired(&mut self, keys: &Keys, group: &Name, payload: &[u8], now: u64) -> Vec<Wish> {
        let own_s = now / 1000;
        let held = self.slots.serial;
        let accepted = match keys
            .trust
            .desired(payload, group, held, own_s, &mut self.clock)
        {
            Ok(accepted) => accepted,
            // An older one that was still on its way is no news.
            Err(sanderling_trust::Refusal::Stale { .. }) => return Vec::new(),
            Err(refusal) => panic!("{} refuses what the fleet signed: {refusal}", self.name),
        };
        self.chunk_size = accepted.desired.chunk_size;
        let arm = accepted.arm_for(&self.name);
        let release = |index: Option<u8>| -> Option<Manifest> {
            let signed = accepted.desired.release(index?)?;
            match keys.trust.release(signed, &self.floors, own_s) {
                Ok(manifest) => Some(manifest),
                Err(refusal) => panic!("{} refuses a release: {refusal}", self.name),
            }
        };
        let run = release(arm.and_then(|arm| arm.run)).and_then(|manifest| image_of(&manifest));
        let beside =
            release(arm.and_then(|arm| arm.shadow)).and_then(|manifest| image_of(&manifest));
        let mut wishes = self.beside(beside);
        let event = match (run, self.slots.active) {
            (Some(image), _) => Event::Wanted {
                image,
                serial: accepted.serial,
            },
            // Keep what you have.
            (None, Some(active)) => Event::Wanted {
                image: active.image,
                serial: accepted.serial,
            },
            (None, None) => Event::Unwanted,
        };
        wishes.extend(self.event(event, now));
        wishes
    }

    /// A candidate to run in the shadow, or none.
    fn beside(&mut self, image: Option<Image>) -> Vec<Wish> {
        let Some(image) = image else {
            self.shadow = None;
            self.shadow_pull = None;
            return Vec::new();
        };
        let digest = Digest(image.digest);
        let known = self.shadow.as_ref().is_some_and(|s| s.release == digest)
            || self
                .shadow_pull
                .as_ref()
                .is_some_and(|p| p.release == digest);
        if known {
            return Vec::new();
        }
        self.shadow = None;
        let pull = Pull::new(digest, image.size, self.chunk_size);
        let wishes = pull.ask(self.session, self.work);
        self.shadow_pull = Some(pull);
        wishes
    }

    pub fn chunk(&mut self, payload: &[u8], now: u64) -> Vec<Wish> {
        let Ok(chunk) = decode::<Chunk<'_>>(payload) else {
            return Vec::new();
        };
        if let Some(pull) = self
            .shadow_pull
            .as_mut()
            .filter(|p| p.release == chunk.release)
        {
            pull.take(&chunk);
            if pull.is_complete() && pull.is_right() {
                self.shadow = Some(Service::new(chunk.release, NEW, now));
                self.shadow_pull = None;
            }
            return Vec::new();
        }
        let Some(pull) = self.pull.as_mut().filter(|p| p.release == chunk.release) else {
            return Vec::new();
        };
        pull.take(&chunk);
        if pull.is_complete() {
            return self.event(Event::Downloaded(chunk.release.0), now);
        }
        if pull.answered() {
            pull.ask(self.session, self.work)
        } else {
            Vec::new()
        }
    }

    pub fn job(&mut self, job: Job, now: u64) -> Vec<Wish> {
        let update = self.slots.update;
        match (job, update) {
            (Job::Beat, _) => {
                let mut wishes = vec![Wish::Later(BEAT_MS, Job::Beat)];
                if self.online {
                    wishes.push(self.health(now));
                }
                wishes
            }
            (Job::Patience(work), _) if work == self.work && self.online => {
                let mut wishes = Vec::new();
                for pull in [&mut self.pull, &mut self.shadow_pull]
                    .into_iter()
                    .flatten()
                {
                    wishes.extend(pull.ask(self.session, work));
                }
                wishes
            }
            (Job::Verify(work), Some(update)) if work == self.work => {
                let digest = update.image.digest;
                let right = self.pull.take().is_none_or(|pull| pull.is_right());
                let event = if right {
                    Event::Verified(digest)
                } else {
                    Event::WrongDigest(digest)
                };
                self.event(event, now)
            }
            (Job::SelfTest(work), Some(update)) if work == self.work => {
                let fails = update.image.version == NEW && self.lot == Lot::FailsSelfTest;
                let digest = update.image.digest;
                let event = if fails {
                    Event::Failed(digest, Fault::SelfTest)
                } else {
                    Event::SelfTested(digest)
                };
                self.event(event, now)
            }
            (Job::Trial(work), Some(update)) if work == self.work => {
                let fails = update.image.version == NEW && self.lot == Lot::FailsTrial;
                let digest = update.image.digest;
                let event = if fails {
                    Event::Failed(digest, Fault::Trial)
                } else {
                    Event::TrialPassed(digest)
                };
                self.event(event, now)
            }
            _ => Vec::new(),
        }
    }

    fn event(&mut self, event: Event, now: u64) -> Vec<Wish> {
        let before = self.slots;
        let next = step(&before, event, Policy::default());
        self.slots = next.state;
        let on = |update: Option<sanderling_slots::Update>| {
            update.map(|u| (u.image.digest, u.phase, u.round))
        };
        if on(before.update) != on(next.state.update) {
            self.work += 1;
        }
        match next.note {
            Note::Began => self.failure = None,
            Note::FellBack(fault) | Note::Refused(fault) => {
                let release = match event {
                    Event::Wanted { image, .. } => Some(Digest(image.digest)),
                    _ => before.update.map(|update| Digest(update.image.digest)),
                };
                self.harmed |= matches!(next.note, Note::FellBack(_));
                self.failure = Some(failure(release, fault));
            }
            _ => {}
        }
        let mut wishes: Vec<Wish> = Vec::new();
        for action in next.actions.iter() {
            wishes.extend(self.act(action));
        }
        self.serve(now);
        if self.online && (before != next.state || next.note != Note::Nothing) {
            wishes.push(self.state());
        }
        wishes
    }

    fn act(&mut self, action: Action) -> Vec<Wish> {
        let work = self.work;
        match (action, self.slots.update) {
            (Action::Fetch(_), Some(update)) => {
                let digest = Digest(update.image.digest);
                if self.pull.as_ref().is_none_or(|pull| pull.release != digest) {
                    self.pull = Some(Pull::new(digest, update.image.size, self.chunk_size));
                }
                let asked = self.pull.as_ref().map(|pull| pull.ask(self.session, work));
                asked.filter(|_| self.online).unwrap_or_default()
            }
            (Action::Verify(_), _) => vec![Wish::Later(self.board.verify_ms, Job::Verify(work))],
            (Action::SelfTest(_), _) => {
                vec![Wish::Later(self.board.self_test_ms, Job::SelfTest(work))]
            }
            (Action::Run(slot), Some(update))
                if update.phase == Phase::Trial && is(slot, update.slot) =>
            {
                vec![Wish::Later(self.board.trial_ms, Job::Trial(work))]
            }
            _ => Vec::new(),
        }
    }

    /// Begins to count anew when another model serves.
    fn serve(&mut self, now: u64) {
        let runs = self
            .slots
            .runs()
            .map(|(_, image)| (Digest(image.digest), image.version));
        if runs.map(|(digest, _)| digest) != self.serves.as_ref().map(|s| s.release) {
            self.serves = runs.map(|(digest, version)| Service::new(digest, version, now));
        }
        if self.slots.update.is_none_or(|update| {
            update.phase != Phase::Downloading && update.phase != Phase::Verifying
        }) {
            self.pull = None;
        }
    }

    fn running(&self) -> Option<Running> {
        let (_, image) = self.slots.runs()?;
        Some(Running {
            model: name(image.name.as_str()),
            version: u32::try_from(image.version).unwrap_or(u32::MAX),
            digest: Digest(image.digest),
        })
    }

    fn birth(&self) -> Wish {
        let birth = Birth {
            session: Session(self.session),
            group: name("all"),
            software: Text::from("sanderling-sim"),
            board: Text::from("simulated"),
            targets: [name("generic")].into_iter().collect(),
            arena_limit: 1 << 20,
            flash_limit: 1 << 24,
            chunk_limit: 65_536,
            running: self.running(),
        };
        Wish::Say(Kind::Birth, bytes(&Presence::Born(birth)).into())
    }

    fn state(&self) -> Wish {
        let phase = match (
            self.slots.update.map(|u| u.phase),
            &self.failure,
            self.slots.active,
        ) {
            (Some(Phase::Downloading), _, _) => Told::Downloading,
            (Some(Phase::Verifying), _, _) => Told::Verifying,
            (Some(Phase::SelfTesting), _, _) => Told::SelfTest,
            (Some(Phase::Trial), _, _) => Told::Trial,
            // Beside the active model nothing is under way that anybody waits for.
            (None | Some(Phase::Beside), Some(_), _) => Told::FellBack,
            (None | Some(Phase::Beside), None, Some(_)) => Told::Active,
            (None | Some(Phase::Beside), None, None) => Told::Empty,
        };
        let state = State {
            session: Session(self.session),
            running: self.running(),
            phase,
            serial: self.slots.serial,
            root: None,
            progress: self.pull.as_ref().map(|pull| Progress {
                release: pull.release,
                held: pull.held(),
                size: pull.size(),
            }),
            failure: self.failure.clone(),
        };
        Wish::Say(Kind::State, bytes(&state).into())
    }

    fn health(&self, now: u64) -> Wish {
        let evidence = self
            .serves
            .as_ref()
            .map(|serves| serves.evidence(&self.board, self.shadow.as_ref(), now));
        let health = Health {
            session: Session(self.session),
            evidence,
            ..Health::default()
        };
        Wish::Say(Kind::Health, bytes(&health).into())
    }
}

fn is(a: Slot, b: Slot) -> bool {
    a.index() == b.index()
}

fn failure(release: Option<Digest>, fault: Fault) -> Failure {
    let (code, text) = match fault {
        Fault::WrongDigest => (
            FailureCode::Digest,
            "the file is not the one that was promised",
        ),
        Fault::Unloadable => (FailureCode::Plan, "the plan cannot be loaded"),
        Fault::SelfTest => (FailureCode::SelfTest, "golden vectors gave other bits"),
        Fault::Trial | Fault::Crashed | Fault::TimedOut => {
            (FailureCode::Trial, "it failed in its trial")
        }
    };
    Failure {
        release,
        code,
        text: Text::from(text),
    }
}

/// The image that a manifest means for the simulated board.
pub fn image_of(manifest: &Manifest) -> Option<Image> {
    let artifact = manifest.artifact_for([&name("generic")])?;
    Some(Image {
        digest: artifact.digest.0,
        size: u32::try_from(artifact.size).ok()?,
        version: u64::from(manifest.version),
        name: Label::cut(&manifest.model),
    })
}
