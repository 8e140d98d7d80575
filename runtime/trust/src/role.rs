//! The three roles, and whether enough of a role's keys signed a statement.

use core::fmt;

use sanderling_wire::{RoleKeys, Root, Signed};

use crate::key;
use crate::refusal::Refusal;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Roots: which keys count. Kept offline.
    Root,
    /// Manifests: which releases exist. Kept offline.
    Release,
    /// Desired states: which group runs what. Held by the coordinator.
    Fleet,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Root, Role::Release, Role::Fleet];

    /// The role's name: `root`, `release`, `fleet`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Release => "release",
            Role::Fleet => "fleet",
        }
    }

    /// Stands before what is signed, so that no statement of one kind passes for another's.
    pub(crate) const fn domain(self) -> &'static [u8; 24] {
        match self {
            Role::Root => b"sanderling 1 root      \0",
            Role::Release => b"sanderling 1 manifest  \0",
            Role::Fleet => b"sanderling 1 desired   \0",
        }
    }

    /// The role's keys in a root.
    pub fn keys_in(self, root: &Root) -> &RoleKeys {
        match self {
            Role::Root => &root.root,
            Role::Release => &root.release,
            Role::Fleet => &root.fleet,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the threshold of a role's keys signed. At most one signature of each key is looked at.
pub fn check<const N: usize>(
    root: &Root,
    role: Role,
    signed: &Signed<'_, N>,
) -> Result<(), Refusal> {
    let wanted = role.keys_in(root);
    let message = key::message(role, signed.statement);
    let mut good = 0;
    for &index in &wanted.keys {
        let Some(public) = root.keys.get(usize::from(index)) else {
            continue;
        };
        let id = key::id(public);
        let signature = signed.signatures.iter().find(|s| s.key == id);
        if signature.is_some_and(|s| key::signed(public, &message, s)) {
            good += 1;
        }
        if good >= wanted.threshold {
            return Ok(());
        }
    }
    Err(Refusal::Signatures {
        role,
        good,
        threshold: wanted.threshold,
        root: root.version,
    })
}
