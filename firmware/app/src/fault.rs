//! What happens when the program cannot go on: one line over defmt, and an exit
//! status that the host sees, instead of a silent loop.

#![expect(
    unsafe_code,
    reason = "the exception table's handler is declared unsafe by cortex-m-rt"
)]

use cortex_m_rt::{ExceptionFrame, exception};

/// Exit status after a panic.
pub const PANICKED: i32 = 101;
/// Exit status after a hardware fault.
pub const FAULTED: i32 = 102;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    defmt::error!("panicked: {}", defmt::Display2Format(info));
    semihosting::process::exit(PANICKED)
}

// SAFETY: the handler only reads the frame that the hardware stacked and ends the
// program; it never returns into the interrupted code.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    defmt::error!(
        "hard fault at {=u32:#010x}, called from {=u32:#010x}",
        frame.pc(),
        frame.lr()
    );
    semihosting::process::exit(FAULTED)
}
