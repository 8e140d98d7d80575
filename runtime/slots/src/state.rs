//! The machine's whole memory: everything in [`State`] is in the stored record, and nothing else is.

use crate::image::{Digest, Image, Slot};

/// How many bad digests are remembered; the oldest makes room.
pub const MAX_BAD: usize = 4;

/// The model that worked, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Its slot. Nothing is ever written there while it is active.
    pub slot: Slot,
    /// What it is.
    pub image: Image,
}

/// How far an update has come. The crate's first page has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Chunks are being pulled into the spare slot.
    Downloading,
    /// All bytes are there; their SHA-256 is being computed.
    Verifying,
    /// The bytes are right; the model's golden vectors run on this silicon.
    SelfTesting,
    /// The model serves real input, on approval.
    Trial,
    /// A proved model runs beside the active one; nothing acts on its answers.
    Beside,
}

/// An update on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The slot that takes it; never the active one.
    pub slot: Slot,
    /// What it will be when whole.
    pub image: Image,
    /// How far it has come.
    pub phase: Phase,
    /// Which download of these bytes this is: 0, and 1 after a wrong digest.
    pub round: u8,
    /// How often the process started while self-testing, in trial, or beside the active model. Too many mean that the model takes it down.
    pub starts: u8,
    /// Whether it is only to run beside the active model. Its trial begins when it is wanted to run.
    pub beside: bool,
}

/// Why a model was found unfit for this robot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes do not have the digest that was promised, after two downloads.
    WrongDigest,
    /// Not a model this robot can load: truncated, wrong format, or for another board.
    Unloadable,
    /// The golden vectors came out differently on this silicon.
    SelfTest,
    /// It failed while it served real input.
    Trial,
    /// The process started too often while the model was being tested or tried.
    Crashed,
    /// A step took longer than it may.
    TimedOut,
}

/// A model that is not tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDigest {
    /// SHA-256 of the model.
    pub digest: Digest,
    /// The version under which it failed; a newer one lifts the ban.
    pub version: u64,
    /// What went wrong.
    pub fault: Fault,
}

/// The models that failed here, newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BadList {
    entries: [Option<BadDigest>; MAX_BAD],
}

impl BadList {
    /// The entries, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &BadDigest> {
        self.entries.iter().flatten()
    }

    /// Why `image` is refused, if it is.
    pub fn refuses(&self, image: &Image) -> Option<Fault> {
        self.iter()
            .find(|bad| bad.digest == image.digest && image.version <= bad.version)
            .map(|bad| bad.fault)
    }

    pub(crate) fn remember(&mut self, bad: BadDigest) {
        let mut kept = [None; MAX_BAD];
        kept[0] = Some(bad);
        let others = self
            .entries
            .iter()
            .flatten()
            .filter(|old| old.digest != bad.digest);
        for (place, old) in kept[1..].iter_mut().zip(others) {
            *place = Some(*old);
        }
        self.entries = kept;
    }

    pub(crate) fn forget(&mut self, digest: &Digest) {
        let mut kept = [None; MAX_BAD];
        let others = self
            .entries
            .iter()
            .flatten()
            .filter(|old| old.digest != *digest);
        for (place, old) in kept.iter_mut().zip(others) {
            *place = Some(*old);
        }
        self.entries = kept;
    }

    pub(crate) fn clear(&mut self) {
        self.entries = [None; MAX_BAD];
    }

    /// Builds a list from stored entries, newest first; more than [`MAX_BAD`] are cut off.
    pub(crate) fn from_entries(entries: [Option<BadDigest>; MAX_BAD]) -> BadList {
        let mut list = BadList::default();
        for (place, entry) in list.entries.iter_mut().zip(entries.iter().flatten()) {
            *place = Some(*entry);
        }
        list
    }
}

/// All that is remembered over a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The serial of the newest wish that was accepted; older ones are not listened to.
    pub serial: u64,
    /// The model that worked. None before the first model passed its trial.
    pub active: Option<Active>,
    /// The model that was active before, where the spare slot still holds it whole.
    pub spare: Option<Image>,
    /// The update on its way, if any.
    pub update: Option<Update>,
    /// Models that failed here.
    pub bad: BadList,
}

impl State {
    /// The slot that serves input now, and the model in it.
    pub fn runs(&self) -> Option<(Slot, Image)> {
        match (self.update, self.active) {
            (Some(update), _) if update.phase == Phase::Trial => Some((update.slot, update.image)),
            (_, Some(active)) => Some((active.slot, active.image)),
            _ => None,
        }
    }

    /// The slot that may be written.
    pub fn spare_slot(&self) -> Slot {
        match (self.update, self.active) {
            (Some(update), _) => update.slot,
            (None, Some(active)) => active.slot.other(),
            (None, None) => Slot::A,
        }
    }
}
