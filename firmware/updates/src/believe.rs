//! What a desired state means for this node, and whether it is believed.

#![allow(
    clippy::large_enum_variant,
    clippy::result_large_err,
    reason = "one lives at a time, and there is no heap to box it on"
)]

use core::fmt::Write as _;

use heapless::Vec;
use sanderling_slots::{Image, Label};
use sanderling_trust::{
    Accepted, Limits, MAX_MEMORY, Memory, Misfit, Refusal, Trust, fit, unsigned_release,
};
use sanderling_wire::{
    Anchor, Digest, FailureCode, MAX_DELTAS, MAX_SMALL_MESSAGE, Manifest, Text, decode, encode,
};

use crate::node::Identity;

/// Whom the node believes: a root, or nobody in particular.
#[derive(Debug, Default)]
pub struct Belief {
    trust: Option<Trust>,
    memory: Memory,
    /// The chain that led to the root, where it is not the one that was built in.
    chain: Vec<u8, MAX_SMALL_MESSAGE>,
    /// The memory as it was noted last.
    noted: Memory,
    /// Something changed that must be noted.
    changed: bool,
}

/// The longest note of a belief, in bytes: the memory behind its length, and the chain of roots.
pub(crate) const MAX_NOTE: usize = 2 + MAX_MEMORY + MAX_SMALL_MESSAGE;
/// The clock is noted when it moved by so many seconds, ahead or back: flash wears.
const CLOCK_STEP: u64 = 6 * 3600;

/// A model that is wanted here.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) image: Image,
    pub(crate) serial: u64,
    pub(crate) floor: u32,
    /// Deltas to it: the plan that the node must hold, and the delta's digest.
    pub(crate) deltas: Vec<(Digest, Digest), MAX_DELTAS>,
}

/// What a desired state asks of this node.
#[derive(Debug)]
pub(crate) enum News {
    /// Nothing.
    Nothing,
    /// Keep what there is.
    Keep,
    /// Run this.
    Want(Wish),
}

/// Why it is not done, for the fleet to read.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: FailureCode,
    pub(crate) text: Text<160>,
    pub(crate) release: Option<Digest>,
}

impl Refused {
    fn because(
        code: FailureCode,
        release: Option<Digest>,
        why: impl core::fmt::Display,
    ) -> Refused {
        let mut text = heapless::String::<160>::new();
        // What does not fit is cut off by the formatter's error, after everything before it.
        let _ = write!(text, "{why}");
        Refused {
            code,
            text: Text::cut(&text),
            release,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused::because(FailureCode::Refused, None, refusal)
    }
}

impl Belief {
    /// Takes statements from anybody.
    pub fn unsigned() -> Belief {
        Belief::default()
    }

    /// Believes the root at the end of this chain, which was built in.
    pub fn rooted(chain: &[u8]) -> Result<Belief, Refusal> {
        Ok(Belief {
            trust: Some(Trust::anchor(chain)?),
            ..Belief::default()
        })
    }

    /// Goes on from what was noted before the start. The chain is followed like one that arrives, so that a note
    /// that somebody wrote to the flash makes no root.
    pub(crate) fn recall(&mut self, note: &[u8]) {
        let Some((length, rest)) = note.split_first_chunk::<2>() else {
            return;
        };
        let Some((memory, chain)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
        else {
            return;
        };
        if let Ok(memory) = decode::<Memory>(memory) {
            self.noted = memory.clone();
            self.memory = memory;
        }
        let _ = self.root(chain);
        self.changed = false;
    }

    /// What is to be noted, where something changed since.
    pub(crate) fn note<'b>(&mut self, into: &'b mut [u8]) -> Option<&'b [u8]> {
        let (now, noted) = (&self.memory.clock, &self.noted.clock);
        let later = now.epoch != noted.epoch || now.issued_s.abs_diff(noted.issued_s) > CLOCK_STEP;
        if !self.changed && !later {
            return None;
        }
        let (length, rest) = into.split_first_chunk_mut::<2>()?;
        let memory = encode(&self.memory, rest).ok()?.len();
        *length = (memory as u16).to_le_bytes();
        let chain = rest.get_mut(memory..memory + self.chain.len())?;
        chain.copy_from_slice(&self.chain);
        self.noted = self.memory.clone();
        self.changed = false;
        into.get(..2 + memory + self.chain.len())
    }

    /// The root that is believed, if any.
    pub(crate) fn anchor(&self) -> Option<Anchor> {
        let root = self.trust.as_ref()?.root();
        Some(Anchor {
            version: root.version,
            epoch: root.epoch,
        })
    }

    /// Follows to a newer root.
    pub(crate) fn root(&mut self, chain: &[u8]) -> Result<(), Refused> {
        if let Some(trust) = &mut self.trust
            && trust.follow(chain)?
        {
            self.chain.clear();
            // A chain that was read is no longer than a message.
            let _ = self.chain.extend_from_slice(chain);
            self.changed = true;
        }
        Ok(())
    }

    /// What a desired state in its envelope asks of this node. `held` is the serial that was accepted last, `own_s` the
    /// time in seconds since 1970 as far as the node knows it.
    pub(crate) fn desired(
        &mut self,
        bytes: &[u8],
        identity: &Identity,
        held: u64,
        own_s: u64,
        slot_bytes: u32,
    ) -> Result<News, Refused> {
        let memory = &mut self.memory;
        let accepted = match &self.trust {
            Some(trust) => trust.desired(bytes, &identity.group, held, own_s, &mut memory.clock)?,
            None => Accepted::unsigned(bytes, &identity.group, held, own_s)?,
        };
        let release = accepted
            .arm_for(&identity.device)
            .and_then(|arm| accepted.desired.release(arm.run?));
        let Some(release) = release else {
            return Ok(News::Keep);
        };
        let manifest = match &self.trust {
            Some(trust) => {
                let time = memory.clock.time(trust.root().epoch, own_s);
                trust.release(release, &memory.floors, time)?
            }
            None => unsigned_release(release, &memory.floors, own_s)?,
        };
        wish(&manifest, identity, accepted.serial, slot_bytes).map(News::Want)
    }

    /// A release became active: what is below its floor is refused from now on.
    pub(crate) fn raise(&mut self, wish: &Wish) {
        if let Ok(model) = sanderling_wire::Name::new(wish.image.name.as_str()) {
            self.changed |= self.memory.floors.raise(&model, wish.floor);
        }
    }
}

fn wish(
    manifest: &Manifest,
    identity: &Identity,
    serial: u64,
    slot_bytes: u32,
) -> Result<Wish, Refused> {
    let limits = Limits {
        targets: &identity.targets,
        arena: u64::from(identity.arena_bytes),
        flash: u64::from(slot_bytes),
    };
    let first = manifest.artifacts.first().map(|artifact| artifact.digest);
    let artifact = fit(manifest, &limits).map_err(|misfit| match misfit {
        Misfit::Target => Refused::because(
            FailureCode::Target,
            first,
            "the release is packed for none of this board's targets; compile it for one of them",
        ),
        Misfit::Arena { needs } => {
            let have = limits.arena;
            Refused::because(FailureCode::TooLarge, first, format_args!("it needs an arena of {needs} bytes, here are {have}; compile it with --max-arena"))
        }
        Misfit::Flash { needs } => {
            let have = limits.flash;
            Refused::because(FailureCode::TooLarge, first, format_args!("it needs {needs} bytes of flash, a slot here has {have}; use a smaller model"))
        }
    })?;
    // The fit says that it is not above the slot, which a u32 counts.
    let size = u32::try_from(artifact.size).unwrap_or(u32::MAX);
    let deltas = manifest
        .artifacts
        .iter()
        .position(|other| other.digest == artifact.digest)
        .into_iter()
        .flat_map(|index| {
            manifest
                .deltas
                .iter()
                .filter(move |delta| usize::from(delta.artifact) == index)
        })
        .map(|delta| (delta.base, delta.digest))
        .collect();
    Ok(Wish {
        image: Image {
            digest: artifact.digest.0,
            size,
            version: u64::from(manifest.version),
            name: Label::cut(manifest.model.as_str()),
        },
        serial,
        floor: manifest.floor,
        deltas,
    })
}
