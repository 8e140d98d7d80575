//! A plan in the engine, with buffers that this process owns.

use crate::{AlignedBytes, ModelError, TensorInfo};
use sanderling_engine::Engine;
use sanderling_plan::{Plan, Tensor};

/// A plan and its arena.
#[derive(Debug)]
pub(crate) struct EngineModel {
    pub(crate) engine: Engine<AlignedBytes, AlignedBytes>,
    pub(crate) inputs: Vec<TensorInfo>,
    pub(crate) outputs: Vec<TensorInfo>,
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
        })
    }
}
