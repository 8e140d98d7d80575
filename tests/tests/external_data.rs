//! What a model says about the files of its external data is not trusted.

use sanderling_compiler::import::pb::{
    ModelProto, StringStringEntryProto, tensor_proto::DataLocation,
};
use sanderling_compiler::import::{ReadError, decode, encode, read_model};
use sanderling_compiler::{Options, compile};
use sanderling_tests::{python, root, skipped};
use std::path::Path;
use std::process::Command;

/// A model of which one tensor, the largest, lies in `w.bin`; and that tensor's bytes.
fn model() -> (ModelProto, Vec<u8>) {
    let bytes = std::fs::read(root().join("models/digits/digits-v1.onnx")).unwrap();
    let mut model = decode(&bytes).unwrap();
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    tensors.sort_by_key(|tensor| tensor.raw_data.len());
    let data = tensors.last().unwrap().raw_data.clone();
    assert!(data.len() > 100, "it has weights");
    point_to(&mut model, "w.bin", 0, data.len() as i64);
    (model, data)
}

fn point_to(model: &mut ModelProto, location: &str, offset: i64, length: i64) {
    let tensor = model
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .last_mut()
        .unwrap();
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    tensor.raw_data.clear();
    tensor.data_location = Some(DataLocation::External.into());
    tensor.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}

fn read(folder: &Path, model: &ModelProto) -> Result<Vec<u8>, ReadError> {
    let path = folder.join("m.onnx");
    std::fs::write(&path, encode(model)).unwrap();
    read_model(&path)
}

#[track_caller]
fn refused(folder: &Path, model: &ModelProto, parts: &[&str]) {
    let error = read(folder, model).map(|_| ()).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn a_model_with_its_data_beside_it_compiles_as_one_with_them_inside() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, data) = model();
    std::fs::create_dir(folder.path().join("weights")).unwrap();
    let mut file = vec![0xaa; 4096];
    file.extend(&data);
    std::fs::write(folder.path().join("weights/w.bin"), file).unwrap();
    point_to(&mut model, "./weights/w.bin", 4096, data.len() as i64);
    let folded = read(folder.path(), &model).unwrap();
    let tensor = model
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .last_mut()
        .unwrap();
    tensor.raw_data = data;
    tensor.data_location = None;
    tensor.external_data.clear();
    assert_eq!(folded, encode(&model));
    compile(&folded, &Options::default()).unwrap();
}

#[test]
fn no_path_leads_out_of_the_models_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let (mut model, data) = model();
    let length = data.len() as i64;
    let outside = outer.path().join("w.bin");
    std::fs::write(&outside, &data).unwrap();
    for location in [
        "../w.bin",
        outside.to_str().unwrap(),
        "a/../../w.bin",
        "",
        ".",
    ] {
        point_to(&mut model, location, 0, length);
        refused(&folder, &model, &["below the model's folder"]);
    }
    let links = [("link.bin", outside.as_path()), ("link", outer.path())];
    for (name, to) in links {
        std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("here.bin"), &data).unwrap();
    std::os::unix::fs::symlink("here.bin", folder.join("link-inside.bin")).unwrap();
    for location in ["link.bin", "link/w.bin", "link-inside.bin"] {
        point_to(&mut model, location, 0, length);
        refused(&folder, &model, &["is a link"]);
    }
    std::fs::hard_link(&outside, folder.join("second.bin")).unwrap();
    point_to(&mut model, "second.bin", 0, length);
    refused(&folder, &model, &["second.bin", "second name"]);
    std::fs::create_dir(folder.join("folder.bin")).unwrap();
    point_to(&mut model, "folder.bin", 0, length);
    refused(&folder, &model, &["folder.bin", "no regular file"]);
    let pipe = folder.join("pipe.bin");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    point_to(&mut model, "pipe.bin", 0, length);
    refused(&folder, &model, &["pipe.bin", "no regular file"]);
}

#[test]
fn ranges_lie_within_their_files_and_fit_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut model, data) = model();
    let length = data.len() as i64;
    refused(
        folder,
        &model,
        &["w.bin", "beside the model", "No such file"],
    );
    std::fs::write(folder.join("w.bin"), &data).unwrap();
    for (offset, asked, words) in [
        (1, length, "cut off"),
        (length + 1, length, "starts at byte"),
        (i64::MAX, i64::MAX, "starts at byte"),
        (0, i64::MAX, "cut off"),
        (-1, length, "no number"),
        (0, -5, "no number"),
        (0, length - 1, "dimensions say"),
    ] {
        point_to(&mut model, "w.bin", offset, asked);
        refused(folder, &model, &[words]);
    }
    let tensor = model
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .last_mut()
        .unwrap();
    tensor.dims = vec![1 << 31, 1 << 31, 1 << 31];
    refused(folder, &model, &["a dimension of 2147483648"]);
}

/// A small file must not become a large one by pointing at the same bytes many times.
#[test]
fn many_tensors_cannot_share_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, data) = model();
    std::fs::write(folder.path().join("w.bin"), &data).unwrap();
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let shared = tensors.last().unwrap().clone();
    tensors.extend((0..20).map(|index| {
        let mut tensor = shared.clone();
        tensor.name = format!("again{index}");
        tensor
    }));
    refused(folder.path(), &model, &["share ranges"]);
}

/// The file as the `onnx` package writes it, which is how exporters do it.
#[test]
fn what_the_onnx_package_writes_is_read() {
    let Some(python) = python() else {
        skipped("no Python environment (run `cargo xtask setup`)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = "import onnx, sys\n\
        model = onnx.load(sys.argv[1])\n\
        onnx.save(model, sys.argv[2], save_as_external_data=True, size_threshold=0,\n\
                  location='m.onnx.data', all_tensors_to_one_file=True, convert_attribute=True)\n";
    let source = root().join("models/digits/digits-v1.onnx");
    let path = folder.path().join("m.onnx");
    let done = Command::new(python)
        .args(["-c", script])
        .args([&source, &path])
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(folder.path().join("m.onnx.data").is_file());
    let options = Options::default();
    let ours = compile(&read_model(&path).unwrap(), &options).unwrap();
    let whole = compile(&std::fs::read(source).unwrap(), &options).unwrap();
    // The digest of the file differs, and nothing else.
    assert_eq!(ours.report.steps, whole.report.steps);
    assert_eq!(ours.plan.len(), whole.plan.len());
    let differing = ours.plan.iter().zip(&whole.plan).filter(|(a, b)| a != b);
    assert!(differing.count() <= 64, "the weights are the same");
}
