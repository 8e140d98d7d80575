//! What this robot believes: its root, the roots that followed, and what must not be forgotten, on files.
//!
//! ```text
//! trust/roots    SHA-256 of the configured root file (32 bytes), then the newest chain that was followed
//! trust/memory   the newest signed time, and the lowest version of each model
//! trust/group    the group whose serials the slots hold
//! ```
//!
//! The digest tells whether the owner has given the robot another root since: then that one counts.

use std::io;
use std::path::{Path, PathBuf};

use sanderling_trust::{Accepted, MAX_MEMORY, Memory, Refusal, Trust, serial};
use sanderling_wire::{self as wire, Anchor, Manifest, Name, Signed};
use sha2::Digest as _;

use crate::{durable, info, warn};

const AREA: &str = "trust";

/// What a desired state gives this robot to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The effective serial.
    pub serial: u64,
    /// The chunk size that the fleet proposes, in bytes.
    pub chunk_size: u32,
    /// The release to run; none: keep what there is.
    pub run: Option<Manifest>,
    /// The release to compute beside it.
    pub shadow: Option<Manifest>,
    /// By how many seconds the fleet's clock is ahead of this robot's, where that is more than it may be.
    pub ahead_s: Option<u64>,
}

/// Checks whatever would change what this robot runs.
#[derive(Debug)]
pub struct Guard {
    trust: Option<Trust>,
    memory: Memory,
    origin: [u8; 32],
    folder: PathBuf,
    device: Name,
    group: Name,
}

impl Guard {
    /// Reads the configured root file, if there is one, and what was followed and remembered since.
    pub fn open(
        folder: &Path,
        root: Option<&Path>,
        device: &Name,
        group: &Name,
    ) -> io::Result<Guard> {
        durable::private_folder(folder)?;
        let mut guard = Guard {
            trust: None,
            memory: read_memory(folder),
            origin: [0; 32],
            folder: folder.to_owned(),
            device: device.clone(),
            group: group.clone(),
        };
        let Some(path) = root else {
            warn!(
                AREA,
                "no root is configured: this robot installs whatever the broker's `desired` topic says; \
                 give it the fleet's public keys with --root FILE"
            );
            return Ok(guard);
        };
        let bytes = std::fs::read(path)
            .map_err(|error| io::Error::other(format!("the root {}: {error}", path.display())))?;
        let configured = Trust::anchor(&bytes)
            .map_err(|error| io::Error::other(format!("the root {}: {error}", path.display())))?;
        guard.origin = sha2::Sha256::digest(&bytes).into();
        let trust = guard.followed().unwrap_or(configured);
        info!(
            AREA,
            "root {} (epoch {}): only what its keys signed is installed",
            trust.root().version,
            trust.root().epoch
        );
        guard.trust = Some(trust);
        Ok(guard)
    }

    /// The newest root that was followed from the configured one.
    fn followed(&self) -> Option<Trust> {
        let bytes = std::fs::read(self.roots()).ok()?;
        let (origin, chain) = bytes.split_first_chunk::<32>()?;
        if *origin != self.origin {
            warn!(
                AREA,
                "the configured root is another one than before; it counts from now on"
            );
            return None;
        }
        Trust::anchor(chain).ok()
    }

    fn roots(&self) -> PathBuf {
        self.folder.join("roots")
    }

    /// Which root is held.
    pub fn anchor(&self) -> Option<Anchor> {
        self.trust.as_ref().map(|trust| Anchor {
            version: trust.root().version,
            epoch: trust.root().epoch,
        })
    }

    /// True where an effective serial was never given under this root: by an older program, or under a
    /// root that its owner has taken away. It would stand above everything that is to come.
    pub fn is_foreign(&self, effective: u64) -> bool {
        let epoch = self.trust.as_ref().map_or(0, |trust| trust.root().epoch);
        serial::epoch(effective) > u64::from(epoch)
    }

    /// Whether the serial that the slots hold was counted for another group. Serials of two groups say nothing about
    /// each other.
    pub fn is_of_another_group(&self) -> bool {
        match std::fs::read_to_string(self.folder.join("group")) {
            Ok(group) => group != self.group.as_str(),
            // Older programs kept no name. What they hold is taken to be of this group; where it is not, the fleet goes
            // above it.
            Err(_) => false,
        }
    }

    /// From now on the serial that the slots hold is this group's.
    pub fn note_group(&self) {
        let path = self.folder.join("group");
        let known = std::fs::read_to_string(&path);
        if known.is_ok_and(|group| group == self.group.as_str()) {
            return;
        }
        if let Err(error) = durable::replace(&path, self.group.as_bytes()) {
            warn!(AREA, "the group cannot be stored ({error}); check the disk");
        }
    }

    /// Follows the chain of roots that the fleet publishes. True where a newer root is held and stored.
    pub fn follow(&mut self, chain: &[u8]) -> Result<bool, String> {
        let Some(trust) = &self.trust else {
            return Ok(false);
        };
        let mut next = trust.clone();
        if !next.follow(chain).map_err(|refusal| refusal.to_string())? {
            return Ok(false);
        }
        let stored = [&self.origin[..], chain].concat();
        durable::replace(&self.roots(), &stored)
            .map_err(|error| format!("a newer root cannot be stored ({error}); check the disk"))?;
        info!(
            AREA,
            "root {} (epoch {}) is believed from now on",
            next.root().version,
            next.root().epoch
        );
        self.trust = Some(next);
        Ok(true)
    }

    /// What a group's desired state gives this robot to do, if it is believed. `held` is the effective
    /// serial of the newest one that was accepted, `own_s` the time in seconds since 1970.
    pub fn task(&mut self, bytes: &[u8], held: u64, own_s: u64) -> Result<Task, Refusal> {
        let before = self.memory.clock;
        let accepted = match &self.trust {
            Some(trust) => {
                let clock = &mut self.memory.clock;
                trust.desired(bytes, &self.group, held, own_s, clock)
            }
            None => Accepted::unsigned(bytes, &self.group, held, own_s),
        };
        if self.memory.clock != before {
            self.remember();
        }
        let accepted = accepted?;
        let arm = accepted.arm_for(&self.device);
        let release = |index: Option<u8>| {
            let signed = index.and_then(|index| accepted.desired.release(index));
            signed.map(|signed| self.release(signed, own_s)).transpose()
        };
        let issued_s = accepted.desired.issued_s;
        let ahead = self.trust.is_some() && sanderling_trust::is_too_far(issued_s, own_s);
        Ok(Task {
            ahead_s: ahead.then(|| issued_s.saturating_sub(own_s)),
            serial: accepted.serial,
            chunk_size: accepted.desired.chunk_size,
            run: release(arm.and_then(|arm| arm.run))?,
            shadow: release(arm.and_then(|arm| arm.shadow))?,
        })
    }

    fn release(&self, signed: &Signed<'_>, own_s: u64) -> Result<Manifest, Refusal> {
        let Memory { clock, floors } = &self.memory;
        match &self.trust {
            Some(trust) => {
                let time = clock.time(trust.root().epoch, own_s);
                trust.release(signed, floors, time)
            }
            None => sanderling_trust::unsigned_release(signed, floors, own_s),
        }
    }

    /// A release is active here: from now on its floor holds.
    pub fn is_active(&mut self, model: &Name, floor: u32) {
        if self.memory.floors.raise(model, floor) {
            self.remember();
        }
    }

    /// Writes the memory down. Without it the serial of the slots still stops old desired states.
    fn remember(&self) {
        let mut buffer = [0; MAX_MEMORY];
        let written = wire::encode(&self.memory, &mut buffer)
            .map_err(io::Error::other)
            .and_then(|bytes| durable::replace(&self.folder.join("memory"), bytes));
        if let Err(error) = written {
            warn!(
                AREA,
                "the newest signed time and versions cannot be stored ({error}); check the disk"
            );
        }
    }
}

fn read_memory(folder: &Path) -> Memory {
    match std::fs::read(folder.join("memory")) {
        Ok(bytes) => wire::decode(&bytes).unwrap_or_else(|error| {
            warn!(
                AREA,
                "the newest signed time and versions are lost: {error}"
            );
            Memory::default()
        }),
        Err(_) => Memory::default(),
    }
}
