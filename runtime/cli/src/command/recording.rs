//! Recorded frames for a model: which array feeds which input, whether it fits, and the answers to all of them.

use crate::{POOL, pool, text};
use anyhow::{Context, bail};
use clap::Args;
use sanderling_executor::frames::{self, Array, Header};
use sanderling_executor::{Model, TensorInfo, check_finite};
use sanderling_plan::Dtype;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the frames are, and how to read them.
#[derive(Debug, Args)]
pub struct Recording {
    /// Frames: a .npz or .npy whose first axis counts them
    #[arg(short, long)]
    input: PathBuf,
    /// The array of the .npz to feed to the model's only input
    #[arg(long, value_name = "ARRAY")]
    input_name: Option<String>,
    /// Reorder the axes of the frames first, counted from 0 and frames included
    #[arg(long, value_name = "AXES", value_delimiter = ',')]
    permute: Option<Vec<usize>>,
}

/// A frame count that all inputs agree on, and the arrays in the order of the inputs.
pub struct Feed {
    pub arrays: Vec<Array>,
    pub frames: usize,
}

impl Recording {
    /// Reads and checks the arrays for all inputs.
    pub fn feed(&self, model: &Model) -> anyhow::Result<Feed> {
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
pub fn answer_all(model: &mut Model, feed: &Feed) -> anyhow::Result<Vec<Array>> {
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
pub fn named(array: &str) -> String {
    if array.is_empty() {
        "the array".to_owned()
    } else {
        format!("array `{array}`")
    }
}
