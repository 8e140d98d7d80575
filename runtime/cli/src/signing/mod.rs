//! Keys, roots and manifests as files.

pub mod chain;
pub mod delta;
pub mod key;
pub mod release;
