//! The driver of the state machine. See the module above.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sanderling_slots::{
    self as slots, Action, Download, DownloadError, Event, Fault, Image, JournalHeader, Label,
    Note, Phase, Slot, Stored, Trial, Update, Verdict,
};
use sanderling_wire::{
    self as wire, Chunk, Desired, Digest, FailureCode, Kind, Message, Misfit, Name, Need, Refusal,
    Session,
};
use sha2::Digest as _;
use tokio::sync::mpsc::UnboundedSender;

use super::backoff::{self, Dice};
use super::fit::{Wish, fit};
use super::folder::Folder;
use super::jobs::{self, Done, Job};
use super::pull::{Arrival, Pull};
use super::report::{self, Failure};
use super::{Input, Line, Outgoing, RESTING, WATCHING};
use crate::config::UpdateConfig;
use crate::infer::{Candidate, Next, Stage, Swapped};
use crate::queue::FrameQueue;
use crate::say::Hush;
use crate::settings::Answer;
use crate::shared::{Shared, Standing};
use crate::{error, info, warn};

const AREA: &str = "update";
/// How often progress of a download is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// The wait after storage failed, and the first wait after a download was put off.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// The longest wait before a download that was put off begins again.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(600);

/// What a driver is made of.
#[derive(Debug)]
pub struct Setup {
    /// Limits and times.
    pub config: UpdateConfig,
    /// This robot's group.
    pub group: Name,
    /// The folder of the slots.
    pub folder: PathBuf,
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
struct Local {
    path: PathBuf,
    wish: Wish,
}

/// A download on its way.
#[derive(Debug)]
struct Fetch {
    download: Download,
    pull: Pull,
    since: Instant,
}

/// A job on its way.
#[derive(Debug)]
struct Running {
    id: u64,
    image: Image,
    kind: jobs::Kind,
    until: Instant,
}

/// Drives the machine. All methods return soon.
#[derive(Debug)]
pub struct Driver {
    setup: Setup,
    folder: Folder,
    stored: Stored,
    dice: Dice,
    session: Option<Session>,
    wish: Option<Wish>,
    local: Option<Local>,
    fetch: Option<Fetch>,
    jobs: Vec<Running>,
    last_job: u64,
    /// Models that are loaded and do not serve: the tested one before its trial, the old one during it.
    hand: Vec<Box<Candidate>>,
    /// What the inference thread runs.
    serving: Option<Image>,
    executor: Option<&'static str>,
    /// What it was told to run, and by when it must.
    staged: Option<(Option<Image>, Instant)>,
    trial_since: Option<Instant>,
    failure: Option<Failure>,
    /// What went wrong in words, for the failure that follows.
    detail: Option<String>,
    /// When the wish is said again, and how often that was in vain.
    again: Option<Instant>,
    in_vain: u32,
    /// Events whose state could not be saved.
    unsaved: Vec<(Event, Instant)>,
    told: Instant,
    hush: Hush,
}

impl Driver {
    /// Opens the slots.
    pub fn open(setup: Setup) -> io::Result<Driver> {
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
        Ok(Driver {
            setup,
            folder,
            stored,
            dice,
            session: None,
            wish: None,
            local,
            fetch: None,
            jobs: Vec::new(),
            last_job: 0,
            hand: Vec::new(),
            serving: None,
            executor: None,
            staged: None,
            trial_since: None,
            failure: None,
            detail: None,
            again: None,
            in_vain: 0,
            unsaved: Vec::new(),
            told: Instant::now(),
            hush: Hush::default(),
        })
    }

    /// The first event, and the local model where the fleet has said nothing yet.
    pub fn started(&mut self) {
        self.event(Event::Started);
        self.want_local();
        self.tell_standing();
    }

    /// How long to wait for the next input.
    pub fn patience(&self) -> Duration {
        let watching = self.trial_since.is_some() || self.fetch.is_some() || self.staged.is_some();
        if watching { WATCHING } else { RESTING }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Up(session) => {
                self.session = Some(session);
                if let Some(fetch) = &mut self.fetch {
                    fetch.pull.start_over();
                    fetch.since = now;
                }
                self.tell_fleet(now);
            }
            Input::Down => self.session = None,
            Input::Report => self.tell_fleet(now),
            Input::Desired(bytes) => self.desired(&bytes),
            Input::Chunk(bytes) => self.chunk(&bytes, now),
            Input::Refused(release, refusal) => self.refused(release, refusal, now),
            Input::Retry => {
                info!(AREA, "failed models are tried again, as ordered");
                self.event(Event::Retry);
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

    // ---- the machine

    /// One step: the new state is saved, and then acted on.
    fn event(&mut self, event: Event) {
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
            self.unsaved.push((event, Instant::now() + TRY_AGAIN));
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
            self.trial_since = None;
        }
        self.note(step.note, &before);
        for action in step.actions.iter() {
            self.act(action);
        }
        if step.state != before || step.note != Note::Nothing {
            self.tell_fleet(Instant::now());
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
            (Action::Fetch(_) | Action::Verify(_) | Action::SelfTest(_), None) => {}
        }
    }

    /// Remembers and says what a step means for people.
    fn note(&mut self, note: Note, before: &slots::State) {
        let update = before.update.map(|update| update.image);
        match note {
            Note::Nothing | Note::Deferred => {}
            Note::Stale => self.hush.warn(
                AREA,
                format_args!("a wish older than one that was accepted is ignored"),
            ),
            Note::UpToDate => self.failure = None,
            Note::Began => {
                self.failure = None;
                self.detail = None;
                if let Some(update) = self.stored.state.update {
                    let how = match update.phase {
                        Phase::Downloading => "pulling it",
                        _ => "it is still in the other slot",
                    };
                    info!(
                        AREA,
                        "{} is wanted ({} bytes): {how}",
                        show(&update.image),
                        update.image.size
                    );
                }
            }
            Note::Dropped => {
                self.failure = None;
                if let Some(image) = update {
                    info!(AREA, "{} is no longer wanted", show(&image));
                }
            }
            Note::Refused(fault) => {
                let Some(wish) = self
                    .wish
                    .as_ref()
                    .or(self.local.as_ref().map(|local| &local.wish))
                else {
                    return;
                };
                let (digest, image) = (wish.image.digest, show(&wish.image));
                let text = format!(
                    "{image} failed here before: {}; push a newer version, or order a retry",
                    report::words(fault)
                );
                self.hush.warn(AREA, format_args!("{text}"));
                if self
                    .failure
                    .as_ref()
                    .is_none_or(|failure| failure.release != Some(digest))
                {
                    self.failure = Some(Failure {
                        release: Some(digest),
                        code: report::code(fault),
                        text,
                    });
                }
            }
            Note::DownloadAgain => {
                let why = self
                    .detail
                    .take()
                    .unwrap_or_else(|| report::words(Fault::WrongDigest).into());
                warn!(AREA, "the download is wrong: {why}; pulling it once more");
            }
            Note::Activated => {
                self.hand.clear();
                self.failure = None;
                self.in_vain = 0;
                if let Some(active) = self.stored.state.active {
                    info!(
                        AREA,
                        "{} passed its trial and is active",
                        show(&active.image)
                    );
                }
                self.again = Some(Instant::now());
            }
            Note::FellBack(fault) => {
                let Some(image) = update else { return };
                let why = self
                    .detail
                    .take()
                    .unwrap_or_else(|| report::words(fault).into());
                let runs = self
                    .stored
                    .state
                    .runs()
                    .map_or("no model runs".into(), |(_, image)| {
                        format!("{} runs on", show(&image))
                    });
                let text = format!("{} was given up: {why}; {runs}", show(&image));
                error!(AREA, "{text}");
                self.failure = Some(Failure {
                    release: Some(image.digest),
                    code: report::code(fault),
                    text,
                });
                // Another wish may have waited for this one's end; the same one would only be refused.
                if self
                    .wish
                    .as_ref()
                    .is_some_and(|wish| wish.image.digest != image.digest)
                {
                    self.again = Some(Instant::now());
                }
            }
            Note::Recovered => error!(
                AREA,
                "the active model's file was damaged; the model before it runs: push the newer one again"
            ),
            Note::NothingLeft => {
                error!(
                    AREA,
                    "the active model's file was damaged and there is no other; the fleet's model will be pulled"
                );
                self.again = Some(Instant::now());
            }
        }
    }

    // ---- wishes

    fn want(&mut self) {
        let Some(wish) = self.wish.clone() else {
            self.want_local();
            return;
        };
        self.event(Event::Wanted {
            image: wish.image,
            serial: wish.serial,
        });
        self.fetch_if_known();
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

    fn desired(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.wish = None;
            self.event(Event::Unwanted);
            return;
        }
        let manifest = match wire::decode::<Desired<'_>>(bytes).and_then(|desired| desired.read()) {
            Ok(manifest) => manifest,
            Err(error) => {
                warn!(AREA, "the group's desired state cannot be read: {error}");
                return;
            }
        };
        if manifest.serial < self.stored.state.serial {
            self.note(Note::Stale, &self.stored.state.clone());
            return;
        }
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        match fit(&manifest, &self.setup.group, &self.setup.config, now_s) {
            Ok(wish) => {
                if self.wish.as_ref() != Some(&wish) {
                    self.in_vain = 0;
                }
                self.wish = Some(wish);
                self.want();
            }
            Err(unfit) => {
                self.wish = None;
                error!(AREA, "{unfit}");
                // What was on its way before is not wanted any more either.
                self.event(Event::Unwanted);
                let text = unfit.text;
                self.failure = Some(Failure {
                    release: None,
                    code: unfit.code,
                    text,
                });
                self.tell_fleet(Instant::now());
            }
        }
    }

    // ---- downloading

    /// Begins or goes on with the download that the machine is in, once it is known how to ask for it.
    fn fetch_if_known(&mut self) {
        let Some(update) = self
            .stored
            .state
            .update
            .filter(|update| update.phase == Phase::Downloading)
        else {
            return;
        };
        if self.fetch.is_some() {
            return;
        }
        let digest = update.image.digest;
        if let Some(local) = self
            .local
            .as_ref()
            .filter(|local| local.wish.image.digest == digest)
        {
            let (path, chunk_size) = (local.path.clone(), local.wish.chunk_size);
            let copied = self.copy_local(&path, &update, chunk_size);
            match copied {
                Ok(()) => self.event(Event::Downloaded(digest)),
                Err(why) => self.put_off(FailureCode::Storage, digest, why),
            }
            return;
        }
        let Some(chunk_size) = self
            .wish
            .as_ref()
            .filter(|wish| wish.image.digest == digest)
            .map(|wish| wish.chunk_size)
        else {
            return;
        };
        let config = &self.setup.config;
        let size = u64::from(update.image.size);
        let mut pull = match Pull::new(
            Digest(digest),
            size,
            chunk_size,
            config.credit,
            config.stall,
        ) {
            Ok(pull) => pull,
            Err(error) => {
                self.put_off(FailureCode::Transfer, digest, error.to_string());
                return;
            }
        };
        let header = header(&update, chunk_size);
        match Download::open(&mut self.folder, header, |chunk| pull.hold(chunk)) {
            Ok(download) => {
                let (held, size) = pull.progress();
                if held > 0 {
                    info!(AREA, "{held} of {size} bytes are here already");
                }
                let complete = pull.is_complete();
                self.fetch = Some(Fetch {
                    download,
                    pull,
                    since: Instant::now(),
                });
                if complete {
                    self.event(Event::Downloaded(digest));
                    self.fetch = None;
                }
            }
            Err(error) => self.put_off(FailureCode::Storage, digest, self.storage(error)),
        }
    }

    fn copy_local(&mut self, path: &Path, update: &Update, chunk_size: u32) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let header = header(update, chunk_size);
        let mut held = vec![false; header.chunks() as usize];
        let note = |chunk: u32| {
            if let Some(held) = held.get_mut(chunk as usize) {
                *held = true;
            }
        };
        let download =
            Download::open(&mut self.folder, header, note).map_err(|error| self.storage(error))?;
        for (chunk, _) in (0..).zip(held).filter(|(_, held)| !held) {
            let place = header
                .place(chunk)
                .map(|(offset, length)| (offset as usize, length as usize));
            let piece = place.and_then(|(offset, length)| bytes.get(offset..offset + length));
            let piece =
                piece.ok_or_else(|| format!("{} changed while it was read", path.display()))?;
            download
                .put(&mut self.folder, chunk, piece)
                .map_err(|error| self.storage(error))?;
        }
        Ok(())
    }

    fn storage(&self, error: DownloadError<io::Error>) -> String {
        let folder = self.setup.folder.display();
        match error {
            DownloadError::Medium(error) => {
                format!("{folder} cannot be written ({error}); free some space")
            }
            other => format!("the model does not fit its slot ({other:?}); register it again"),
        }
    }

    fn chunk(&mut self, bytes: &[u8], now: Instant) {
        let Some(fetch) = &mut self.fetch else { return };
        let chunk = match wire::decode::<Chunk<'_>>(bytes) {
            Ok(chunk) => chunk,
            Err(error) => {
                return self
                    .hush
                    .warn(AREA, format_args!("a chunk cannot be read: {error}"));
            }
        };
        let place: Result<Arrival, Misfit> =
            fetch
                .pull
                .place(chunk.release, chunk.offset, chunk.data.len());
        let index = match place {
            Ok(Arrival::New(index)) => index,
            Ok(Arrival::Again | Arrival::Foreign) => return,
            Err(misfit) => return self.hush.warn(AREA, format_args!("{misfit}")),
        };
        let digest = fetch.pull.release().0;
        if let Err(error) = fetch.download.put(&mut self.folder, index, chunk.data) {
            let why = self.storage(error);
            return self.put_off(FailureCode::Storage, digest, why);
        }
        fetch.pull.stored(index, now);
        if fetch.pull.is_complete() {
            self.fetch = None;
            self.event(Event::Downloaded(digest));
        }
    }

    fn refused(&mut self, release: Digest, refusal: Refusal, now: Instant) {
        let Some(fetch) = self
            .fetch
            .as_mut()
            .filter(|fetch| fetch.pull.release() == release)
        else {
            return;
        };
        let why = match refusal {
            Refusal::Storage => {
                let wait = backoff::wait(
                    fetch.pull.fruitless(),
                    TRY_AGAIN,
                    TRY_AGAIN_MAX,
                    self.dice.roll(),
                );
                fetch.pull.put_off(now, wait);
                return self.hush.warn(
                    AREA,
                    format_args!(
                        "the fleet cannot read the model now; asking again in {} s",
                        wait.as_secs()
                    ),
                );
            }
            Refusal::Unknown => "the fleet has no such model any more; push one that it has",
            Refusal::BadRange => "the fleet refuses the chunk size; set --chunk to its default",
        };
        self.put_off(FailureCode::Transfer, release.0, why.into());
    }

    /// Ends a download that cannot go on now, and plans another try. What is here already stays.
    fn put_off(&mut self, code: FailureCode, digest: [u8; 32], why: String) {
        let wait = backoff::wait(self.in_vain, TRY_AGAIN, TRY_AGAIN_MAX, self.dice.roll());
        self.in_vain = self.in_vain.saturating_add(1);
        self.again = Some(Instant::now() + wait);
        self.hush.warn(
            AREA,
            format_args!("the download is put off: {why}; trying again later"),
        );
        self.failure = Some(Failure {
            release: Some(digest),
            code,
            text: why,
        });
        self.event(Event::GaveUp(digest));
    }

    fn watch_download(&mut self, now: Instant) {
        let Some(session) = self.session else { return };
        let Some(fetch) = &mut self.fetch else { return };
        let digest = fetch.pull.release().0;
        let limit = self.setup.config.download_limit;
        if now.duration_since(fetch.since) > limit {
            let why = format!("it took longer than {} s", limit.as_secs());
            return self.put_off(FailureCode::Transfer, digest, why);
        }
        let Some(ranges) = fetch.pull.ask(now, &mut self.dice) else {
            return;
        };
        if fetch.pull.fruitless() == 1 {
            let stall = self.setup.config.stall.as_secs_f64();
            self.hush.warn(
                AREA,
                format_args!("no chunk came for {stall} s; asking again"),
            );
        }
        let need = Need {
            session,
            release: fetch.pull.release(),
            chunk_size: fetch.pull.chunk_size(),
            credit: fetch.pull.credit(),
            ranges,
        };
        self.send(Kind::Need, &need);
    }

    // ---- jobs

    fn start_job(&mut self, kind: jobs::Kind, slot: Slot, image: Image) {
        if self
            .jobs
            .iter()
            .any(|job| job.kind == kind && job.image.digest == image.digest)
        {
            return;
        }
        self.last_job += 1;
        let id = self.last_job;
        let job = Job {
            kind,
            path: self.folder.path(slot).to_path_buf(),
            image,
            answer: self.setup.answer,
            arena_limit: self.setup.config.arena_limit,
        };
        let line = self.setup.line.clone();
        let started = jobs::start(job, move |done| {
            // The agent ends when nobody listens any more.
            let _ = line.send(Input::Job(id, done));
        });
        let until = Instant::now() + self.setup.config.check_limit;
        self.jobs.push(Running {
            id,
            image,
            kind,
            until,
        });
        if let Err(error) = started {
            error!(
                AREA,
                "no thread can be started ({error}); trying again in {} s",
                TRY_AGAIN.as_secs()
            );
            self.jobs.pop();
            self.unsaved
                .push((Event::Started, Instant::now() + TRY_AGAIN));
        }
    }

    fn job_done(&mut self, id: u64, done: Done) {
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else {
            return;
        };
        let job = self.jobs.swap_remove(index);
        let digest = job.image.digest;
        match (job.kind, done) {
            (jobs::Kind::Verify, Done::Right) => self.event(Event::Verified(digest)),
            (jobs::Kind::Verify, Done::Wrong(why)) => {
                self.detail = Some(why);
                self.event(Event::WrongDigest(digest));
            }
            (jobs::Kind::SelfTest, Done::Ready(candidate)) => {
                // Another model may be wanted by now.
                if self
                    .stored
                    .state
                    .update
                    .is_some_and(|update| update.image.digest == digest)
                {
                    self.hand.push(candidate);
                    self.event(Event::SelfTested(digest));
                }
            }
            (jobs::Kind::Load, Done::Ready(candidate)) => {
                // It may have been loaded for a state that is over.
                if self
                    .stored
                    .state
                    .runs()
                    .is_some_and(|(_, image)| image.digest == digest)
                {
                    self.put_on_stage(Some(candidate));
                }
            }
            (_, Done::Wrong(why)) => self.job_failed(&job, Fault::WrongDigest, why),
            (_, Done::Unfit(fault, why)) => self.job_failed(&job, fault, why),
            (_, Done::Right | Done::Ready(_)) => {}
        }
    }

    fn job_failed(&mut self, job: &Running, fault: Fault, why: String) {
        let digest = job.image.digest;
        if self
            .stored
            .state
            .update
            .is_some_and(|update| update.image.digest == digest)
        {
            self.detail = Some(why);
            self.event(Event::Failed(digest, fault));
        } else {
            error!(AREA, "{} cannot be loaded again: {why}", show(&job.image));
            self.event(Event::ActiveLost(digest));
        }
    }

    fn watch_job(&mut self, now: Instant) {
        if let Some(index) = self.jobs.iter().position(|job| job.until <= now) {
            let job = self.jobs.swap_remove(index);
            let why = format!(
                "checking it took longer than {} s",
                self.setup.config.check_limit.as_secs()
            );
            self.job_failed(&job, Fault::TimedOut, why);
        }
    }

    // ---- serving

    /// Lets the inference thread serve with a model: one that is loaded already, or after loading it.
    fn serve(&mut self, slot: Slot, image: Image) {
        let heading_there = match &self.staged {
            Some((staged, _)) => staged.is_some_and(|staged| staged.digest == image.digest),
            None => self
                .serving
                .is_some_and(|serving| serving.digest == image.digest),
        };
        if heading_there {
            return;
        }
        match self
            .hand
            .iter()
            .position(|candidate| candidate.image.digest == image.digest)
        {
            Some(index) => {
                let mut candidate = self.hand.swap_remove(index);
                candidate.image = image;
                self.put_on_stage(Some(candidate));
            }
            None => self.start_job(jobs::Kind::Load, slot, image),
        }
    }

    fn put_on_stage(&mut self, candidate: Option<Box<Candidate>>) {
        let image = candidate.as_ref().map(|candidate| candidate.image);
        let next = candidate.map_or(Next::Nothing, Next::Serve);
        if let Some(Next::Serve(never_taken)) = self.setup.stage.put(next) {
            self.hand.push(never_taken);
        }
        self.setup.queue.nudge();
        self.staged = Some((image, Instant::now() + self.setup.config.check_limit));
    }

    fn swapped(&mut self, swapped: Swapped, now: Instant) {
        let Swapped {
            serving,
            executor,
            retired,
        } = swapped;
        (self.serving, self.executor) = (serving, executor);
        if self
            .staged
            .as_ref()
            .is_some_and(|(image, _)| *image == serving)
        {
            self.staged = None;
        }
        let trial = self
            .stored
            .state
            .update
            .filter(|update| update.phase == Phase::Trial);
        // The old model stays in memory while the new one can still be taken back.
        if trial.is_some() {
            self.hand.extend(retired);
        }
        if let Some(image) = serving {
            info!(
                AREA,
                "{} serves now, in the {}",
                show(&image),
                executor.unwrap_or("engine")
            );
        }
        let on_trial = serving
            .is_some_and(|image| trial.is_some_and(|update| update.image.digest == image.digest));
        self.trial_since = on_trial.then_some(now);
        self.tell_fleet(now);
    }

    fn watch_stage(&mut self, now: Instant) {
        let Some((Some(image), until)) = self.staged else {
            return;
        };
        if until <= now {
            self.staged = None;
            self.detail = Some(
                "the inference thread did not take it up; the model before is stuck in a frame"
                    .into(),
            );
            self.event(Event::Failed(image.digest, Fault::TimedOut));
        }
    }

    fn watch_trial(&mut self, now: Instant) {
        let (Some(since), Some(update)) = (self.trial_since, self.stored.state.update) else {
            return;
        };
        let shared = &self.setup.shared;
        let trial = Trial {
            inferences: shared.served_now.get(),
            failures: shared.failed_now.get(),
            millis: u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX),
        };
        let digest = update.image.digest;
        match self.setup.config.trial.judge(&trial) {
            Verdict::Undecided => {}
            Verdict::Passed => {
                self.trial_since = None;
                self.event(Event::TrialPassed(digest));
            }
            Verdict::Failed => {
                self.trial_since = None;
                self.detail = shared.take_failure();
                self.event(Event::Failed(digest, Fault::Trial));
            }
        }
    }

    // ---- telling

    fn tell_fleet(&mut self, now: Instant) {
        self.told = now;
        self.tell_standing();
        let Some(session) = self.session else { return };
        let progress = self.fetch.as_ref().map(|fetch| fetch.pull.progress());
        let failure = self.failure.as_ref();
        let message = report::message(
            session,
            &self.stored.state,
            self.serving.as_ref(),
            progress,
            failure,
        );
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
        );
        self.setup.shared.set_standing(Standing {
            phase: Some(message.phase),
            serial: message.serial,
            running: message.running,
            executor: self.executor,
            progress: self.fetch.as_ref().map(|fetch| fetch.pull.progress()),
            failure: self.failure.as_ref().map(|failure| failure.text.clone()),
        });
    }

    fn send<'a, M: Message<'a>>(&mut self, kind: Kind, message: &M) {
        let mut buffer = [0; wire::MAX_SMALL_MESSAGE];
        match wire::encode(message, &mut buffer) {
            // The agent ends when nobody listens any more.
            Ok(bytes) => drop(self.setup.outgoing.send(Outgoing {
                kind,
                payload: bytes.to_vec(),
            })),
            Err(error) => self
                .hush
                .warn(AREA, format_args!("a message cannot be written: {error}")),
        }
    }
}

fn header(update: &Update, chunk_size: u32) -> JournalHeader {
    JournalHeader {
        slot: update.slot,
        digest: update.image.digest,
        size: update.image.size,
        chunk_size,
        round: update.round,
    }
}

/// A model for people: name, version, and the beginning of its digest.
fn show(image: &Image) -> String {
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
    })
}
