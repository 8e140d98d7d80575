//! `run`: frames in, answers out.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use sanderling_executor::frames::{Array, read, write_npz};
use sanderling_plan::Dtype;

/// A file with one array.
pub fn floats(
    scratch: &Scratch,
    file: &str,
    name: &str,
    shape: &[usize],
    values: &[f32],
) -> String {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    save(
        scratch,
        file,
        &[Array::of(name, Dtype::F32, shape.to_vec(), bytes).expect("agrees")],
    )
}

pub fn save(scratch: &Scratch, file: &str, arrays: &[Array]) -> String {
    write_npz(&scratch.join(file), arrays).expect("writes");
    scratch.path(file)
}

pub fn int8s(name: &str, shape: &[usize], values: &[i8]) -> Array {
    let bytes = values.iter().map(|v| v.cast_unsigned()).collect();
    Array::of(name, Dtype::I8, shape.to_vec(), bytes).expect("agrees")
}

#[test]
fn a_float_model_answers_every_frame_and_says_that_tract_ran_it() {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    let values = [1.0, 2.0, 3.0, -9.0, -2.0, 3.0];
    let input = floats(&scratch, "in.npz", "input", &[2, 3], &values);
    let output = scratch.path("out.npz");
    let done = sanderling(&[
        "run", &model, "--input", &input, "--output", &output, "--json",
    ]);
    let json = done.json();
    assert_eq!(json["executor"], "tract");
    assert_eq!(json["frames"], 2);
    assert!(
        done.stderr
            .contains("executor: tract, because the model is in float"),
        "{}",
        done.stderr
    );
    let answers = read(output.as_ref(), "output").expect("has answers");
    assert_eq!(answers.header.shape, [2, 2]);
    let expected: Vec<u8> = [4.0f32, 0.0, 0.0, 3.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(answers.bytes(), expected);
}

#[test]
fn a_plan_answers_as_its_model_does_and_the_array_of_its_dtype_is_taken() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
    let frames = [5, -5, 0, 127, -128, 1, 2, -3];
    let real: Vec<u8> = frames
        .iter()
        .flat_map(|&v| f32::from(v).to_le_bytes())
        .collect();
    let arrays = [
        Array::of("input", Dtype::F32, vec![2, 4], real).expect("agrees"),
        int8s("input_q", &[2, 4], &frames),
    ];
    let input = save(&scratch, "in.npz", &arrays);
    for (file, output) in [(&model, "a.npz"), (&plan, "b.npz")] {
        let output = scratch.path(output);
        let done = sanderling(&[
            "run",
            file,
            "--executor",
            "engine",
            "-i",
            &input,
            "-o",
            &output,
        ]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.stderr.contains("executor: engine"), "{}", done.stderr);
        assert!(
            done.stderr.contains("array `input_q`, because"),
            "{}",
            done.stderr
        );
        assert!(done.stdout.contains("2 frames"), "{}", done.stdout);
        let answers = read(output.as_ref(), "output").expect("has answers");
        assert_eq!(
            answers,
            int8s("output", &[2, 4], &[5, 0, 0, 127, 0, 1, 2, 0])
        );
    }
}

#[test]
fn a_npy_goes_in_and_a_npy_comes_out() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let input = save(
        &scratch,
        "in.npy",
        &[int8s("", &[1, 1, 4], &[-1, 1, -2, 2])],
    );
    let output = scratch.path("out.npy");
    let done = sanderling(&["run", &model, "-i", &input, "-o", &output]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let answers = read(output.as_ref(), "").expect("has answers");
    assert_eq!(answers, int8s("", &[1, 4], &[0, 1, 0, 2]));
}

#[test]
fn axes_are_permuted_when_asked() {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    // Three values per frame, frames along the last axis.
    let input = floats(
        &scratch,
        "in.npy",
        "",
        &[3, 2],
        &[1.0, -9.0, 2.0, -2.0, 3.0, 3.0],
    );
    let output = scratch.path("out.npz");
    let done = sanderling(&[
        "run",
        &model,
        "-i",
        &input,
        "-o",
        &output,
        "--permute",
        "1,0",
    ]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let answers = read(output.as_ref(), "output").expect("has answers");
    let expected: Vec<u8> = [4.0f32, 0.0, 0.0, 3.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(answers.bytes(), expected);
}

#[test]
fn several_inputs_and_outputs_go_by_their_names() {
    let scratch = Scratch::new();
    let model = scratch.put(
        "m.onnx",
        &onnx_file::model_with_two_inputs_and_two_outputs(),
    );
    let array = |name: &str, values: [f32; 4]| {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Array::of(name, Dtype::F32, vec![2, 2], bytes).expect("agrees")
    };
    let left = array("left", [1.0, -2.0, 3.0, -4.0]);
    let right = array("right", [10.0, 20.0, 30.0, 40.0]);
    let input = save(&scratch, "in.npz", &[right.clone(), left.clone()]);
    let output = scratch.path("out.npz");
    let done = sanderling(&["run", &model, "-i", &input, "-o", &output]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let answer = |name| read(output.as_ref(), name).expect("has answers");
    assert_eq!(answer("sum"), array("sum", [11.0, 18.0, 33.0, 36.0]));
    assert_eq!(answer("above"), array("above", [1.0, 0.0, 3.0, 0.0]));

    let one = scratch.path("out.npy");
    sanderling(&["run", &model, "-i", &input, "-o", &one]).fails(1, &["2 arrays", "name a .npz"]);
    let alone = save(&scratch, "left.npz", &[left]);
    sanderling(&["run", &model, "-i", &alone, "-o", &output])
        .fails(1, &["no array `right`, only `left` (f32 2×2)"]);
    let short = Array::of("right", Dtype::F32, vec![1, 2], vec![0; 8]).expect("agrees");
    let uneven = save(&scratch, "uneven.npz", &[array("left", [0.0; 4]), short]);
    sanderling(&["run", &model, "-i", &uneven, "-o", &output])
        .fails(1, &["`right` has 1 frames", "`left` has 2"]);
}
