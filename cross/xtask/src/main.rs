//! The project's own tasks: set up, build, test, demo, count.
fn main() {}
