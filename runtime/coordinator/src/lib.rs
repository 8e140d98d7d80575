//! The fleet's process: registry, rollouts, broker, HTTP API.
#![forbid(unsafe_code)]
