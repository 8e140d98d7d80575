//! How versions compare, slice by slice, as the coordinator measured it.

use crate::table::{Align, Table};
use crate::text;
use serde::Deserialize;

/// Two versions on one holdout.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    holdout: String,
    measure: String,
    base: Option<u32>,
    version: u32,
    rule: Rule,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    allow_worse: f64,
    min_frames: u64,
}

#[derive(Debug, Deserialize)]
struct Row {
    slice: Option<String>,
    frames: u64,
    base: Option<f64>,
    value: f64,
    gain: Option<f64>,
    verdict: String,
}

/// A value as people read it: shares in percent, errors as they are.
pub fn value(measure: &str, value: f64) -> String {
    match measure {
        "mean_absolute_error" => format!("{value:.4}"),
        _ => format!("{:.2} %", value * 100.0),
    }
}

/// `mean IoU` for `mean_iou`.
pub fn measure(word: &str) -> String {
    word.replace('_', " ").replace("iou", "IoU")
}

/// The slice's name; no name: all frames.
pub fn slice(name: Option<&str>) -> String {
    name.unwrap_or("(all frames)").to_owned()
}

/// One table for each holdout.
pub fn tables(checks: &[Comparison]) -> String {
    let tables: Vec<String> = checks.iter().map(Comparison::table).collect();
    tables.join("\n")
}

impl Comparison {
    fn table(&self) -> String {
        let what = measure(&self.measure);
        let allowed = match (self.measure.as_str(), self.rule.allow_worse) {
            ("mean_absolute_error", percent) => format!("{percent} % more"),
            (_, 1.0) => "1 point less".to_owned(),
            (_, points) => format!("{points} points less"),
        };
        let mut text = match self.base {
            Some(base) => format!(
                "{}: {what} of v{} beside v{base} in production; {allowed} is allowed on slices of {} frames or more\n",
                self.holdout, self.version, self.rule.min_frames
            ),
            None => format!(
                "{}: {what} of v{}; no version was in production\n",
                self.holdout, self.version
            ),
        };
        let mut table = Table::new(&[
            ("slice", Align::Left),
            ("frames", Align::Right),
            ("before", Align::Right),
            ("now", Align::Right),
            ("gain", Align::Right),
            ("", Align::Left),
        ]);
        for row in &self.rows {
            let note = match row.verdict.as_str() {
                "worse" => "worse than allowed",
                "too_few" => "too few frames to count",
                "incomparable" => "measured otherwise before",
                _ => "",
            };
            table.row([
                slice(row.slice.as_deref()),
                text::count(row.frames),
                row.base
                    .map_or(String::new(), |base| value(&self.measure, base)),
                value(&self.measure, row.value),
                row.gain.map_or(String::new(), |gain| format!("{gain:+.2}")),
                note.to_owned(),
            ]);
        }
        text.push_str(&table.render());
        text
    }
}
