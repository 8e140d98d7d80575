//! What the state means for each place: the arms that the group's desired state carries.

use serde::{Deserialize, Serialize};

use crate::state::{State, Status};
use crate::strategy::StageKind;

/// The most arms that a desired state holds.
pub const MAX_ARMS: usize = 4;

/// One of the two releases of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// The old one, which the group had.
    Base,
    /// The new one.
    Candidate,
}

/// What the robots up to a place do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// The last place of the arm; the first place is the one after the arm before.
    pub upto: u32,
    /// What acts. None: keep what you have.
    pub run: Option<Version>,
    /// What runs beside it without acting.
    pub shadow: Option<Version>,
}

/// The arms of a state, sorted, the last one up to `u32::MAX`; at most [`MAX_ARMS`].
pub fn arms(state: &State) -> Vec<Arm> {
    let head = &state.head;
    let base = head.base.as_ref().map(|_| Version::Base);
    let new = Some(Version::Candidate);
    let to = |upto: Option<u32>, run| {
        upto.map(|upto| Arm {
            upto,
            run,
            shadow: None,
        })
    };
    let rest = |run| Arm {
        upto: u32::MAX,
        run,
        shadow: None,
    };
    let parts: Vec<Option<Arm>> = match &head.status {
        Status::Draft | Status::Reverting(_) | Status::Aborted { reverted: true } => vec![],
        Status::Finished => vec![Some(rest(new))],
        Status::Soaking | Status::Holding => match head.stage_kind() {
            Some(StageKind::Shadow) => vec![
                to(head.skip_upto, base),
                head.shadow_upto.map(|upto| Arm {
                    upto,
                    run: base,
                    shadow: new,
                }),
            ],
            _ => vec![
                to(head.done_upto, new),
                to(head.skip_upto, base),
                to(head.upto, new),
            ],
        },
        Status::Paused(_) => vec![to(head.upto, None)],
        Status::Aborted { reverted: false } => vec![to(head.done_upto, new), to(head.upto, None)],
    };
    let mut arms: Vec<Arm> = Vec::with_capacity(MAX_ARMS);
    for arm in parts.into_iter().flatten().chain([rest(base)]) {
        match arms.last_mut() {
            Some(last) if last.upto >= arm.upto => {}
            Some(last) if (last.run, last.shadow) == (arm.run, arm.shadow) => last.upto = arm.upto,
            _ => arms.push(arm),
        }
    }
    arms
}
