//! Whether a robot is there, from births, wills and signs of life that may arrive late.
//!
//! | known | said | then |
//! |---|---|---|
//! | any | `Born(s)`, fresh from a connection | online in `s`, even if `s` is lower: its storage was replaced |
//! | `k` | `Born(s)`, retained, `s >= k` | online in `s` |
//! | `k` | `Born(s)`, retained, `s < k` | nothing changes |
//! | `k` | `Gone(s)`, `s >= k` | offline |
//! | `k` | `Gone(s)`, `s < k` | nothing changes: a late will of an older connection |
//! | `k` | sign of life in `s > k` | online in `s` (its birth was missed) |

use sanderling_wire::Session;

/// What is known of a robot's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The newest connection heard of.
    pub session: Session,
    /// Whether it stands.
    pub online: bool,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A birth; `retained` when the broker had kept it.
    Born {
        /// Its connection.
        session: Session,
        /// Kept by the broker from an unknown time before.
        retained: bool,
    },
    /// A will, or a farewell.
    Gone(Session),
    /// Any other fresh message that names its connection.
    Alive(Session),
}

/// What is known afterwards, or `None` when what was said changes nothing.
pub fn after(known: Option<Known>, said: Said) -> Option<Known> {
    let next = match (said, known) {
        (
            Said::Born {
                session,
                retained: false,
            },
            _,
        ) => Known {
            session,
            online: true,
        },
        (
            Said::Born {
                session,
                retained: true,
            },
            known,
        ) => match known {
            Some(k) if session < k.session => return None,
            _ => Known {
                session,
                online: true,
            },
        },
        (Said::Gone(session), known) => match known {
            Some(k) if session < k.session => return None,
            _ => Known {
                session,
                online: false,
            },
        },
        (Said::Alive(session), Some(k)) if session <= k.session => return None,
        (Said::Alive(session), _) => Known {
            session,
            online: true,
        },
    };
    (known != Some(next)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn known(session: u64, online: bool) -> Option<Known> {
        Some(Known {
            session: Session(session),
            online,
        })
    }

    fn born(session: u64, retained: bool) -> Said {
        Said::Born {
            session: Session(session),
            retained,
        }
    }

    #[test]
    fn a_late_will_does_not_kill_a_live_robot() {
        let now = after(known(6, true), born(7, false));
        assert_eq!(now, known(7, true));
        assert_eq!(after(now, Said::Gone(Session(6))), None);
        assert_eq!(after(now, Said::Gone(Session(7))), known(7, false));
    }

    #[test]
    fn a_robot_with_new_storage_is_heard_though_its_numbers_start_again() {
        assert_eq!(after(known(700, false), born(1, false)), known(1, true));
        assert_eq!(after(known(700, false), born(1, true)), None);
    }

    #[test]
    fn a_restarted_coordinator_believes_what_the_broker_kept() {
        assert_eq!(after(known(7, false), born(7, true)), known(7, true));
        assert_eq!(after(None, born(7, true)), known(7, true));
        assert_eq!(after(None, Said::Gone(Session(7))), known(7, false));
    }

    #[test]
    fn a_sign_of_life_counts_only_from_a_newer_connection() {
        assert_eq!(after(known(7, false), Said::Alive(Session(7))), None);
        assert_eq!(
            after(known(7, false), Said::Alive(Session(8))),
            known(8, true)
        );
        assert_eq!(after(None, Said::Alive(Session(1))), known(1, true));
    }
}
