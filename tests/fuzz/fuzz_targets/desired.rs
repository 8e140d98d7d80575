//! A desired state of any bytes is read or refused; what is read has an arm for every robot.
#![no_main]

mod statement;

use libfuzzer_sys::fuzz_target;
use sanderling_trust::Accepted;
use sanderling_wire::{Desired, MAX_SMALL_MESSAGE, Manifest, Name, Signed, decode};

fuzz_target!(|data: &[u8]| {
    let bytes = statement::versioned(data);
    if let Ok(signed) = decode::<Signed<'_>>(&bytes) {
        let mut scratch = [0; MAX_SMALL_MESSAGE];
        statement::reads_back(&signed, &mut scratch);
        let group = Name::new("all").expect("a name");
        let _ = Accepted::unsigned(&bytes, &group, 0, 0);
    }
    let Ok(desired) = decode::<Desired<'_>>(&bytes) else {
        return;
    };
    let mut scratch = [0; MAX_SMALL_MESSAGE];
    statement::reads_back(&desired, &mut scratch);
    for place in [0, 1, u32::MAX / 2, u32::MAX] {
        let arm = desired.arm_at(place).expect("every place has an arm");
        for index in [arm.run, arm.shadow].into_iter().flatten() {
            let release = desired
                .release(index)
                .expect("arms name releases that are there");
            let _ = release.read::<Manifest>();
        }
    }
});
