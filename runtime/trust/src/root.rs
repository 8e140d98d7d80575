//! The root that a robot holds, and how it follows to a newer one.

use sanderling_wire::{MAX_ROOT_SIGNATURES, Root, Roots, Signed, decode};

use crate::refusal::{Refusal, Statement};
use crate::role::{Role, check};

type SignedRoot<'a> = Signed<'a, MAX_ROOT_SIGNATURES>;

/// The root that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    root: Root,
}

fn unreadable(why: sanderling_wire::DecodeError) -> Refusal {
    Refusal::Unreadable(Statement::Root, why)
}

impl Trust {
    /// Believes a root because the robot's owner put it there: the newest of a chain ([`Roots`] in its
    /// envelope), which must be signed by its own threshold, or nobody could ever follow it.
    pub fn anchor(chain: &[u8]) -> Result<Trust, Refusal> {
        let roots: Roots<'_> = decode(chain).map_err(unreadable)?;
        // A sound chain has at least one.
        let newest = roots.iter().last().unwrap_or_default();
        let signed: SignedRoot<'_> = decode(newest).map_err(unreadable)?;
        let root: Root = signed.read().map_err(unreadable)?;
        check(&root, Role::Root, &signed)?;
        Ok(Trust { root })
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Follows a chain to its newest root: each next one has the version after, and is signed by the
    /// threshold of the root before it and by its own. True where a newer root is held afterwards;
    /// after an error, what was followed up to there is held.
    pub fn follow(&mut self, chain: &[u8]) -> Result<bool, Refusal> {
        let roots: Roots<'_> = decode(chain).map_err(unreadable)?;
        let before = self.root.version;
        for link in roots.iter() {
            let signed: SignedRoot<'_> = decode(link).map_err(unreadable)?;
            let next: Root = signed.read().map_err(unreadable)?;
            if next.version <= self.root.version {
                continue;
            }
            self.step(next, &signed)?;
        }
        Ok(self.root.version > before)
    }

    fn step(&mut self, next: Root, signed: &SignedRoot<'_>) -> Result<(), Refusal> {
        let held = &self.root;
        if held.version.checked_add(1) != Some(next.version) {
            return Err(Refusal::Gap {
                held: held.version,
                offered: next.version,
            });
        }
        check(held, Role::Root, signed)?;
        check(&next, Role::Root, signed)?;
        let same_fleet = fleet_keys(held).all(|key| fleet_keys(&next).any(|other| other == key));
        if next.epoch < held.epoch || (next.epoch == held.epoch && !same_fleet) {
            return Err(Refusal::Epoch {
                held: held.epoch,
                offered: next.epoch,
            });
        }
        self.root = next;
        Ok(())
    }
}

fn fleet_keys(root: &Root) -> impl Iterator<Item = &[u8; 32]> {
    let keys = root.fleet.keys.iter();
    keys.filter_map(|&index| root.keys.get(usize::from(index)))
}
