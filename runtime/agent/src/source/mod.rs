//! Where frames come from, and the thread that brings them to the queue at their pace.

mod recording;
mod stream;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sanderling_executor::TensorInfo;

use crate::config::SourceConfig;
use crate::frame::{Frame, Shape};
use crate::queue::FrameQueue;
use crate::say::Hush;
use crate::shared::Shared;
use crate::{info, settings};

pub use recording::Recording;
pub use stream::Stream;

/// What a source gave.
#[derive(Debug)]
pub enum Given {
    /// A frame; its bytes are in the buffer.
    Frame {
        /// Its type and shape, where the source knows.
        shape: Option<Arc<Shape>>,
        /// Its true class, where the recording names it.
        truth: Option<u16>,
    },
    /// Something that is no frame, in one line. The source goes on behind it.
    Bad(String),
    /// There is no more.
    End,
}

/// Something that gives frames, one at a time.
pub trait Source: Send {
    /// Puts the next frame's bytes into `buffer`, which is empty. `input` is what the model takes now.
    fn next(&mut self, input: &TensorInfo, buffer: &mut Vec<u8>) -> Given;
}

/// Opens what the configuration names; none where it names nothing.
pub fn open(config: &SourceConfig) -> io::Result<Option<Box<dyn Source>>> {
    let Some(path) = &config.path else {
        return Ok(None);
    };
    if path == Path::new("-") {
        let npy = config.stdin == settings::Stdin::Npy;
        return Ok(Some(Box::new(Stream::new(io::stdin(), npy))));
    }
    let recording = Recording::open(path, config.array.clone(), &config.labels, config.repeat)?;
    Ok(Some(Box::new(recording)))
}

/// Brings frames to the queue until the source ends or the agent stops, and closes the queue.
///
/// It begins when the first model runs: before that nobody could say how long a frame is, and frames that nobody
/// answers would only be lost.
pub fn run(mut source: Box<dyn Source>, period: Duration, queue: &FrameQueue, shared: &Shared) {
    let mut hush = Hush::default();
    let mut seq = 0;
    let mut due: Option<Instant> = None;
    while let Some(input) = shared.wait_for_input() {
        let mut buffer = queue.buffer();
        match source.next(&input, &mut buffer) {
            Given::Frame { shape, truth } => {
                due = pace(due, period, shared);
                let frame = Frame {
                    seq,
                    entered: Instant::now(),
                    truth,
                    shape,
                    data: buffer,
                };
                seq += 1;
                shared.frames_in.add(1);
                if !queue.push(frame) {
                    break;
                }
            }
            Given::Bad(text) => {
                shared.bad_frames.add(1);
                hush.warn("source", &text, format_args!("{text}"));
                queue.recycle(buffer);
            }
            Given::End => {
                info!("source", "the source has ended after {seq} frames");
                break;
            }
        }
    }
    queue.close();
    shared.source_ended();
}

/// Waits for the moment when the next frame is due, and gives the one after it. A source that fell behind by more
/// than a second (a slow queue with the policy `block`) begins to count anew, instead of racing to catch up.
fn pace(due: Option<Instant>, period: Duration, shared: &Shared) -> Option<Instant> {
    if period.is_zero() {
        return None;
    }
    let now = Instant::now();
    let due = due
        .filter(|&due| due + Duration::from_secs(1) > now)
        .unwrap_or(now);
    shared.sleep_until(due);
    Some(due + period)
}
