//! Runs a model on Linux: the engine, or tract where asked.
#![forbid(unsafe_code)]

#[cfg(feature = "frames")]
pub mod frames;
