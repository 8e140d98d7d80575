//! The plugin that counts, built when it is needed, and what it reports.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Job;
use crate::workspace;

/// What the plugin is told.
pub struct Watch {
    /// Address of `mark_begin`.
    pub begin: u64,
    /// Address of `mark_end`.
    pub end: u64,
    /// Address and number of the step records, where each step is counted.
    pub steps: Option<(u64, usize)>,
}

/// Bytes of a step record; `sanderling_plan::step::BYTES`.
pub const RECORD: usize = 128;

/// What the plugin counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts {
    /// Instructions between the marks.
    pub instructions: u64,
    /// Of each step, in order; empty where steps were not watched.
    pub steps: Vec<u64>,
}

/// Builds the plugin unless the built one is newer than its source.
pub fn build() -> anyhow::Result<PathBuf> {
    let source = workspace::root().join("cross/count/plugin.c");
    let folder = workspace::target()?.join("count");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let library = folder.join("libcount.so");
    let changed = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    if let (Ok(built), Ok(written)) = (changed(&library), changed(&source))
        && built > written
    {
        return Ok(library);
    }
    // Under another name first: a run that is going on keeps the old one.
    let fresh = folder.join(format!("libcount-{}.so", std::process::id()));
    Job::new("building QEMU's counting plugin", "cc")
        .args(["-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o"])
        .args([&fresh, &source])
        .output()?;
    fs::rename(&fresh, &library).with_context(|| format!("cannot write {}", library.display()))?;
    Ok(library)
}

/// QEMU's argument that loads the plugin and lets it write its counts to `out`.
pub fn argument(library: &Path, watch: &Watch, out: &str) -> String {
    let Watch { begin, end, steps } = watch;
    let mut argument = format!(
        "{},begin={begin:#x},end={end:#x},out={out}",
        library.display()
    );
    if let Some((address, number)) = steps {
        argument.push_str(&format!(
            ",steps={address:#x},number={number},size={RECORD}"
        ));
    }
    argument
}

/// Reads what the plugin wrote.
pub fn read(path: &Path) -> anyhow::Result<Counts> {
    let text = fs::read_to_string(path).context("the plugin wrote no counts")?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Counts> {
    let mut counts = Counts {
        instructions: 0,
        steps: Vec::new(),
    };
    let number = |word: &str| word.parse::<u64>().context("a count is not a number");
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["runs", "1"] => {}
            ["runs", runs] => bail!("the marks were passed {runs} times instead of once"),
            ["instructions", n] => counts.instructions = number(n)?,
            ["step", _, n] => counts.steps.push(number(n)?),
            ["outside", _] => {}
            _ => bail!("the plugin wrote a line that means nothing: {line}"),
        }
    }
    if counts.instructions == 0 {
        bail!("the plugin counted no instruction");
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        let counts = parse("runs 1\ninstructions 30\nstep 0 10\nstep 1 15\noutside 5\n").unwrap();
        assert_eq!((counts.instructions, counts.steps), (30, vec![10, 15]));
    }

    #[test]
    fn a_run_that_missed_a_mark_is_an_error() {
        let error = parse("runs 0\ninstructions 0\n").unwrap_err().to_string();
        assert!(error.contains("0 times"), "{error}");
    }
}
