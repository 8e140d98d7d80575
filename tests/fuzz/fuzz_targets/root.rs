//! Chains of roots of any bytes never become a robot's root without a signature.
#![no_main]

mod statement;

use libfuzzer_sys::fuzz_target;
use sanderling_trust::Trust;
use sanderling_wire::{MAX_ROOT_SIGNATURES, MAX_SMALL_MESSAGE, Root, Roots, Signed, decode};

fuzz_target!(|data: &[u8]| {
    let bytes = statement::versioned(data);
    if let Ok(root) = decode::<Root>(&bytes) {
        let mut scratch = [0; MAX_SMALL_MESSAGE];
        statement::reads_back(&root, &mut scratch);
    }
    if let Ok(roots) = decode::<Roots<'_>>(&bytes) {
        for link in roots.iter() {
            decode::<Signed<'_, MAX_ROOT_SIGNATURES>>(link).expect("a sound chain has sound links");
        }
    }
    // The fuzzer cannot sign, so whatever it makes is refused.
    assert!(Trust::anchor(&bytes).is_err());
});
