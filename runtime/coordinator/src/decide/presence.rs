//! Whether a robot is there, from births, wills and signs of life that may arrive late.
//!
//! | known | said | then |
//! |---|---|---|
//! | any | `Born(s)`, fresh from a connection | online in `s`, even if `s` is lower: its storage was replaced |
//! | `k` | `Born(s)`, retained, `s > k` | of session `s`, as online as before, and asked: it was born once, and may be dead |
//! | `k` | `Born(s)`, retained, `s <= k` | nothing changes; asked where it counts as gone |
//! | `k` | `Gone(s)`, `s >= k` | offline; asked where `s > k`, for its storage may have been replaced |
//! | `k` | `Gone(s)`, `s < k` | nothing changes: a late will of an older connection |
//! | `k` | sign of life in `s > k` | online in `s` (its birth was missed), and asked |
//! | `k` | another sign of life of one that counts as gone, or in `s < k` | asked |
//!
//! Who is asked says its birth again, fresh, where it lives.

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
            Some(k) if session <= k.session => return None,
            known => Known {
                session,
                online: known.is_some_and(|k| k.online),
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

/// Whether the robot is to be asked who it is, so that its answer proves that it lives.
pub fn is_to_be_asked(known: Option<Known>, said: Said) -> bool {
    let Some(known) = known else {
        return !matches!(
            said,
            Said::Gone(_)
                | Said::Born {
                    retained: false,
                    ..
                }
        );
    };
    match said {
        Said::Born {
            retained: false, ..
        } => false,
        Said::Born { session, .. } => {
            session > known.session || (session == known.session && !known.online)
        }
        Said::Gone(session) => session > known.session,
        Said::Alive(session) => session != known.session || !known.online,
    }
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
    fn what_the_broker_kept_is_no_sign_of_life() {
        let said = born(7, true);
        for (before, then) in [
            (known(7, false), None),
            (known(6, false), known(7, false)),
            (None, known(7, false)),
        ] {
            assert_eq!(after(before, said), then);
            assert!(is_to_be_asked(before, said), "{before:?}");
        }
        // One that counts as there is heard of soon, or called.
        assert_eq!(after(known(7, true), said), None);
        assert!(!is_to_be_asked(known(7, true), said));
        assert_eq!(after(known(6, true), said), known(7, true));
        assert!(is_to_be_asked(known(6, true), said));
        assert_eq!(after(None, Said::Gone(Session(7))), known(7, false));
    }

    #[test]
    fn a_late_will_of_a_life_before_the_storage_was_replaced_is_contradicted() {
        let now = after(known(700, true), born(5, false));
        assert_eq!(now, known(5, true));
        let will = Said::Gone(Session(700));
        assert!(is_to_be_asked(now, will));
        let gone = after(now, will);
        assert_eq!(after(gone, born(5, false)), known(5, true));
        // Where the answer is lost, the next sign of life asks again.
        assert!(is_to_be_asked(gone, Said::Alive(Session(5))));
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
