//! The fleet's process: registry, rollouts, broker, HTTP API.
//!
//! ```text
//!                 ┌───────────────────────── coordinator ─────────────────────────┐
//!  sanderling ──▶ │ http ──▶ store (SQLite) ◀── fleet ◀── link ◀──▶ broker        │ ◀──▶ robots
//!   curl          │      ──▶ files (objects) ──▶ supplier ──▶ link    (embedded   │
//!                 │                                                  or yours)    │
//!                 └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! `decide` holds the decisions as functions over values; everything else is an edge. What a restart
//! needs is in the store and the files: the process can be killed at any moment.
#![forbid(unsafe_code)]

pub mod access;
mod begin;
pub mod broker;
mod clock;
mod compose;
pub mod config;
pub mod decide;
mod deltas;
mod descriptors;
mod doors;
mod evaluate;
mod failures;
mod files;
mod fleet;
mod holdout;
mod http;
pub mod link;
mod listen;
pub mod logs;
mod mqtt_version;
mod plan_check;
mod rollouts;
pub mod run;
mod say;
pub mod secrets;
mod signer;
mod stages;
mod storage;
mod store;
mod supplier;
pub mod tls;
