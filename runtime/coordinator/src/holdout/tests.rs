//! Every bad file is refused with what is wrong in it.

use super::*;
use sanderling_frames::{Element, Header, to_bytes};
use sanderling_plan::Dtype;

const LIMIT: u64 = 10_000;

fn array(name: &str, element: Element, shape: &[usize], bytes: Vec<u8>) -> Array {
    let header = Header {
        name: name.to_owned(),
        element,
        shape: shape.to_vec(),
    };
    Array::new(header, bytes).unwrap()
}

fn input(frames: usize) -> Array {
    array(
        "input",
        Element::Model(Dtype::I8),
        &[frames, 2],
        vec![1; frames * 2],
    )
}

fn label(values: &[i64]) -> Array {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    array("label", Element::I64, &[values.len()], bytes)
}

fn words(name: &str, words: &[&str], width: usize) -> Array {
    let mut bytes = Vec::new();
    for word in words {
        let mut codes: Vec<u32> = word.chars().map(u32::from).collect();
        codes.resize(width, 0);
        bytes.extend(codes.into_iter().flat_map(u32::to_le_bytes));
    }
    array(name, Element::Unicode(width), &[words.len()], bytes)
}

fn npz(arrays: &[Array]) -> Vec<u8> {
    to_bytes("x.npz".as_ref(), arrays).unwrap()
}

#[test]
fn slices_are_words_or_integers_or_one_for_all() {
    let note = array(
        "kind",
        Element::Unicode(1),
        &[],
        'x'.to_string()
            .into_bytes()
            .into_iter()
            .chain([0; 3])
            .collect(),
    );
    let named = npz(&[
        input(3),
        label(&[0, 1, 0]),
        words("slice", &["tiles", "carpet", "tiles"], 6),
        note,
    ]);
    let holdout = read(&named, LIMIT).unwrap();
    assert_eq!(holdout.slices, ["carpet", "tiles"]);
    assert_eq!(holdout.slice_of, [1, 0, 1]);
    let contents = holdout.contents();
    let sizes: Vec<u64> = contents.slices.iter().map(|s| s.frames).collect();
    assert_eq!((contents.frames, sizes), (3, vec![1, 2]));
    assert_eq!(contents.inputs.len(), 1);

    let numbered = array("slice", Element::Bool, &[2], vec![1, 0]);
    let holdout = read(&npz(&[input(2), label(&[0, 1]), numbered]), LIMIT).unwrap();
    assert_eq!(
        (holdout.slices, holdout.slice_of),
        (names(&["0", "1"]), vec![1, 0])
    );
    let holdout = read(&npz(&[input(2), label(&[0, 1])]), LIMIT).unwrap();
    assert_eq!(
        (holdout.slices, holdout.slice_of),
        (names(&["all"]), vec![0, 0])
    );
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_file_that_is_no_holdout_is_refused_by_what_is_wrong() {
    let ones = |n| label(&vec![1; n]);
    let nan = [1.0f32, 1.0, f32::NAN, 1.0].map(f32::to_le_bytes).concat();
    let nan = array("input", Element::Model(Dtype::F32), &[2, 2], nan);
    let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let pairs = array("slice", Element::Bool, &[2, 2], vec![0; 4]);
    let alone = to_bytes(
        "x.npy".as_ref(),
        &[array("", Element::Bool, &[2], vec![0; 2])],
    )
    .unwrap();
    let mut damaged = npz(&[input(2), ones(2)]);
    damaged.truncate(100);
    for (file, parts) in [
        (b"x,y\n1,2\n".to_vec(), &["neither .npy nor .npz"][..]),
        (damaged, &["damaged"]),
        (alone, &["a single array", "numpy.savez"]),
        (npz(&[input(2)]), &["no array `label`", "only `input`"]),
        (npz(&[ones(2)]), &["no input"]),
        (npz(&[input(0), ones(0)]), &["no frames"]),
        (
            npz(&[input(3), ones(2)]),
            &["`input` has 3 frames", "`label` has 2"],
        ),
        (
            npz(&[input(2), words("label", &["a", "b"], 1)]),
            &["`label` is text", "class numbers"],
        ),
        (npz(&[nan, ones(2)]), &["`input` holds NaN in frame 1"]),
        (
            npz(&[input(2), ones(2), words("slice", &["a", ""], 1)]),
            &["calls frame 1 \"\""],
        ),
        (
            npz(&[input(2), ones(2), words("slice", &["a", "\u{7}"], 1)]),
            &["printable"],
        ),
        (
            npz(&[input(2), ones(2), words("slice", &["a"], 1)]),
            &["`slice` has 1 frames"],
        ),
        (
            npz(&[input(2), ones(2), pairs]),
            &["`slice` is bool of shape 2×2"],
        ),
        (
            npz(&[input(300), ones(300), words("slice", &many, 3)]),
            &["300 different names", "256"],
        ),
        (
            npz(&[input(2000), ones(2000)]),
            &["20000 bytes unpacked", "10000"],
        ),
    ] {
        let error = read(&file, LIMIT).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "no {part:?} in: {error}");
        }
    }
}
