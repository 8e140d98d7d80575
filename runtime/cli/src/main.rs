//! The `sanderling` command: compile, inspect, run, bench, push, watch.
fn main() {}
