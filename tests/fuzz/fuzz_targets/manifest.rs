//! A manifest of any bytes is read or refused, and no board takes more of it than it holds.
#![no_main]

mod statement;

use libfuzzer_sys::fuzz_target;
use sanderling_trust::{Floors, Limits, fit, unsigned_release};
use sanderling_wire::{MAX_SMALL_MESSAGE, Manifest, Name, Signed, decode};

fuzz_target!(|data: &[u8]| {
    let bytes = statement::versioned(data);
    let Ok(manifest) = decode::<Manifest>(&bytes) else {
        return;
    };
    let mut scratch = [0; MAX_SMALL_MESSAGE];
    statement::reads_back(&manifest, &mut scratch);
    let targets: Vec<Name> = manifest
        .artifacts
        .iter()
        .map(|a| a.target.clone())
        .collect();
    let limits = Limits {
        targets: &targets,
        arena: 1 << 20,
        flash: 1 << 20,
    };
    if let Ok(artifact) = fit(&manifest, &limits) {
        assert!(artifact.size <= limits.flash && artifact.arena <= limits.arena);
    }
    let signed: Signed<'_> = Signed::unsigned(&bytes);
    let mut floors = Floors::default();
    floors.raise(&manifest.model, manifest.version);
    assert!(unsigned_release(&signed, &floors, 0).is_ok());
});
