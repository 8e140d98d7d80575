//! The driver of the state machine. See the module above.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_slots::{
    self as slots, Action, Event, Image, JournalHeader, Label, Note, Stored, Update,
};
use sanderling_wire::{self as wire, Digest, Kind, Message, Name, Session};
use sha2::Digest as _;
use tokio::sync::mpsc::UnboundedSender;

use super::backoff::Dice;
use super::fetch::{Fetch, Pulled};
use super::fit::Wish;
use super::folder::Folder;
use super::guard::Guard;
use super::jobs;
use super::report::{self, Failure};
use super::{Input, Line, Outgoing, RESTING, WATCHING};
use crate::config::UpdateConfig;
use crate::infer::{Candidate, Stage};
use crate::queue::FrameQueue;
use crate::say::Hush;
use crate::settings::Answer;
use crate::shared::{Shared, Standing};
use crate::{error, info, warn};

pub(super) const AREA: &str = "update";
/// How often progress of a download is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// The wait after storage failed, and the first wait after a download was put off.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What a driver is made of.
#[derive(Debug)]
pub struct Setup {
    /// Limits and times.
    pub config: UpdateConfig,
    /// This robot.
    pub device: Name,
    /// This robot's group.
    pub group: Name,
    /// The file with the fleet's public keys.
    pub root: Option<PathBuf>,
    /// The folder of the slots.
    pub folder: PathBuf,
    /// The folder of what must be remembered of signed statements.
    pub trust: PathBuf,
    /// The form of answers.
    pub answer: Answer,
    /// A model to begin with.
    pub local: Option<PathBuf>,
    /// What the threads share.
    pub shared: Arc<Shared>,
    /// The queue, to wake the inference thread.
    pub queue: Arc<FrameQueue>,
    /// Where the next model waits.
    pub stage: Arc<Stage>,
    /// Messages for the fleet.
    pub outgoing: UnboundedSender<Outgoing>,
    /// The line on which jobs report.
    pub line: Line,
    /// Different on each robot.
    pub seed: u64,
}

/// A model in a file of this robot, which needs no fleet.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    pub(super) wish: Wish,
}

/// A job on its way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) image: Image,
    pub(super) kind: jobs::Kind,
    pub(super) until: Instant,
}

/// Drives the machine. All methods return soon.
#[derive(Debug)]
pub struct Driver {
    pub(super) setup: Setup,
    pub(super) folder: Folder,
    pub(super) stored: Stored,
    pub(super) dice: Dice,
    pub(super) session: Option<Session>,
    pub(super) guard: Guard,
    pub(super) wish: Option<Wish>,
    /// What is to be computed beside the model that acts.
    pub(super) shadow: Option<Wish>,
    /// The desired state as it was heard last, for when a newer root comes.
    pub(super) heard: Option<Vec<u8>>,
    pub(super) local: Option<Local>,
    pub(super) fetch: Option<Fetch>,
    /// What was pulled for the last update.
    pub(super) pulled: Pulled,
    /// The largest chunk that the broker passes on, and the largest that the fleet has not refused, in bytes.
    pub(super) broker_chunk: u32,
    pub(super) fleet_chunk: u32,
    /// Deltas that turned out to be of no use.
    pub(super) useless: Vec<[u8; 32]>,
    /// What was whole in the spare slot when the update began.
    pub(super) spare_before: Option<Image>,
    pub(super) jobs: Vec<Running>,
    pub(super) last_job: u64,
    /// Models that are loaded and do not serve: the tested one before its trial, the old one during it.
    pub(super) hand: Vec<Candidate>,
    /// What the inference thread runs.
    pub(super) serving: Option<Image>,
    pub(super) executor: Option<&'static str>,
    /// What it was told to run, and by when it must.
    pub(super) staged: Option<(Option<Image>, Instant)>,
    pub(super) trial_since: Option<Instant>,
    /// Whether the model that serves takes other frames than the one before did.
    pub(super) takes_others: bool,
    pub(super) failure: Option<Failure>,
    /// What went wrong in words, for the failure that follows.
    pub(super) detail: Option<String>,
    /// When the wish is said again, and how often that was in vain.
    pub(super) again: Option<Instant>,
    pub(super) in_vain: u32,
    /// Events whose state could not be saved.
    pub(super) unsaved: Vec<(Event, Instant)>,
    pub(super) told: Instant,
    /// The time of the input or the tick that is being handled: the driver has no clock of its own.
    pub(super) now: Instant,
    /// The time limits of the states of an update, and where their clock began.
    pub(super) watch: slots::Watch,
    pub(super) began: Instant,
    /// Why an update that is wanted waits, and when that is looked at again.
    pub(super) held: Option<String>,
    pub(super) look_again: Instant,
    /// A model that passed its self-test and waits for the conditions of its trial.
    pub(super) proved: Option<[u8; 32]>,
    pub(super) hush: Hush,
}

impl Driver {
    /// Opens the slots.
    pub fn open(setup: Setup) -> io::Result<Driver> {
        let guard = Guard::open(
            &setup.trust,
            setup.root.as_deref(),
            &setup.device,
            &setup.group,
        )?;
        let mut folder = Folder::open(&setup.folder)?;
        let stored = slots::load(&mut folder)?;
        if stored.lost {
            warn!(
                AREA,
                "the record of the model slots in {} was damaged; this robot begins without a model",
                setup.folder.display()
            );
        }
        let local = match &setup.local {
            Some(path) => Some(Local {
                path: path.clone(),
                wish: local_wish(path, &setup.config)?,
            }),
            None => None,
        };
        let dice = Dice::new(setup.seed);
        let now = Instant::now();
        let mut driver = Driver {
            setup,
            folder,
            stored,
            dice,
            session: None,
            guard,
            wish: None,
            shadow: None,
            heard: None,
            local,
            fetch: None,
            pulled: Pulled::default(),
            broker_chunk: wire::MAX_CHUNK,
            fleet_chunk: wire::MAX_CHUNK,
            useless: Vec::new(),
            spare_before: None,
            jobs: Vec::new(),
            last_job: 0,
            hand: Vec::new(),
            serving: None,
            executor: None,
            staged: None,
            trial_since: None,
            takes_others: false,
            failure: None,
            detail: None,
            again: None,
            in_vain: 0,
            unsaved: Vec::new(),
            told: now,
            now,
            watch: slots::Watch::default(),
            began: now,
            held: None,
            look_again: now,
            proved: None,
            hush: Hush::default(),
        };
        driver.forget_foreign_serial()?;
        Ok(driver)
    }

    /// The first event, and the local model where the fleet has said nothing yet.
    pub fn started(&mut self) {
        self.event(Event::Started);
        self.want_local();
        self.tell_standing();
    }

    /// How long to wait for the next input.
    pub fn patience(&self) -> Duration {
        if self.fetch.as_ref().is_some_and(Fetch::is_ready) {
            return Duration::ZERO;
        }
        let watching = self.trial_since.is_some() || self.fetch.is_some() || self.staged.is_some();
        if watching { WATCHING } else { RESTING }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.now = now;
        match input {
            Input::Up(session) => {
                self.session = Some(session);
                if let Some(fetch) = &mut self.fetch {
                    fetch.pull.start_over();
                }
                self.tell_fleet(now);
            }
            Input::ChunkLimit(limit) => {
                self.broker_chunk = limit;
                self.cut_smaller();
            }
            Input::Down => self.session = None,
            Input::Conditions => self.look_at_conditions(),
            Input::Report => self.tell_fleet(now),
            Input::Desired(bytes) => self.desired(bytes),
            Input::Roots(bytes) => self.roots(&bytes),
            Input::Chunk(bytes) => self.chunk(&bytes, now),
            Input::NoBulk(release, why) => self.no_bulk(release, &why),
            Input::Refused(release, refusal) => self.refused(release, refusal, now),
            Input::Retry => {
                info!(AREA, "failed models are tried again, as ordered");
                self.event(Event::Retry);
                self.useless.clear();
                self.in_vain = 0;
                self.want();
            }
            Input::Swapped(swapped) => self.swapped(swapped, now),
            Input::Job(id, done) => self.job_done(id, done),
            Input::Quit => {}
        }
    }

    /// Looks at everything that has a time.
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
        if self.look_again <= now {
            self.look_at_conditions();
            self.watch_beside();
        }
        self.watch_limits(now);
        self.watch_download(now);
        self.watch_job(now);
        self.watch_stage(now);
        self.watch_trial(now);
        if let Some(index) = self.unsaved.iter().position(|(_, due)| *due <= now) {
            let (event, _) = self.unsaved.swap_remove(index);
            self.event(event);
        }
        if self.again.is_some_and(|due| due <= now) {
            self.again = None;
            self.want();
        }
        if self.fetch.is_some() && now.duration_since(self.told) >= PROGRESS_EVERY {
            self.tell_fleet(now);
        }
    }

    /// One step: the new state is saved, and then acted on.
    pub(super) fn event(&mut self, event: Event) {
        let before = self.stored.state;
        let step = slots::step(&before, event, self.setup.config.policy);
        if step.state != before
            && let Err(error) = slots::save(&mut self.folder, &mut self.stored, &step.state)
        {
            error!(
                AREA,
                "the state of the model slots cannot be saved ({error}); check the disk of {}",
                self.setup.folder.display()
            );
            self.unsaved.push((event, self.now + TRY_AGAIN));
            // Going back to the model that worked must not wait for a disk.
            if let (Event::Failed(..), Some(active)) = (event, before.active) {
                self.serve(active.slot, active.image);
            }
            return;
        }
        if step.state.update.map(|update| update.image.digest)
            != before.update.map(|update| update.image.digest)
        {
            self.fetch = None;
            self.spare_before = before.spare;
            self.trial_since = None;
        }
        self.end_beside();
        self.note(step.note, &before);
        for action in step.actions.iter() {
            self.act(action);
        }
        if step.state != before || step.note != Note::Nothing {
            self.tell_fleet(self.now);
        }
    }

    fn act(&mut self, action: Action) {
        let state = self.stored.state;
        match (action, state.update) {
            (Action::Run(slot), _) => {
                if let Some((runs, image)) = state.runs()
                    && runs == slot
                {
                    self.serve(slot, image);
                }
            }
            (Action::Stop, _) => {
                if self.serving.is_some() || self.staged.is_some() {
                    self.put_on_stage(None);
                }
            }
            (Action::Fetch(_), Some(_)) => self.fetch_if_known(),
            (Action::Verify(slot), Some(update)) => {
                self.start_job(jobs::Kind::Verify, slot, update.image)
            }
            (Action::SelfTest(slot), Some(update)) => {
                self.start_job(jobs::Kind::SelfTest, slot, update.image)
            }
            (Action::Shadow(slot), Some(update)) => self.run_beside(slot, update.image),
            (Action::Fetch(_) | Action::Verify(_) | Action::SelfTest(_), None)
            | (Action::Shadow(_), None) => {}
        }
    }

    pub(super) fn want(&mut self) {
        match self.wish.clone() {
            None => self.want_local(),
            Some(wish) if self.may_begin(&wish) => {
                self.event(Event::Wanted {
                    image: wish.image,
                    serial: wish.serial,
                });
                self.cut_smaller();
                self.fetch_if_known();
            }
            Some(_) => {}
        }
        self.want_beside();
    }

    /// The local model counts while the fleet has not said anything.
    fn want_local(&mut self) {
        let Some(local) = &self.local else { return };
        if self.stored.state.serial == 0 && self.wish.is_none() {
            let image = local.wish.image;
            self.event(Event::Wanted { image, serial: 0 });
            self.fetch_if_known();
        }
    }

    pub(super) fn tell_fleet(&mut self, now: Instant) {
        self.told = now;
        self.tell_standing();
        let Some(session) = self.session else { return };
        let progress = self.fetch.as_ref().map(Fetch::progress);
        let failure = self.failure.as_ref();
        let mut message = report::message(
            session,
            &self.stored.state,
            self.serving.as_ref(),
            progress,
            failure,
            self.guard.anchor(),
        );
        if let Some(held) = &self.held {
            message.failure = Some(wire::Failure {
                release: None,
                code: wire::FailureCode::Held,
                text: wire::Text::cut(held),
            });
        }
        self.send(Kind::State, &message);
    }

    fn tell_standing(&self) {
        let session = self.session.unwrap_or_default();
        let message = report::message(
            session,
            &self.stored.state,
            self.serving.as_ref(),
            None,
            self.failure.as_ref(),
            self.guard.anchor(),
        );
        self.setup.shared.set_standing(Standing {
            phase: Some(message.phase),
            serial: message.serial,
            root: message.root,
            running: message.running,
            executor: self.executor,
            progress: self.fetch.as_ref().map(Fetch::progress),
            pulled: (self.pulled.size > 0).then(|| self.pulled.clone()),
            failure: self.failure.as_ref().map(|failure| failure.text.clone()),
            held: self.held.clone(),
        });
    }

    pub(super) fn send<'a, M: Message<'a>>(&mut self, kind: Kind, message: &M) {
        let mut buffer = [0; wire::MAX_SMALL_MESSAGE];
        match wire::encode(message, &mut buffer) {
            // The agent ends when nobody listens any more.
            Ok(bytes) => drop(self.setup.outgoing.send(Outgoing {
                kind,
                payload: bytes.to_vec(),
            })),
            Err(error) => self.hush.warn(
                AREA,
                "message",
                format_args!("a message cannot be written: {error}"),
            ),
        }
    }
}

pub(super) fn header(update: &Update, chunk_size: u32) -> JournalHeader {
    JournalHeader {
        slot: update.slot,
        digest: update.image.digest,
        size: update.image.size,
        chunk_size,
        round: update.round,
    }
}

/// A model for people: name, version, and the beginning of its digest.
pub(super) fn show(image: &Image) -> String {
    format!(
        "{} {} ({})",
        image.name.as_str(),
        image.version,
        Digest(image.digest).short()
    )
}

/// The wish for a model in a file: the fleet's serial numbers begin at 1, so this one yields to all of them.
fn local_wish(path: &Path, config: &UpdateConfig) -> io::Result<Wish> {
    let bytes = std::fs::read(path)?;
    let size = u32::try_from(bytes.len())
        .ok()
        .filter(|&size| size > 0 && u64::from(size) <= config.model_limit);
    let size =
        size.ok_or_else(|| io::Error::other("the file is empty or larger than --model-limit"))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let image = Image {
        digest: sha2::Sha256::digest(&bytes).into(),
        size,
        version: 0,
        name: Label::cut(&stem),
    };
    Ok(Wish {
        image,
        serial: 0,
        chunk_size: config.chunk,
        floor: None,
        deltas: Vec::new(),
        url: None,
    })
}
