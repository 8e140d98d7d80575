//! A download on its way: what is pulled, and what becomes of it.

use sanderling_slots::Download;
use sanderling_wire::{Held, Layout};

use super::bulk::Bulk;
use super::delta::ByDelta;
use super::pull::Pull;

/// A download on its way.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) way: Way,
    /// The pull of the full file, or of the delta.
    pub(super) pull: Pull,
    /// Where bytes come from other than over MQTT.
    pub(super) bulk: Option<Bulk>,
}

/// How the spare slot is filled.
#[derive(Debug)]
pub(super) enum Way {
    /// With what is pulled.
    Whole(Download),
    /// With what a delta makes; the second once the size of its blocks is known.
    Delta(Box<ByDelta>, Option<Filled>),
}

/// How far a slot is filled with blocks.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) download: Download,
    pub(super) held: Held<Vec<u8>>,
    pub(super) layout: Layout,
}

impl Fetch {
    /// Bytes of the model that are in the slot, and bytes in all.
    pub(super) fn progress(&self) -> (u64, u64) {
        match &self.way {
            Way::Whole(_) => self.pull.progress(),
            Way::Delta(_, Some(filled)) => {
                (filled.held.held_bytes(&filled.layout), filled.layout.size())
            }
            Way::Delta(delta, None) => (0, delta.new_size()),
        }
    }

    /// A number that grows with everything that comes.
    pub(super) fn moved(&self) -> u64 {
        match &self.way {
            Way::Whole(_) => self.pull.progress().0,
            Way::Delta(..) => self.pull.progress().0.saturating_add(self.progress().0),
        }
    }

    /// True where something can be done without anything being pulled.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&self.way, Way::Delta(delta, _) if delta.is_ready(&self.pull))
    }
}

/// What was pulled for an update since this process began, for people and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// The model.
    pub release: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that were pulled for it.
    pub bytes: u64,
    /// The model that a delta started from, where one was taken.
    pub base: Option<[u8; 32]>,
    /// Why the delta was of no use.
    pub without: Option<String>,
}
