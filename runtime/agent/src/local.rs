//! What programs on this robot tell the agent, over a Unix socket in the state folder: one line of words, `docked=true
//! battery=0.8 mission=false reward=0.5`, answered with `ok` or with what is wrong.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::policy::Told;
use crate::shared::Shared;
use crate::update::{Input, Line};
use crate::warn;

/// The longest line, in bytes.
const LINE: u64 = 1024;
/// How long one speaker may keep the others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens on `path` until the process ends. Where that is not possible the agent goes on without.
pub fn listen(path: &Path, shared: Arc<Shared>, line: Line) {
    let bound = || -> io::Result<UnixListener> {
        // Left over from a start before; the lock on the state folder says that nobody listens there.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(path)
    };
    let started = bound().and_then(|listener| {
        thread::Builder::new()
            .name("local".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A speaker that falls silent or leaves is no reason to end.
                    let _ = serve(&stream, &shared, &line);
                }
            })
            .map(drop)
    });
    if let Err(error) = started {
        warn!(
            "local",
            "programs on this robot cannot be heard at {} ({error}); choose a shorter --state-dir if the path is long",
            path.display()
        );
    }
}

fn serve(stream: &UnixStream, shared: &Shared, line: &Line) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut text = String::new();
        if (&mut reader).take(LINE).read_line(&mut text)? == 0 {
            return Ok(());
        }
        let answer = match take(&text, shared, line) {
            Ok(()) => "ok".to_owned(),
            Err(why) => why,
        };
        let mut stream = stream;
        writeln!(stream, "{answer}")?;
    }
}

/// Takes in what was told, from wherever it came.
pub fn take(text: &str, shared: &Shared, line: &Line) -> Result<(), String> {
    let told: Told = text.parse().map_err(|error| format!("{error}"))?;
    shared.learn(&told.facts);
    {
        let mut evidence = shared.evidence();
        told.rewards
            .iter()
            .for_each(|&milli| evidence.rewarded(milli));
    }
    // What waited for a condition may begin now.
    let _ = line.send(Input::Conditions);
    Ok(())
}

/// Tells the agent that listens on `path`, for `sanderling-agent tell`.
pub fn tell(path: &Path, words: &[String]) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    writeln!(stream, "{}", words.join(" "))?;
    let mut answer = String::new();
    BufReader::new(&stream).take(LINE).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Facts;

    #[test]
    fn what_is_told_is_known_and_nonsense_is_answered() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("agent.sock");
        std::fs::write(&path, b"left over").expect("writable");
        let shared = Arc::new(Shared::new(1));
        let (line, inputs) = std::sync::mpsc::channel();
        listen(&path, shared.clone(), line);
        let say = |text: &str| tell(&path, &[text.to_owned()]).expect("it listens");
        assert_eq!(say("docked=true battery=0.5 reward=0.25"), "ok");
        assert!(matches!(inputs.recv(), Ok(Input::Conditions)));
        let known = Facts {
            docked: Some(true),
            battery: Some(0.5),
            mission: None,
        };
        assert_eq!(shared.facts(), known);
        assert!(say("docked=perhaps").contains("docked=perhaps"));
        assert_eq!(say(&"x".repeat(5000)).lines().count(), 1);
        assert_eq!(say("mission=false"), "ok");
        assert_eq!(shared.facts().mission, Some(false));
    }
}
