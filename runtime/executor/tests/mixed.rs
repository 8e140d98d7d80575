//! Partly float models: the integer regions in the engine, the rest in tract.
#![cfg(feature = "tract")]

mod onnx_file;

use onnx_file::{Dim, FLOAT, Graph, INT8};
use sanderling_executor::{Choice, Kind, Model, ModelError};

const FOUR: [Dim; 2] = [Dim::Fixed(1), Dim::Fixed(4)];

/// `x` as integers of half a unit.
fn quantize(x: f32) -> f32 {
    (x / 0.5).round_ties_even().clamp(-128.0, 127.0) * 0.5
}

fn scaled() -> Graph {
    Graph::default()
        .input("x", FLOAT, &FOUR)
        .floats("scale", &[], &[0.5])
        .int8s("zero", &[], &[0])
}

fn to_integers(graph: Graph, from: &str, to: &str) -> Graph {
    graph.node("QuantizeLinear", to, &[from, "scale", "zero"], &[to])
}

fn to_reals(graph: Graph, from: &str, to: &str) -> Graph {
    graph.node("DequantizeLinear", to, &[from, "scale", "zero"], &[to])
}

fn run(model: &mut Model, x: &[f32]) {
    let bytes: Vec<u8> = x.iter().flat_map(|value| value.to_le_bytes()).collect();
    model.input_mut(0).copy_from_slice(&bytes);
    model.run().expect("runs");
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.as_chunks().0.iter();
    words.map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn a_region_between_float_parts_runs_in_the_engine() {
    let mut model =
        Model::from_bytes("m", onnx_file::integers_between_floats(), Choice::Mixed).expect("loads");
    assert_eq!(model.executor(), Kind::Mixed);
    assert!(model.plan().is_none());
    assert!(model.reason().contains("1 region"), "{}", model.reason());
    let cut = model.regions().expect("has regions").clone();
    assert_eq!(cut.regions.len(), 1);
    assert_eq!(cut.regions[0].nodes, ["q", "r", "rectify", "p", "s"]);
    let rest: Vec<&str> = cut.rest.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(rest, ["shift", "wave"]);
    assert!(cut.rest.iter().all(|node| !node.why.is_empty()), "{cut:?}");
    assert_eq!(model.self_test().expect("passes"), 1);
    assert_eq!(
        model.outputs()[1].scale,
        0.5,
        "an integer output keeps its scale"
    );
    for x in [[0.0, 1.25, -3.0, 2.6], [20.0, -100.0, -1e30, 2.25]] {
        run(&mut model, &x);
        let q = x.map(|x| quantize(x - 1.0));
        let steps: Vec<u8> = q.iter().map(|q| (q / 0.5) as i8 as u8).collect();
        assert_eq!(model.output(1), steps);
        for (y, q) in floats(model.output(0)).into_iter().zip(q) {
            assert!((y / q.max(0.0).cosh() - 1.0).abs() < 1e-5, "{y} for {q}");
        }
    }
}

#[test]
fn what_the_engine_refuses_is_still_refused_and_mixing_is_suggested() {
    for choice in [Choice::Engine, Choice::Auto] {
        let error = Model::from_bytes("m.onnx", onnx_file::integers_between_floats(), choice)
            .expect_err("refused");
        let text = error.to_string();
        assert!(matches!(error, ModelError::Refused { .. }), "{text}");
        assert!(text.contains("--executor mixed"), "{text}");
        assert!(text.contains("wave (Cosh)"), "{text}");
    }
}

#[test]
fn a_model_without_a_region_says_so() {
    let cases = [
        (onnx_file::float_model(), "no node quantizes"),
        (onnx_file::quantized_model_with_a_cosine(), "wave (Cosh)"),
        (
            onnx_file::quantized_model_with_two_foreign_operators(),
            "other wave (Sinh)",
        ),
    ];
    for (onnx, why) in cases {
        let error = Model::from_bytes("m.onnx", onnx, Choice::Mixed).expect_err("has no region");
        let text = error.to_string();
        assert!(
            text.contains("no part of the model runs as integers"),
            "{text}"
        );
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn a_model_in_integers_is_one_region_with_the_same_bits() {
    let onnx = onnx_file::integer_model();
    let mut engine = Model::from_bytes("m", onnx.clone(), Choice::Engine).expect("loads");
    let mut mixed = Model::from_bytes("m", onnx, Choice::Mixed).expect("loads");
    let cut = mixed.regions().expect("has a region");
    assert_eq!((cut.regions.len(), cut.rest.len()), (1, 0));
    assert_eq!(engine.inputs(), mixed.inputs());
    assert_eq!(engine.outputs(), mixed.outputs());
    for byte in 0..=255u8 {
        let frame = [byte, byte.wrapping_mul(3), !byte, 7];
        for model in [&mut engine, &mut mixed] {
            model.input_mut(0).copy_from_slice(&frame);
            model.run().expect("runs");
        }
        assert_eq!(engine.output(0), mixed.output(0));
    }
}

/// `a` is read by the foreign operator and, around it, by the region behind it.
#[test]
fn a_connection_around_a_foreign_operator_does_not_close_a_circle() {
    let graph = to_reals(to_integers(scaled(), "x", "a"), "a", "b");
    let graph = graph.node("Relu", "rectify", &["b"], &["above"]);
    let graph = to_reals(to_integers(graph, "above", "c"), "c", "d");
    let graph = graph.node("Cosh", "wave", &["d"], &["e"]);
    let graph = to_reals(to_integers(graph, "e", "f"), "f", "g");
    let graph = graph.node("Add", "sum", &["g", "d"], &["h"]);
    let onnx = to_integers(graph, "h", "y").output("y", INT8, &FOUR).file();
    let mut model = Model::from_bytes("m", onnx, Choice::Mixed).expect("loads");
    let cut = model.regions().expect("has regions");
    assert_eq!(cut.regions.len(), 2, "{cut:?}");
    assert_eq!(cut.rest.len(), 1, "{cut:?}");
    let x = [0.0, 3.2, -5.0, 9.9];
    run(&mut model, &x);
    let y = x.map(|x| {
        let d = quantize(x).max(0.0);
        (quantize(quantize(d.cosh()) + d) / 0.5) as i8 as u8
    });
    assert_eq!(model.output(0), y);
}

#[test]
fn a_plan_is_not_mixed() {
    let options = sanderling_compiler::Options::default();
    let compiled = sanderling_compiler::compile(&onnx_file::integer_model(), &options);
    let plan = compiled.expect("compiles").plan;
    let error = Model::from_bytes("p", plan, Choice::Mixed).expect_err("is refused");
    assert!(matches!(error, ModelError::PlanInTract { .. }), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_or_a_model_and_never_a_panic() {
    let seed = 0x6a09_e667_f3bc_c908_u64;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let whole = onnx_file::integers_between_floats();
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        if let Ok(mut model) = Model::from_bytes("damaged", bytes, Choice::Mixed) {
            let _ = model.run();
        }
    }
}
