//! Steps spread over threads give the same bits as on one.
#![cfg(feature = "tract")]

mod onnx_file;

use sanderling_executor::{Choice, Model, ModelError};
use sanderling_plan::Target;

const ZOO: [&str; 3] = ["digits/digits-v2", "terrain/terrain-v2", "map/map-v2"];

fn model(name: &str, target: Target) -> Model {
    let path = format!("{}/../../models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).expect("is in the repository");
    Model::for_target(name, bytes, Choice::Engine, target).expect("loads")
}

/// All outputs for a pseudo-random input.
fn answer(model: &mut Model, seed: u32) -> Vec<u8> {
    let mut state = seed;
    for index in 0..model.inputs().len() {
        for value in model.input_mut(index).chunks_exact_mut(4) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Reals between 0 and 4, which are neither very small nor very large bytes.
            let real = (state >> 8) as f32 / (1 << 22) as f32;
            value.copy_from_slice(&real.to_le_bytes());
        }
    }
    model.run().expect("runs");
    (0..model.outputs().len())
        .flat_map(|index| model.output(index).to_vec())
        .collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let fastest = sanderling_engine::targets().next();
    for target in [Some(Target::Generic), fastest].into_iter().flatten() {
        for name in ZOO {
            let mut model = model(name, target);
            let expected: Vec<Vec<u8>> = (1..6).map(|seed| answer(&mut model, seed)).collect();
            assert!(expected.iter().any(|answer| *answer != expected[0]));
            for threads in [2, 3, 4, 1] {
                model.spread(threads).expect("has threads");
                model.self_test().expect("is what the plan says");
                for (seed, expected) in (1..6).zip(&expected) {
                    let got = answer(&mut model, seed);
                    assert!(got == *expected, "{name} {target} {threads} {seed}");
                }
            }
        }
    }
}

#[test]
fn tract_runs_on_one_thread() {
    let bytes = onnx_file::float_model();
    let mut model = Model::from_bytes("float.onnx", bytes, Choice::Auto).expect("loads");
    model.spread(1).expect("is how it is");
    let error = model.spread(2).expect_err("has no threads");
    assert!(matches!(error, ModelError::Threads { threads: 2, .. }));
    assert!(error.to_string().contains("take 1"), "{error}");
}
