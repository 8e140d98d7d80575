//! Bytes that come close to a statement, and what holds for every message that is read.

use sanderling_wire::{MAX_SMALL_MESSAGE, Message, VERSION, decode, encode};

/// The bytes with the version that is read, so that the fuzzer need not find it.
pub fn versioned(data: &[u8]) -> Vec<u8> {
    [&[VERSION], data].concat()
}

/// What was read can be written, and reads back the same. `scratch` lives as long as what the message borrows.
pub fn reads_back<'a, M: Message<'a> + core::fmt::Debug>(
    message: &M,
    scratch: &'a mut [u8; MAX_SMALL_MESSAGE],
) {
    let bytes: &'a [u8] = encode(message, scratch).expect("what was read is sound and fits");
    let again = decode::<M>(bytes).expect("what was written is read");
    assert_eq!(format!("{again:?}"), format!("{message:?}"));
}
