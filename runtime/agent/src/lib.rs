//! The robot's Linux process: frames from a source, answers from a model, results to the fleet, and new models from it.
//!
//! ```text
//!  source ──frames──▶ queue ──▶ inference ──answers──▶ keeper ──▶ outbox (disk)
//!  (thread)                     (thread)               (thread)      │
//!                                 ▲ stage                            ▼
//!                               update ◀──desired, chunks──── session ──▶ broker
//!                               (thread) ──need, state──────▶ (async, one thread)
//! ```
//!
//! Each arrow is a bounded queue or a line that is read at once; the inference thread never waits for the disk, the
//! network, or the loading of a model.
#![forbid(unsafe_code)]

pub mod agent;
pub mod answer;
pub mod boot;
pub mod config;
pub mod durable;
pub mod frame;
pub mod gateway;
pub mod infer;
pub mod keeper;
pub mod latency;
pub mod link;
pub mod outbox;
pub mod queue;
pub mod say;
pub mod session;
pub mod settings;
pub mod shared;
pub mod source;
pub mod status;
pub mod system;
pub mod tls;
pub mod update;
