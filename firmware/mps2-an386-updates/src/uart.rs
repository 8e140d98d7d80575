//! The board's first UART (Arm's CMSDK), polled.
//!
//! QEMU holds a byte back until the one before was read, so nothing is lost however long an inference takes. On
//! silicon an interrupt would fill a buffer.

#![expect(
    unsafe_code,
    reason = "registers are memory that the compiler does not know"
)]

const DATA: *mut u32 = 0x4000_4000 as *mut u32;
const STATE: *const u32 = 0x4000_4004 as *const u32;
const CONTROL: *mut u32 = 0x4000_4008 as *mut u32;
const DIVIDER: *mut u32 = 0x4000_4010 as *mut u32;

const TRANSMIT_FULL: u32 = 1;
const RECEIVED: u32 = 2;
const BOTH_WAYS: u32 = 3;
/// 25 MHz by 217 are 115,200 baud. The smallest that the device takes is 16.
const BAUD_DIVIDER: u32 = 217;

/// Lets bytes pass both ways.
pub fn start() {
    // SAFETY: the addresses are this UART's registers, and writing them does what the manual says and no more.
    unsafe {
        DIVIDER.write_volatile(BAUD_DIVIDER);
        CONTROL.write_volatile(BOTH_WAYS);
    }
}

/// A byte that arrived, if one did.
pub fn receive() -> Option<u8> {
    // SAFETY: as in `start`; reading the data takes the byte out, and only this function does.
    unsafe { (STATE.read_volatile() & RECEIVED != 0).then(|| DATA.read_volatile() as u8) }
}

/// Sends a byte; false where the one before is still on its way.
pub fn send(byte: u8) -> bool {
    // SAFETY: as in `start`.
    unsafe {
        let free = STATE.read_volatile() & TRANSMIT_FULL == 0;
        if free {
            DATA.write_volatile(u32::from(byte));
        }
        free
    }
}
