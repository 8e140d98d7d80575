//! `cargo xtask sim`: runs one fleet, shows what became of it.

use clap::Parser;
use sanderling_sim::{Options, picture, run};

fn main() {
    let options = Options::parse();
    let (figures, course) = match run(&options) {
        Ok(done) => done,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            std::process::exit(2);
        }
    };
    if !options.json {
        print!("{}", picture(&options, &figures, &course));
        if let Some(peak) = peak_kib() {
            println!("peak memory     {} MiB", peak / 1024);
        }
    }
    match serde_json::to_string(&figures) {
        Ok(line) => println!("{line}"),
        Err(error) => {
            eprintln!("error: the figures cannot be written: {error}");
            std::process::exit(1);
        }
    }
}

/// The most memory that this process ever had, in KiB. It differs from run to run and is not in the figures.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
