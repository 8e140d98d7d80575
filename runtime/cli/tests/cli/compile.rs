//! `compile` and `inspect`: what they say about a model.

use crate::onnx_file;
use crate::process::{Scratch, read, sanderling};
use serde_json::Value;

#[test]
fn the_json_has_the_costs_and_every_step() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    let args = [
        "compile",
        &model,
        "--target",
        "cortex-m4",
        "-o",
        &plan,
        "--json",
    ];
    let json = sanderling(&args).json();
    assert_eq!(json["target"], "cortex-m4");
    assert_eq!(json["flash_bytes"], read(&plan).len());
    assert!(
        json["macs"].is_u64() && json["arena_bytes"].is_u64(),
        "{json}"
    );
    assert!(json["peak_tensor"]["bytes"].is_u64(), "{json}");
    assert_eq!(json["source_sha256"].as_str().map(str::len), Some(64));
    let steps = json["steps"].as_array().expect("is a list");
    assert!(!steps.is_empty());
    for step in steps {
        for key in [
            "name",
            "operator",
            "inputs",
            "output",
            "macs",
            "weight_bytes",
            "scratch_bytes",
            "in_place",
        ] {
            assert!(step.get(key).is_some(), "no {key} in {step}");
        }
    }
}

#[test]
fn the_table_is_text_for_people() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let done = sanderling(&["compile", &model]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for part in [
        "m.plan for generic",
        "operator",
        "flash",
        "arena",
        "MACs",
        "`x` i8 1×4, scale 0.5",
    ] {
        assert!(done.stdout.contains(part), "no {part:?} in {}", done.stdout);
    }
    assert_eq!(
        scratch.files(),
        ["m.onnx", "m.plan"],
        "the plan takes the model's name"
    );
}

#[test]
fn the_same_model_compiles_to_the_same_bytes() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plans: Vec<Vec<u8>> = ["a.plan", "b.plan"]
        .map(|name| scratch.path(name))
        .map(|plan| {
            sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
            read(plan)
        })
        .into();
    assert_eq!(plans[0], plans[1]);
}

#[test]
fn inspect_agrees_with_compile_and_tests_the_plan() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    let compiled = sanderling(&["compile", &model, "--golden", "2", "-o", &plan, "--json"]).json();
    let inspected = sanderling(&["inspect", &plan, "--json"]).json();
    for key in [
        "target",
        "source_sha256",
        "macs",
        "flash_bytes",
        "arena_bytes",
    ] {
        assert_eq!(compiled[key], inspected[key], "{key}");
    }
    assert_eq!(
        compiled["peak_tensor"]["name"],
        inspected["peak_tensor"]["name"]
    );
    assert_eq!(inspected["golden"], 2);
    assert_eq!(inspected["self_test"], "passed");
    let operators = |json: &Value| -> Vec<Value> {
        json["steps"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|s| s["operator"].clone())
            .collect()
    };
    assert_eq!(operators(&compiled), operators(&inspected));
    let text = sanderling(&["inspect", &plan, "--tensors"]);
    assert!(text.stdout.contains("2 vectors, passed"), "{}", text.stdout);
    assert!(text.stdout.contains("arena: a row is"), "{}", text.stdout);
    let onnx = sanderling(&["inspect", &model, "--json"]).json();
    assert_eq!(
        (&onnx["kind"], &onnx["executor"]),
        (&"onnx".into(), &"engine".into())
    );
}

#[test]
fn inspect_says_that_a_float_model_runs_in_tract() {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    let json = sanderling(&["inspect", &model, "--json"]).json();
    assert_eq!(json["executor"], "tract");
    assert_eq!(json["inputs"][0]["shape"], serde_json::json!([1, 3]));
}

#[test]
fn compiling_a_plan_is_refused() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let plan = scratch.path("m.plan");
    sanderling(&["compile", &model, "-o", &plan, "--json"]).json();
    sanderling(&["compile", &plan, "-o", &plan]).fails(1, &["is a plan already"]);
}

#[test]
fn a_profile_has_every_step_and_their_shares_make_one() {
    let scratch = Scratch::new();
    let model = scratch.put("m.onnx", &onnx_file::integer_model());
    let json = sanderling(&["inspect", &model, "--profile", "--json"]).json();
    let profile = &json["profile"];
    assert_eq!(profile["unit"], "ns", "{profile}");
    let steps = profile["steps"].as_array().expect("a list");
    assert_eq!(steps.len(), json["steps"].as_array().expect("a list").len());
    let sum: f64 = steps.iter().filter_map(|step| step["share"].as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{profile}");
    let text = sanderling(&["inspect", &model, "--profile"]);
    assert!(text.stdout.contains("MACs/ns"), "{}", text.stdout);
}

#[test]
fn a_model_whose_output_no_result_holds_is_named_before_a_robot_refuses_it() {
    let scratch = Scratch::new();
    let plan = scratch.path("map.plan");
    let map = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/map/map-v1.onnx");
    let done = sanderling(&["compile", map, "-o", &plan, "--json"]);
    for part in ["warning", "32768 bytes", "16384"] {
        assert!(done.stderr.contains(part), "{}", done.stderr);
    }
    let warnings = &done.json()["warnings"];
    assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
    let Some(fleet) = crate::fleet::Coordinator::start() else {
        return;
    };
    for file in [map, &plan] {
        let args = ["register", file, "--name", "map", "--json"];
        let registered = fleet.sanderling(&args);
        assert!(
            registered.stderr.contains("32768 bytes"),
            "{}",
            registered.stderr
        );
        let warnings = &registered.json()["plans"][0]["warnings"];
        assert!(
            warnings[0]
                .as_str()
                .is_some_and(|text| text.contains("16384")),
            "{warnings}"
        );
    }
    let small = scratch.put("m.onnx", &onnx_file::integer_model());
    let quiet = sanderling(&["compile", &small, "-o", &scratch.path("m.plan"), "--json"]);
    assert_eq!(quiet.json()["warnings"], serde_json::json!([]));
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
}
