//! Lays out the image: the memory map of the board that the target stands for. The plan
//! is no part of the image, so that one image serves every model.

use std::path::PathBuf;
use std::{env, fs, process};

/// Which board each target is counted on.
const BOARDS: [(&str, &str); 2] = [
    ("thumbv7em-none-eabihf", "mps2-an386"),
    ("thumbv8m.main-none-eabihf", "mps3-an547"),
];

fn main() {
    let names = BOARDS.map(|(_, board)| format!("\"{board}\"")).join(", ");
    println!("cargo:rustc-check-cfg=cfg(board, values({names}))");
    let variable = |name| env::var(name).unwrap_or_default();
    let target = variable("TARGET");
    let Some((_, board)) = BOARDS.iter().find(|(triple, _)| *triple == target) else {
        // Linux needs no memory map.
        return;
    };
    let (from, out) = (
        PathBuf::from(variable("CARGO_MANIFEST_DIR"))
            .join("../../cross/link")
            .join(format!("{board}.x")),
        PathBuf::from(variable("OUT_DIR")),
    );
    println!("cargo:rustc-cfg=board=\"{board}\"");
    println!("cargo:rerun-if-changed={}", from.display());
    if let Err(error) = fs::copy(&from, out.join("memory.x")) {
        eprintln!("error: cannot read {}: {error}", from.display());
        process::exit(1);
    }
    println!("cargo:rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
