//! Power is cut at the calls to the file system that a complete update makes: a real process, killed as it begins its
//! Nth call, with what it had not synced torn. Afterwards a whole model serves, and the update is completed.
//!
//! A part of the calls is tried each time, chosen by a seed that is printed; `SANDERLING_CUTS=all` (`cargo xtask fuzz
//! --cuts`) tries every one, `SANDERLING_CUTS=300` that many, `SANDERLING_SEED` repeats a choice.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::life::{Life, settings};
use support::models::{self, Model};
use support::trace::{self, Site, Unsynced};

/// Names the folder of a life that is led in another process.
const FOLDER: &str = "SANDERLING_LIFE";
/// Names its story.
const STORY: &str = "SANDERLING_STORY";
/// A file that nobody else looks at: what follows it in a record is the life.
const MARKER: &str = "/a-life-begins";
/// Cut points that are tried where nothing else is asked, and how long that may take.
const A_FEW: usize = 160;
const TIME: Duration = Duration::from_secs(45);

/// What a robot goes through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    /// It pulls the second model.
    Whole,
    /// It makes the second model of the first.
    Delta,
}

impl Story {
    fn first(self) -> Model {
        match self {
            Story::Whole => models::largest(),
            Story::Delta => models::smallest(110_000),
        }
    }

    fn second(self) -> Model {
        match self {
            // Over 400 chunks of 256 bytes.
            Story::Whole => models::smallest(110_000),
            // 27 blocks of 4 KiB, of which each has bytes of its own in the delta.
            Story::Delta => models::retrained(110_000),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Story::Whole => "whole",
            Story::Delta => "delta",
        }
    }
}

/// A robot that has the first model is told to take the second, and does.
fn live(folder: &Path, story: Story) {
    let config = settings(|_| {});
    let (first, second) = (story.first(), story.second());
    let mut life = Life::begin(folder, &config, &[first.clone(), second.clone()]);
    if story == Story::Delta {
        life.offer(&first, &models::delta(&first, &second));
    }
    life.until("model right after the start", |life| {
        life.serving().is_some()
    });
    let serves = life.serving().expect("something does");
    assert!([first.digest, second.digest].contains(&serves));
    // The first frame is answered before anything else is asked for.
    life.until("answer", |life| {
        life.shared.frames_out.get() > 0 || life.serving().is_none()
    });
    life.want(&second, 2, 2);
    life.until("second model", |life| life.rests_with(&second));
    if story == Story::Delta {
        assert_eq!(life.sent(&second), 0, "the delta was of no use");
    }
}

/// The process that is killed: this test, run again by the one below.
#[test]
fn one_life() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let _ = std::fs::metadata(MARKER);
    let story = match std::env::var(STORY).as_deref() {
        Ok("delta") => Story::Delta,
        _ => Story::Whole,
    };
    live(Path::new(&folder), story);
}

fn life_under(mut command: Command, folder: &Path, story: Story) -> bool {
    let own = std::env::current_exe().expect("a test has a file");
    let mut child = command
        .arg(own)
        .args(["--exact", "one_life", "--test-threads", "1"])
        .env(FOLDER, folder)
        .env(STORY, story.name())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace starts");
    let end = Instant::now() + support::DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status.success();
        }
        assert!(Instant::now() < end, "the process neither ends nor dies");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let beside = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &beside);
        } else {
            std::fs::copy(entry.path(), beside).expect("writable");
        }
    }
}

/// A folder in memory where there is one: the sweep is about calls and not about a disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match tempfile::tempdir_in(memory) {
        Ok(folder) => folder,
        Err(_) => tempfile::tempdir().expect("a temporary folder"),
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn a_process_killed_at_any_file_call_of_an_update_leaves_a_working_model_and_ends_the_update() {
    sweep(Story::Whole, 2000, A_FEW);
}

#[test]
fn a_process_killed_at_any_file_call_of_an_update_by_delta_ends_it_by_delta() {
    sweep(Story::Delta, 150, A_FEW / 2);
}

/// Cuts at `a_few` of the calls of an update, which are at least `least`.
fn sweep(story: Story, least: usize, a_few: usize) {
    let Some(strace) = trace::program() else {
        return;
    };
    let folder = scratch();
    let before = folder.path().join("before");
    {
        let config = settings(|_| {});
        let first = story.first();
        let mut life = Life::begin(&before, &config, std::slice::from_ref(&first));
        life.want(&first, 1, 1);
        life.until("first model", |life| life.rests_with(&first));
    }
    // A life that nobody cuts tells how many calls there are.
    let whole = folder.path().join("whole");
    copy(&before, &whole);
    let log = folder.path().join("whole.log");
    if !life_under(trace::killed_at(&strace, None, &log), &whole, story) {
        let record = std::fs::read_to_string(&log).unwrap_or_default();
        println!(
            "skipped: strace cannot trace here: {}",
            record.lines().last().unwrap_or("no record")
        );
        return;
    }
    let calls = trace::sites(&std::fs::read_to_string(&log).expect("a record"), MARKER);
    let points = calls.len();
    assert!(points > least, "only {points} calls in an update");

    let seed = std::env::var("SANDERLING_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    let asked = std::env::var("SANDERLING_CUTS").unwrap_or_default();
    let (wanted, time) = match asked.as_str() {
        "all" => (points, Duration::from_secs(3600)),
        "" => (a_few, TIME),
        number => (
            number
                .parse()
                .expect("SANDERLING_CUTS is `all` or a number"),
            Duration::from_secs(3600),
        ),
    };
    let stride = (points / wanted.clamp(1, points)).max(1);
    println!("{points} file calls in an update; one of {stride} each, seed {seed}");
    // One in each stretch, not every nth: the calls for each chunk come in the same order.
    let mut dice = seed;
    let sites: Vec<usize> = (0..points)
        .step_by(stride)
        .map(|from| (from + splitmix(&mut dice) as usize % stride).min(points - 1))
        .collect();
    let count = || AtomicUsize::new(0);
    let (next, done, killed, torn) = (count(), count(), count(), count());
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&site) = sites.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if Instant::now() > end {
                        return;
                    }
                    let cut = cut_at(
                        &strace,
                        folder.path(),
                        (&before, story),
                        site,
                        &calls[site],
                        seed,
                    );
                    done.fetch_add(1, Ordering::Relaxed);
                    if let Some(some) = cut {
                        killed.fetch_add(1, Ordering::Relaxed);
                        torn.fetch_add(some, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (done, killed, torn) = (done.into_inner(), killed.into_inner(), torn.into_inner());
    println!(
        "{killed} processes killed at {done} of {points} calls, {torn} unsynced writes and names torn: \
         a working model and a completed update after each"
    );
    assert!(
        done >= sites.len().min(20),
        "too slow: only {done} cut points in {time:?}"
    );
    // Timing decides a few calls at the end of a trial.
    assert!(
        killed * 20 >= done * 19,
        "only {killed} of {done} were killed"
    );
}

/// Cuts one life at a call and leads another to its end; gives how much was torn in between, none where the process
/// never came to that call.
fn cut_at(
    strace: &Path,
    scratch: &Path,
    (before, story): (&Path, Story),
    number: usize,
    site: &Site,
    seed: u64,
) -> Option<usize> {
    let folder = scratch.join(format!("cut-{number}"));
    copy(before, &folder);
    let log = scratch.join(format!("cut-{number}.log"));
    let ended = life_under(trace::killed_at(strace, Some(site), &log), &folder, story);
    let record = std::fs::read_to_string(&log).expect("a record");
    let mut state = seed ^ (number as u64) << 20;
    let torn = (!ended).then(|| {
        assert!(
            record.contains("killed by SIGKILL"),
            "{site:?}: the process ended by itself: {}",
            record.lines().last().unwrap_or_default()
        );
        Unsynced::of(&record, &folder).tear(&folder, before, || splitmix(&mut state))
    });
    live(&folder, story);
    std::fs::remove_dir_all(&folder).expect("the test owns it");
    std::fs::remove_file(&log).expect("the test owns it");
    torn
}
