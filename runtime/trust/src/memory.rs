//! What a robot must remember over a restart beside its root: the clock and the floors.

use sanderling_wire::Message;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::floor::{Floors, MAX_FLOORS};

/// The longest encoding, in bytes.
pub const MAX_MEMORY: usize = 24 + MAX_FLOORS * 54;

/// Write it durably whenever it has changed, with [`sanderling_wire::encode`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The newest signed time.
    pub clock: Clock,
    /// The lowest versions.
    pub floors: Floors,
}

impl Message<'_> for Memory {
    const MAX_LEN: usize = MAX_MEMORY;
}
