//! What a new state says that the one before did not, as one line for people.

use sanderling_wire::{FailureCode, Phase, State};

/// The kind of an event and its text, or nothing when only numbers moved.
pub fn news(before: Option<&State>, now: &State) -> Option<(&'static str, String)> {
    let digest = |s: &State| s.running.as_ref().map(|r| r.digest);
    let release = |s: &State| s.progress.map(|p| p.release);
    if before.map(|s| &s.failure) != Some(&now.failure)
        && let Some(failure) = &now.failure
    {
        if failure.code == FailureCode::Held {
            return Some(("held", format!("waits with the update: {}", failure.text)));
        }
        let text = format!("did not take the update: {}", failure.text);
        return Some(("fell_back", text));
    }
    let running = now
        .running
        .as_ref()
        .map(|r| format!("{} v{} ({})", r.model, r.version, r.digest.short()));
    if before.and_then(digest) != digest(now)
        && let Some(running) = &running
    {
        return Some(("running", format!("runs {running}")));
    }
    if before.is_some_and(|s| s.phase == now.phase && release(s) == release(now)) {
        return None;
    }
    let text = match now.phase {
        Phase::Downloading => {
            let what = release(now).map_or("a release".to_owned(), |d| d.short().to_string());
            format!("pulls {what}")
        }
        Phase::Verifying => "checks what it pulled".to_owned(),
        Phase::SelfTest => "runs the golden vectors".to_owned(),
        Phase::Trial => "tries it on its frames".to_owned(),
        Phase::Active if before.is_some_and(|s| s.phase == Phase::Trial) => {
            format!("keeps {}", running?)
        }
        _ => return None,
    };
    Some(("updating", text))
}

#[cfg(test)]
mod tests {
    use sanderling_wire::{Digest, Failure, Name, Progress, Running, Session};

    use super::*;

    fn state(version: u32, phase: Phase) -> State {
        State {
            session: Session(1),
            running: Some(Running {
                model: Name::new("terrain").unwrap(),
                version,
                digest: Digest([version as u8; 32]),
            }),
            phase,
            serial: 1,
            root: None,
            progress: None,
            failure: None,
        }
    }

    #[test]
    fn an_update_reads_as_a_story() {
        let progress = |held| {
            let release = Digest([2; 32]);
            Some(Progress {
                release,
                held,
                size: 10,
            })
        };
        let mut pulls = state(1, Phase::Downloading);
        pulls.progress = progress(0);
        let mut on = pulls.clone();
        on.progress = progress(5);
        let story = [
            (state(1, Phase::Active), Some("runs terrain v1 (01010101)")),
            (pulls, Some("pulls 02020202")),
            (on, None),
            (state(1, Phase::Verifying), Some("checks what it pulled")),
            (state(1, Phase::SelfTest), Some("runs the golden vectors")),
            (state(1, Phase::Trial), Some("tries it on its frames")),
            (state(2, Phase::Trial), Some("runs terrain v2 (02020202)")),
            (state(2, Phase::Active), Some("keeps terrain v2 (02020202)")),
            (state(2, Phase::Active), None),
        ];
        let mut before: Option<State> = None;
        for (now, expected) in story {
            let said = news(before.as_ref(), &now).map(|n| n.1);
            assert_eq!(said.as_deref(), expected, "{now:?}");
            before = Some(now);
        }
    }

    #[test]
    fn a_failure_is_said_once_and_before_anything_else() {
        let mut back = state(1, Phase::FellBack);
        back.failure = Some(Failure {
            release: None,
            code: FailureCode::SelfTest,
            text: "vector 3 differs".into(),
        });
        let (kind, text) = news(Some(&state(2, Phase::Trial)), &back).unwrap();
        assert_eq!(
            (kind, text.as_str()),
            ("fell_back", "did not take the update: vector 3 differs")
        );
        assert_eq!(news(Some(&back), &back), None);
    }
}
