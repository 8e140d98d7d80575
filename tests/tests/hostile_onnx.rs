//! A damaged ONNX file gives one error and never a panic.

use sanderling_compiler::{CompileError, Options, compile};
use sanderling_tests::root;
use std::panic::catch_unwind;

/// A small generator, so that a failure can be repeated from the seed that is printed.
struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn model() -> Vec<u8> {
    std::fs::read(root().join("models/digits/digits-v1.onnx")).unwrap()
}

#[test]
fn damaged_files_are_refused_or_compiled_but_never_panic() {
    let seed = 0x5a4d_e711;
    println!("seed {seed:#x}");
    let mut random = XorShift(seed);
    let whole = model();
    let options = Options {
        golden: 0,
        ..Options::default()
    };
    let mut refused = 0;
    for round in 0..300 {
        let mut bytes = whole.clone();
        if round % 3 == 0 {
            bytes.truncate(random.next() as usize % whole.len());
        }
        for _ in 0..1 + random.next() % 6 {
            if bytes.is_empty() {
                break;
            }
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
        let outcome = catch_unwind(|| compile(&bytes, &options).map(|_| ()));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                assert!(
                    !matches!(error, CompileError::Invalid(_)),
                    "round {round}: {error}"
                );
                refused += 1;
            }
            Err(_) => panic!("round {round} panicked"),
        }
    }
    assert!(
        refused > 50,
        "only {refused} of 300 damaged files were refused"
    );
}

#[test]
fn what_is_no_onnx_file_is_said_to_be_none() {
    for bytes in [&b""[..], b"not a model", &[0xff; 64]] {
        let error = compile(bytes, &Options::default()).unwrap_err();
        assert!(matches!(error, CompileError::NotOnnx(_)), "{error}");
    }
}
