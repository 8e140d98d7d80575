//! Lays out the example: the memory map of the board that it runs on under QEMU.

use std::path::PathBuf;
use std::{env, fs, process};

/// The board of the target that the example is for.
const BOARDS: [(&str, &str); 2] = [
    ("thumbv7em-none-eabihf", "mps2-an386"),
    ("thumbv8m.main-none-eabihf", "mps3-an547"),
];

fn main() {
    let variable = |name| env::var(name).unwrap_or_default();
    let target = variable("TARGET");
    let Some((_, board)) = BOARDS.iter().find(|(triple, _)| *triple == target) else {
        return;
    };
    let out = PathBuf::from(variable("OUT_DIR"));
    let from = PathBuf::from(variable("CARGO_MANIFEST_DIR"))
        .join("../../cross/link")
        .join(format!("{board}.x"));
    println!("cargo:rerun-if-changed={}", from.display());
    if let Err(error) = fs::copy(&from, out.join("memory.x")) {
        eprintln!("error: cannot read {}: {error}", from.display());
        process::exit(1);
    }
    // For the example alone: whoever uses the library has a memory map of its own.
    let search = format!("-L{}", out.display());
    for argument in [&search, "--nmagic", "-Tlink.x"] {
        println!("cargo:rustc-link-arg-examples={argument}");
    }
}
