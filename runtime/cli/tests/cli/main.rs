//! The command as a user meets it: real processes, their exit codes, and what they say.
#![cfg(feature = "tract")]

mod bench;
mod brokers;
mod compare;
mod compile;
mod coordinator;
mod deltas;
mod external;
mod fleet;
mod help;
#[path = "../../../coordinator/tests/system/support/frames.rs"]
mod holdout;
mod keys;
mod mixed;
#[path = "../../../executor/tests/onnx_file/mod.rs"]
mod onnx_file;
#[allow(dead_code, reason = "the coordinator's tests use the rest")]
#[path = "../../../coordinator/tests/system/support/plan.rs"]
mod plan;
mod process;
mod refusals;
mod registry;
mod rollout;
mod run;
mod standing;
mod starting;
