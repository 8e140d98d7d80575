//! What the system tests share: a broker, the fleet's side of the conversation, agents, and small models.
//!
//! Every wait has a deadline, every process is ended by its handle, and everything lives in one temporary folder.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod agent;
pub mod broker;
pub mod fleet;
pub mod life;
pub mod models;
pub mod proxy;
pub mod trace;

use std::time::Duration;

/// The longest that a test waits for one thing.
pub const DEADLINE: Duration = Duration::from_secs(40);
