//! The node: what it hears, what it says, and what the board is to do next.

mod say;

use embedded_storage::nor_flash::NorFlash;
use sanderling_slots::nor::{Flash, FlashError};
use sanderling_slots::{
    self as slots, Action, Event, Fault, Image, Note, Policy, Slot, Stored, load, save, step,
};
use sanderling_wire::serial::{Assembly, Carried, Greeting, Link, Piece};
use sanderling_wire::{
    Digest, Failure, FailureCode, MAX_SMALL_MESSAGE, MAX_TARGETS, Name, Session, Text,
};

use crate::believe::{Belief, MAX_NOTE, News, Refused, Wish};
use crate::fetch::{Fetch, Heard, Workshop};
use crate::report;
use crate::retry::Retry;
use crate::verify::Verify;
use say::Outgoing;

/// What is written, marked, and made by a delta at once: a whole number of the flash's erase blocks.
pub const CHUNK: u32 = 4096;
/// The wait after storage failed, in milliseconds.
const TRY_AGAIN: u64 = 5_000;

/// Who the node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name in the fleet.
    pub device: Name,
    /// The group whose desired state it follows.
    pub group: Name,
    /// The board, for people.
    pub board: &'static str,
    /// The firmware and its version, for people.
    pub software: &'static str,
    /// The packing targets that it runs, the preferred one first.
    pub targets: heapless::Vec<Name, MAX_TARGETS>,
    /// The largest arena, in bytes.
    pub arena_bytes: u32,
    /// The most bytes of a file in a frame, up to [`CHUNK`].
    pub part_bytes: u16,
    /// Differs from start to start.
    pub boot: u32,
}

/// When a model on approval has proved itself: whichever comes first, without a failure.
#[derive(Clone, Copy, Debug)]
pub struct TrialLength {
    /// So many inferences.
    pub inferences: u32,
    /// So many milliseconds.
    pub millis: u64,
}

/// What the board does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// There is no model.
    Idle,
    /// One inference with the model in this slot, then [`Node::ran`]; [`Node::unloadable`] where it cannot be.
    Run(Slot, Image),
    /// The golden vectors of the model in this slot, then [`Node::tested`].
    SelfTest(Slot, Image),
}

// One node per board, in static memory: the size of its largest part is no loss.
#[allow(clippy::large_enum_variant)]
enum Job {
    None,
    Fetch(Fetch),
    Verify(Verify),
    SelfTest(Slot, Image),
}

#[derive(Default)]
struct Trial {
    of: Option<slots::Digest>,
    inferences: u32,
    since_ms: u64,
}

/// A microcontroller's side of updates.
pub struct Node<F> {
    identity: Identity,
    belief: Belief,
    length: TrialLength,
    flash: Flash<F>,
    stored: Stored,
    started_ms: u64,
    greeted: Option<(Session, u64, u64)>,
    hello: Retry,
    wish: Option<Wish>,
    job: Job,
    pending: Option<Event>,
    again_ms: Option<u64>,
    deferred: bool,
    workshop: Workshop,
    assembly: Assembly<MAX_SMALL_MESSAGE>,
    failure: Option<Failure>,
    outgoing: Outgoing,
    state_due: bool,
    said_ms: u64,
    said_chunks: u32,
    trial: Trial,
    note: [u8; MAX_NOTE],
}

type Error<F> = FlashError<<F as embedded_storage::nor_flash::ErrorType>::Error>;

impl<F: NorFlash> Node<F> {
    /// Takes up what the slots say.
    pub fn start(
        identity: Identity,
        mut belief: Belief,
        length: TrialLength,
        mut flash: Flash<F>,
        now_ms: u64,
    ) -> Result<Node<F>, Error<F>> {
        let stored = load(&mut flash)?;
        let mut note = [0; MAX_NOTE];
        if let Some(note) = flash.read_note(&mut note)? {
            belief.recall(note);
        }
        let mut node = Node {
            identity,
            belief,
            length,
            flash,
            stored,
            started_ms: now_ms,
            greeted: None,
            hello: Retry::default(),
            wish: None,
            job: Job::None,
            pending: None,
            again_ms: None,
            deferred: false,
            workshop: Workshop::new(),
            assembly: Assembly::new(),
            failure: None,
            outgoing: Outgoing::new(),
            state_due: true,
            said_ms: 0,
            said_chunks: 0,
            trial: Trial::default(),
            note,
        };
        node.event(Event::Started, now_ms);
        Ok(node)
    }

    /// What the slots hold.
    pub const fn state(&self) -> &slots::State {
        &self.stored.state
    }

    /// The flash back, as after a power cut.
    pub fn into_flash(self) -> Flash<F> {
        self.flash
    }

    /// Takes a frame that arrived.
    pub fn hear(&mut self, link: &Link<'_>, now_ms: u64) {
        match link {
            Link::Greeting(greeting) => self.greeting(greeting, now_ms),
            Link::Piece(piece) => self.piece(piece, now_ms),
            Link::Part(part) => {
                if let Job::Fetch(fetch) = &mut self.job {
                    match fetch.part(&mut self.flash, &mut self.workshop, part) {
                        Ok(Heard::NoDelta) => self.state_due = true,
                        Ok(_) => {}
                        Err(_) => self.storage_failed(now_ms),
                    }
                }
            }
            Link::Absent(file) => {
                if let Job::Fetch(fetch) = &mut self.job {
                    fetch.absent(file);
                }
            }
            Link::Hello(_) | Link::Want(_) => {}
        }
    }

    fn greeting(&mut self, greeting: &Greeting, now_ms: u64) {
        if greeting.boot == self.identity.boot {
            self.greeted = Some((greeting.session, greeting.now_s, now_ms));
            self.state_due = true;
        } else {
            // An agent that has just started and speaks to whom it remembers.
            self.greeted = None;
            self.hello = Retry::default();
        }
    }

    /// Seconds since 1970, 0 where nobody said.
    fn own_s(&self, now_ms: u64) -> u64 {
        self.greeted.map_or(0, |(_, now_s, at_ms)| {
            now_s.saturating_add(now_ms.saturating_sub(at_ms) / 1000)
        })
    }

    fn piece(&mut self, piece: &Piece<'_>, now_ms: u64) {
        let own_s = self.own_s(now_ms);
        let slot_bytes = self.slot_bytes();
        let news = match self.assembly.push(piece) {
            Some((Carried::Desired, bytes)) => self.belief.desired(
                bytes,
                &self.identity,
                self.stored.state.serial,
                own_s,
                slot_bytes,
            ),
            Some((Carried::Root, bytes)) => self.belief.root(bytes).map(|()| News::Nothing),
            _ => Ok(News::Nothing),
        };
        match news {
            Ok(News::Nothing) => {}
            Ok(News::Keep) => {
                self.wish = None;
                self.event(Event::Unwanted, now_ms);
            }
            Ok(News::Want(wish)) => self.wanted(wish, now_ms),
            Err(refused) => self.refuse(refused),
        }
    }

    fn refuse(&mut self, refused: Refused) {
        let failure = report::refusal(refused);
        if self.failure.as_ref() != Some(&failure) {
            self.failure = Some(failure);
            self.state_due = true;
        }
    }

    fn slot_bytes(&self) -> u32 {
        let [a, b] = self.flash.regions().slots;
        a.length.min(b.length)
    }

    fn wanted(&mut self, wish: Wish, now_ms: u64) {
        let event = Event::Wanted {
            image: wish.image,
            serial: wish.serial,
        };
        let active = self.stored.state.active.map(|active| active.image.digest);
        if active == Some(wish.image.digest) {
            self.belief.raise(&wish);
        }
        if self
            .failure
            .as_ref()
            .is_some_and(|failure| failure.code == FailureCode::Refused)
        {
            self.failure = None;
        }
        self.wish = Some(wish);
        self.event(event, now_ms);
        self.offer_delta();
    }

    /// Lets a download go by delta, where the wish names one from the model that is active.
    fn offer_delta(&mut self) {
        let (Job::Fetch(fetch), Some(wish)) = (&mut self.job, &self.wish) else {
            return;
        };
        let (Some(update), Some(active)) = (self.stored.state.update, self.stored.state.active)
        else {
            return;
        };
        // Bytes that were wrong once are pulled as they are.
        if update.image.digest != wish.image.digest || update.round > 0 {
            return;
        }
        if let Some((_, file)) = wish
            .deltas
            .iter()
            .find(|(base, _)| base.0 == active.image.digest)
        {
            fetch.by_delta(*file, active.slot);
        }
    }

    /// One step of the machine: the new state is saved before anything is done about it.
    fn event(&mut self, event: Event, now_ms: u64) {
        let before = self.stored.state;
        let next = step(&before, event, Policy::default());
        if next.state != before {
            if save(&mut self.flash, &mut self.stored, &next.state).is_err() {
                self.storage_failed(now_ms);
                return;
            }
            self.state_due = true;
        }
        let fell = before.update.map(|update| update.image.digest);
        match next.note {
            Note::Began => self.failure = None,
            Note::FellBack(fault) => {
                self.failure = fell.map(|digest| report::failure(digest, fault))
            }
            Note::Refused(fault) => {
                let wanted = self.wish.as_ref().map(|wish| wish.image.digest);
                self.failure = wanted.map(|digest| report::failure(digest, fault));
                self.state_due = true;
            }
            Note::Deferred => self.deferred = true,
            Note::Activated => {
                if let Some(wish) = self
                    .wish
                    .as_ref()
                    .filter(|wish| Some(wish.image.digest) == fell)
                {
                    self.belief.raise(wish);
                }
            }
            _ => {}
        }
        let going_on = |update: &slots::Update| Some(update.image.digest) == fell;
        if !next.state.update.as_ref().is_some_and(going_on) {
            self.job = Job::None;
            if core::mem::take(&mut self.deferred) && next.state.update.is_none() {
                // What was put off is wanted still: being greeted again brings it.
                self.greeted = None;
                self.hello = Retry::default();
            }
        }
        for action in next.actions.iter() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        let Some(update) = self.stored.state.update else {
            return;
        };
        match action {
            Action::Fetch(_) => {
                match Fetch::open(&mut self.flash, &update, self.identity.part_bytes) {
                    Ok(Some(fetch)) => {
                        self.job = Job::Fetch(fetch);
                        self.offer_delta();
                    }
                    Ok(None) | Err(_) => self.pending = Some(Event::GaveUp(update.image.digest)),
                }
                self.said_chunks = 0;
            }
            Action::Verify(slot) => self.job = Job::Verify(Verify::new(slot, update.image)),
            Action::SelfTest(slot) => self.job = Job::SelfTest(slot, update.image),
            // It comes before the work that goes on beside what runs.
            // This board has no arena for a second model, so nothing is ever run beside the active one.
            Action::Run(_) | Action::Stop | Action::Shadow(_) => self.job = Job::None,
        }
    }

    fn storage_failed(&mut self, now_ms: u64) {
        self.job = Job::None;
        self.again_ms = Some(now_ms.saturating_add(TRY_AGAIN));
        self.failure = Some(Failure {
            release: None,
            code: FailureCode::Storage,
            text: Text::cut("the flash could not be read or written; it is tried again"),
        });
        self.state_due = true;
    }

    /// A bounded piece of work, and what the board does next.
    pub fn work(&mut self, now_ms: u64) -> Task {
        if self.again_ms.is_some_and(|at| now_ms >= at) {
            self.again_ms = None;
            if let Ok(stored) = load(&mut self.flash) {
                self.stored = stored;
            }
            self.event(Event::Started, now_ms);
        }
        if let Some(note) = self.belief.note(&mut self.note)
            && self.flash.write_note(note).is_err()
        {
            self.storage_failed(now_ms);
        }
        if let Some(event) = self.pending.take() {
            self.event(event, now_ms);
        }
        match &mut self.job {
            Job::Fetch(fetch) => {
                let digest = self.stored.state.update.map(|update| update.image.digest);
                let event = match digest {
                    Some(digest) if fetch.is_complete() => Some(Event::Downloaded(digest)),
                    Some(digest) if fetch.is_in_vain() => Some(Event::GaveUp(digest)),
                    _ => None,
                };
                if let Some(event) = event {
                    self.event(event, now_ms);
                    if matches!(event, Event::GaveUp(_)) {
                        self.gave_up();
                    }
                }
            }
            Job::Verify(verify) => {
                let digest = self
                    .stored
                    .state
                    .update
                    .map(|update| update.image.digest)
                    .unwrap_or_default();
                match verify.go_on(&mut self.flash) {
                    Ok(None) => {}
                    Ok(Some(true)) => self.event(Event::Verified(digest), now_ms),
                    Ok(Some(false)) => self.event(Event::WrongDigest(digest), now_ms),
                    Err(_) => self.storage_failed(now_ms),
                }
            }
            Job::SelfTest(slot, image) => return Task::SelfTest(*slot, *image),
            Job::None => {}
        }
        self.judge(now_ms);
        match self.stored.state.runs() {
            Some((slot, image)) => Task::Run(slot, image),
            None => Task::Idle,
        }
    }

    fn gave_up(&mut self) {
        self.failure = Some(Failure {
            release: self.wish.as_ref().map(|wish| Digest(wish.image.digest)),
            code: FailureCode::Transfer,
            text: Text::cut(
                "the agent did not send what was asked for; it is asked again when it greets this board",
            ),
        });
        self.greeted = None;
        self.hello = Retry::default();
    }

    fn judge(&mut self, now_ms: u64) {
        let on_trial = self
            .stored
            .state
            .update
            .filter(|update| update.phase == slots::Phase::Trial);
        let Some(update) = on_trial else {
            self.trial.of = None;
            return;
        };
        if self.trial.of != Some(update.image.digest) {
            self.trial = Trial {
                of: Some(update.image.digest),
                inferences: 0,
                since_ms: now_ms,
            };
        }
        let long_enough = now_ms.saturating_sub(self.trial.since_ms) >= self.length.millis;
        if self.trial.inferences >= self.length.inferences || long_enough {
            self.event(Event::TrialPassed(update.image.digest), now_ms);
        }
    }

    /// How the golden vectors of a [`Task::SelfTest`] came out.
    pub fn tested(&mut self, image: &Image, outcome: Result<(), Fault>, now_ms: u64) {
        let event = match outcome {
            Ok(()) => Event::SelfTested(image.digest),
            Err(fault) => Event::Failed(image.digest, fault),
        };
        self.event(event, now_ms);
    }

    /// How an inference of a [`Task::Run`] went.
    pub fn ran(&mut self, image: &Image, good: bool, now_ms: u64) {
        if self.trial.of != Some(image.digest) {
            return;
        }
        if good {
            self.trial.inferences = self.trial.inferences.saturating_add(1);
        } else {
            self.event(Event::Failed(image.digest, Fault::Trial), now_ms);
        }
    }

    /// The model of a [`Task::Run`] cannot be loaded.
    pub fn unloadable(&mut self, image: &Image, now_ms: u64) {
        let on_trial = self
            .stored
            .state
            .update
            .is_some_and(|update| update.image.digest == image.digest);
        let event = match on_trial {
            true => Event::Failed(image.digest, Fault::Unloadable),
            false => Event::ActiveLost(image.digest),
        };
        self.event(event, now_ms);
    }
}
