//! Runs a plan over a holdout in the engine: synchronous, for a thread of its own.

use std::time::{Duration, Instant};

use sanderling_engine::{Engine, EngineError, RunError};
use sanderling_frames::{Array, dimensions, frame_fits};
use sanderling_plan::{ALIGNMENT, Dtype, Plan, PlanError, Tensor};

use super::measure::{Judge, Output, Scores, Unfit};
use crate::holdout::Holdout;

/// Why there are no scores.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file is not the one that was registered.
    #[error("{0}")]
    Plan(PlanError),
    /// See there.
    #[error("{0}")]
    Engine(EngineError),
    /// See there.
    #[error("{0}")]
    Run(RunError),
    /// See there.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Several outputs.
    #[error("the model has {0} outputs, and an evaluation compares one with `label`")]
    Outputs(usize),
    /// Nothing to feed.
    #[error(
        "no array of the holdout feeds the model's input `{input}`, which takes {takes}; it has {have}"
    )]
    NoInput {
        /// The input.
        input: String,
        /// Its type and shape.
        takes: String,
        /// What the holdout has.
        have: String,
    },
    /// The wrong thing to feed.
    #[error(
        "`{array}` of the holdout is {is}, and the model's input `{input}` takes {takes}; make a holdout for this model"
    )]
    Input {
        /// The array.
        array: String,
        /// Its type, and the shape of a frame.
        is: String,
        /// The input.
        input: String,
        /// Its type and shape.
        takes: String,
    },
    /// The coordinator stops.
    #[error("the coordinator is stopping; ask again when it is back")]
    Stopped,
    /// It takes too long.
    #[error(
        "after {seconds} s only {done} of {frames} frames were done; draw fewer frames, or start the coordinator with a higher --evaluation-seconds"
    )]
    TooSlow {
        /// The limit.
        seconds: u64,
        /// Frames done.
        done: usize,
        /// Frames in all.
        frames: usize,
    },
}

/// What an evaluation may take, and whom it tells.
pub struct Bounds<'a> {
    /// How long it may take.
    pub limit: Duration,
    /// Whether to give up.
    pub stopping: &'a dyn Fn() -> bool,
    /// Told how many frames are done.
    pub progress: &'a dyn Fn(usize),
}

/// Bytes at the alignment that plans and arenas need.
struct Aligned {
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn zeroed(len: usize) -> Aligned {
        let room = vec![0; len + ALIGNMENT];
        let start = room.as_ptr().align_offset(ALIGNMENT);
        Aligned { room, start, len }
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        let bytes = self.room.get(self.start..self.start + self.len);
        bytes.unwrap_or_default()
    }
}

impl AsMut<[u8]> for Aligned {
    fn as_mut(&mut self) -> &mut [u8] {
        let bytes = self.room.get_mut(self.start..self.start + self.len);
        bytes.unwrap_or_default()
    }
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.shape.dims().iter().map(|&n| n as usize).collect()
}

/// Answers every frame and scores the answers.
pub fn run(plan: &[u8], holdout: &Holdout, bounds: &Bounds<'_>) -> Result<Scores, Failure> {
    let mut bytes = Aligned::zeroed(plan.len());
    bytes.as_mut().copy_from_slice(plan);
    let plan = Plan::new(bytes).map_err(Failure::Plan)?;
    let mut judge = judge(&plan, holdout)?;
    let mut feeds = Vec::new();
    for (_, tensor) in plan.inputs() {
        feeds.push(feed(&plan, &tensor, holdout)?);
    }
    let arena = Aligned::zeroed(plan.arena_bytes());
    let mut engine = Engine::new(plan, arena).map_err(Failure::Engine)?;
    let start = Instant::now();
    let frames = holdout.frames();
    for frame in 0..frames {
        if (bounds.stopping)() {
            return Err(Failure::Stopped);
        }
        if start.elapsed() > bounds.limit {
            return Err(Failure::TooSlow {
                seconds: bounds.limit.as_secs(),
                done: frame,
                frames,
            });
        }
        for (number, array) in feeds.iter().enumerate() {
            let (Some(input), Some(bytes)) = (engine.input_mut(number), array.frame(frame)) else {
                continue;
            };
            // Their lengths were compared with their shapes.
            if input.len() == bytes.len() {
                input.copy_from_slice(bytes);
            }
        }
        engine.run().map_err(Failure::Run)?;
        let slice = holdout.slice_of.get(frame).copied().unwrap_or(0);
        judge.take(frame, slice, engine.output(0).unwrap_or_default())?;
        (bounds.progress)(frame + 1);
    }
    Ok(judge.scores(&holdout.slices))
}

fn judge<B: AsRef<[u8]>>(plan: &Plan<B>, holdout: &Holdout) -> Result<Judge, Failure> {
    let outputs = plan.output_count();
    let (1, Some((_, tensor))) = (outputs, plan.output(0)) else {
        return Err(Failure::Outputs(outputs));
    };
    let output = Output {
        name: plan.tensor_name(&tensor).to_owned(),
        dtype: tensor.dtype,
        shape: shape(&tensor),
        scale: tensor.scale,
        zero_point: tensor.zero_point,
    };
    Ok(Judge::new(&holdout.label, output, holdout.slices.len())?)
}

/// The array for an input: the one with its name; for the only input also `input`, `input_q`, or the only array.
fn feed<B: AsRef<[u8]>>(
    plan: &Plan<B>,
    tensor: &Tensor,
    holdout: &Holdout,
) -> Result<Array, Failure> {
    let name = plan.tensor_name(tensor);
    let named = |name: &str| holdout.inputs.iter().find(|a| a.header.name == name);
    let mut candidates = vec![named(name)];
    if plan.input_count() == 1 {
        candidates.extend([named("input"), named("input_q")]);
        if let [only] = holdout.inputs.as_slice() {
            candidates.push(Some(only));
        }
    }
    let shape = shape(tensor);
    let takes = format!("{} {}", tensor.dtype, dimensions(&shape));
    // Models take indices in 32 bits, numpy keeps them in 64.
    let as_taken = |array: &Array| match tensor.dtype {
        Dtype::I32 => array.narrowed().unwrap_or_else(|| array.clone()),
        _ => array.clone(),
    };
    let mut misfit = None;
    for array in candidates.into_iter().flatten().map(as_taken) {
        let header = &array.header;
        if header.element.dtype() == Some(tensor.dtype) && frame_fits(header.frame_shape(), &shape)
        {
            return Ok(array);
        }
        let frame = dimensions(header.frame_shape());
        misfit.get_or_insert(Failure::Input {
            array: header.name.clone(),
            is: format!("{} with frames of {frame}", header.element),
            input: name.to_owned(),
            takes: takes.clone(),
        });
    }
    Err(misfit.unwrap_or_else(|| {
        let names = holdout
            .inputs
            .iter()
            .map(|a| format!("`{}`", a.header.name));
        Failure::NoInput {
            input: name.to_owned(),
            takes,
            have: names.collect::<Vec<_>>().join(", "),
        }
    }))
}
