//! What a group should run, robot by robot: up to two releases and the arms that share them out.
//!
//! ```text
//! place 0 ......... upto 0 ................ upto 1 ................. u32::MAX
//!       |  arm 0: run 1    |  arm 1: run 0, shadow 1   |   arm 2: run 0    |
//! ```
//!
//! A robot's place is a number made of the salt and its name; it takes the first arm with
//! `place <= upto`. So one number in one retained message moves a wave on, a robot that comes late
//! reads what its group has, and no robot needs to ask anybody which arm is its own.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::envelope::{MAX_SMALL_MESSAGE, Message};
use crate::layout::{MAX_CHUNK, MIN_CHUNK};
use crate::manifest::MAX_MANIFEST;
use crate::name::Name;
use crate::signed::Signed;

/// The most releases of one desired state.
pub const MAX_RELEASES: usize = 2;
/// The most arms of one desired state.
pub const MAX_ARMS: usize = 4;
/// Serials stay below this; the bits above hold the root's epoch (see the crate `sanderling-trust`).
pub const SERIAL_LIMIT: u64 = 1 << 40;
/// The longest desired state without the signatures over it, in bytes.
pub const MAX_DESIRED: usize = MAX_SMALL_MESSAGE - 296;

/// What the robots at some places do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// The last place of this arm; the first is one after the arm before.
    pub upto: u32,
    /// Which release to run; none: keep what you have.
    pub run: Option<u8>,
    /// Which release to compute beside it, on the same input, without acting on it.
    pub shadow: Option<u8>,
}

/// The desired state of a group: the statement that the fleet key signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired<'a> {
    /// The group, so that its desired state cannot be shown to another one.
    pub group: Name,
    /// Grows with every change of the group's desired state, also when an older model is wanted
    /// again; at least 1, below [`SERIAL_LIMIT`]. A robot ignores a serial lower than one it has accepted.
    pub serial: u64,
    /// When this was signed, in seconds since 1970: a robot's clock is never behind it.
    pub issued_s: u64,
    /// When this is to be believed no longer, in seconds since 1970; none: never. The fleet signs
    /// the same serial again before that.
    pub expires_s: Option<u64>,
    /// The size of a chunk that the fleet proposes, in bytes. A robot may ask in smaller ones.
    pub chunk_size: u32,
    /// Part of what a robot's place is made of: another salt, another order of robots.
    pub salt: [u8; 16],
    /// The releases: each a [`crate::Manifest`] in its envelope, with the release keys' signatures.
    #[serde(borrow)]
    pub releases: Vec<Signed<'a>, MAX_RELEASES>,
    /// Who does what, by growing `upto`; the last arm's is `u32::MAX`.
    pub arms: Vec<Arm, MAX_ARMS>,
}

impl<'a> Desired<'a> {
    /// The arm of a place. Every place has one in a sound message.
    pub fn arm_at(&self, place: u32) -> Option<&Arm> {
        self.arms.iter().find(|arm| place <= arm.upto)
    }

    /// The release with this index.
    pub fn release(&self, index: u8) -> Option<&Signed<'a>> {
        self.releases.get(usize::from(index))
    }

    fn arms_are_sound(&self) -> bool {
        let there = |index: Option<u8>| index.is_none_or(|i| self.release(i).is_some());
        let grows = self
            .arms
            .iter()
            .zip(self.arms.iter().skip(1))
            .all(|(a, b)| a.upto < b.upto);
        grows
            && self.arms.last().is_some_and(|last| last.upto == u32::MAX)
            && self.arms.iter().all(|arm| {
                let apart = arm.shadow.is_none() || arm.shadow != arm.run;
                there(arm.run) && there(arm.shadow) && apart
            })
    }
}

impl<'a> Message<'a> for Desired<'a> {
    const MAX_LEN: usize = MAX_DESIRED;

    fn is_sound(&self) -> bool {
        (1..SERIAL_LIMIT).contains(&self.serial)
            && (MIN_CHUNK..=MAX_CHUNK).contains(&self.chunk_size)
            && self
                .expires_s
                .is_none_or(|expires| expires >= self.issued_s)
            && self
                .releases
                .iter()
                .all(|r| r.statement.len() <= MAX_MANIFEST && r.is_sound())
            && self.arms_are_sound()
    }
}
