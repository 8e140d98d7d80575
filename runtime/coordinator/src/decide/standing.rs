//! Where a robot stands between what it should run and what it says that it runs.
//!
//! Only the reported digest counts; what was sent is never asked.

use sanderling_trust::serial;
use sanderling_wire::{Digest, FailureCode, Phase, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fit::{Limits, fit};
use crate::store::groups::Wanted;

/// The answer, one word for programs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The group has no desired state.
    NothingDesired,
    /// The robot has not said yet what it is or what it runs.
    Unknown,
    /// It runs what it should.
    InStep,
    /// It has not taken up the newest desired state.
    Behind,
    /// It is pulling, checking or trying the release.
    Updating,
    /// It tried, and went back to what worked; it will not try again by itself.
    FellBack,
    /// The release does not fit it.
    CannotRun,
}

/// A standing and, where there is something to say, a line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One word.
    pub standing: Standing,
    /// One line.
    pub text: Option<String>,
}

/// Compares what one robot should run with what it reported.
pub fn standing(
    desired: Option<Wanted<'_>>,
    limits: Option<&Limits>,
    state: Option<&State>,
) -> Verdict {
    let plain = |standing| Verdict {
        standing,
        text: None,
    };
    let Some(desired) = desired else {
        return plain(Standing::NothingDesired);
    };
    let (Some(limits), Some(state)) = (limits, state) else {
        return plain(Standing::Unknown);
    };
    let running: Option<Digest> = state.running.as_ref().map(|r| r.digest);
    let artifact = match fit(desired.manifest, limits) {
        Ok(artifact) => artifact,
        Err(misfit) => {
            return Verdict {
                standing: Standing::CannotRun,
                text: Some(misfit.to_string()),
            };
        }
    };
    if running == Some(artifact.digest) {
        // A trial answers frames with the new model and may still take it back.
        return plain(if state.phase == Phase::Trial {
            Standing::Updating
        } else {
            Standing::InStep
        });
    }
    if serial::plain(state.serial) < desired.serial {
        return plain(Standing::Behind);
    }
    match (&state.failure, state.phase) {
        // It waits for its own conditions, and nothing went wrong.
        (Some(failure), _) if failure.code == FailureCode::Held => Verdict {
            standing: Standing::Behind,
            text: Some(failure.text.as_str().to_owned()),
        },
        (Some(failure), Phase::FellBack | Phase::Empty | Phase::Active) => Verdict {
            standing: Standing::FellBack,
            text: Some(failure.text.as_str().to_owned()),
        },
        (_, Phase::Downloading | Phase::Verifying | Phase::SelfTest | Phase::Trial) => {
            plain(Standing::Updating)
        }
        _ => plain(Standing::Behind),
    }
}

#[cfg(test)]
mod tests {
    use sanderling_wire::{Artifact, Failure, Manifest, Name, Running, Session};

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn manifest() -> Manifest {
        let artifact = |target: &str, byte, arena| Artifact {
            target: name(target),
            digest: Digest([byte; 32]),
            size: 1000,
            arena,
            flash: 1000,
            golden: Digest([0; 32]),
        };
        Manifest {
            model: name("terrain"),
            version: 2,
            floor: 0,
            expires_s: None,
            deltas: Default::default(),
            url: None,
            artifacts: [artifact("generic", 1, 500), artifact("cortex-m4", 2, 400)]
                .into_iter()
                .collect(),
        }
    }

    fn limits(targets: &[&str], arena: u64, flash: u64) -> Limits {
        Limits {
            targets: targets.iter().map(|t| name(t)).collect(),
            arena,
            flash,
        }
    }

    fn state(running: u8, serial: u64, phase: Phase) -> State {
        State {
            session: Session(1),
            running: Some(Running {
                model: name("terrain"),
                version: 1,
                digest: Digest([running; 32]),
            }),
            phase,
            serial,
            root: None,
            progress: None,
            failure: None,
        }
    }

    fn against(limits: Option<&Limits>, state: Option<&State>) -> Verdict {
        let manifest = &manifest();
        let wanted = Wanted {
            manifest,
            serial: 10,
        };
        standing(Some(wanted), limits, state)
    }

    fn of(limits: &Limits, state: &State) -> Standing {
        against(Some(limits), Some(state)).standing
    }

    #[test]
    fn the_reported_digest_decides_and_not_the_serial() {
        let m4 = limits(&["cortex-m4", "generic"], 1000, 2000);
        assert_eq!(of(&m4, &state(2, 10, Phase::Active)), Standing::InStep);
        assert_eq!(of(&m4, &state(2, 3, Phase::Active)), Standing::InStep);
        // It says that it accepted the newest state, and runs something else.
        assert_eq!(of(&m4, &state(9, 10, Phase::Active)), Standing::Behind);
        // The generic digest is not what a Cortex-M4 should run.
        assert_eq!(of(&m4, &state(1, 9, Phase::Active)), Standing::Behind);
    }

    #[test]
    fn every_phase_of_an_update_is_seen() {
        let linux = limits(&["x86-64", "generic"], 1000, 2000);
        assert_eq!(of(&linux, &state(9, 9, Phase::Active)), Standing::Behind);
        for phase in [
            Phase::Downloading,
            Phase::Verifying,
            Phase::SelfTest,
            Phase::Trial,
        ] {
            assert_eq!(of(&linux, &state(9, 10, phase)), Standing::Updating);
        }
        assert_eq!(of(&linux, &state(1, 10, Phase::Trial)), Standing::Updating);
        assert_eq!(of(&linux, &state(1, 10, Phase::Active)), Standing::InStep);
        let mut back = state(9, 10, Phase::FellBack);
        back.failure = Some(Failure {
            release: None,
            code: FailureCode::SelfTest,
            text: "vector 3 differs".into(),
        });
        let verdict = against(Some(&linux), Some(&back));
        assert_eq!(verdict.standing, Standing::FellBack);
        assert_eq!(verdict.text.as_deref(), Some("vector 3 differs"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let text = |limits: &Limits| {
            let verdict = against(Some(limits), Some(&state(9, 9, Phase::Active)));
            assert_eq!(verdict.standing, Standing::CannotRun);
            verdict.text.unwrap()
        };
        assert!(text(&limits(&["cortex-m55"], 1000, 2000)).contains("--target cortex-m55"));
        assert!(
            text(&limits(&["generic"], 499, 2000)).contains("500 bytes, and the robot has 499")
        );
        assert!(text(&limits(&["generic"], 500, 999)).contains("holds 999"));
    }

    #[test]
    fn silence_is_not_agreement() {
        assert_eq!(
            standing(None, None, None).standing,
            Standing::NothingDesired
        );
        assert_eq!(against(None, None).standing, Standing::Unknown);
    }
}
