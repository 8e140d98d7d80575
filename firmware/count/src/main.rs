//! One inference between two marks, for counting its instructions under QEMU.
//!
//! Plan and engine and nothing else: no formatting, no allocator, no self-test, so that
//! the size of the image is the size of the engine. `cargo xtask count` builds it, lets
//! QEMU put the plan where [`board`] says, and gives it the file `count.in` (all inputs,
//! raw); it leaves `count.out` (all outputs, raw) and an exit status.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]

#[cfg_attr(target_os = "none", path = "cortex_m.rs")]
#[cfg_attr(not(target_os = "none"), path = "linux.rs")]
mod board;
mod inference;
mod marks;
#[cfg(not(target_os = "none"))]
mod timing;

#[cfg(target_os = "none")]
#[cortex_m_rt::entry]
fn main() -> ! {
    board::exit(board::inference())
}

#[cfg(not(target_os = "none"))]
fn main() {
    board::exit(board::inference())
}
