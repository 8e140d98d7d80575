//! Milliseconds since the start, counted by the SysTick exception.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

/// The core's clock, in Hz.
const CORE: u32 = 25_000_000;

// 49 days of milliseconds; a wrap makes one wait long, and a repeated question ends it.
static MILLIS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    MILLIS.fetch_add(1, Ordering::Relaxed);
}

/// Begins to count.
pub fn start() {
    if let Some(peripherals) = Peripherals::take() {
        let mut systick = peripherals.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(CORE / 1000 - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
    }
}

/// Milliseconds since the start.
pub fn now_ms() -> u64 {
    u64::from(MILLIS.load(Ordering::Relaxed))
}
