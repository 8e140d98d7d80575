//! `Plan::new` on any bytes returns, and every accessor of what it accepts does.
#![no_main]

mod mutation;

use libfuzzer_sys::fuzz_target;
use sanderling_plan::{Plan, TensorId};

fuzz_target!(|data: &[u8]| {
    let plan = match Plan::new(mutation::plan(data)) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for id in 0..plan.tensor_count() {
        let tensor = plan
            .tensor(TensorId(id as u16))
            .expect("a tensor that is counted is there");
        let _ = (plan.tensor_name(&tensor), tensor.shape.to_string());
    }
    assert_eq!(plan.steps().count(), plan.step_count());
    for step in plan.steps() {
        let _ = plan.step_name(&step);
        assert!(step.scratch_bytes == 0 || step.scratch().end <= plan.arena_bytes());
    }
    for (_, tensor) in plan.io_tensors() {
        assert!(tensor.range().end <= plan.arena_bytes());
    }
    let io = plan.io_tensors().count();
    for golden in plan.golden() {
        assert_eq!(golden.parts(plan.io_tensors()).count(), io);
    }
    let _ = (
        plan.macs(),
        plan.source_sha256(),
        plan.peak_tensor(),
        plan.bytes(),
        plan.constants(),
    );
});
