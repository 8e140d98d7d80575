//! `sanderling run`: frames in, answers out.

use super::{Executor, say_executor};
use crate::answer::Answer;
use crate::{POOL, pool, text, write};
use anyhow::{Context, bail};
use clap::Args;
use sanderling_executor::frames::{self, Array, Header};
use sanderling_executor::{Model, TensorInfo, check_finite};
use sanderling_plan::{Dtype, Target};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  sanderling run terrain.onnx --input frames.npz --output answers.npz
      feeds the array `input` of frames.npz, frame by frame along its first axis, and puts
      the answers into the array `output` of answers.npz
  sanderling run terrain.plan --input frames.npy --output answers.npy
  sanderling run keyword-i8.onnx --input words.npz --input-name input_q --output out.npz
  sanderling run photo-nhwc.onnx --input photos.npz --permute 0,2,3,1 --output out.npz
      turns NCHW photos into the NHWC ones that the model takes

Which array feeds which input: the one named by --input-name; else the one with the
input's name; else, for a model with one input, `input`, `input_q`, or the only array,
the first of them with the right dtype. A model with several outputs gives one array each.";

/// Run a model over recorded frames
///
/// Plans run in the integer engine. An ONNX model runs in the engine where it is
/// quantized and in tract where it is not; --executor chooses. Neither ever stands in for
/// the other without being asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// An ONNX model or a plan
    model: PathBuf,
    /// What runs it
    #[arg(long, value_enum, default_value = "auto")]
    executor: Executor,
    /// Frames: a .npz or .npy whose first axis counts them
    #[arg(short, long)]
    input: PathBuf,
    /// Where to write the answers: a .npz, or a .npy for a model with one output
    #[arg(short, long)]
    output: PathBuf,
    /// The array of the .npz to feed to the model's only input
    #[arg(long, value_name = "ARRAY")]
    input_name: Option<String>,
    /// Reorder the axes of the frames first, counted from 0 and frames included
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    permute: Option<Vec<usize>>,
    /// Threads that the engine spreads its steps over; tract runs on one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    threads: u16,
    /// What the engine's plan is packed for, where an ONNX model is given: by default the
    /// fastest that this processor runs
    #[arg(long, value_parser = super::target)]
    target: Option<Target>,
}

/// A frame count that all inputs agree on, and the arrays in the order of the inputs.
struct Feed {
    arrays: Vec<Array>,
    frames: usize,
}

impl Run {
    /// Runs every frame and writes the answers.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let mut model = super::open(&self.model, self.executor, self.target)?;
        model.spread(self.threads.into())?;
        say_executor(&model);
        // Before the work, not after it.
        if model.outputs().len() > 1 && frames::is_npy(&self.output) {
            let (path, count) = (self.output.clone(), model.outputs().len());
            return Err(frames::FramesError::TooManyArrays { path, count }.into());
        }
        let feed = self.feed(&model)?;
        let start = Instant::now();
        let answers = answer_all(&mut model, &feed)?;
        let seconds = start.elapsed().as_secs_f64();
        write::replace(&self.output, &frames::to_bytes(&self.output, &answers)?)?;
        let outputs: Vec<String> = answers.iter().map(|a| describe(&a.header)).collect();
        let text = format!(
            "{} frames in {} in {}: {} in {}",
            text::count(feed.frames as u64),
            text::duration(seconds),
            super::where_it_ran(&model),
            outputs.join(", "),
            self.output.display(),
        );
        let arrays = |arrays: &[Array]| -> serde_json::Value {
            let one = |array: &Array| {
                let header = &array.header;
                let dtype = header.element.to_string();
                json!({ "array": header.name, "dtype": dtype, "shape": header.shape })
            };
            arrays.iter().map(one).collect()
        };
        let json = json!({
            "model": self.model,
            "digest": text::hex(&model.digest()),
            "executor": model.executor().name(),
            "reason": model.reason(),
            "regions": super::regions(&model),
            "frames": feed.frames,
            "seconds": seconds,
            "inputs": arrays(&feed.arrays),
            "outputs": arrays(&answers),
            "output": self.output,
        });
        Ok(Answer::new(text, json))
    }

    /// Reads and checks the arrays for all inputs.
    fn feed(&self, model: &Model) -> anyhow::Result<Feed> {
        let single = model.inputs().len() == 1;
        if self.input_name.is_some() && !single {
            bail!(
                "--input-name is for models with one input; name the arrays as the inputs: {}",
                names(model.inputs())
            );
        }
        let headers = frames::list(&self.input)?;
        let mut arrays = Vec::new();
        for info in model.inputs() {
            let asked = self.input_name.as_deref();
            let chosen =
                frames::choose(&headers, asked, &info.name, info.dtype, single, &self.input)?;
            self.say_choice(&headers, chosen, info);
            let mut array = frames::read(&self.input, &chosen.name)?;
            if let Some(axes) = &self.permute {
                array = array.permuted(axes)?;
            }
            if info.dtype == Dtype::I32
                && let Some(narrowed) = array.narrowed()
            {
                array = narrowed;
            }
            check(&array.header, info).with_context(|| self.input.display().to_string())?;
            arrays.push(array);
        }
        let frames = arrays.first().map_or(0, Array::frames);
        if let Some(other) = arrays.iter().find(|array| array.frames() != frames) {
            bail!(
                "{}: {} has {} frames, {} has {frames}; record them together",
                self.input.display(),
                named(&other.header.name),
                other.frames(),
                named(&arrays[0].header.name),
            );
        }
        if frames == 0 {
            bail!("{} holds no frames", self.input.display());
        }
        Ok(Feed { arrays, frames })
    }

    /// Says so where it is not `input` that was taken although it is there.
    fn say_choice(&self, headers: &[Header], chosen: &Header, info: &TensorInfo) {
        let passed_over = headers
            .iter()
            .any(|h| h.name == "input" && h.name != chosen.name);
        if passed_over && self.input_name.is_none() {
            eprintln!(
                "input: array `{}`, because the model's `{}` is {}",
                chosen.name, info.name, info.dtype
            );
        }
    }
}

/// Whether the array holds frames for that input, or what to do about it.
fn check(header: &Header, info: &TensorInfo) -> anyhow::Result<()> {
    let (array, input, dtype) = (named(&header.name), &info.name, info.dtype);
    if header.element.dtype() != Some(dtype) {
        let advice = if info.scale != 0.0 && header.element.to_string().starts_with('f') {
            format!(
                "quantize the frames first: round(x / {}) + {}, clipped to {dtype}",
                info.scale, info.zero_point
            )
        } else {
            "convert it with numpy's astype, or choose another array with --input-name".to_owned()
        };
        bail!(
            "{array} is {}, the model's input `{input}` takes {dtype}; {advice}",
            header.element
        );
    }
    let frame = header.frame_shape();
    if frames::frame_fits(frame, &info.shape) {
        return Ok(());
    }
    let mut advice = "shape the frames so, with their count as the first axis".to_owned();
    if let Some(axes) = permutation(frame, info.frame_shape()) {
        let axes: Vec<String> = std::iter::once(0)
            .chain(axes.iter().map(|a| a + 1))
            .map(|a| a.to_string())
            .collect();
        advice = format!(
            "if only the order of axes differs, add --permute {}",
            axes.join(",")
        );
    }
    bail!(
        "{array} has frames of {}, the model's input `{input}` takes {}; {advice}",
        text::shape(frame),
        text::shape(info.frame_shape()),
    );
}

/// An order of the axes of `from` that gives the shape `to`: of those that keep most
/// axes in sequence, the first. NCHW and NHWC are what it is for.
fn permutation(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    if from.len() != to.len() {
        return None;
    }
    (0..from.len())
        .map(|turn| {
            (0..from.len())
                .map(|axis| (axis + turn) % from.len())
                .collect::<Vec<_>>()
        })
        .find(|axes| axes.iter().map(|&axis| from[axis]).eq(to.iter().copied()))
}

/// Runs every frame; one array per output.
fn answer_all(model: &mut Model, feed: &Feed) -> anyhow::Result<Vec<Array>> {
    let inputs = model.inputs().to_vec();
    let mut outputs: Vec<Vec<u8>> = model
        .outputs()
        .iter()
        .map(|info| Vec::with_capacity(info.bytes() * feed.frames))
        .collect();
    let mut progress = Progress::new(feed.frames);
    for index in 0..feed.frames {
        for (number, (info, array)) in inputs.iter().zip(&feed.arrays).enumerate() {
            let frame = array.frame(index).unwrap_or_default();
            check_finite(info, frame).with_context(|| format!("frame {index}"))?;
            let input = model.input_mut(number);
            if input.len() != frame.len() {
                bail!(
                    "frame {index} has {} bytes, the input {}",
                    frame.len(),
                    input.len()
                );
            }
            input.copy_from_slice(frame);
        }
        {
            let _served = pool::serve_this_thread(&POOL);
            model.run()?;
        }
        for (number, output) in outputs.iter_mut().enumerate() {
            output.extend_from_slice(model.output(number));
        }
        progress.step(index + 1);
    }
    let single = outputs.len() == 1;
    let mut arrays = Vec::new();
    for (info, bytes) in model.outputs().iter().zip(outputs) {
        let shape = std::iter::once(feed.frames).chain(info.frame_shape().iter().copied());
        let name = if single { "output" } else { &info.name };
        arrays.push(Array::of(name, info.dtype, shape.collect(), bytes)?);
    }
    Ok(arrays)
}

/// Says how far a long run is: in place on a terminal, line by line in a log.
struct Progress {
    total: usize,
    start: Instant,
    next: Duration,
    every: Duration,
    terminal: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let every = if terminal {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(10)
        };
        Progress {
            total,
            start: Instant::now(),
            next: every,
            every,
            terminal,
        }
    }

    fn step(&mut self, done: usize) {
        let elapsed = self.start.elapsed();
        let finished = done == self.total;
        let shown = self.next > self.every;
        if elapsed < self.next && !(finished && shown && self.terminal) {
            return;
        }
        self.next = elapsed + self.every;
        let rate = done as f64 / elapsed.as_secs_f64();
        let line = format!("{done} of {} frames, {rate:.0} per second", self.total);
        match (self.terminal, finished) {
            (true, false) => eprint!("\r{line}\x1b[K"),
            (true, true) => eprintln!("\r{line}\x1b[K"),
            (false, _) => eprintln!("{line}"),
        }
    }
}

fn names(infos: &[TensorInfo]) -> String {
    infos
        .iter()
        .map(|info| format!("`{}`", info.name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The array of a `.npy` has no name.
fn named(array: &str) -> String {
    if array.is_empty() {
        "the array".to_owned()
    } else {
        format!("array `{array}`")
    }
}

fn describe(header: &Header) -> String {
    format!(
        "{} {} {}",
        named(&header.name),
        header.element,
        text::shape(&header.shape)
    )
}
