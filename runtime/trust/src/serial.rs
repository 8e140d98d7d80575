//! One number that only grows: the root's epoch above, the desired state's serial below.

use sanderling_wire::SERIAL_LIMIT;

/// The effective serial, which the slots compare: any serial of a newer epoch is above every serial
/// of an older one. Without a root the epoch is 0.
pub fn effective(epoch: u32, serial: u64) -> u64 {
    u64::from(epoch) * SERIAL_LIMIT + serial.min(SERIAL_LIMIT - 1)
}

/// The epoch of an effective serial; more than any root's where it was never made by [`effective`].
pub fn epoch(effective: u64) -> u64 {
    effective / SERIAL_LIMIT
}

/// The desired state's own serial in an effective one.
pub fn plain(effective: u64) -> u64 {
    effective % SERIAL_LIMIT
}
