//! A model that is ready to run, whatever runs it.

use crate::engine::EngineModel;
use crate::{AlignedBytes, Choice, Kind, ModelError, TensorInfo};
#[cfg(feature = "tract")]
use crate::{CutReport, mixed::MixedModel, onnx::Onnx, tract::TractModel};
use sanderling_plan::{Plan, Target, header::MAGIC};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A loaded model with its buffers.
pub struct Model {
    name: String,
    runner: Runner,
    reason: String,
    digest: [u8; 32],
    unread: Vec<String>,
}

// The engine's state is a few words beside buffers; boxing it would save nothing.
#[allow(clippy::large_enum_variant)]
enum Runner {
    Engine(EngineModel),
    #[cfg(feature = "tract")]
    Tract(TractModel),
    #[cfg(feature = "tract")]
    Mixed(MixedModel),
}

impl Model {
    /// Opens a plan or, with the feature `tract`, an ONNX file. What the file is, its
    /// first bytes say, whatever it is called.
    ///
    /// # Errors
    ///
    /// See [`ModelError`].
    pub fn open(path: &Path, choice: Choice) -> Result<Self, ModelError> {
        Model::from_bytes(&path.display().to_string(), read_model(path)?, choice)
    }

    /// The same from memory; `name` is for messages.
    ///
    /// # Errors
    ///
    /// See [`ModelError`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, choice: Choice) -> Result<Self, ModelError> {
        // There is always one: the generic target runs everywhere.
        let fastest = sanderling_engine::targets().next();
        Model::for_target(name, bytes, choice, fastest.unwrap_or(Target::Generic))
    }

    /// The same with plans that are made of an ONNX file packed for `target`, where the
    /// others take the fastest that this processor runs.
    ///
    /// # Errors
    ///
    /// See [`ModelError`].
    pub fn for_target(
        name: &str,
        bytes: Vec<u8>,
        choice: Choice,
        target: Target,
    ) -> Result<Self, ModelError> {
        let digest = Sha256::digest(&bytes).into();
        let Loaded {
            runner,
            reason,
            unread,
        } = load(name, &bytes, choice, target)?;
        Ok(Model {
            name: name.to_owned(),
            runner,
            reason,
            digest,
            unread,
        })
    }

    /// What runs it.
    pub fn executor(&self) -> Kind {
        match self.runner {
            Runner::Engine(_) => Kind::Engine,
            #[cfg(feature = "tract")]
            Runner::Tract(_) => Kind::Tract,
            #[cfg(feature = "tract")]
            Runner::Mixed(_) => Kind::Mixed,
        }
    }

    /// Why that one, as the end of a sentence that starts with its name.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The name given when it was loaded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the ONNX file's inputs that nothing reads. They are not among the inputs.
    pub fn unread_inputs(&self) -> &[String] {
        &self.unread
    }

    /// SHA-256 of the file's bytes, where it has external data with these in it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The inputs that something reads, in the order of the ONNX file.
    pub fn inputs(&self) -> &[TensorInfo] {
        match &self.runner {
            Runner::Engine(model) => &model.inputs,
            #[cfg(feature = "tract")]
            Runner::Tract(model) => &model.inputs,
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => &model.tract.inputs,
        }
    }

    /// The outputs, in the order of the ONNX file.
    pub fn outputs(&self) -> &[TensorInfo] {
        match &self.runner {
            Runner::Engine(model) => &model.outputs,
            #[cfg(feature = "tract")]
            Runner::Tract(model) => &model.outputs,
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => &model.tract.outputs,
        }
    }

    /// Bytes of input `index`, to be written before **every** run, because a run may
    /// overwrite them; empty where there is no such input.
    pub fn input_mut(&mut self, index: usize) -> &mut [u8] {
        match &mut self.runner {
            Runner::Engine(model) => model.engine.input_mut(index),
            #[cfg(feature = "tract")]
            Runner::Tract(model) => model.input_mut(index),
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => model.tract.input_mut(index),
        }
        .unwrap_or_default()
    }

    /// Bytes of output `index`, from the end of a run until the next input is written;
    /// empty where there is no such output.
    pub fn output(&self, index: usize) -> &[u8] {
        match &self.runner {
            Runner::Engine(model) => model.engine.output(index),
            #[cfg(feature = "tract")]
            Runner::Tract(model) => model.output(index),
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => model.tract.output(index),
        }
        .unwrap_or_default()
    }

    /// Spreads the engine's steps over `threads` from now on, the caller's among them;
    /// outputs stay the same bits. They live as long as the model, wait for work by looking
    /// for it some tens of microseconds and by sleeping after that, and allocate nothing.
    /// 1 ends them.
    ///
    /// # Errors
    ///
    /// [`ModelError::Threads`] where the system gives none, or where tract runs the model or
    /// a part of it, on one thread.
    pub fn spread(&mut self, threads: usize) -> Result<(), ModelError> {
        let fault = |why: String| ModelError::Threads {
            name: self.name.clone(),
            threads,
            why,
        };
        match &mut self.runner {
            Runner::Engine(model) => model.spread(threads).map_err(|e| fault(e.to_string())),
            #[cfg(feature = "tract")]
            Runner::Tract(_) | Runner::Mixed(_) => match threads {
                0 | 1 => Ok(()),
                _ => Err(fault("tract runs on one thread".to_owned())),
            },
        }
    }

    /// Computes the outputs from the inputs. In the engine it never touches the allocator.
    ///
    /// # Errors
    ///
    /// [`ModelError::Tract`] where tract fails; [`ModelError::Run`] where the plan's
    /// memory is not what it was.
    pub fn run(&mut self) -> Result<(), ModelError> {
        match &mut self.runner {
            Runner::Engine(model) => model.run().map_err(|source| ModelError::Run {
                name: self.name.clone(),
                source,
            }),
            #[cfg(feature = "tract")]
            Runner::Tract(model) => model.run(),
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => model.tract.run(),
        }
    }

    /// Runs the plan's golden vectors and compares every bit; answers how many there
    /// were, in every region where there are several plans. tract has none to run. Inputs and outputs are overwritten.
    ///
    /// # Errors
    ///
    /// [`ModelError::SelfTest`].
    pub fn self_test(&mut self) -> Result<usize, ModelError> {
        match &mut self.runner {
            Runner::Engine(model) => {
                model
                    .engine
                    .self_test()
                    .map_err(|source| ModelError::SelfTest {
                        name: self.name.clone(),
                        source,
                    })?;
                Ok(model.engine.plan().golden_count())
            }
            #[cfg(feature = "tract")]
            Runner::Tract(_) => Ok(0),
            #[cfg(feature = "tract")]
            Runner::Mixed(model) => model.self_test(&self.name),
        }
    }

    /// Which nodes run as integer regions in the engine and which in tract; `None` where one
    /// of the two runs them all.
    #[cfg(feature = "tract")]
    pub fn regions(&self) -> Option<&CutReport> {
        match &self.runner {
            Runner::Mixed(model) => Some(&model.report),
            _ => None,
        }
    }

    /// The plan that the engine runs all of the model by; `None` elsewhere.
    pub fn plan(&self) -> Option<&Plan<AlignedBytes>> {
        match &self.runner {
            Runner::Engine(model) => Some(model.engine.plan()),
            #[cfg(feature = "tract")]
            Runner::Tract(_) => None,
            #[cfg(feature = "tract")]
            Runner::Mixed(_) => None,
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in the {}", self.name, self.executor())
    }
}

/// Whether `bytes` start as a plan does; the rest of it may still be wrong.
pub fn is_plan(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The bytes of the file at `path`, with an ONNX file's external data in them.
///
/// # Errors
///
/// [`ModelError::Read`], or with the feature `tract` [`ModelError::ExternalData`].
pub fn read_model(path: &Path) -> Result<Vec<u8>, ModelError> {
    #[cfg(feature = "tract")]
    return sanderling_compiler::import::read_model(path).map_err(|error| match error {
        sanderling_compiler::import::ReadError::Model { path, source } => {
            ModelError::Read { path, source }
        }
        other => ModelError::ExternalData(Box::new(other)),
    });
    #[cfg(not(feature = "tract"))]
    std::fs::read(path).map_err(|source| ModelError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A model that was loaded.
struct Loaded {
    runner: Runner,
    reason: String,
    unread: Vec<String>,
}

fn load(name: &str, bytes: &[u8], choice: Choice, target: Target) -> Result<Loaded, ModelError> {
    if !is_plan(bytes) {
        return load_onnx(name, bytes, choice, target);
    }
    if matches!(choice, Choice::Tract | Choice::Mixed) {
        return Err(ModelError::PlanInTract {
            name: name.to_owned(),
        });
    }
    let model = EngineModel::load(name, bytes)?;
    let reason = format!("it is a plan, packed for {}", model.engine.plan().target());
    Ok(Loaded {
        runner: Runner::Engine(model),
        reason,
        unread: Vec::new(),
    })
}

#[cfg(feature = "tract")]
fn load_onnx(
    name: &str,
    bytes: &[u8],
    choice: Choice,
    target: Target,
) -> Result<Loaded, ModelError> {
    let onnx = Onnx::parse(name, bytes)?;
    let quantized = onnx.quantized_node();
    let (kind, reason) = match (choice, quantized) {
        (Choice::Engine, _) => (Kind::Engine, "it was asked for".to_owned()),
        (Choice::Tract, None) => (Kind::Tract, "it was asked for".to_owned()),
        (Choice::Tract, Some(_)) => (
            Kind::Tract,
            "it was asked for; tract computes this quantized model in float".to_owned(),
        ),
        (Choice::Mixed, _) => (Kind::Mixed, String::new()),
        (Choice::Auto, Some(node)) => (
            Kind::Engine,
            format!("the model is quantized, as at {node}"),
        ),
        (Choice::Auto, None) => (
            Kind::Tract,
            "the model is in float: no node quantizes".to_owned(),
        ),
    };
    let runner = match kind {
        Kind::Engine => Runner::Engine(EngineModel::load(name, &onnx.compile(target)?)?),
        Kind::Tract => {
            onnx.known_to_tract()?;
            let loaded =
                TractModel::load(name, &onnx, sanderling_compiler::import::guarded_tract());
            Runner::Tract(loaded.map_err(|error| match error {
                // tract knows QDQ models only, the engine QOperator ones too.
                ModelError::Tract { name, what, why } if onnx.quantized_node().is_some() => {
                    let why = format!("{why}; `--executor engine` runs quantized models");
                    ModelError::Tract { name, what, why }
                }
                other => other,
            })?)
        }
        Kind::Mixed => {
            let model = MixedModel::load(name, &onnx, target)?;
            let reason = model.reason();
            return Ok(Loaded {
                runner: Runner::Mixed(model),
                reason,
                unread: onnx.unread,
            });
        }
    };
    Ok(Loaded {
        runner,
        reason,
        unread: onnx.unread,
    })
}

#[cfg(not(feature = "tract"))]
fn load_onnx(name: &str, bytes: &[u8], _: Choice, _: Target) -> Result<Loaded, ModelError> {
    let name = name.to_owned();
    // An ONNX file starts with the field `ir_version`.
    if bytes.first() == Some(&0x08) {
        Err(ModelError::PlansOnly { name })
    } else {
        Err(ModelError::NotAModel { name })
    }
}

// An agent opens a model in one thread and runs it in another.
const _: fn() = || {
    fn moves_to_another_thread<T: Send>() {}
    moves_to_another_thread::<Model>();
};
