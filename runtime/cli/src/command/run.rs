//! `sanderling run`: frames in, answers out.

use super::recording::{Recording, answer_all, named};
use super::{Executor, say_executor};
use crate::answer::Answer;
use crate::{text, write};
use clap::Args;
use sanderling_executor::frames::{self, Array, Header};
use sanderling_plan::Target;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

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
    #[command(flatten)]
    recording: Recording,
    /// Where to write the answers: a .npz, or a .npy for a model with one output
    #[arg(short, long)]
    output: PathBuf,
    /// Threads that the engine spreads its steps over; tract runs on one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=8))]
    threads: u16,
    /// What the engine's plan is packed for, where an ONNX model is given: by default the
    /// fastest that this processor runs
    #[arg(long, value_parser = super::target)]
    target: Option<Target>,
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
        let feed = self.recording.feed(&model)?;
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
}

fn describe(header: &Header) -> String {
    format!(
        "{} {} {}",
        named(&header.name),
        header.element,
        text::shape(&header.shape)
    )
}
