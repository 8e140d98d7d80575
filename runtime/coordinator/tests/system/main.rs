//! The coordinator as robots, brokers and people meet it: real processes, real files, real sockets.
//!
//! One program, because each test program of this crate takes its time to link.

mod api;
mod before;
mod crowds;
mod deltas;
mod kill;
mod lives;
mod main_job;
mod open;
mod pages;
mod registry;
mod robots;
mod scale;
mod shared;
mod strangers;
mod support;
