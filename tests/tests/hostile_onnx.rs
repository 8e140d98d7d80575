//! A damaged or misshapen ONNX file gives one error and never a panic, in every executor, and
//! the error says what is wrong with it.

use sanderling_compiler::{CompileError, Options, compile};
use sanderling_executor::{Choice, Model};
use sanderling_tests::graph_shape::{self, XorShift};
use sanderling_tests::root;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// What a guarded panic of tract is told as; none of ours is.
const GAVE_UP: [&str; 3] = ["gave up", "gives up", "cannot work it out"];

fn model() -> Vec<u8> {
    std::fs::read(root().join("models/digits/digits-v1.onnx")).unwrap()
}

fn quickly() -> Options {
    Options {
        golden: 0,
        ..Options::default()
    }
}

/// The seed, which `SANDERLING_SEED` may set.
fn seed(default: u64) -> u64 {
    let given = std::env::var("SANDERLING_SEED").ok();
    let seed = given.and_then(|text| text.parse().ok()).unwrap_or(default);
    println!("SANDERLING_SEED={seed}");
    seed
}

#[test]
fn damaged_files_are_refused_or_compiled_but_never_panic() {
    let mut random = XorShift(seed(0x5a4d_e711));
    let whole = model();
    let options = quickly();
    let mut refused = 0;
    for round in 0..300 {
        let mut bytes = whole.clone();
        if round % 3 == 0 {
            bytes.truncate(random.draw() as usize % whole.len());
        }
        for _ in 0..1 + random.draw() % 6 {
            if bytes.is_empty() {
                break;
            }
            let at = random.draw() as usize % bytes.len();
            bytes[at] = random.draw() as u8;
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

#[test]
fn the_models_that_are_bent_out_of_shape_are_sound_before() {
    let mut random = XorShift(seed(7));
    let sound = (0..100).filter(|_| {
        let bytes = graph_shape::well_formed(&mut random);
        compile(&bytes, &quickly()).is_ok()
    });
    // An `If` on a constant or a Reshape by its own input's shape may be refused.
    let sound = sound.count();
    assert!(sound >= 60, "only {sound} of 100 compile as they are");
}

/// `SANDERLING_SHAPE_SECONDS` makes it run longer.
#[test]
fn misshapen_graphs_are_refused_or_run_but_never_panic() {
    let seconds = std::env::var("SANDERLING_SHAPE_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut random = XorShift(seed(0x5eed_0001));
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut compiled, mut gave_up) = (0u32, 0u32, BTreeMap::new());
    while Instant::now() < until {
        let state = random.0;
        let bytes = graph_shape::misshapen(&mut random);
        let mut texts = Vec::new();
        let slow = Instant::now();
        // With a golden vector, so that the reference runs what compiles.
        let options = Options {
            golden: 1,
            ..Options::default()
        };
        let outcome = catch_unwind(|| compile(&bytes, &options).map(|_| ()));
        match outcome {
            Ok(Ok(())) => compiled += 1,
            Ok(Err(error)) => {
                assert!(
                    !matches!(error, CompileError::Invalid(_)),
                    "SANDERLING_SEED={state}: {error}"
                );
                texts.push(error.to_string());
            }
            Err(_) => panic!("SANDERLING_SEED={state}: the compiler panicked"),
        }
        for choice in [Choice::Mixed, Choice::Tract] {
            let bytes = bytes.clone();
            let opened = catch_unwind(|| Model::from_bytes("m", bytes, choice).map(|_| ()));
            match opened {
                Ok(outcome) => texts.extend(outcome.err().map(|error| error.to_string())),
                Err(_) => panic!("SANDERLING_SEED={state}: {choice:?} panicked"),
            }
        }
        let took = slow.elapsed();
        assert!(
            took < Duration::from_secs(60),
            "SANDERLING_SEED={state}: it took {took:?}"
        );
        for text in texts {
            if GAVE_UP.iter().any(|words| text.contains(words)) {
                let cause = text.rsplit(['(', ':']).next().unwrap_or_default();
                gave_up.insert(cause.to_owned(), (state, text));
            }
        }
        rounds += 1;
    }
    println!("{rounds} graphs, {compiled} of them compiled");
    for (state, text) in gave_up.values() {
        println!("guarded: SANDERLING_SEED={state}: {text}");
    }
    assert!(rounds > 20 && compiled > 0, "{rounds} graphs, {compiled}");
}
