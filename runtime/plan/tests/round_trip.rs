//! What the writer writes, the view reads.

mod every_operator;

use every_operator::Aligned;
use sanderling_plan::golden::Part;
use sanderling_plan::{Dtype, Operator, Plan, PlanError, Target};

fn written() -> Plan<Aligned> {
    Plan::new(Aligned::new(&every_operator::plan(|_| vec![9; 12]))).unwrap()
}

#[test]
fn header_says_what_the_writer_was_told() {
    let plan = written();
    assert_eq!(plan.target(), Target::Generic);
    assert_eq!(plan.source_sha256(), [7; 32]);
    assert_eq!(plan.macs(), 36 * 72 + 9 * 36 + 12);
    let peak = plan.tensor(plan.peak_tensor().unwrap()).unwrap();
    assert_eq!(plan.tensor_name(&peak), "wide");
}

#[test]
fn inputs_and_outputs_keep_dtype_shape_and_name() {
    let plan = written();
    let (_, input) = plan.input(0).unwrap();
    assert_eq!(
        (input.dtype, input.shape.dims()),
        (Dtype::F32, [1, 6, 6, 2].as_slice())
    );
    assert_eq!(
        (plan.tensor_name(&input), input.scale, input.zero_point),
        ("image", 0.05, 3)
    );
    let (_, output) = plan.output(0).unwrap();
    assert_eq!(
        (output.dtype, output.shape.dims()),
        (Dtype::F32, [1, 3].as_slice())
    );
    assert!(plan.input(1).is_none() && plan.output(1).is_none());
    assert!(plan.output(usize::MAX).is_none());
    assert_eq!(plan.io_tensors().count(), 2);
}

#[test]
fn every_operator_comes_back_in_order() {
    let plan = written();
    let mut numbers: Vec<u8> = plan.steps().map(|step| step.operator.number()).collect();
    let names: Vec<&str> = plan.steps().map(|step| step.operator.name()).collect();
    let steps: Vec<String> = plan
        .steps()
        .map(|step| plan.step_name(&step).to_owned())
        .collect();
    assert_eq!(names, steps);
    let tiles = Plan::new(Aligned::new(&every_operator::winograd::plan())).unwrap();
    numbers.extend(tiles.steps().map(|step| step.operator.number()));
    numbers.sort_unstable();
    numbers.dedup();
    let all: Vec<u8> = Operator::ALL.iter().map(|&(number, _)| number).collect();
    assert_eq!(numbers, all);
    assert!(plan.step(plan.step_count()).is_none() && plan.step(usize::MAX).is_none());
}

#[test]
fn golden_vectors_come_back() {
    let plan = written();
    let vectors: Vec<_> = plan.golden().collect();
    assert_eq!((vectors.len(), plan.golden_count()), (1, 1));
    let parts: Vec<Part<'_>> = vectors[0].parts(plan.io_tensors()).collect();
    let [Part::Input(0, input), Part::Output(0, output)] = parts.as_slice() else {
        panic!("one input, one output, but {parts:?}");
    };
    assert_eq!((input.len(), *output), (72 * 4, [9; 12].as_slice()));
}

#[test]
fn equal_constants_are_stored_once() {
    let mut writer = sanderling_plan::writer::Writer::new(Target::Generic, [0; 32]);
    let first = writer.constant(&[1; 40]);
    let second = writer.constant(&[2; 40]);
    assert_eq!(writer.constant(&[1; 40]), first);
    assert_eq!(writer.constant(&[2; 40]), second);
    assert_ne!(first, second);
}

#[test]
fn bytes_after_the_plan_are_ignored() {
    let bytes = every_operator::plan(|_| vec![9; 12]);
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0xee; 100]);
    let plan = Plan::new(Aligned::new(&longer)).unwrap();
    assert_eq!(plan.bytes(), bytes);
}

#[test]
fn wrong_bytes_are_named() {
    let good = every_operator::plan(|_| vec![9; 12]);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Plan::new(Aligned::new(&bytes)).err()
    };
    let total = good.len() as u32;
    assert_eq!(refused(&|b| b[0] ^= 1), Some(PlanError::NotAPlan));
    assert_eq!(refused(&|b| b[8] = 99), Some(PlanError::Version(99)));
    assert_eq!(refused(&|b| b[10] = 77), Some(PlanError::UnknownTarget(77)));
    let cut = PlanError::Truncated {
        need: total,
        have: total - 1,
    };
    assert_eq!(refused(&|b| b.truncate(b.len() - 1)), Some(cut));
    assert_eq!(
        refused(&|b| b.truncate(100)),
        Some(PlanError::Truncated {
            need: 128,
            have: 100
        })
    );
    assert_eq!(
        refused(&Vec::clear),
        Some(PlanError::Truncated { need: 128, have: 0 })
    );
    let aligned = Aligned::new(&[&[0; 8], good.as_slice()].concat());
    assert_eq!(
        Plan::new(&aligned.as_ref()[8..]).err(),
        Some(PlanError::Misaligned)
    );
}
