//! The lowest version of each model that may still be installed: what the releases that were active said.

use heapless::Vec;
use sanderling_wire::{Manifest, Name};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Models whose floors are remembered. Beyond that the one that was raised longest ago is forgotten;
/// its rollback is then stopped by the serial alone.
pub const MAX_FLOORS: usize = 8;

/// Floors by model, the one raised last at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors(Vec<(Name, u32), MAX_FLOORS>);

impl Floors {
    /// The lowest version of this model that may be installed.
    pub fn of(&self, model: &Name) -> u32 {
        let known = self.0.iter().find(|(name, _)| name == model);
        known.map_or(0, |(_, floor)| *floor)
    }

    /// Whether a release may be installed.
    pub fn check(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let (version, floor) = (manifest.version, self.of(&manifest.model));
        if version < floor {
            return Err(Refusal::Floor { version, floor });
        }
        Ok(())
    }

    /// A release is active: from now on its floor holds. True where that changed something.
    pub fn raise(&mut self, model: &Name, floor: u32) -> bool {
        if floor <= self.of(model) {
            return false;
        }
        self.0.retain(|(name, _)| name != model);
        if self.0.is_full() {
            self.0.remove(0);
        }
        // There is room: one was taken out if there was none.
        self.0.push((model.clone(), floor)).is_ok()
    }
}
