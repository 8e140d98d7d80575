//! Whether a group's desired state is believed.

use sanderling_wire::{Arm, Desired, Name, Signed, decode};

use crate::clock::Clock;
use crate::place::place;
use crate::refusal::{Refusal, Statement};
use crate::role::{Role, check};
use crate::root::Trust;
use crate::serial;

/// A desired state that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// What it says.
    pub desired: Desired<'a>,
    /// Its effective serial: epoch and serial in one number.
    pub serial: u64,
}

impl Accepted<'_> {
    /// What this robot's place gives it to do.
    pub fn arm_for(&self, device: &Name) -> Option<Arm> {
        let desired = &self.desired;
        desired.arm_at(place(&desired.salt, device)).copied()
    }
}

impl Trust {
    /// Checks what stands on a group's `desired` topic. `held` is the effective serial of the newest
    /// one that was accepted, `own_s` the robot's clock in seconds since 1970. The clock is moved by
    /// everything that the fleet key signed for this group and that is not older than what is held.
    pub fn desired<'a>(
        &self,
        bytes: &'a [u8],
        group: &Name,
        held: u64,
        own_s: u64,
        clock: &mut Clock,
    ) -> Result<Accepted<'a>, Refusal> {
        let unreadable = |why| Refusal::Unreadable(Statement::Desired, why);
        let root = self.root();
        let signed: Signed<'_> = decode(bytes).map_err(unreadable)?;
        check(root, Role::Fleet, &signed)?;
        let accepted = read(&signed, root.epoch)?;
        let desired = &accepted.desired;
        addressed(desired, group)?;
        if accepted.serial < held {
            return Err(Refusal::Stale {
                serial: accepted.serial,
                held,
            });
        }
        clock.note(root.epoch, desired.issued_s);
        let now_s = clock.now_s(root.epoch, own_s);
        not_expired(Statement::Root, root.expires_s, now_s)?;
        not_expired(Statement::Desired, desired.expires_s, now_s)?;
        Ok(accepted)
    }
}

impl<'a> Accepted<'a> {
    /// Takes a desired state without a root: nobody is asked who signed it. Only for a fleet that has
    /// no root, which the robot says in its state.
    pub fn unsigned(
        bytes: &'a [u8],
        group: &Name,
        held: u64,
        own_s: u64,
    ) -> Result<Accepted<'a>, Refusal> {
        let signed: Signed<'_> =
            decode(bytes).map_err(|why| Refusal::Unreadable(Statement::Desired, why))?;
        let accepted = read(&signed, 0)?;
        addressed(&accepted.desired, group)?;
        if accepted.serial < held {
            let serial = accepted.serial;
            return Err(Refusal::Stale { serial, held });
        }
        not_expired(Statement::Desired, accepted.desired.expires_s, own_s)?;
        Ok(accepted)
    }
}

fn read<'a>(signed: &Signed<'a>, epoch: u32) -> Result<Accepted<'a>, Refusal> {
    let desired: Desired<'a> = signed
        .read()
        .map_err(|why| Refusal::Unreadable(Statement::Desired, why))?;
    let serial = serial::effective(epoch, desired.serial);
    Ok(Accepted { desired, serial })
}

fn addressed(desired: &Desired<'_>, group: &Name) -> Result<(), Refusal> {
    if desired.group == *group {
        return Ok(());
    }
    Err(Refusal::Group {
        named: desired.group.clone(),
    })
}

pub(crate) fn not_expired(
    what: Statement,
    expires_s: Option<u64>,
    now_s: u64,
) -> Result<(), Refusal> {
    match expires_s {
        Some(expired_s) if expired_s < now_s => Err(Refusal::Expired {
            what,
            expired_s,
            now_s,
        }),
        _ => Ok(()),
    }
}
