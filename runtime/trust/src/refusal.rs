//! Why a statement is not believed. Each says what happened and what to do.

use core::fmt;

use sanderling_wire::{DecodeError, Name};

use crate::role::Role;

/// The kinds of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The keys.
    Root,
    /// A release.
    Manifest,
    /// A group's desired state.
    Desired,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Statement::Root => "the root",
            Statement::Manifest => "the manifest",
            Statement::Desired => "the desired state",
        })
    }
}

/// Why a statement is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are not such a statement.
    Unreadable(Statement, DecodeError),
    /// Too few of the role's keys signed it.
    Signatures {
        /// Whose keys.
        role: Role,
        /// How many of them signed.
        good: u8,
        /// How many must.
        threshold: u8,
        /// The version of the root that was asked.
        root: u32,
    },
    /// It is for another group.
    Group {
        /// The group that it names.
        named: Name,
    },
    /// It was to be believed until then.
    Expired {
        /// What.
        what: Statement,
        /// Seconds since 1970.
        expired_s: u64,
        /// The time that the robot goes by.
        now_s: u64,
        /// The robot's own clock; 0 where it has none.
        own_s: u64,
    },
    /// It is older than one that was accepted.
    Stale {
        /// Its effective serial.
        serial: u64,
        /// The one that was accepted.
        held: u64,
    },
    /// The version is below what may replace an earlier release of the model.
    Floor {
        /// The version.
        version: u32,
        /// The lowest one allowed.
        floor: u32,
    },
    /// The chain of roots has a hole: a root is signed by the one before it, which was never seen.
    Gap {
        /// The version that is held.
        held: u32,
        /// The version that was offered.
        offered: u32,
    },
    /// A new root changes the fleet key and not the epoch, or its epoch is lower.
    Epoch {
        /// The epoch that is held.
        held: u32,
        /// The epoch that was offered.
        offered: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unreadable(what, why) => write!(f, "{what} cannot be read: {why}"),
            Refusal::Signatures {
                role,
                good: 0,
                threshold,
                root,
            } => write!(
                f,
                "no {role} key of root {root} signed it, and {threshold} must; sign it with such a key, or give this robot the newer root"
            ),
            Refusal::Signatures {
                role,
                good,
                threshold,
                ..
            } => write!(
                f,
                "{good} {role} keys signed it, and {threshold} different ones must; add the missing signatures"
            ),
            Refusal::Group { named } => write!(
                f,
                "the desired state is for group {named}; check who publishes on this group's topic"
            ),
            Refusal::Expired {
                what,
                expired_s,
                now_s,
                own_s,
            } if now_s > own_s => write!(
                f,
                "{what} expired at {expired_s}, before the time {now_s} that the fleet signed; was its clock ahead? Then `sanderling push` again"
            ),
            Refusal::Expired {
                what,
                expired_s,
                now_s,
                ..
            } => write!(
                f,
                "{what} expired at {expired_s}, and this robot's clock shows {now_s}; set the clock that is wrong, then `sanderling push` again"
            ),
            Refusal::Stale { serial, held } => write!(
                f,
                "serial {serial} is older than {held}, accepted before; the coordinator goes above it when it hears this robot, or `sanderling keys rotate fleet`"
            ),
            Refusal::Floor { version, floor } => write!(
                f,
                "version {version} is below {floor}, the lowest that may replace what ran here; release it as a newer version"
            ),
            Refusal::Gap { held, offered } => write!(
                f,
                "root {offered} does not follow root {held}; publish the roots between them too"
            ),
            Refusal::Epoch { held, offered } => write!(
                f,
                "the new root has epoch {offered} after {held}; a root with another fleet key needs a higher epoch"
            ),
        }
    }
}

impl core::error::Error for Refusal {}
