//! Partly float models: integer regions in the engine, the rest in tract.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use crate::run::floats;
use sanderling_executor::frames::read;

#[test]
fn run_gives_both_parts_and_names_the_regions() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integers_between_floats());
    let x = [1.0, 2.5, -3.0, 200.0];
    let input = floats(&scratch, "in.npz", "input", &[1, 4], &x);
    let output = scratch.path("out.npz");
    let arguments = ["run", &model, "--input", &input, "--output", &output];
    let done = sanderling(&[&arguments[..], &["--executor", "mixed", "--json"]].concat());
    let json = done.json();
    assert_eq!(json["executor"], "mixed");
    assert_eq!(json["regions"][0]["name"], "region0");
    assert!(
        done.stderr
            .contains("executor: mixed, because it was asked for"),
        "{}",
        done.stderr
    );
    let integers = read(output.as_ref(), "q").expect("has integers");
    assert_eq!(integers.bytes(), [0, 3, -8i8 as u8, 127]);
    let reals = read(output.as_ref(), "y").expect("has reals");
    assert_eq!(reals.bytes()[..4], 1.0f32.to_le_bytes());
}

#[test]
fn inspect_shows_what_runs_where() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integers_between_floats());
    let json = sanderling(&["inspect", &model, "--regions", "--json"]).json();
    let region = &json["regions"][0];
    assert_eq!(region["nodes"].as_array().map(Vec::len), Some(5), "{json}");
    for key in ["macs", "share", "steps", "flash_bytes", "arena_bytes"] {
        assert!(region[key].is_number(), "{key}: {json}");
    }
    let rest: Vec<_> = (json["rest"].as_array().expect("is a list").iter())
        .map(|node| node["operator"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(rest, ["Sub", "Cosh"]);
    let text = sanderling(&["inspect", &model, "--regions"]).stdout;
    for part in [
        "region0",
        "in tract, in float",
        "wave",
        "no integer form of Cosh",
    ] {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn nothing_is_mixed_without_being_asked_or_without_a_region() {
    let scratch = Scratch::new();
    let mixed = scratch.put("m.onnx", &onnx_file::integers_between_floats());
    for executor in ["auto", "engine"] {
        sanderling(&["bench", &mixed, "--executor", executor])
            .fails(1, &["--executor mixed", "wave (Cosh)"]);
    }
    let float = scratch.put("f.onnx", &onnx_file::float_model());
    let none = "no part of the model runs as integers, for no node quantizes";
    sanderling(&["bench", &float, "--executor", "mixed"]).fails(1, &["f.onnx", none]);
    sanderling(&["inspect", &float, "--regions"]).fails(1, &["f.onnx", none]);
}
