//! Which executor takes which file, and what is refused.
#![cfg(feature = "tract")]

mod onnx_file;

use onnx_file::{DOUBLE, Dim, FLOAT, Graph};
use sanderling_executor::{Choice, Kind, Model, ModelError, check_finite};
use sanderling_plan::Dtype;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn plan() -> Vec<u8> {
    let onnx = onnx_file::integer_model();
    let options = sanderling_compiler::Options {
        golden: 3,
        ..Default::default()
    };
    sanderling_compiler::compile(&onnx, &options)
        .expect("an integer model compiles")
        .plan
}

#[test]
fn a_float_model_runs_in_tract_with_a_batch_of_one() {
    let mut model = Model::from_bytes("float.onnx", onnx_file::float_model(), Choice::Auto)
        .expect("tract loads it");
    assert_eq!(model.executor(), Kind::Tract);
    assert!(model.reason().contains("float"), "{}", model.reason());
    assert_eq!(model.inputs()[0].shape, [1, 3]);
    assert_eq!(model.inputs()[0].dtype, Dtype::F32);
    assert_eq!(model.outputs()[0].name, "y");
    for (x, y) in [
        ([1.0, 2.0, 3.0], [4.0, 0.0]),
        ([-9.0, -2.0, 3.0], [0.0, 3.0]),
    ] {
        model.input_mut(0).copy_from_slice(&bytes(&x));
        model.run().expect("runs");
        assert_eq!(floats(model.output(0)), y);
    }
    assert_eq!(model.self_test().expect("has nothing to test"), 0);
    assert!(model.plan().is_none());
}

#[test]
fn an_integer_model_runs_in_the_engine_and_a_plan_of_it_gives_the_same() {
    let onnx = onnx_file::integer_model();
    for (bytes, choice) in [
        (onnx.clone(), Choice::Auto),
        (onnx.clone(), Choice::Engine),
        (onnx, Choice::Tract),
        (plan(), Choice::Auto),
        (plan(), Choice::Engine),
    ] {
        let mut model = Model::from_bytes("integer", bytes, choice).expect("loads");
        let kind = if choice == Choice::Tract {
            Kind::Tract
        } else {
            Kind::Engine
        };
        assert_eq!(model.executor(), kind, "{}", model.reason());
        assert_eq!(model.inputs()[0].dtype, Dtype::I8);
        model.input_mut(0).copy_from_slice(&[5, 0xfb, 0, 0x7f]);
        model.run().expect("runs");
        assert_eq!(model.output(0), [5, 0, 0, 0x7f], "{choice:?}");
    }
}

#[test]
fn golden_vectors_are_counted_and_a_changed_one_is_found() {
    let mut bytes = plan();
    let mut model = Model::from_bytes("p", bytes.clone(), Choice::Auto).expect("loads");
    assert_eq!(model.self_test().expect("passes"), 3);
    assert!(
        model
            .plan()
            .is_some_and(|plan| plan.bytes().len() == bytes.len())
    );
    // Section 4 of the header's table: the golden vectors.
    let at = sanderling_plan::header::field::SECTIONS + 8 * 4;
    let word = bytes[at..at + 4].try_into().expect("four bytes");
    let first_input = u32::from_le_bytes(word) as usize + sanderling_plan::golden::HEADER;
    bytes[first_input] = if bytes[first_input] == 100 { 50 } else { 100 };
    let mut model = Model::from_bytes("p", bytes, Choice::Auto).expect("loads");
    let error = model.self_test().expect_err("differs").to_string();
    assert!(error.contains("self-test"), "{error}");
}

#[test]
fn a_quantized_model_that_the_compiler_refuses_never_falls_back() {
    let onnx = onnx_file::quantized_model_with_a_cosine();
    for choice in [Choice::Auto, Choice::Engine] {
        let error = Model::from_bytes("cos.onnx", onnx.clone(), choice).expect_err("is refused");
        let text = error.to_string();
        assert!(matches!(error, ModelError::Refused { .. }), "{text}");
        assert!(text.contains("--executor tract"), "{text}");
        assert!(text.contains("wave (Cosh)"), "{text}");
    }
    let model = Model::from_bytes("cos.onnx", onnx, Choice::Tract).expect("tract loads it");
    assert!(model.reason().contains("in float"), "{}", model.reason());
}

#[test]
fn a_float_model_asked_into_the_engine_lists_its_nodes() {
    let onnx = onnx_file::float_model();
    let error = Model::from_bytes("f.onnx", onnx, Choice::Engine).expect_err("is refused");
    let text = error.to_string();
    assert!(text.contains("product (MatMul)"), "{text}");
}

#[test]
fn a_plan_asked_into_tract_is_refused() {
    let error = Model::from_bytes("p", plan(), Choice::Tract).expect_err("is refused");
    assert!(matches!(error, ModelError::PlanInTract { .. }), "{error}");
}

#[test]
fn what_is_no_model_is_said_to_be_none() {
    for bytes in [
        &b""[..],
        b"SNDR",
        b"#!/bin/sh\n",
        &[0x08, 0x07],
        &[0xff; 64],
    ] {
        let error = Model::from_bytes("x", bytes.to_vec(), Choice::Auto).expect_err("is no model");
        assert!(
            matches!(error, ModelError::NotAModel { .. }),
            "{bytes:?}: {error}"
        );
    }
    let plan = plan();
    let error = Model::from_bytes("x", plan[..plan.len() - 1].to_vec(), Choice::Auto);
    let error = error.expect_err("is truncated").to_string();
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn an_input_that_no_frame_can_feed_is_named() {
    let graph = |element, dims: &[Dim]| {
        Graph::default()
            .input("ids", element, dims)
            .node("Identity", "same", &["ids"], &["y"])
            .output("y", element, dims)
            .file()
    };
    let open = graph(FLOAT, &[Dim::Fixed(1), Dim::Open("time")]);
    let error = Model::from_bytes("m", open, Choice::Tract)
        .expect_err("is open")
        .to_string();
    assert!(
        error.contains("`ids`") && error.contains("`time`"),
        "{error}"
    );
    let double = graph(DOUBLE, &[Dim::Fixed(1)]);
    let error = Model::from_bytes("m", double, Choice::Tract)
        .expect_err("is f64")
        .to_string();
    assert!(
        error.contains("`ids`") && error.contains("double"),
        "{error}"
    );
}

#[test]
fn a_value_that_is_not_finite_is_named_by_its_index() {
    let model = Model::from_bytes("f", onnx_file::float_model(), Choice::Auto).expect("loads");
    let input = &model.inputs()[0];
    assert_eq!(check_finite(input, &bytes(&[1.0, 2.0, 3.0])), Ok(()));
    let error = check_finite(input, &bytes(&[1.0, 2.0, f32::NAN])).expect_err("is NaN");
    assert_eq!(error.index, [0, 2]);
    assert!(
        error.to_string().contains("`x` is NaN at index [0, 2]"),
        "{error}"
    );
    let error = check_finite(input, &bytes(&[f32::NEG_INFINITY, 2.0, 3.0])).expect_err("is -inf");
    assert_eq!((error.index, error.value), (vec![0, 0], f32::NEG_INFINITY));
}

#[test]
fn the_digest_is_that_of_the_file() {
    let bytes = plan();
    let model = Model::from_bytes("p", bytes.clone(), Choice::Auto).expect("loads");
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    assert_eq!(model.digest(), digest);
    let error = Model::open("/nonexistent/model.plan".as_ref(), Choice::Auto).expect_err("none");
    assert!(
        error.to_string().contains("/nonexistent/model.plan"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_is_an_error_or_a_model_and_never_a_panic() {
    let seed = 0x2545_f491_4f6c_dd1d_u64;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let models = [
        onnx_file::float_model(),
        onnx_file::integer_model(),
        onnx_file::quantized_model_with_two_foreign_operators(),
        onnx_file::model_with_two_inputs_and_two_outputs(),
        plan(),
    ];
    for round in 0..600 {
        let mut bytes = models[round % models.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        for choice in [Choice::Auto, Choice::Engine, Choice::Tract] {
            if let Ok(mut model) = Model::from_bytes("damaged", bytes.clone(), choice) {
                let _ = model.run();
            }
        }
    }
}

#[test]
fn an_output_that_no_node_computes_is_named() {
    let onnx = onnx_file::model_with_an_output_from_nowhere();
    for choice in [Choice::Auto, Choice::Engine, Choice::Tract] {
        let error = Model::from_bytes("m", onnx.clone(), choice).expect_err("has no z");
        assert!(
            error
                .to_string()
                .contains("`z` is an output that no node computes"),
            "{error}"
        );
    }
}

#[test]
fn a_panic_in_tract_is_an_error_of_the_run() {
    // tract's QuantizeLinear adds a zero point to the largest integer.
    let onnx = Graph::default()
        .input("x", FLOAT, &[Dim::Fixed(1)])
        .floats("scale", &[], &[0.5])
        .int8s("zero", &[], &[1])
        .node("QuantizeLinear", "to", &["x", "scale", "zero"], &["y"])
        .output("y", onnx_file::INT8, &[Dim::Fixed(1)])
        .file();
    let mut model = Model::from_bytes("m", onnx, Choice::Tract).expect("loads");
    model.input_mut(0).copy_from_slice(&1e30f32.to_le_bytes());
    match model.run() {
        // Builds without overflow checks wrap instead.
        Ok(()) => {}
        Err(error) => assert!(error.to_string().contains("it gave up"), "{error}"),
    }
    model.input_mut(0).copy_from_slice(&3.0f32.to_le_bytes());
    model.run().expect("runs on");
    assert_eq!(model.output(0), [7]);
}
