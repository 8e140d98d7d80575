//! Two model slots and the state machine that survives power loss.
#![no_std]
#![forbid(unsafe_code)]
