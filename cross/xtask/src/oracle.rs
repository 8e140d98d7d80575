//! The shared reference networks on the boards: outputs under QEMU against the engine's
//! on this machine, bit for bit, and against the stored ones of ONNX Runtime, at most
//! one step apart at the softmax.

use std::path::Path;

use anyhow::Context;

use crate::compare;
use crate::firmware::{self, BOARDS};
use crate::npz;
use crate::outcome::Tally;
use crate::terminal::say;

/// Frames of each network; the host's tests run them all.
const FRAMES: usize = 8;
/// Seconds that one run under QEMU may take.
const RUN_DEADLINE: u64 = 300;

/// Every reference network (file, its stored vectors, their input).
const NETWORKS: [(&str, &str, &str); 2] = [
    ("ic01_resnet8_int8_qdq.onnx", "ic01_resnet8.npz", "input"),
    ("kws01_dscnn_int8_qdq.onnx", "kws01_dscnn.npz", "input"),
];

/// Runs every network on every board. `folder` is where the shared models are.
pub fn run(folder: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for board in &BOARDS {
        for (onnx, vectors, input) in NETWORKS {
            let result = check(board, &folder.join(onnx), &folder.join(vectors), input);
            match &result {
                Ok(apart) => say(format!(
                    "ok: {onnx} on {}: this machine's bits; {apart} from ONNX Runtime",
                    board.name
                )),
                Err(error) => println!("FAILED {onnx} on {}: {error:#}", board.name),
            }
            tally.count(&result.map(drop));
        }
    }
    Ok(tally)
}

fn check(board: &firmware::Board, onnx: &Path, vectors: &Path, input: &str) -> anyhow::Result<f32> {
    let input = npz::read(vectors, input)?.head(FRAMES);
    let expected = npz::read(vectors, "output")?.head(FRAMES);
    let (_, output) = firmware::outputs(board, onnx, None, &input, RUN_DEADLINE)?;
    let host = firmware::host_outputs(onnx, &input)?;
    compare::equal(&output, &host).context("against the engine on this machine")?;
    compare::within_a_softmax_step(&output, &expected).context("against ONNX Runtime")
}
