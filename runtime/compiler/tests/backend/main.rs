//! The back end on random programs: what it emits passes the plan's check, and the engine
//! gives the bits of the reference.

mod chance;
mod dead_channels;
mod emit;
mod engine_agrees;
mod make;
mod make_more;
mod make_real;
mod models;
mod network;
mod reference;
mod report;
mod run;
mod streaming;
mod winograd;
