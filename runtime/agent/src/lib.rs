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
//! Beside it a candidate may run on the same frames without being listened to (`shadow`), and programs on the robot say
//! whether it is docked, how full its battery is, and how well it fares (`local`, `policy`).
//!
//! Each arrow is a bounded queue or a line that is read at once; the inference thread never waits for the disk, the
//! network, or the loading of a model.
#![forbid(unsafe_code)]

pub mod agent;
pub mod answer;
pub mod boot;
pub mod config;
pub mod durable;
pub mod evidence;
pub mod frame;
pub mod gateway;
pub mod infer;
pub mod keeper;
pub mod latency;
pub mod link;
pub mod local;
mod mqtt_version;
pub mod outbox;
pub mod policy;
pub mod queue;
pub mod runs;
pub mod say;
pub mod session;
pub mod settings;
pub mod shadow;
pub mod shared;
pub mod source;
pub mod status;
pub mod steady;
pub mod system;
pub mod tls;
pub mod update;
