//! Build-script half of a firmware image: memory map, plan in flash, arena size.
//!
//! A board's `build.rs` calls [`lay_out`]. It takes the memory map from
//! `cross/link/BOARD.x`, the plan from the file that `SANDERLING_PLAN` names, and
//! writes `image.rs`, which defines `PLAN` (aligned, in the section `.plan`) and
//! `ARENA_BYTES`.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use sanderling_plan::{ALIGNMENT, Plan};

/// The environment variable that names the plan an image carries.
pub const PLAN_VARIABLE: &str = "SANDERLING_PLAN";

/// Does all of a board's build script. Ends the build with one clear line when the
/// plan cannot be used.
pub fn lay_out(board: &str) {
    if let Err(what) = try_lay_out(board) {
        eprintln!("error: {what}");
        process::exit(1);
    }
}

/// The environment variable that names the chain of roots an image believes.
pub const ROOT_VARIABLE: &str = "SANDERLING_ROOT";

/// As [`lay_out`], for an image that gets its plans while it runs. Writes `root.rs`, which defines
/// `ROOT`: the bytes of the file that `SANDERLING_ROOT` names, if it names one.
pub fn lay_out_without_plan(board: &str) {
    let done = memory_map(board).and_then(|out| built_in_root(&out));
    if let Err(what) = done {
        eprintln!("error: {what}");
        process::exit(1);
    }
}

fn built_in_root(out: &Path) -> Result<(), String> {
    println!("cargo:rerun-if-env-changed={ROOT_VARIABLE}");
    let root = match env::var_os(ROOT_VARIABLE).map(PathBuf::from) {
        None => "None".to_owned(),
        Some(path) => {
            println!("cargo:rerun-if-changed={}", path.display());
            let path = path
                .canonicalize()
                .map_err(|e| format!("cannot find the root {}: {e}", path.display()))?;
            format!("Some(include_bytes!({path:?}))")
        }
    };
    let source =
        format!("/// The chain of roots that is believed.\nconst ROOT: Option<&[u8]> = {root};\n");
    fs::write(out.join("root.rs"), source)
        .map_err(|e| format!("cannot write {}: {e}", out.display()))
}

/// Writes the board's memory map and gives the folder of what was written.
fn memory_map(board: &str) -> Result<PathBuf, String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);

    let memory = manifest.join("../../cross/link").join(format!("{board}.x"));
    println!("cargo:rerun-if-changed={}", memory.display());
    fs::copy(&memory, out.join("memory.x"))
        .map_err(|e| format!("cannot read {}: {e}", memory.display()))?;
    println!("cargo:rustc-link-search={}", out.display());
    for argument in ["--nmagic", "-Tlink.x", "-Tdefmt.x"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    Ok(out)
}

fn try_lay_out(board: &str) -> Result<(), String> {
    let out = memory_map(board)?;
    println!("cargo:rerun-if-env-changed={PLAN_VARIABLE}");
    let path = env::var_os(PLAN_VARIABLE).map(PathBuf::from).ok_or_else(|| {
        format!("{PLAN_VARIABLE} names no plan; `cargo xtask board MODEL --board {board}` compiles one and sets it")
    })?;
    println!("cargo:rerun-if-changed={}", path.display());
    let arena = arena_bytes(&path)?;
    let path = path
        .canonicalize()
        .map_err(|e| format!("cannot find {}: {e}", path.display()))?;
    let bytes = fs::metadata(&path)
        .map_err(|e| format!("cannot read {}: {e}", path.display()))?
        .len();
    fs::write(out.join("image.rs"), source(&path, bytes, arena))
        .map_err(|e| format!("cannot write {}: {e}", out.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set; run this through cargo"))
}

/// The arena that the plan at `path` asks for, in bytes.
fn arena_bytes(path: &Path) -> Result<usize, String> {
    let bytes =
        fs::read(path).map_err(|e| format!("cannot read the plan {}: {e}", path.display()))?;
    // The checked view wants the plan where the engine would find it: on a 16-byte boundary.
    let mut room = vec![0u8; bytes.len() + ALIGNMENT];
    let skip = room.as_ptr().align_offset(ALIGNMENT);
    let aligned = room
        .get_mut(skip..skip + bytes.len())
        .ok_or("cannot align the plan in memory")?;
    aligned.copy_from_slice(&bytes);
    let plan = Plan::new(&*aligned)
        .map_err(|e| format!("{} is not a usable plan: {e}", path.display()))?;
    Ok(plan.arena_bytes())
}

fn source(path: &Path, bytes: u64, arena: usize) -> String {
    format!(
        r#"/// Bytes that start on a {ALIGNMENT}-byte boundary.
#[repr(C, align({ALIGNMENT}))]
struct Aligned<T>(T);

/// The compiled model, executed in place.
// SAFETY: `.plan` holds nothing but this constant, and the memory map places it in
// memory that the program only reads.
#[allow(unsafe_code, reason = "the only way to name a section")]
#[unsafe(link_section = ".plan")]
static PLAN: Aligned<[u8; {bytes}]> = Aligned(*include_bytes!({path:?}));

/// The arena that the plan asks for.
const ARENA_BYTES: usize = {arena};
"#
    )
}
