//! `cargo xtask board`: a model's frames on a microcontroller under QEMU.

use std::path::PathBuf;

use crate::firmware::{self, Board};
use crate::terminal::say;
use crate::{npz, setup};

/// What to run and where.
#[derive(clap::Args)]
pub struct Options {
    /// The model: an ONNX file, or a plan compiled for this board
    model: PathBuf,
    /// The board: mps2-an386 (Cortex-M4F) or mps3-an547 (Cortex-M55)
    #[arg(long)]
    board: String,
    /// A .npz with the array `input` (or a .npy), first axis the frames
    #[arg(long)]
    input: PathBuf,
    /// Where to write a .npz with the array `output`, first axis the frames
    #[arg(long)]
    output: PathBuf,
    /// Run only the first N frames
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Pack the plan for this target instead of the board's own (generic runs everywhere)
    #[arg(long, value_name = "PACKING")]
    target: Option<String>,
    /// Give QEMU this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
}

/// Compiles, builds, runs, and writes the outputs.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let board = Board::named(&options.board)?;
    let input = npz::read(&options.input, "input")?.head(options.frames.unwrap_or(usize::MAX));
    setup::for_board(board.triple)?;
    let (run, output) = firmware::outputs(
        board,
        &options.model,
        options.target.as_deref(),
        &input,
        options.deadline,
    )?;
    print!("{}", run.log);
    npz::write(&options.output, "output", &output)?;
    say(format!(
        "{}: {} outputs of {} × {:?} in {}",
        board.name,
        output.frames(),
        output.dtype.name(),
        &output.shape[1..],
        options.output.display()
    ));
    Ok(())
}
