//! Whatever `Plan::new` accepts, the engine runs to its end inside its arena.
#![no_main]

mod mutation;

use libfuzzer_sys::fuzz_target;
use mutation::Aligned;
use sanderling_engine::{Engine, work_bound};
use sanderling_plan::Plan;

/// Larger plans are valid but of no interest: they would only be slow.
const MOST_ARENA: usize = 1 << 20;
const MOST_WORK: u64 = 1 << 24;

fuzz_target!(|data: &[u8]| {
    let Ok(plan) = Plan::new(mutation::plan(data)) else {
        return;
    };
    let need = plan.arena_bytes();
    if need > MOST_ARENA || work_bound(&plan) > MOST_WORK {
        return;
    }
    let golden = plan.golden_count() < 4;
    let arena = Aligned::new(&vec![0x77; need + 64]);
    let Ok(mut engine) = Engine::new(plan, arena) else {
        return;
    };
    engine.run().expect("a plan that was accepted runs");
    if golden {
        let _ = engine.self_test();
    }
    let (_, arena) = engine.into_parts();
    assert!(
        arena.as_ref()[need..].iter().all(|&byte| byte == 0x77),
        "wrote behind the arena"
    );
});
