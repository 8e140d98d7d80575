//! Firmware for QEMU's `mps3-an547`, a Cortex-M55: one plan in flash, one static arena.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use cortex_m_rt::entry;
use static_cell::ConstStaticCell;

include!(concat!(env!("OUT_DIR"), "/image.rs"));

static ARENA: ConstStaticCell<Aligned<[u8; ARENA_BYTES]>> =
    ConstStaticCell::new(Aligned([0; ARENA_BYTES]));

#[entry]
fn main() -> ! {
    sanderling_app::run("mps3-an547", &PLAN.0, &mut ARENA.take().0)
}
