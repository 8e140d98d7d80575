//! Frames are read as numpy wrote them, and whatever else comes in is an error.

use proptest::prelude::*;
use sanderling_frames::{
    Array, Element, FramesError, Header, choose, frame_fits, list, read, read_in_memory, read_npy,
    write_npy, write_npz,
};
use sanderling_plan::Dtype;
use std::path::Path;

/// What `numpy.save` writes for `numpy.asfortranarray([[0, 1, 2], [3, 4, 5]], 'int8')`.
fn fortran() -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00v\x00".to_vec();
    let mut text = b"{'descr': '|i1', 'fortran_order': True, 'shape': (2, 3), }".to_vec();
    text.resize(117, b' ');
    text.push(b'\n');
    bytes.extend(text);
    bytes.extend([0, 3, 1, 4, 2, 5]);
    bytes
}

fn array(name: &str, shape: &[usize], bytes: Vec<u8>) -> Array {
    Array::of(name, Dtype::I8, shape.to_vec(), bytes).expect("the lengths agree")
}

fn header(name: &str, dtype: Dtype) -> Header {
    Header {
        name: name.into(),
        element: Element::Model(dtype),
        shape: vec![2, 4],
    }
}

#[test]
fn fortran_order_is_turned_into_c_order() {
    let read = read_npy("x", &mut &fortran()[..])
        .expect("reads")
        .expect("has an array");
    assert_eq!(read.header.shape, [2, 3]);
    assert_eq!(read.bytes(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(read.frame(1), Some(&[3, 4, 5][..]));
    assert_eq!(read.frame(2), None);
}

#[test]
fn arrays_behind_each_other_in_a_pipe_are_read_one_by_one() {
    let (a, b) = (array("", &[2], vec![1, 2]), array("", &[1, 1], vec![3]));
    let mut pipe = Vec::new();
    write_npy(&mut pipe, &a).expect("writes");
    write_npy(&mut pipe, &b).expect("writes");
    let mut pipe = &pipe[..];
    assert_eq!(read_npy("pipe", &mut pipe).expect("reads"), Some(a));
    assert_eq!(read_npy("pipe", &mut pipe).expect("reads"), Some(b));
    assert_eq!(read_npy("pipe", &mut pipe).expect("reads"), None);
}

#[test]
fn an_npz_keeps_names_and_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.npz");
    let arrays = [
        array("second", &[1, 2], vec![1, 2]),
        array("first", &[0, 2], vec![]),
    ];
    write_npz(&path, &arrays).expect("writes");
    let names: Vec<String> = list(&path)
        .expect("lists")
        .into_iter()
        .map(|h| h.name)
        .collect();
    assert_eq!(names, ["second", "first"]);
    assert_eq!(read(&path, "second").expect("reads"), arrays[0]);
    assert_eq!(read(&path, "first").expect("reads"), arrays[1]);
    let missing = read(&path, "third").expect_err("is not there").to_string();
    assert!(
        missing.contains("no array `third`, only `second` (i8 1×2)"),
        "{missing}"
    );
}

#[test]
fn a_flipped_bit_in_an_npz_is_found_by_its_checksum() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.npz");
    write_npz(&path, &[array("a", &[8], vec![7; 8])]).expect("writes");
    let mut bytes = std::fs::read(&path).expect("reads");
    let at = bytes
        .windows(8)
        .position(|w| w == [7; 8])
        .expect("the elements are there");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    assert!(matches!(read(&path, "a"), Err(FramesError::Read { .. })));
}

#[test]
fn axes_are_permuted_as_numpy_transposes_them() {
    let a = array("", &[1, 2, 3], vec![0, 1, 2, 3, 4, 5]);
    let b = a.permuted(&[0, 2, 1]).expect("each axis once");
    assert_eq!(b.header.shape, [1, 3, 2]);
    assert_eq!(b.bytes(), [0, 3, 1, 4, 2, 5]);
    assert!(matches!(
        a.permuted(&[0, 1, 1]),
        Err(FramesError::Axes { .. })
    ));
    assert!(matches!(a.permuted(&[0, 1]), Err(FramesError::Axes { .. })));
}

#[test]
fn the_array_of_the_right_dtype_is_chosen() {
    let path = Path::new("x.npz");
    let both = [header("input", Dtype::F32), header("input_q", Dtype::I8)];
    let pick = |headers: &[Header], asked, dtype| {
        choose(headers, asked, "image", dtype, true, path).map(|h| h.name.clone())
    };
    assert_eq!(pick(&both, None, Dtype::F32).expect("chosen"), "input");
    assert_eq!(pick(&both, None, Dtype::I8).expect("chosen"), "input_q");
    assert_eq!(
        pick(&both, Some("input"), Dtype::I8).expect("chosen"),
        "input"
    );
    assert_eq!(
        pick(&both[1..], None, Dtype::F32).expect("chosen"),
        "input_q"
    );
    assert_eq!(
        pick(&[header("", Dtype::F32)], None, Dtype::F32).expect("chosen"),
        ""
    );
    let others = [header("a", Dtype::F32), header("b", Dtype::F32)];
    assert!(matches!(
        pick(&others, None, Dtype::F32),
        Err(FramesError::Ambiguous { .. })
    ));
    assert!(matches!(
        pick(&others, Some("c"), Dtype::F32),
        Err(FramesError::NoArray { .. })
    ));
}

#[test]
fn only_axes_of_length_one_may_differ() {
    assert!(frame_fits(&[49, 10], &[1, 1, 49, 10]));
    assert!(frame_fits(&[49, 10, 1], &[1, 1, 49, 10]));
    assert!(!frame_fits(&[3, 32, 32], &[1, 32, 32, 3]));
    assert!(frame_fits(&[], &[1]));
}

#[test]
fn labels_are_integers_of_any_width() {
    let labels = Array::new(
        Header {
            name: "label".into(),
            element: Element::I64,
            shape: vec![2],
        },
        [5i64, -1].iter().flat_map(|n| n.to_le_bytes()).collect(),
    );
    assert_eq!(
        labels.expect("the lengths agree").integers(),
        Some(vec![5, -1])
    );
}

#[test]
fn text_is_read_without_its_padding() {
    let wide: Vec<u8> = ['é', 'b', '\0', 'c', '\0', '\0']
        .iter()
        .flat_map(|c| u32::from(*c).to_le_bytes())
        .collect();
    for (element, bytes, expected) in [
        (Element::Unicode(3), wide, ["éb", "c"]),
        (Element::Ascii(2), b"abc\0".to_vec(), ["ab", "c"]),
    ] {
        let header = Header {
            name: String::new(),
            element,
            shape: vec![2],
        };
        let array = Array::new(header, bytes).expect("the lengths agree");
        let mut file = Vec::new();
        write_npy(&mut file, &array).expect("writes");
        let again = read_npy("x", &mut &file[..])
            .expect("reads")
            .expect("is there");
        assert_eq!(again, array);
        let texts = again.texts().expect("is text");
        assert_eq!(texts, expected);
        assert_eq!((again.integers(), again.reals()), (None, None));
    }
}

#[test]
fn a_file_in_memory_is_not_unpacked_beyond_a_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.npz");
    let arrays = [array("a", &[8], vec![7; 8]), array("b", &[4], vec![1; 4])];
    write_npz(&path, &arrays).expect("writes");
    let bytes = std::fs::read(&path).expect("reads");
    let read = |limit| read_in_memory("x", &bytes, limit);
    assert_eq!(read(12).expect("reads"), arrays);
    let error = read(11).expect_err("is too long").to_string();
    assert!(error.contains("12 bytes unpacked"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_an_array_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_npy("bytes", &mut &bytes[..]);
    }

    #[test]
    fn a_damaged_array_is_an_array_or_an_error(at in 0usize..134, byte: u8) {
        let mut bytes = fortran();
        bytes[at] = byte;
        let _ = read_npy("bytes", &mut &bytes[..]);
    }

    #[test]
    fn any_bytes_in_a_file_are_arrays_or_an_error(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x");
        std::fs::write(&path, [b"PK\x03\x04".to_vec(), tail].concat()).expect("writes");
        let _ = list(&path);
    }

    #[test]
    fn what_is_written_is_read_again(shape in proptest::collection::vec(0usize..5, 0..5), fill: u8) {
        let len = shape.iter().product();
        let array = array("", &shape, vec![fill; len]);
        let mut bytes = Vec::new();
        write_npy(&mut bytes, &array).expect("writes");
        prop_assert_eq!(bytes.len() % 64, len % 64);
        prop_assert_eq!(read_npy("x", &mut &bytes[..]).expect("reads"), Some(array));
    }
}
