//! Whether a group's desired state is believed.

use sanderling_wire::{Arm, Desired, Name, Signed, decode};

use crate::clock::{Clock, Time};
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
    /// everything that the fleet key signed for this group and that is not older than what is held, as far as the robot's
    /// own clock allows ([`crate::MAX_AHEAD_S`]).
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
        // Serials are counted, so of two statements of one epoch and group the one with the higher serial is the later one.
        let later = serial::plain(held) > 0
            && serial::epoch(held) == u64::from(root.epoch)
            && accepted.serial > held;
        if later {
            clock.follow(root.epoch, desired.issued_s, own_s);
        } else {
            clock.note(root.epoch, desired.issued_s, own_s);
        }
        let time = clock.time(root.epoch, own_s);
        not_expired(Statement::Root, root.expires_s, time)?;
        not_expired(Statement::Desired, desired.expires_s, time)?;
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
        not_expired(Statement::Desired, accepted.desired.expires_s, own_s.into())?;
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
    Time { now_s, own_s }: Time,
) -> Result<(), Refusal> {
    match expires_s {
        Some(expired_s) if expired_s < now_s => Err(Refusal::Expired {
            what,
            expired_s,
            now_s,
            own_s,
        }),
        _ => Ok(()),
    }
}
