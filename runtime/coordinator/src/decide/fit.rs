//! Whether a robot can hold a release: its packing targets, its arena, its slot.

use std::fmt;

use sanderling_wire::{Artifact, Birth, Manifest, Name};

/// What a robot can hold, as its birth said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packing targets, the preferred one first.
    pub targets: Vec<Name>,
    /// Bytes of arena.
    pub arena: u64,
    /// Bytes of a slot.
    pub flash: u64,
}

impl From<&Birth> for Limits {
    fn from(birth: &Birth) -> Limits {
        Limits {
            targets: birth.targets.to_vec(),
            arena: birth.arena_limit,
            flash: birth.flash_limit,
        }
    }
}

/// Why a robot cannot run a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The release is packed for none of the robot's targets.
    Target {
        /// What the robot runs.
        runs: Vec<Name>,
        /// What the release is packed for.
        packed: Vec<Name>,
    },
    /// The plan needs more arena than the robot has, both in bytes.
    Arena {
        /// What the plan needs.
        need: u64,
        /// What the robot has.
        has: u64,
    },
    /// The plan file is larger than the robot's slot, both in bytes.
    Flash {
        /// What the plan needs.
        need: u64,
        /// What the robot has.
        has: u64,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[Name]| {
            names
                .iter()
                .map(Name::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Misfit::Target { runs, packed } => write!(
                f,
                "it runs plans for {}, and the release is packed for {}; compile it with --target {} and register that too",
                list(runs),
                list(packed),
                runs.first().map_or("generic", Name::as_str),
            ),
            Misfit::Arena { need, has } => write!(
                f,
                "the plan needs an arena of {need} bytes, and the robot has {has}; `sanderling inspect` shows which tensor sets the peak"
            ),
            Misfit::Flash { need, has } => write!(
                f,
                "the plan file has {need} bytes, and a slot of the robot holds {has}; use a smaller model"
            ),
        }
    }
}

/// The artifact that the robot would run, or why there is none.
pub fn fit<'m>(manifest: &'m Manifest, limits: &Limits) -> Result<&'m Artifact, Misfit> {
    let board = sanderling_trust::Limits {
        targets: &limits.targets,
        arena: limits.arena,
        flash: limits.flash,
    };
    use sanderling_trust::Misfit as Why;
    sanderling_trust::fit(manifest, &board).map_err(|why| match why {
        Why::Target => Misfit::Target {
            runs: limits.targets.clone(),
            packed: manifest
                .artifacts
                .iter()
                .map(|a| a.target.clone())
                .collect(),
        },
        Why::Arena { needs } => Misfit::Arena {
            need: needs,
            has: limits.arena,
        },
        Why::Flash { needs } => Misfit::Flash {
            need: needs,
            has: limits.flash,
        },
    })
}
