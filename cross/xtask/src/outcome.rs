//! How many tests of each suite passed, and the table and the line that say so.

use std::time::Instant;

use anyhow::bail;

use crate::terminal::say;

/// Counts of one suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
    /// Tests that could not run here.
    pub skipped: u32,
}

impl Tally {
    /// Adds the counts of another one.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Counts one test.
    pub fn count(&mut self, result: &anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(_) => self.failed += 1,
        }
    }
}

struct Row {
    suite: String,
    tally: Tally,
    seconds: f64,
    note: String,
}

/// The suites that ran so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Runs a suite and notes how it went. A suite that breaks counts as one failure,
    /// and the next one runs all the same.
    pub fn suite(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<Tally>) {
        println!();
        say(format!("== {name}"));
        let started = Instant::now();
        let (tally, note) = match run() {
            Ok(tally) => (tally, String::new()),
            Err(error) => {
                println!("FAILED {name}: {error:#}");
                let first = format!("{error:#}")
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_string();
                (
                    Tally {
                        failed: 1,
                        ..Tally::default()
                    },
                    first,
                )
            }
        };
        self.rows.push(Row {
            suite: name.to_string(),
            tally,
            seconds: started.elapsed().as_secs_f64(),
            note,
        });
    }

    /// Notes a suite that cannot run here, and why.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!();
        say(format!("== {name}: skipped: {why}"));
        let tally = Tally {
            skipped: 1,
            ..Tally::default()
        };
        self.rows.push(Row {
            suite: name.to_string(),
            tally,
            seconds: 0.0,
            note: format!("skipped: {why}"),
        });
    }

    /// Prints the table, and last the line with the sums. An error when a test failed
    /// or when none ran.
    pub fn close(self) -> anyhow::Result<()> {
        let mut sum = Tally::default();
        println!();
        println!(
            "{:<48} {:>7} {:>7} {:>8} {:>8}",
            "suite", "passed", "failed", "skipped", "seconds"
        );
        for row in &self.rows {
            let Tally {
                passed,
                failed,
                skipped,
            } = row.tally;
            println!(
                "{:<48} {passed:>7} {failed:>7} {skipped:>8} {:>8.1}  {}",
                row.suite, row.seconds, row.note
            );
            sum.add(row.tally);
        }
        println!();
        println!(
            "{} passed, {} failed, {} skipped",
            sum.passed, sum.failed, sum.skipped
        );
        if sum.failed > 0 {
            bail!("tests failed; the lines that begin with FAILED or FAIL above say which");
        }
        if sum.passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

/// Reads the counts from what `cargo test` or nextest printed. Nextest's summary stands
/// for all of it: tests of its own may print lines that look like results.
pub fn counts(output: &str) -> Tally {
    let summary = output
        .lines()
        .map(str::trim_start)
        .rfind(|line| line.starts_with("Summary ["));
    if let Some(line) = summary {
        return named_counts(line.rsplit_once(':').map_or("", |(_, rest)| rest), ',');
    }
    let mut tally = Tally::default();
    for line in output.lines() {
        if let Some(counts) = line.strip_prefix("test result:") {
            tally.add(named_counts(
                counts.split_once('.').map_or("", |(_, rest)| rest),
                ';',
            ));
        }
    }
    tally
}

/// Reads the counts of a line like `12 passed, 1 failed, 2 skipped`.
pub fn plain_counts(line: &str) -> Tally {
    named_counts(line, ',')
}

/// Sums up `12 passed; 1 failed; 2 ignored`.
fn named_counts(text: &str, separator: char) -> Tally {
    let mut tally = Tally::default();
    for part in text.split(separator) {
        let mut words = part.split_whitespace();
        let (Some(Ok(n)), Some(name)) = (words.next().map(str::parse::<u32>), words.next()) else {
            continue;
        };
        match name {
            "passed" => tally.passed += n,
            "failed" | "timed" => tally.failed += n,
            "ignored" | "skipped" => tally.skipped += n,
            _ => {}
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_cargo_test_are_summed() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                    test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            counts(text),
            Tally {
                passed: 5,
                failed: 4,
                skipped: 1
            }
        );
    }

    #[test]
    fn counts_of_nextest_are_read() {
        let text = "    test result: ok. 1 passed; 0 failed\n     Summary [   1.234s] 8 tests run: 5 passed (1 slow), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(
            counts(text),
            Tally {
                passed: 5,
                failed: 3,
                skipped: 3
            }
        );
    }
}
