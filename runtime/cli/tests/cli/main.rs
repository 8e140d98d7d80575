//! The command as a user meets it: real processes, their exit codes, and what they say.
#![cfg(feature = "tract")]

mod bench;
mod compile;
mod coordinator;
mod deltas;
mod fleet;
mod help;
mod keys;
mod mixed;
#[path = "../../../executor/tests/onnx_file/mod.rs"]
mod onnx_file;
mod process;
mod refusals;
mod rollout;
mod run;
