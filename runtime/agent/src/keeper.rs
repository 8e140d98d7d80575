//! The outbox's thread: takes answers from the inference thread, keeps them on disk, and syncs at its own pace.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sanderling_wire::FrameId;
use tokio::sync::Notify;

use crate::answer::{self, Answer, Said};
use crate::outbox::{Kept, Outbox};
use crate::say::Hush;
use crate::settings::{Format, Sync};
use crate::shared::Shared;

/// How long results may wait for the medium.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// How often it is noted what the fleet has confirmed. An old note only costs repeats, and each one wears the medium.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// The outbox for its two users: the thread that fills it and the session that empties it.
#[derive(Clone, Debug)]
pub struct SharedOutbox {
    outbox: Arc<Mutex<Outbox>>,
    filled: Arc<Notify>,
}

impl SharedOutbox {
    /// Shares an outbox.
    pub fn new(outbox: Outbox) -> SharedOutbox {
        SharedOutbox {
            outbox: Arc::new(Mutex::new(outbox)),
            filled: Arc::new(Notify::new()),
        }
    }

    /// The outbox itself. Hold it shortly: the other user waits.
    pub fn lock(&self) -> MutexGuard<'_, Outbox> {
        self.outbox
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until something may have been appended.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}

/// Keeps answers until the inference thread ends.
pub fn run(
    answers: &Receiver<Answer>,
    outbox: &SharedOutbox,
    shared: &Shared,
    format: Format,
    sync: Sync,
) {
    let mut hush = Hush::default();
    let (mut synced, mut noted) = (Instant::now(), Instant::now());
    let folder = outbox.lock().folder();
    loop {
        match answers.recv_timeout(SYNC_EVERY) {
            Ok(first) => {
                // What has come meanwhile goes along, so that the session is woken once.
                for answer in std::iter::once(first).chain(answers.try_iter()) {
                    keep(&answer, outbox, shared, format, &folder, &mut hush);
                }
                outbox.filled.notify_one();
            }
            // A thread that is stuck in a model holds its end of the line for ever.
            Err(RecvTimeoutError::Timeout) if shared.inference_ended.get() => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if sync == Sync::Interval && synced.elapsed() >= SYNC_EVERY {
            force(outbox, &folder, &mut hush);
            synced = Instant::now();
        }
        if noted.elapsed() >= NOTE_EVERY {
            note(outbox, &folder, &mut hush);
            noted = Instant::now();
        }
    }
    force(outbox, &folder, &mut hush);
    note(outbox, &folder, &mut hush);
    outbox.filled.notify_one();
}

fn keep(
    answer: &Answer,
    outbox: &SharedOutbox,
    shared: &Shared,
    format: Format,
    folder: &Path,
    hush: &mut Hush,
) {
    let right = match (answer.truth, &answer.said) {
        (Some(truth), Said::Class { top, .. }) => Some(truth == *top),
        _ => None,
    };
    shared.tally(answer.model, answer.seq, right);
    let payload = match format {
        Format::Json => answer::json(answer, shared.boot),
        Format::Postcard => match answer::postcard(answer, shared.boot) {
            Ok(payload) => payload,
            Err(error) => {
                shared.results_lost.add(1);
                return hush.warn(
                    "outbox",
                    "message",
                    format_args!("a result cannot be written as a message: {error}"),
                );
            }
        },
    };
    let frame = FrameId {
        boot: shared.boot,
        seq: answer.seq,
    };
    match outbox.lock().append(frame, &payload) {
        Kept::OnDisk => {}
        Kept::InMemory(error) => hush.warn(
            "outbox",
            "write", format_args!("{} cannot be written ({error}); results wait in memory: free some space", folder.display()),
        ),
        Kept::Dropped => hush.warn(
            "outbox",
            "bound", format_args!("the outbox is full and results are lost; let the fleet be reached, or raise --outbox-bytes"),
        ),
    }
}

/// Forces results onto the medium without keeping the session from the outbox meanwhile.
fn force(outbox: &SharedOutbox, folder: &Path, hush: &mut Hush) {
    let started = outbox.lock().begin_sync();
    let result = match started {
        Ok(Some(file)) => file.sync_data(),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        hush.warn(
            "outbox",
            "sync",
            format_args!(
                "{} cannot be synced ({error}); a power cut may cost results",
                folder.display()
            ),
        );
    }
}

fn note(outbox: &SharedOutbox, folder: &Path, hush: &mut Hush) {
    if let Err(error) = outbox.lock().note_cursor() {
        let folder = folder.display();
        hush.warn(
            "outbox",
            "note",
            format_args!("{folder} cannot be written ({error}); after a restart confirmed results are sent again"),
        );
    }
}
