//! Where a robot stands between what it should run and what it says that it runs.
//!
//! Only the reported digest counts; what was sent is never asked.

use sanderling_trust::serial;
use sanderling_wire::{Digest, FailureCode, Phase, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fit::{Limits, fit};
use crate::store::groups::Told;

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
pub fn standing(told: Option<Told<'_>>, limits: Option<&Limits>, state: Option<&State>) -> Verdict {
    let plain = |standing| Verdict {
        standing,
        text: None,
    };
    let Some(told) = told else {
        return plain(Standing::NothingDesired);
    };
    let (Some(limits), Some(state)) = (limits, state) else {
        return plain(Standing::Unknown);
    };
    let because = |standing, text: &str| Verdict {
        standing,
        text: Some(text.to_owned()),
    };
    let desired = match told {
        Told::Run(desired) => desired,
        Told::Keep if is_under_way(state.phase) => return because(Standing::Updating, KEEPS),
        Told::Keep => return because(Standing::InStep, KEEPS),
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
    // It waits for its own conditions, and nothing went wrong.
    if let Some(failure) = &state.failure
        && failure.code == FailureCode::Held
    {
        return because(Standing::Behind, &failure.text);
    }
    if serial::plain(state.serial) < desired.serial {
        return match &state.failure {
            // A robot refuses before it takes the serial up; other failures are of an update before.
            Some(failure) if is_refusal(failure.code) => because(Standing::Behind, &failure.text),
            _ => plain(Standing::Behind),
        };
    }
    match (&state.failure, state.phase) {
        (Some(failure), Phase::FellBack | Phase::Empty | Phase::Active) => {
            because(Standing::FellBack, &failure.text)
        }
        (_, phase) if is_under_way(phase) => plain(Standing::Updating),
        _ => plain(Standing::Behind),
    }
}

/// What a robot does that runs what no arm names at the moment.
const KEEPS: &str = "keeps what it has, as its rollout is paused or ended half-way; `sanderling rollout status` says why";

fn is_under_way(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Downloading | Phase::Verifying | Phase::SelfTest | Phase::Trial
    )
}

/// Whether a robot gives this reason for what it does not take up at all.
fn is_refusal(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::Refused | FailureCode::Target | FailureCode::TooLarge
    )
}

#[cfg(test)]
mod tests {
    use sanderling_wire::{Artifact, Failure, Manifest, Name, Running, Session};

    use super::*;
    use crate::store::groups::Wanted;

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
        standing(Some(Told::Run(wanted)), limits, state)
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
    fn the_reason_is_told_though_the_serial_was_not_taken_up() {
        let linux = limits(&["generic"], 1000, 2000);
        let says = |code, text: &str| {
            let mut state = state(9, 9, Phase::FellBack);
            state.failure = Some(Failure {
                release: None,
                code,
                text: text.into(),
            });
            let verdict = against(Some(&linux), Some(&state));
            assert_eq!(verdict.standing, Standing::Behind);
            verdict.text
        };
        for code in [
            FailureCode::Held,
            FailureCode::Refused,
            FailureCode::TooLarge,
        ] {
            assert_eq!(says(code, "the reason").as_deref(), Some("the reason"));
        }
        assert_eq!(says(FailureCode::Trial, "of an update before"), None);
    }

    #[test]
    fn who_is_told_to_keep_what_it_has_is_in_step() {
        let linux = limits(&["generic"], 1000, 2000);
        let keep = |phase| standing(Some(Told::Keep), Some(&linux), Some(&state(9, 10, phase)));
        assert_eq!(keep(Phase::Active).standing, Standing::InStep);
        assert!(keep(Phase::Active).text.unwrap().contains("paused"));
        assert_eq!(keep(Phase::Trial).standing, Standing::Updating);
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
