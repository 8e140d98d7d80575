//! Trained networks: packed as tightly as their steps allow, and the engine gives the
//! reference's bits.

use crate::run::Aligned;
use sanderling_compiler::{Options, compile};
use sanderling_engine::Engine;
use sanderling_plan::Plan;
use std::path::{Path, PathBuf};

/// The ONNX files of the zoo, and those of the reference networks where they are.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("SANDERLING_SHARED")
        .map_or_else(|| root.join("../shared"), PathBuf::from)
        .join("models");
    if !shared.is_dir() {
        println!("skipped: no reference networks at {}", shared.display());
    }
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = folder.read_dir().into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    };
    let mut models: Vec<PathBuf> = files(&root.join("models"))
        .into_iter()
        .chain([shared])
        .flat_map(|folder| files(&folder))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        // The zoo may keep a network before its quantization beside it.
        .filter(|path| !path.to_string_lossy().contains("float"))
        .collect();
    models.sort();
    models
}

#[test]
fn trained_networks_reach_the_lower_bound_and_pass_their_golden_vectors() {
    let models = models();
    assert!(
        !models.is_empty(),
        "the zoo's models are part of the checkout"
    );
    for path in models {
        let name = path.display();
        let onnx = std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let options = Options {
            golden: 3,
            ..Options::default()
        };
        let start = std::time::Instant::now();
        let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let report = &compiled.report;
        println!(
            "{name}: {} MACs, {} bytes of flash, {} of arena (bound {}), {:?}",
            report.macs,
            report.flash_bytes,
            report.arena_bytes,
            report.arena_lower_bound,
            start.elapsed(),
        );
        assert_eq!(report.arena_bytes, report.arena_lower_bound, "{name}");
        let bytes = Aligned::of(&compiled.plan);
        let plan = Plan::new(bytes.bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut arena = Aligned::of(&vec![0x5a; plan.arena_bytes()]);
        let mut engine =
            Engine::new(plan, arena.bytes_mut()).unwrap_or_else(|e| panic!("{name}: {e}"));
        engine.self_test().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
