//! Runs a model on Linux: the engine, or where asked tract, or tract with integer regions in
//! the engine.
//!
//! A [`Model`] is opened once and then run once per frame:
//!
//! ```no_run
//! use sanderling_executor::{Choice, Model};
//!
//! # fn main() -> Result<(), sanderling_executor::ModelError> {
//! let mut model = Model::open("terrain.plan".as_ref(), Choice::Auto)?;
//! let frame = vec![0u8; model.inputs()[0].bytes()];
//! model.input_mut(0).copy_from_slice(&frame);
//! model.run()?;
//! let answer: &[u8] = model.output(0);
//! # Ok(())
//! # }
//! ```
//!
//! A plan runs in the engine and nowhere else. An ONNX file, with the feature `tract`, is
//! compiled in memory for the engine where it is quantized, and run by tract where it is
//! not; [`Model::reason`] says which and why. Neither ever stands in for the other
//! without being asked: see [`Choice`]. Where both are asked for, [`Choice::Mixed`],
//! `Model::regions` says which nodes run where.
#![deny(unsafe_code)]

mod buffer;
mod choice;
mod engine;
mod error;
mod finite;
#[cfg(feature = "tract")]
mod guard;
mod info;
#[cfg(feature = "tract")]
mod mixed;
mod model;
#[cfg(feature = "tract")]
mod onnx;
mod pool;
#[cfg(feature = "tract")]
mod tract;

pub use buffer::AlignedBytes;
pub use choice::{Choice, Kind};
pub use error::ModelError;
pub use finite::{NotFinite, check_finite};
pub use info::TensorInfo;
pub use model::{Model, is_plan, read_model};
#[cfg(feature = "tract")]
pub use sanderling_compiler::regions::{CutReport, RegionReport, RestNode};
#[cfg(feature = "frames")]
pub use sanderling_frames as frames;
