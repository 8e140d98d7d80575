//! `bench`: times, and calls to the allocator.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};

#[test]
fn the_engine_never_asks_the_allocator() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let args = [
        "bench",
        &model,
        "--executor",
        "engine",
        "--threads",
        "1",
        "--seconds",
        "0.1",
        "--json",
    ];
    let json = sanderling(&args).json();
    assert_eq!(json["allocations"], 0, "{json}");
    assert_eq!(json["system_allocations"], 0, "{json}");
    assert_eq!(json["executor"], "engine");
    let number = |key: &str| json[key].as_f64().expect("is a number");
    assert!(
        number("min_us") <= number("median_us") && number("median_us") <= number("p99_us"),
        "{json}"
    );
    assert!(number("runs") >= 5.0, "{json}");
}

#[test]
fn threads_do_not_ask_the_allocator_either() {
    let model = format!(
        "{}/../../models/map/map-v2.onnx",
        env!("CARGO_MANIFEST_DIR")
    );
    for target in ["generic", "fastest"] {
        let mut args = vec![
            "bench",
            &model,
            "--threads",
            "3",
            "--seconds",
            "0.3",
            "--json",
        ];
        if target == "generic" {
            args.extend(["--target", target]);
        }
        let json = sanderling(&args).json();
        assert_eq!(json["threads"], 3, "{json}");
        assert_eq!(json["allocations"], 0, "{json}");
        assert_eq!(json["system_allocations"], 0, "{json}");
    }
}

#[test]
fn the_counter_sees_what_tract_asks_for() {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    let json = sanderling(&["bench", &model, "--seconds", "0.1", "--json"]).json();
    assert_eq!(json["executor"], "tract");
    assert!(json["allocations"].as_f64() > Some(1.0), "{json}");
    let text = sanderling(&["bench", &model, "--seconds", "0.1"]);
    assert!(
        text.stdout.contains("median") && text.stdout.contains("µs"),
        "{}",
        text.stdout
    );
}

#[test]
fn after_a_few_inferences_nothing_reaches_the_system() {
    let scratch = Scratch::new();
    let mixed = scratch.put("mixed.onnx", &onnx_file::integers_between_floats());
    let float = scratch.put("f.onnx", &onnx_file::float_model());
    for (model, executor) in [(&mixed, "mixed"), (&mixed, "tract"), (&float, "tract")] {
        let seconds = ["--seconds", "0.2", "--json"];
        let json = sanderling(&[&["bench", model, "--executor", executor], &seconds[..]].concat());
        let json = json.json();
        assert_eq!(json["executor"], executor);
        assert!(json["allocations"].as_f64() >= Some(1.0), "{json}");
        assert_eq!(json["system_allocations"], 0, "{json}");
        assert!(json["pool_bytes"].as_u64() > Some(0), "{json}");
        assert_eq!(json["regions"].is_array(), executor == "mixed", "{json}");
    }
}
