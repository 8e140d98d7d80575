//! Which nodes of a partly float model run as integer regions, and which in tract.

use super::port;
use crate::answer::Answer;
use crate::command::ports;
use crate::table::{Align, Table};
use crate::text;
use sanderling_executor::{CutReport, Model, RestNode};
use serde_json::json;
use std::path::Path;

/// Most nodes of the rest that are shown; `--json` has all.
const MOST_SHOWN: usize = 40;

/// Describes a model that was opened with `Choice::Mixed`; every region has just passed
/// its golden vectors, of which there are `vectors`.
pub fn describe(file: &Path, model: &Model, cut: &CutReport, vectors: usize) -> Answer {
    let mut text = format!("{}\n\n", file.display());
    let mut line = |key: &str, value: String| text.push_str(&format!("{key:<9}{value}\n"));
    line("sha256", text::hex(&model.digest()));
    line("MACs", text::count(cut.macs));
    for (kind, infos) in [("input", model.inputs()), ("output", model.outputs())] {
        for info in infos {
            line(kind, port(info));
        }
    }
    line("golden", super::Here::Passed(vectors).describe(vectors));
    text.push_str("\nin the engine\n");
    text.push_str(&regions(cut));
    if cut.borders > 0 {
        text.push_str(&format!(
            "and {} that only quantize, dequantize or move\n",
            cut.borders
        ));
    }
    text.push_str("\nin tract, in float\n");
    text.push_str(&rest(&cut.rest));
    let json = json!({
        "kind": "onnx",
        "file": file,
        "sha256": text::hex(&model.digest()),
        "executor": model.executor().name(),
        "reason": model.reason(),
        "inputs": ports(model.inputs()),
        "outputs": ports(model.outputs()),
        "macs": cut.macs,
        "region_macs": cut.region_macs,
        "regions": cut.regions,
        "borders": cut.borders,
        "rest": cut.rest,
        "self_test": "passed",
    });
    Answer::new(text, json)
}

fn regions(cut: &CutReport) -> String {
    let mut table = Table::new(&[
        ("region", Align::Left),
        ("nodes", Align::Right),
        ("from", Align::Left),
        ("to", Align::Left),
        ("MACs", Align::Right),
        ("share", Align::Right),
        ("steps", Align::Right),
        ("flash", Align::Right),
        ("arena", Align::Right),
    ]);
    let name = |node: Option<&String>| node.map_or(String::new(), |n| text::shortened(n, 28));
    for region in &cut.regions {
        table.row([
            region.name.clone(),
            region.nodes.len().to_string(),
            name(region.nodes.first()),
            name(region.nodes.last()),
            text::count(region.macs),
            format!("{:.1} %", region.share * 100.0),
            region.steps.to_string(),
            text::bytes(region.flash_bytes),
            text::bytes(region.arena_bytes),
        ]);
    }
    table.render()
}

fn rest(nodes: &[RestNode]) -> String {
    if nodes.is_empty() {
        return "nothing\n".to_owned();
    }
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("operator", Align::Left),
        ("MACs", Align::Right),
        ("why", Align::Left),
    ]);
    for node in nodes.iter().take(MOST_SHOWN) {
        let macs = if node.macs == 0 {
            String::new()
        } else {
            text::count(node.macs)
        };
        table.row([
            text::shortened(&node.node, 32),
            node.operator.clone(),
            macs,
            node.why.clone(),
        ]);
    }
    let mut text = table.render();
    if nodes.len() > MOST_SHOWN {
        let more = nodes.len() - MOST_SHOWN;
        text.push_str(&format!("and {more} more, see --json\n"));
    }
    text
}
