//! Whether a release is believed.

use sanderling_wire::{Manifest, Signed};

use crate::clock::Time;
use crate::desired::not_expired;
use crate::floor::Floors;
use crate::refusal::{Refusal, Statement};
use crate::role::{Role, check};
use crate::root::Trust;

impl Trust {
    /// Checks a release of a desired state: signed by the threshold of release keys, not expired at
    /// that time (see [`crate::Clock::time`]), and not below the floor of what was active here.
    pub fn release(
        &self,
        signed: &Signed<'_>,
        floors: &Floors,
        now: impl Into<Time>,
    ) -> Result<Manifest, Refusal> {
        check(self.root(), Role::Release, signed)?;
        admit(signed, floors, now.into())
    }
}

/// Takes a release without a root: nobody is asked who signed it. Only for a robot that has no root.
pub fn unsigned_release(
    signed: &Signed<'_>,
    floors: &Floors,
    now_s: u64,
) -> Result<Manifest, Refusal> {
    admit(signed, floors, now_s.into())
}

fn admit(signed: &Signed<'_>, floors: &Floors, now: Time) -> Result<Manifest, Refusal> {
    let manifest: Manifest = signed
        .read()
        .map_err(|why| Refusal::Unreadable(Statement::Manifest, why))?;
    not_expired(Statement::Manifest, manifest.expires_s, now)?;
    floors.check(&manifest)?;
    Ok(manifest)
}
