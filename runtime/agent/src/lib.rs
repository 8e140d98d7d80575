//! The robot's Linux process: frames from a source, answers from a model, results to the fleet, and new models from it.
#![deny(unsafe_code)]

pub mod boot;
pub mod durable;
pub mod frame;
pub mod latency;
pub mod outbox;
pub mod queue;
pub mod say;
