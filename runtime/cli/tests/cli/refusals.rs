//! Bad input is one clear line that says what to do, exit code 1, and nothing written.

use crate::onnx_file;
use crate::process::{Finished, Scratch, read, sanderling};
use crate::run::{floats, int8s, save};

fn run(model: &str, input: &str, output: &str, more: &[&str]) -> Finished {
    sanderling(&[&["run", model, "--input", input, "--output", output], more].concat())
}

/// A float model, frames for it, and a place for answers.
fn float_case(values: &[f32]) -> (Scratch, String, String, String) {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    let input = floats(&scratch, "in.npz", "input", &[values.len() / 3, 3], values);
    let output = scratch.path("out.npz");
    (scratch, model, input, output)
}

#[test]
fn a_file_that_is_not_there() {
    let (scratch, model, input, output) = float_case(&[0.0; 3]);
    let missing = scratch.path("none.onnx");
    run(&missing, &input, &output, &[]).fails(1, &["cannot read", "none.onnx", "No such file"]);
    let missing = scratch.path("none.npz");
    run(&model, &missing, &output, &[]).fails(1, &["cannot open", "none.npz"]);
}

#[test]
fn a_file_that_is_no_model() {
    let (scratch, _, input, output) = float_case(&[0.0; 3]);
    for (name, bytes) in [("text", &b"hello, robot"[..]), ("empty", b"")] {
        let file = scratch.put(name, bytes);
        run(&file, &input, &output, &[]).fails(1, &[name, "neither a plan nor an ONNX model"]);
        sanderling(&["inspect", &file]).fails(1, &["neither a plan nor an ONNX model"]);
        sanderling(&["bench", &file, "--json"]).fails(1, &["neither a plan nor an ONNX model"]);
        sanderling(&["compile", &file]).fails(1, &["not an ONNX model"]);
    }
}

#[test]
fn a_model_that_is_cut() {
    let (scratch, model, input, output) = float_case(&[0.0; 3]);
    let whole = read(&model);
    let cut = scratch.put("cut.onnx", &whole[..whole.len() / 2]);
    run(&cut, &input, &output, &[]).fails(1, &["cut.onnx", "truncated or damaged ONNX"]);
}

#[test]
fn a_plan_that_is_cut_anywhere() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
    let input = save(&scratch, "in.npz", &[int8s("input", &[1, 4], &[0; 4])]);
    let whole = read(&plan);
    for keep in [9, 100, 127, 128, whole.len() / 2, whole.len() - 1] {
        let cut = scratch.put("cut.plan", &whole[..keep]);
        run(&cut, &input, &scratch.path("out.npz"), &[])
            .fails(1, &["cut.plan", "truncated", "fetch or compile it again"]);
        sanderling(&["inspect", &cut]).fails(1, &["truncated"]);
    }
    assert!(!scratch.files().contains(&"out.npz".to_owned()));
}

#[test]
fn a_plan_for_another_board() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m4.plan");
    sanderling(&[
        "compile",
        &model,
        "--target",
        "cortex-m4",
        "-o",
        &plan,
        "--json",
    ])
    .json();
    let input = save(&scratch, "in.npz", &[int8s("input", &[1, 4], &[0; 4])]);
    let done = run(&plan, &input, &scratch.path("out.npz"), &[]);
    done.fails(1, &["m4.plan", "packed for cortex-m4", "--target generic"]);
    // It can still be looked at.
    let json = sanderling(&["inspect", &plan, "--json"]).json();
    assert_eq!(json["target"], "cortex-m4");
    assert_eq!(json["self_test"], "not run here");
}

#[test]
fn a_float_model_in_the_engine() {
    let (_scratch, model, input, output) = float_case(&[0.0; 3]);
    let done = run(&model, &input, &output, &["--executor", "engine"]);
    done.fails(1, &["f.onnx", "--executor tract", "\n  product (MatMul)"]);
    sanderling(&["compile", &model]).fails(1, &["\n  product (MatMul)"]);
}

#[test]
fn every_foreign_operator_of_a_quantized_model_is_listed_at_once() {
    let scratch = Scratch::new();
    let model = scratch.put(
        "two.onnx",
        &onnx_file::quantized_model_with_two_foreign_operators(),
    );
    let done = sanderling(&["compile", &model]);
    done.fails(1, &["\n  wave (Cosh)", "\n  other wave (Sinh)"]);
    assert_eq!(scratch.files(), ["two.onnx"], "no plan is written");
}

#[test]
fn a_quantized_model_with_a_foreign_operator_does_not_fall_back() {
    let scratch = Scratch::new();
    let model = scratch.put("cos.onnx", &onnx_file::quantized_model_with_a_cosine());
    let input = save(&scratch, "in.npz", &[int8s("input", &[1, 4], &[0; 4])]);
    let output = scratch.path("out.npz");
    run(&model, &input, &output, &[]).fails(1, &["\n  wave (Cosh)", "--executor tract"]);
    let done = run(&model, &input, &output, &["--executor", "tract"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("in float"), "{}", done.stderr);
}

#[test]
fn a_plan_in_tract() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
    let done = sanderling(&["bench", &plan, "--executor", "tract"]);
    done.fails(1, &["only the engine runs"]);
}

#[test]
fn a_frame_with_nan() {
    let (scratch, model, input, output) = float_case(&[0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0]);
    let done = run(&model, &input, &output, &[]);
    done.fails(
        1,
        &["frame 1", "`x` is NaN at index [0, 1]", "clean the frame"],
    );
    assert_eq!(scratch.files(), ["f.onnx", "in.npz"]);
}

#[test]
fn frames_of_the_wrong_shape() {
    let (scratch, model, _, output) = float_case(&[0.0; 3]);
    let input = floats(&scratch, "four.npz", "input", &[2, 4], &[0.0; 8]);
    let done = run(&model, &input, &output, &[]);
    done.fails(1, &["four.npz", "has frames of 4", "`x` takes 3"]);
    let empty = floats(&scratch, "none.npz", "input", &[0, 3], &[]);
    run(&model, &empty, &output, &[]).fails(1, &["none.npz", "holds no frames"]);
    assert!(!scratch.files().contains(&"out.npz".to_owned()));
}

#[test]
fn a_float_frame_for_an_integer_input() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let input = floats(&scratch, "in.npz", "input", &[1, 4], &[0.0; 4]);
    let done = run(&model, &input, &scratch.path("out.npz"), &[]);
    done.fails(1, &["`input` is f32", "`x` takes i8", "round(x / 0.5) + 0"]);
}

#[test]
fn an_array_that_is_not_there() {
    let (scratch, model, input, output) = float_case(&[0.0; 3]);
    let done = run(&model, &input, &output, &["--input-name", "images"]);
    done.fails(1, &["no array `images`, only `input` (f32 1×3)"]);
    let pair = [int8s("a", &[1], &[0]), int8s("b", &[1], &[0])];
    let input = save(&scratch, "pair.npz", &pair);
    run(&model, &input, &output, &[]).fails(1, &["`a`", "`b`", "--input-name"]);
}

#[test]
fn frames_that_are_damaged() {
    let (scratch, model, input, output) = float_case(&[0.0; 3]);
    let whole = read(&input);
    let cut = scratch.put("cut.npz", &whole[..whole.len() - 30]);
    run(&model, &cut, &output, &[]).fails(1, &["cut.npz", "damaged", "save it again"]);
    let text = scratch.put("text.npz", b"a,b,c\n");
    run(&model, &text, &output, &[]).fails(1, &["neither .npy nor .npz"]);
}

#[test]
fn a_full_disk() {
    let (scratch, model, input, _) = float_case(&[0.0; 3]);
    let done = run(&model, &input, "/dev/full", &[]);
    done.fails(
        1,
        &[
            "cannot write /dev/full",
            "No space left on device",
            "free some space",
        ],
    );
    let quantized = scratch.put("m.onnx", &onnx_file::integer_model());
    let done = sanderling(&["compile", &quantized, "-o", "/dev/full"]);
    done.fails(1, &["cannot write /dev/full", "No space left on device"]);
}

#[test]
fn a_place_that_cannot_be_written() {
    let (scratch, model, input, _) = float_case(&[0.0; 3]);
    let nowhere = scratch.path("none/out.npz");
    run(&model, &input, &nowhere, &[]).fails(1, &["none/out.npz", "make the directory first"]);
    let quantized = scratch.put("m.onnx", &onnx_file::integer_model());
    let directory = scratch.path("");
    let done = sanderling(&["compile", &quantized, "-o", &directory]);
    done.fails(1, &["cannot write"]);
    assert_eq!(
        scratch.files(),
        ["f.onnx", "in.npz", "m.onnx"],
        "nothing is left behind"
    );
}

#[test]
fn winograd_where_the_target_has_none() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let done = sanderling(&["compile", &model, "--winograd"]);
    done.fails(1, &["m.onnx", "generic", "compile for cortex-m4"]);
    assert_eq!(scratch.files(), ["m.onnx"], "nothing is written");
    // Where the target has it, a model without such convolutions stays as it is.
    let args = ["compile", &model, "--target", "cortex-m4", "--winograd"];
    let json = sanderling(&[&args[..], &["--json"]].concat()).json();
    assert_eq!(json["winograd_bytes"], 0);
}

#[test]
fn usage_errors_exit_with_2() {
    sanderling(&["run"]).fails(2, &["--input"]);
    sanderling(&["fly"]).fails(2, &["fly"]);
    sanderling(&["compile", "m.onnx", "--target", "z80"]).fails(2, &["z80", "cortex-m4"]);
    sanderling(&["compile", "m.onnx", "--winograd=much"]).fails(2, &["much", "40K"]);
    sanderling(&["bench", "m.plan", "--threads", "0"]).fails(2, &["--threads"]);
    sanderling(&["bench", "m.plan", "--seconds", "0"]).fails(2, &["seconds"]);
}

#[test]
fn a_model_with_an_output_that_no_node_computes() {
    let (scratch, _, input, output) = float_case(&[0.0; 3]);
    let model = scratch.put("z.onnx", &onnx_file::model_with_an_output_from_nowhere());
    sanderling(&["compile", &model]).fails(1, &["z.onnx"]);
    run(&model, &input, &output, &[]).fails(1, &["z.onnx", "`z`", "no node computes"]);
}

/// A name in a file is text, whatever a terminal would make of it.
#[test]
fn names_that_give_orders_to_a_terminal() {
    let scratch = Scratch::new();
    let mut file = onnx_file::float_model();
    // Of the same length, so that the file stays whole.
    for (name, order) in [
        (&b"rectify"[..], &b"\x1b[31m\nx"[..]),
        (&b"product"[..], &b"p\xc2\x9b2J\r\x07"[..]),
    ] {
        assert_eq!(name.len(), order.len());
        let at = file.windows(name.len()).position(|part| part == name);
        let at = at.expect("the node is there");
        file[at..at + name.len()].copy_from_slice(order);
    }
    let model = scratch.put("orders\u{1b}[2J.onnx", &file);
    let missing = scratch.path("none\u{9b}2J\u{202e}.onnx");
    for args in [
        ["compile", &model].as_slice(),
        &["inspect", &model],
        &["inspect", &model, "--json"],
        &["inspect", &missing],
    ] {
        let said = sanderling(args);
        for (stream, text) in [("output", &said.stdout), ("errors", &said.stderr)] {
            let order = text
                .chars()
                .find(|c| *c != '\n' && sanderling_wire::is_unprintable(*c));
            assert_eq!(order, None, "{args:?}, {stream}: {text:?}");
            assert!(!text.lines().any(|line| line == "x"), "{args:?}: {text}");
        }
    }
}
