//! A rollout as text: a bar, counts, what it waits for, gates, and what was done last.

use super::View;
use super::history::when;
use crate::table::{Align, Table};
use crate::text;
use serde_json::Value;
use std::fmt::Write;

const WIDTH: usize = 40;
/// Lines of the audit log below.
const LINES: usize = 8;

pub fn of(view: &View) -> String {
    let mut out = String::new();
    let s = &view.summary;
    let was = view
        .base
        .as_ref()
        .map_or("nothing".to_owned(), |(model, version)| {
            format!("{model} v{version}")
        });
    let strategy = view
        .policy
        .get("strategy")
        .and_then(Value::as_str)
        .unwrap_or("");
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        out,
        "rollout {} of group {}: {} v{} instead of {was}, {strategy}, by {}",
        view.id, view.group, view.model, view.version, view.by
    );
    let _ = writeln!(out, "{}, stage {} of {}", s.status, s.stage, s.stages);
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let bar = text::bar(number(s.updated), number(s.known), WIDTH);
    let _ = writeln!(
        out,
        "[{bar}] {} of {} robots run it; told to {:.1}% of all places",
        s.updated,
        s.known,
        s.share * 100.0
    );
    let _ = writeln!(
        out,
        "{} failed, {} fell back, {} offline",
        s.failed, s.fell_back, s.offline
    );
    if let Some(why) = &s.why {
        let _ = writeln!(out, "why: {} ({})", why.text, why.by);
    }
    if let Some(waits) = &s.waits_for {
        let _ = writeln!(out, "waits for {waits}");
    }
    if !s.gates.is_empty() {
        let mut table = Table::new(&[
            ("gate", Align::Left),
            ("is", Align::Right),
            ("may be", Align::Right),
            ("samples", Align::Right),
            ("", Align::Left),
        ]);
        for gate in &s.gates {
            table.row([
                gate.gate.clone(),
                format!("{:.4}", gate.value),
                format!("{:.4}", gate.limit),
                text::count(gate.samples),
                if gate.tripped { "too much" } else { "" }.to_owned(),
            ]);
        }
        let _ = write!(out, "\n{}", table.render());
    }
    if !view.audit.is_empty() {
        let _ = writeln!(out);
    }
    for line in view
        .audit
        .iter()
        .skip(view.audit.len().saturating_sub(LINES))
    {
        let _ = writeln!(
            out,
            "{}  {}: {}: {}",
            when(line.at_ms),
            line.by,
            line.act,
            line.text
        );
    }
    out
}
