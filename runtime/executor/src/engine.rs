//! A plan in the engine, with buffers that this process owns.

use crate::pool::Pool;
use crate::{AlignedBytes, ModelError, TensorInfo};
use sanderling_engine::{Engine, RunError, spread_bytes};
use sanderling_plan::{Plan, Tensor};

/// A plan and its arena.
#[derive(Debug)]
pub(crate) struct EngineModel {
    pub(crate) engine: Engine<AlignedBytes, AlignedBytes>,
    pub(crate) inputs: Vec<TensorInfo>,
    pub(crate) outputs: Vec<TensorInfo>,
    threads: Option<Threads>,
}

/// What runs a step on several threads.
#[derive(Debug)]
struct Threads {
    pool: Pool,
    scratch: AlignedBytes,
}

impl EngineModel {
    /// Checks the plan and makes an arena for it. `name` is for messages.
    pub(crate) fn load(name: &str, bytes: &[u8]) -> Result<Self, ModelError> {
        let plan = Plan::new(AlignedBytes::copy_of(bytes)).map_err(|source| ModelError::Plan {
            name: name.to_owned(),
            source,
        })?;
        let infos = |io: &mut dyn Iterator<Item = Tensor>| -> Vec<TensorInfo> {
            io.map(|tensor| TensorInfo::of_plan(&plan, &tensor))
                .collect()
        };
        let inputs = infos(&mut plan.inputs().map(|(_, tensor)| tensor));
        let outputs = infos(&mut plan.outputs().map(|(_, tensor)| tensor));
        let arena = AlignedBytes::zeroed(plan.arena_bytes());
        let engine = Engine::new(plan, arena).map_err(|source| ModelError::Engine {
            name: name.to_owned(),
            source,
        })?;
        Ok(EngineModel {
            engine,
            inputs,
            outputs,
            threads: None,
        })
    }

    /// Spreads steps over `threads` from now on, the caller's among them.
    pub(crate) fn spread(&mut self, threads: usize) -> std::io::Result<()> {
        self.threads = match threads {
            0 | 1 => None,
            _ => Some(Threads {
                pool: Pool::new(threads)?,
                scratch: AlignedBytes::zeroed(spread_bytes(self.engine.plan(), threads)),
            }),
        };
        Ok(())
    }

    /// Runs every step.
    pub(crate) fn run(&mut self) -> Result<(), RunError> {
        match &mut self.threads {
            Some(Threads { pool, scratch }) => self.engine.run_with(pool, scratch.as_mut()),
            None => self.engine.run(),
        }
    }
}
