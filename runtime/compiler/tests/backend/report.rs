//! The report adds up.

use crate::make::Maker;
use crate::network::network;
use sanderling_compiler::memory::plan_memory;
use sanderling_compiler::report::report;
use sanderling_plan::{Dtype, Target};

#[test]
fn a_report_says_what_each_step_costs() {
    let mut maker = Maker::new(2);
    let x = maker.input(Dtype::I8, &[1, 10]);
    let y = maker.fully_connected(x);
    let y = maker.lookup(y, Dtype::U8);
    maker.program.outputs.push(y);
    let program = maker.program;
    let report = report(
        &program,
        &plan_memory(&program, Target::CortexM55),
        4321,
        Target::CortexM55,
        [0xab; 32],
    );
    let outputs = program.tensor(y).shape[1];
    assert_eq!(report.target, "cortex-m55");
    assert_eq!(report.source_sha256, "ab".repeat(32));
    assert_eq!(
        (report.flash_bytes, report.macs),
        (4321, 10 * outputs as u64)
    );
    assert_eq!(report.weight_bytes, 18 * outputs + 256);
    assert_eq!(report.arena_lower_bound, report.arena_bytes);
    let names: Vec<_> = report.steps.iter().map(|step| step.operator).collect();
    assert_eq!(names, ["fully-connected", "lookup"]);
    assert_eq!(report.steps[0].inputs, [vec![1, 10]]);
    assert_eq!(report.steps[0].output, [1, outputs]);
    assert_eq!(
        (report.steps[0].in_place, report.steps[1].in_place),
        (false, true)
    );
    assert_eq!(
        (report.inputs[0].dtype, report.outputs[0].dtype),
        ("i8", "u8")
    );
}

#[test]
fn a_constant_that_two_steps_read_is_counted_once() {
    let mut maker = Maker::new(4);
    let x = maker.input(Dtype::I8, &[16]);
    let k = maker.program.add_constant("k", vec![16], &[1; 16], 1.0, 0);
    let y = maker.add(x, k);
    let y = maker.mul(y, k);
    maker.program.outputs.push(y);
    let report = report(
        &maker.program,
        &plan_memory(&maker.program, Target::Generic),
        0,
        Target::Generic,
        [0; 32],
    );
    assert_eq!(report.weight_bytes, 16);
    assert!(report.steps.iter().all(|step| step.weight_bytes == 16));
}

#[test]
fn totals_are_those_of_the_steps() {
    for seed in 0..50 {
        let program = network(seed);
        let memory = plan_memory(&program, Target::Generic);
        let report = report(&program, &memory, 1, Target::Generic, [0; 32]);
        let most = report.steps.iter().map(|step| step.live_bytes).max();
        assert_eq!(
            report.macs,
            report.steps.iter().map(|step| step.macs).sum::<u64>()
        );
        assert!(
            report.arena_bytes >= report.arena_lower_bound,
            "seed {seed}"
        );
        assert!(
            most.is_none_or(|most| most <= report.arena_lower_bound),
            "seed {seed}"
        );
        let peak = report.peak_tensor.expect("a tensor");
        assert!(
            peak.bytes <= report.steps[peak.step].live_bytes,
            "seed {seed}"
        );
    }
}

#[test]
fn it_is_one_json_object() {
    let program = network(3);
    let report = report(
        &program,
        &plan_memory(&program, Target::Generic),
        1,
        Target::Generic,
        [0; 32],
    );
    let json = serde_json::to_value(&report).expect("json");
    for key in [
        "macs",
        "flash_bytes",
        "arena_bytes",
        "peak_tensor",
        "steps",
        "source_sha256",
    ] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(
        json["steps"].as_array().map(Vec::len),
        Some(program.steps.len())
    );
}
