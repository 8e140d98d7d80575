//! The shared reference networks on every kind of processor under QEMU: outputs against
//! the engine's on this machine, bit for bit, and against the stored ones of ONNX
//! Runtime, at most one step apart at the softmax.

use std::path::Path;

use anyhow::Context;

use crate::firmware::{self, BOARDS};
use crate::npz::{self, Array};
use crate::outcome::Tally;
use crate::terminal::say;
use crate::{aarch64, compare};

/// Frames of each network; this machine's own tests run them all.
const FRAMES: usize = 8;
/// Seconds that one run under QEMU may take.
const RUN_DEADLINE: u64 = 300;

/// Every reference network: its file, its stored vectors.
const NETWORKS: [(&str, &str); 2] = [
    ("ic01_resnet8_int8_qdq.onnx", "ic01_resnet8.npz"),
    ("kws01_dscnn_int8_qdq.onnx", "kws01_dscnn.npz"),
];

/// Runs every network on every processor. `folder` is where the shared models are.
pub fn run(folder: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let program = aarch64::command_line()?;
    for (onnx, vectors) in NETWORKS {
        let (onnx, vectors) = (folder.join(onnx), folder.join(vectors));
        for board in &BOARDS {
            tally.count(&report(board.name, &onnx, &vectors, |input| {
                Ok(firmware::outputs(board, &onnx, None, input, RUN_DEADLINE)?.1)
            }));
        }
        tally.count(&report("aarch64", &onnx, &vectors, |input| {
            aarch64::outputs(&program, &onnx, input)
        }));
    }
    Ok(tally)
}

fn report(
    place: &str,
    onnx: &Path,
    vectors: &Path,
    outputs: impl Fn(&Array) -> anyhow::Result<Array>,
) -> anyhow::Result<()> {
    let name = onnx.file_stem().unwrap_or_default().to_string_lossy();
    let result = check(onnx, vectors, outputs);
    match &result {
        Ok(apart) => say(format!(
            "ok: {name} on {place}: this machine's bits, {apart} from ONNX Runtime"
        )),
        Err(error) => println!("FAILED {name} on {place}: {error:#}"),
    }
    result.map(drop)
}

fn check(
    onnx: &Path,
    vectors: &Path,
    outputs: impl Fn(&Array) -> anyhow::Result<Array>,
) -> anyhow::Result<f32> {
    let input = npz::read(vectors, "input")?.head(FRAMES);
    let expected = npz::read(vectors, "output")?.head(FRAMES);
    let output = outputs(&input)?;
    let host = firmware::host_outputs(onnx, &input)?;
    compare::equal(&output, &host).context("against the engine on this machine")?;
    compare::within_a_softmax_step(&output, &expected).context("against ONNX Runtime")
}
