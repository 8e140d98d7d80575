//! A microcontroller under QEMU: the plan in flash, files by semihosting.

use core::hint::black_box;
use core::slice;

// The critical section of the single core, which `static_cell` asks for.
use cortex_m as _;
// Copying and filling in little code.
use sanderling_memory as _;
use semihosting::fs::File;
use semihosting::io::{Read, Write};
use semihosting::process;
use static_cell::ConstStaticCell;

use crate::inference::{self, Ending};

/// Where QEMU puts the plan: the second half of the board's flash.
#[cfg(board = "mps2-an386")]
const PLAN_AT: usize = 0x0020_0000;
/// Where QEMU puts the plan: the flash beside the memory that holds the code.
#[cfg(board = "mps3-an547")]
const PLAN_AT: usize = 0x3800_0000;
/// Bytes of flash that are there for the plan.
const PLAN_MAX: usize = 2 << 20;

/// Exit status after a panic or a hardware fault.
const PANICKED: i32 = 101;

/// Memory that starts at a multiple of 16.
#[repr(C, align(16))]
struct Memory([u8; 2 << 20]);

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory([0; 2 << 20]));

/// Runs the plan on the files.
pub fn inference() -> Ending {
    let (Ok(mut input), Ok(mut output)) = (File::open(c"count.in"), File::create(c"count.out"))
    else {
        return Ending::Input;
    };
    inference::run(
        plan(),
        &mut MEMORY.take().0,
        |bytes| input.read_exact(bytes).is_ok(),
        |bytes| output.write_all(bytes).is_ok(),
    )
}

#[expect(
    unsafe_code,
    reason = "the plan is where QEMU put it, not in the image"
)]
fn plan() -> &'static [u8] {
    // SAFETY: both boards have that much flash at that place, the image ends before it,
    // and nothing writes there while the program runs.
    unsafe { slice::from_raw_parts(black_box(PLAN_AT as *const u8), PLAN_MAX) }
}

/// Ends the program.
pub fn exit(ending: Ending) -> ! {
    process::exit(ending as i32)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    process::exit(PANICKED)
}
