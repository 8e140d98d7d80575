//! What an ONNX file says beside its operators: scales and shapes of a bias, types in
//! attributes, names of outputs. The right answers are worked out by hand.
#![cfg(feature = "tract")]

mod onnx_file;

use onnx_file::{Attribute, Dim, FLOAT, Graph, INT8, UINT8};
use sanderling_executor::{Choice, Model};

const TWO: [Dim; 2] = [Dim::Fixed(1), Dim::Fixed(2)];

fn open(file: &[u8], choice: Choice) -> Model {
    Model::from_bytes("case.onnx", file.to_vec(), choice).unwrap()
}

fn refusal(file: &[u8], choice: Choice) -> String {
    match Model::from_bytes("case.onnx", file.to_vec(), choice) {
        Ok(_) => panic!("{choice:?} takes it"),
        Err(error) => error.to_string(),
    }
}

fn run(model: &mut Model, input: &[i8]) -> Vec<i8> {
    let input: Vec<u8> = input.iter().map(|value| value.cast_unsigned()).collect();
    model.input_mut(0).copy_from_slice(&input);
    model.run().unwrap();
    (model.output(0).iter().map(|byte| byte.cast_signed())).collect()
}

/// `q = x · [[1, 1], [1, -1]] + bias`, all scales 1 but for the bias and `scale_w`.
fn gemm(rows: u64, scale_w: f32, bias: impl FnOnce(Graph) -> Graph) -> Vec<u8> {
    let shape = [Dim::Fixed(rows), Dim::Fixed(2)];
    let graph = Graph::default()
        .input("x", INT8, &shape)
        .floats("one", &[], &[1.0])
        .floats("scale_w", &[], &[scale_w])
        .int8s("zero", &[], &[0])
        .int8s("w", &[2, 2], &[1, 1, 1, -1])
        .node("DequantizeLinear", "dx", &["x", "one", "zero"], &["xr"])
        .node("DequantizeLinear", "dw", &["w", "scale_w", "zero"], &["wr"]);
    bias(graph)
        .node("Gemm", "product", &["xr", "wr", "bias"], &["yr"])
        .node("QuantizeLinear", "qy", &["yr", "one", "zero"], &["y"])
        .output("y", INT8, &shape)
        .file()
}

#[test]
fn a_bias_keeps_its_own_scale_and_zero_point() {
    let integers = |scale: f32, zero_point: i32| {
        move |graph: Graph| {
            graph
                .floats("scale_b", &[], &[scale])
                .int32s("b", &[2], &[3, -5])
                .int32s("zero_b", &[], &[zero_point])
                .node(
                    "DequantizeLinear",
                    "db",
                    &["b", "scale_b", "zero_b"],
                    &["bias"],
                )
        }
    };
    for (scale, zero_point, expected) in [
        (1.0, 0, [33, -15]),
        // Ten times the scale of the sums: 30 and -50.
        (10.0, 0, [60, -60]),
        // A zero point of 1: 2 and -6.
        (1.0, 1, [32, -16]),
        (4.0, -3, [54, -18]),
    ] {
        let file = gemm(1, 1.0, integers(scale, zero_point));
        let answer = run(&mut open(&file, Choice::Engine), &[10, 20]);
        assert_eq!(answer, expected, "scale {scale}, zero point {zero_point}");
    }
}

#[test]
fn a_bias_that_no_sum_can_hold_is_refused() {
    let floats = |values: [f32; 2]| move |graph: Graph| graph.floats("bias", &[2], &values);
    for (scale_w, values, cause) in [
        (1.0, [0.0, f32::NAN], "no finite number"),
        (1.0, [f32::INFINITY, 0.0], "no finite number"),
        (1.0, [1e30, 0.0], "too large"),
        (1e-12, [1.0, 0.0], "too large"),
    ] {
        let why = refusal(&gemm(1, scale_w, floats(values)), Choice::Engine);
        assert!(
            why.contains("its bias") && why.contains(cause),
            "{values:?}: {why}"
        );
    }
    let answer = run(
        &mut open(&gemm(1, 1.0, floats([1.0, -2.0])), Choice::Engine),
        &[10, 20],
    );
    assert_eq!(answer, [31, -12]);
}

/// With as many rows as outputs, a bias of one value for each row has the right number of values.
#[test]
fn a_bias_of_one_value_for_each_row_is_not_one_for_each_output() {
    let bias = |shape: &'static [u64]| {
        move |graph: Graph| {
            let elements = shape.iter().product::<u64>() as usize;
            graph.floats("bias", shape, &[7.0, -7.0, 1.0, 2.0][..elements])
        }
    };
    for (shape, expected) in [
        (&[2u64] as &[u64], [10, -8, 14, -8]),
        (&[1, 2], [10, -8, 14, -8]),
        (&[1], [10, 6, 14, 6]),
        (&[1, 1], [10, 6, 14, 6]),
        (&[2, 1], [10, 6, 0, -8]),
    ] {
        let answer = run(
            &mut open(&gemm(2, 1.0, bias(shape)), Choice::Engine),
            &[1, 2, 3, 4],
        );
        assert_eq!(answer, expected, "{shape:?}");
    }
}

/// As many values as a row has, but one for each row.
#[test]
fn a_column_of_gains_is_not_a_row_of_them() {
    let file = |gain: &[u64]| {
        let shape = [Dim::Fixed(2), Dim::Fixed(2)];
        Graph::default()
            .input("x", INT8, &shape)
            .floats("one", &[], &[1.0])
            .floats("gain", gain, &[1.0, 3.0])
            .int8s("zero", &[], &[0])
            .node("DequantizeLinear", "d", &["x", "one", "zero"], &["r"])
            .node("LayerNormalization", "norm", &["r", "gain"], &["n"])
            .node("QuantizeLinear", "q", &["n", "one", "zero"], &["y"])
            .output("y", INT8, &shape)
            .file_of(17)
    };
    let why = refusal(&file(&[2, 1]), Choice::Engine);
    assert!(why.contains("[2, 1]"), "{why}");
    for gain in [&[2u64] as &[u64], &[1, 2]] {
        let answer = run(&mut open(&file(gain), Choice::Engine), &[-50, 50, 7, -7]);
        assert_eq!(answer, [-1, 3, 1, -3], "{gain:?}");
    }
}

/// `q = quantize(x / 1)`, x float, with attributes of QuantizeLinear.
fn quantized(attributes: &[(&str, Attribute)], element: u64) -> Vec<u8> {
    Graph::default()
        .input("x", FLOAT, &TWO)
        .floats("one", &[], &[1.0])
        .node_with("QuantizeLinear", "q", &["x", "one"], &["y"], attributes)
        .output("y", element, &TWO)
        .file_of(23)
}

#[test]
fn output_dtype_says_the_type_where_there_is_no_zero_point() {
    for choice in [Choice::Engine, Choice::Tract] {
        for (dtype, expected) in [(INT8, [-3i8, 100]), (UINT8, [0, 100])] {
            let attributes = [("output_dtype", Attribute::Int(dtype))];
            let mut model = open(&quantized(&attributes, dtype), choice);
            let input: Vec<u8> = [-3.0f32, 100.0]
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect();
            model.input_mut(0).copy_from_slice(&input);
            model.run().unwrap();
            let answer: Vec<i8> = model.output(0).iter().map(|b| b.cast_signed()).collect();
            assert_eq!(answer, expected, "{choice:?}, type {dtype}");
        }
    }
}

#[test]
fn types_that_nobody_computes_are_refused_by_every_executor() {
    const FLOAT16: u64 = 10;
    const FLOAT8: u64 = 17;
    for choice in [Choice::Engine, Choice::Mixed, Choice::Tract, Choice::Auto] {
        for (attribute, dtype) in [("precision", FLOAT16), ("output_dtype", FLOAT8)] {
            let file = quantized(&[(attribute, Attribute::Int(dtype))], UINT8);
            let why = refusal(&file, choice);
            assert!(why.contains(attribute), "{choice:?}: {why}");
        }
        if choice != Choice::Mixed {
            open(
                &quantized(&[("precision", Attribute::Int(FLOAT))], UINT8),
                choice,
            );
        }
    }
}

#[test]
fn an_upper_bound_below_the_lower_one_is_applied_last() {
    let file = Graph::default()
        .input("x", INT8, &TWO)
        .floats("one", &[], &[1.0])
        .floats("low", &[], &[9.0])
        .floats("high", &[], &[4.0])
        .int8s("zero", &[], &[0])
        .node("DequantizeLinear", "d", &["x", "one", "zero"], &["r"])
        .node("Clip", "clip", &["r", "low", "high"], &["c"])
        .node("QuantizeLinear", "q", &["c", "one", "zero"], &["y"])
        .output("y", INT8, &TWO)
        .file();
    assert_eq!(run(&mut open(&file, Choice::Engine), &[-100, 100]), [4, 4]);
}

/// `again` and `x` are the input, `one` and `two` are the same tensor; each has its own name.
#[test]
fn every_output_has_its_own_name() {
    let file = Graph::default()
        .input("x", INT8, &TWO)
        .floats("scale", &[], &[1.0])
        .floats("half", &[], &[0.5])
        .int8s("zero", &[], &[0])
        .node("Identity", "same", &["x"], &["again"])
        .node("DequantizeLinear", "d", &["x", "scale", "zero"], &["r"])
        .node("QuantizeLinear", "q", &["r", "half", "zero"], &["one"])
        .node("Identity", "copy", &["one"], &["two"])
        .output("again", INT8, &TWO)
        .output("two", INT8, &TWO)
        .output("one", INT8, &TWO)
        .output("x", INT8, &TWO)
        .file();
    for choice in [Choice::Engine, Choice::Tract] {
        let mut model = open(&file, choice);
        let names: Vec<&str> = model.outputs().iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["again", "two", "one", "x"], "{choice:?}");
        run(&mut model, &[3, -4]);
        let output = |index| -> Vec<i8> {
            (model.output(index).iter().map(|byte| byte.cast_signed())).collect()
        };
        assert_eq!(
            [output(0), output(1), output(2), output(3)],
            [[3, -4], [6, -8], [6, -8], [3, -4]]
        );
    }
}
