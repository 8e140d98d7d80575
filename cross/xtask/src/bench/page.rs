//! The table, on the terminal and in `cross/README.md`.

use std::fs;

use anyhow::Context;

use super::{Row, native};
use crate::terminal::thousands;
use crate::workspace;

/// What stands around the generated part of the page.
const MARKS: [&str; 2] = [
    "<!-- written by `cargo xtask bench --bless` -->",
    "<!-- end of what is written -->",
];

/// The table as Markdown, which reads as well on a terminal.
pub fn table(rows: &[Row]) -> String {
    let header = [
        "network",
        "processor",
        "Sanderling",
        "unit",
        "best peer",
        "its figure",
        "ratio",
        "MACs per ins. or ns",
        "arena",
        "flash",
    ]
    .map(str::to_string);
    let cells: Vec<[String; 10]> = rows
        .iter()
        .map(|row| {
            let best = row.best();
            [
                row.network.clone(),
                row.processor.clone(),
                row.show(row.value),
                row.unit.to_string(),
                best.map_or("–".into(), |peer| {
                    format!("{}{}", peer.engine, if peer.live { "" } else { " ¹" })
                }),
                best.map_or("–".into(), |peer| row.show(peer.value)),
                row.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}")),
                format!("{:.2}", row.rate),
                thousands(row.arena_bytes),
                thousands(row.flash_bytes),
            ]
        })
        .collect();
    let width = |column: usize| {
        let all = cells.iter().chain([&header]);
        all.map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 10] = std::array::from_fn(width);
    let left = |column: usize| matches!(column, 0 | 1 | 3 | 4);
    let line = |row: &[String; 10]| {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let space = " ".repeat(width - cell.chars().count());
                match left(column) {
                    true => format!(" {cell}{space} "),
                    false => format!(" {space}{cell} "),
                }
            });
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match left(column) {
            true => "-".repeat(width + 2),
            false => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    let mut text = line(&header);
    text.push_str(&format!("|{}|\n", rule.join("|")));
    cells.iter().for_each(|row| text.push_str(&line(row)));
    text
}

/// Writes table and plot into the documentation.
pub fn bless(rows: &[Row], svg: &str) -> anyhow::Result<()> {
    let folder = workspace::root().join("cross");
    let page = folder.join("README.md");
    let old =
        fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let [begin, end] = MARKS;
    let (before, rest) = old
        .split_once(begin)
        .context("the page has no place for the table")?;
    let (_, after) = rest
        .split_once(end)
        .context("the page has no end of the table")?;
    let mut sources: Vec<String> = rows
        .iter()
        .flat_map(|row| row.peers.iter().filter(|peer| !peer.live))
        .map(|peer| format!("- {}", peer.source))
        .collect();
    sources.sort();
    sources.dedup();
    let mut live: Vec<String> = rows
        .iter()
        .flat_map(|row| row.peers.iter().filter(|peer| peer.live))
        .map(|peer| format!("{} ({})", peer.engine, peer.source))
        .collect();
    live.sort();
    live.dedup();
    let timed = match live.is_empty() {
        true => "no peer was timed in this run".to_string(),
        false => format!("timed in the same run: {}", live.join("; ")),
    };
    let text = format!(
        "{before}{begin}\n\n{}\nx86-64 is {}; {timed}.\n\n¹ not measured in this run:\n\n{}\n\n{end}{after}",
        table(rows),
        native::machine(),
        sources.join("\n")
    );
    for (path, text) in [(page, text.as_str()), (folder.join("bench.svg"), svg)] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
