//! The page of supported operators: written from what the suite showed, and compared
//! with the one in the repository.

use crate::case::Case;
use crate::outcome::Outcome;
use sanderling_tests::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const PAGE: &str = "runtime/OPERATORS.md";

const HEAD: &str = "\
# Supported operators

This page is written by the operator suite from what it saw; `cargo xtask test --bless` writes it anew.

Two sources: [the operator suite](../models/opsuite/README.md), quantized models with ONNX Runtime's answers, and the `onnx`
package's own node tests. The engine runs each node test quantized (QuantizeLinear and DequantizeLinear around the operator),
and its answers are held against ONNX Runtime's on that model; tract runs it in float, and its answers are held against those
that the package states. Models in the QOperator form (QLinearConv, QGemm, QLinearAdd, and the like) are counted with the operator
that they quantize. \"Exact\" is every bit; \"near\" is where ONNX Runtime itself computes in float: at most one step of
the output's scale (2 in whole cells and blocks), or 10⁻⁶ of a float output. A row of an operator that no test was found
for says so by its dashes.

";

const NOTES: &str = "
## Where a bit may differ from ONNX Runtime's, and by how much

A quantized operator that ONNX Runtime does not fuse runs there in `f32`, between DequantizeLinear and QuantizeLinear. The engine adds whole numbers
instead and rounds once. The two can part only where the exact result lies so near to the middle between two steps of the output that the rounding of
ONNX Runtime's sum, at most (products + 2) · 2⁻²⁴ of the sum of their magnitudes, carries it across; the answer is then one step off, never more.

- **ConvTranspose** and **Conv, Gemm or MatMul before a function** (LeakyRelu, Sigmoid, a Relu that the output's range does not imply): as said. The
  suite's `conv_transpose_…` and `activated_…` cases; 1 of 203,892 values of the former, 34 of 409,600 in a U-Net's trained layers (256 input channels).
- **A bias with a scale or zero point of its own** (int8, int16 or int32): ONNX Runtime's Conv takes its integers for sums only where its scale is within
  10⁻⁶ + 1 % of input scale · weight scale and its zero point is 0, and so does the engine; otherwise the bias is brought to that unit, rounded
  once, which moves a result by at most half of input scale · weight scale. The suite's `bias_…` cases. ONNX Runtime's fused **Gemm** takes an int32 bias for
  one of the sums *whatever* its scale says; the engine does not follow it there, but gives what the unfused graph gives.
- **A bias that is float** is rounded as ONNX Runtime rounds it, in `f32`. One that is not a number, or that has no place in 32 bits, is refused.
- **BatchNormalization by itself** and **PRelu with a slope for each channel**: each channel is a table of 256 entries, for which the compiler searches a
  weight, a bias and a multiplier. Mostly every entry comes out (all of 5.1 million drawn at random but 3, those by one step).
- **Softmax**: exact where types are equal on both sides, also for output scales other than 1/256, of which the quantized kernel takes only the whole part
  of 1/scale; in float otherwise.
- **Sub**, and **Add and Mul** whose types differ or that a Relu follows which the output's range does not imply, run in float there; the compiler tries all
  65,536 pairs of bytes and widens the operands to 16 bits where its usual step does not give every one, so these are exact.
- **ReduceMean**, **ReduceSum**, **LayerNormalization**, **16-bit convolutions and products**: in float there, in an order of its own. One step.
- **Clip** whose bounds cross gives the upper one. **Add** whose first operand is repeated along the innermost axis has its operands swapped, as in ONNX Runtime;
  which axis is innermost there depends on its layout optimizer, and is foreseen for what lies between, before and behind convolutions.
";

#[derive(Default)]
struct Row {
    exact: usize,
    near: usize,
    nodes: usize,
    refused: BTreeMap<String, BTreeSet<String>>,
    refused_tests: usize,
    tract_suite: [usize; 2],
    tract_nodes: [usize; 2],
}

/// The page for those results.
pub fn text(results: &[(&Case, &str, Outcome)]) -> String {
    let mut rows: BTreeMap<&str, Row> = sanderling_compiler::import::operators()
        .map(|operator| (operator, Row::default()))
        .collect();
    let mut whole = Row::default();
    for (case, executor, outcome) in results {
        let named = case.operator.starts_with(char::is_uppercase);
        let row = match named {
            true => rows.entry(&case.operator).or_default(),
            false => &mut whole,
        };
        row.count(case, executor, outcome);
    }
    let mut page = HEAD.to_owned();
    page.push_str("| operator | engine, operator suite | engine, node tests | tract, operator suite | tract, node tests |\n|---|---|---|---|---|\n");
    for (operator, row) in &rows {
        if !operator.starts_with('Q') || row.is_seen() {
            row.line(operator, &mut page);
        }
    }
    whole.line("blocks, patterns of exporters, whole networks", &mut page);
    page.push_str(NOTES);
    page.push_str("\n## What the engine refuses\n\nNode tests whose quantized form it does not take, and what it says.\n\n");
    for (operator, row) in &rows {
        for (why, tests) in &row.refused {
            let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
            let _ = writeln!(page, "- **{operator}**: {why} ({})", listed(&tests));
        }
    }
    page
}

impl Row {
    fn count(&mut self, case: &Case, executor: &str, outcome: &Outcome) {
        let same = matches!(outcome, Outcome::Same { .. });
        match (executor, case.source.as_str()) {
            ("engine", "opsuite") if case.is_exact() => self.exact += 1,
            ("engine", "opsuite") => self.near += 1,
            ("engine", _) => {
                self.nodes += usize::from(same);
                if let Outcome::Refused(why) = outcome {
                    self.refused_tests += 1;
                    let test = (case.name.trim_start_matches("node_test_"))
                        .trim_end_matches("_engine")
                        .to_owned();
                    self.refused.entry(reason(why)).or_default().insert(test);
                }
            }
            (_, "opsuite") => add(&mut self.tract_suite, same),
            _ => add(&mut self.tract_nodes, same),
        }
    }

    fn is_seen(&self) -> bool {
        self.exact + self.near + self.nodes + self.refused_tests > 0
    }

    fn line(&self, operator: &str, page: &mut String) {
        let suite = match (self.exact, self.near) {
            (0, 0) => "-".to_owned(),
            (exact, 0) => format!("{exact} exact"),
            (0, near) => format!("{near} near"),
            (exact, near) => format!("{exact} exact, {near} near"),
        };
        let nodes = of([self.nodes, self.nodes + self.refused_tests]);
        let (tract_suite, tract_nodes) = (of(self.tract_suite), of(self.tract_nodes));
        let _ = writeln!(
            page,
            "| {operator} | {suite} | {nodes} | {tract_suite} | {tract_nodes} |"
        );
    }
}

fn add(counts: &mut [usize; 2], same: bool) {
    counts[0] += usize::from(same);
    counts[1] += 1;
}

fn of([passed, all]: [usize; 2]) -> String {
    match all {
        0 => "-".to_owned(),
        _ if passed == all => format!("{all}"),
        _ => format!("{passed} of {all}"),
    }
}

/// What the refusal of a node says, without the node's name.
fn reason(error: &str) -> String {
    // After the first line each names a node; the first of them is the cause of the rest.
    let first = error.lines().nth(1).unwrap_or(error);
    let why = match first.split_once("): ") {
        Some((_, why)) => why,
        None => first,
    };
    // Names of files and of nodes are those of this run.
    match why.split_once(".onnx: ") {
        Some((_, why)) => why.to_owned(),
        None => why.to_owned(),
    }
}

fn listed(tests: &[&str]) -> String {
    match tests {
        [a, b, c, rest @ ..] if rest.len() > 1 => {
            format!("`{a}`, `{b}`, `{c}`, and {} more", rest.len())
        }
        _ => (tests.iter())
            .map(|test| format!("`{test}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Compares the page with the one in the repository, or writes it where
/// `SANDERLING_BLESS` says so.
pub fn hold(text: &str) {
    let path = root().join(PAGE);
    if std::env::var_os("SANDERLING_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = stored.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        stored == text,
        "{PAGE} is stale; `cargo xtask test --bless` writes it anew (first difference: {differs:?})"
    );
}
