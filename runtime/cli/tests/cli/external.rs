//! Models whose weights lie in a file beside them, as torch exports them.

use crate::fleet::Coordinator;
use crate::onnx_file;
use crate::process::{Finished, Scratch, read, sanderling};
use crate::run::{int8s, save};
use sanderling_compiler::import::pb::{StringStringEntryProto, tensor_proto::DataLocation};
use sanderling_compiler::import::{decode, encode};

/// `onnx` as m.onnx with all of its constants in m.onnx.data, each at a multiple of 16.
fn externalize(scratch: &Scratch, onnx: &[u8]) -> String {
    let mut model = decode(onnx).expect("is ONNX");
    let mut data = Vec::new();
    for tensor in &mut model.graph.as_mut().expect("has a graph").initializer {
        let raw = std::mem::take(&mut tensor.raw_data);
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: key.to_owned(),
            value,
        };
        tensor.external_data = vec![
            entry("location", "m.onnx.data".to_owned()),
            entry("offset", data.len().to_string()),
            entry("length", raw.len().to_string()),
        ];
        tensor.data_location = Some(DataLocation::External.into());
        data.extend(raw);
        data.resize(data.len().next_multiple_of(16), 0);
    }
    scratch.put("m.onnx.data", &data);
    scratch.put("m.onnx", &encode(&model))
}

fn succeeds(finished: &Finished) {
    assert_eq!(finished.code, 0, "{}", finished.stderr);
}

#[test]
fn every_command_reads_the_data_beside_the_model() {
    let scratch = Scratch::new();
    let frames = int8s("x", &[2, 4], &[1, -2, 3, -4, 5, 6, -7, 8]);
    let frames = save(&scratch, "x.npz", &[frames]);
    let model = externalize(&scratch, &onnx_file::integer_model());
    let whole = scratch.put("whole.onnx", &onnx_file::integer_model());
    let json = sanderling(&["compile", &model, "--json"]).json();
    assert!(json["flash_bytes"].is_u64(), "{json}");
    succeeds(&sanderling(&["inspect", &model]));
    succeeds(&sanderling(&["bench", &model, "--seconds", "0.01"]));
    for executor in ["engine", "tract"] {
        let answers: Vec<Vec<u8>> = [&model, &whole]
            .iter()
            .map(|model| {
                let out = scratch.path("out.npy");
                let args = [
                    "run",
                    model,
                    "--executor",
                    executor,
                    "-i",
                    &frames,
                    "-o",
                    &out,
                ];
                succeeds(&sanderling(&args));
                read(&out)
            })
            .collect();
        assert_eq!(answers[0], answers[1], "{executor}");
    }
    let mixed = externalize(&scratch, &onnx_file::integers_between_floats());
    succeeds(&sanderling(&["inspect", &mixed, "--regions"]));
    let target = [
        "bench",
        &mixed,
        "--executor",
        "mixed",
        "--target",
        "generic",
    ];
    succeeds(&sanderling(&[&target[..], &["--seconds", "0.01"]].concat()));
}

#[test]
fn a_model_is_registered_with_the_data_beside_it() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    let model = externalize(&fleet.scratch, &onnx_file::integer_model());
    let args = [
        "register",
        &model,
        "--name",
        "m",
        "--version",
        "1",
        "--json",
    ];
    let json = fleet.sanderling(&args).json();
    let digest = &json["plans"][0]["artifact"]["digest"];
    assert!(digest.is_string(), "{json}");
}

#[test]
fn data_that_are_missing_or_cut_off_are_named() {
    let scratch = Scratch::new();
    let model = externalize(&scratch, &onnx_file::integer_model());
    let data = scratch.join("m.onnx.data");
    let whole = std::fs::read(&data).expect("is there");
    std::fs::write(&data, &whole[..2]).expect("writes");
    let args = ["compile", &model];
    sanderling(&args).fails(1, &["`scale`", "m.onnx.data", "has 2", "cut off"]);
    std::fs::remove_file(&data).expect("is there");
    for command in ["compile", "inspect", "bench"] {
        sanderling(&[command, &model]).fails(1, &["`scale`", "m.onnx.data", "beside the model"]);
    }
}
