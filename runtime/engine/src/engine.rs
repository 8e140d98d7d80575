//! A plan joined with an arena.

use crate::error::{EngineError, RunError, SelfTestError};
use crate::kernels::Isa;
use crate::memory::Operands;
use crate::operators;
use crate::spread::{Alone, Spread};
use sanderling_plan::golden::Part;
use sanderling_plan::step::stream;
use sanderling_plan::{ALIGNMENT, Plan, Target};

/// A plan and the arena it runs in.
///
/// `B` holds the plan's bytes, `A` the arena; both may borrow or own, and must give the
/// same bytes at the same address each time.
#[derive(Debug)]
pub struct Engine<B, A> {
    plan: Plan<B>,
    arena: A,
    isa: Isa,
}

/// Whether this build, on this processor, runs plans that are packed for `target`.
pub fn runs(target: Target) -> bool {
    Isa::of(target).is_some()
}

/// The targets that this build, on this processor, runs; the fastest first.
pub fn targets() -> impl Iterator<Item = Target> {
    // Later ones are wider.
    Target::ALL.into_iter().rev().filter(|&target| runs(target))
}

impl<B: AsRef<[u8]>, A: AsRef<[u8]> + AsMut<[u8]>> Engine<B, A> {
    /// Joins `plan` with `arena`, which must start at a multiple of 16 in memory and have
    /// at least [`Plan::arena_bytes`]; what it holds does not matter, and bytes past that
    /// length are never touched.
    ///
    /// # Errors
    ///
    /// The arena is too small or misaligned, or the plan is packed for another processor.
    pub fn new(plan: Plan<B>, arena: A) -> Result<Self, EngineError> {
        let target = plan.target();
        let isa = Isa::of(target).ok_or(EngineError::Target(target))?;
        let (need, bytes) = (plan.arena_bytes(), arena.as_ref());
        if bytes.len() < need {
            return Err(EngineError::ArenaTooSmall {
                need,
                have: bytes.len(),
            });
        }
        if !(bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
            return Err(EngineError::ArenaMisaligned);
        }
        Ok(Engine { plan, arena, isa })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan<B> {
        &self.plan
    }

    /// The plan and the arena, for other use.
    pub fn into_parts(self) -> (Plan<B>, A) {
        (self.plan, self.arena)
    }

    /// The raw little-endian bytes of input number `index`, dense and row-major in the
    /// order that the plan's tensor states; `None` when there is no such input.
    ///
    /// A run may overwrite them: write every input before every run.
    pub fn input_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        let (_, tensor) = self.plan.input(index)?;
        self.arena.as_mut().get_mut(tensor.range())
    }

    /// The raw little-endian bytes of output number `index`, valid from the end of a run
    /// until an input is written; `None` when there is no such output.
    pub fn output(&self, index: usize) -> Option<&[u8]> {
        let (_, tensor) = self.plan.output(index)?;
        self.arena.as_ref().get(tensor.range())
    }

    /// Runs every step in order. The work is fixed by the plan; no input makes it longer.
    ///
    /// # Errors
    ///
    /// Only when the bytes behind the plan or the arena changed; see [`RunError`].
    pub fn run(&mut self) -> Result<(), RunError> {
        let (plan, arena) = (self.plan.view(), self.arena.as_mut());
        (0..plan.step_count()).try_for_each(|index| {
            alone(self.isa, &plan, index, arena).ok_or(RunError { step: index })
        })
    }

    /// The same with steps of much work spread over threads. `scratch`, which starts at a
    /// multiple of 16 in memory, has [`spread_bytes`](crate::spread_bytes) or fewer: steps
    /// then have fewer parts. The outputs are the same bits however steps are spread.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn run_with(&mut self, spread: &impl Spread, scratch: &mut [u8]) -> Result<(), RunError> {
        let (plan, arena) = (self.plan.view(), self.arena.as_mut());
        (0..plan.step_count()).try_for_each(|index| {
            step(self.isa, &plan, index, arena, spread, scratch).ok_or(RunError { step: index })
        })
    }

    /// Runs step number `index` alone, for whoever times steps or spreads them. The
    /// steps before it must have run. The first step of a
    /// [stream](sanderling_plan::step::stream) runs all of it, the others nothing.
    ///
    /// # Errors
    ///
    /// There is no such step, or as for [`run`](Self::run).
    pub fn run_step(&mut self, index: usize) -> Result<(), RunError> {
        alone(self.isa, &self.plan.view(), index, self.arena.as_mut())
            .ok_or(RunError { step: index })
    }

    /// Runs the plan's golden vectors and compares every output bit for bit. A plan that
    /// carries none passes: see [`Plan::golden_count`]. Overwrites inputs and outputs.
    ///
    /// # Errors
    ///
    /// The first byte that differs.
    pub fn self_test(&mut self) -> Result<(), SelfTestError> {
        for vector in 0..self.plan.golden_count() {
            self.test_vector(vector)?;
        }
        Ok(())
    }

    fn test_vector(&mut self, vector: usize) -> Result<(), SelfTestError> {
        let Engine { plan, arena, .. } = self;
        let Some(golden) = plan.golden().nth(vector) else {
            return Ok(());
        };
        for part in golden.parts(plan.io_tensors()) {
            if let Part::Input(index, bytes) = part
                && let Some((_, tensor)) = plan.input(index)
                && let Some(input) = arena.as_mut().get_mut(tensor.range())
            {
                crate::memory::copy(input, bytes);
            }
        }
        self.run()?;
        let Some(golden) = self.plan.golden().nth(vector) else {
            return Ok(());
        };
        for part in golden.parts(self.plan.io_tensors()) {
            let Part::Output(output, expected) = part else {
                continue;
            };
            let got = self.output(output).unwrap_or(&[]);
            let differs = expected
                .iter()
                .zip(got)
                .enumerate()
                .find(|(_, (e, g))| e != g);
            if let Some((byte, (&expected, &got))) = differs {
                return Err(SelfTestError::Differs {
                    vector,
                    output,
                    byte,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }
}

/// Runs step number `index` on this thread. Not generic: a program holds this code once.
#[inline(never)]
fn alone(isa: Isa, plan: &Plan<&[u8]>, index: usize, arena: &mut [u8]) -> Option<()> {
    step(isa, plan, index, arena, &Alone, &mut [])
}

/// Runs step number `index`, its work spread by `spread`.
fn step(
    isa: Isa,
    plan: &Plan<&[u8]>,
    index: usize,
    arena: &mut [u8],
    spread: &impl Spread,
    scratch: &mut [u8],
) -> Option<()> {
    // Looked at where it is, for it is long.
    let step = plan.step(index);
    let step = step.as_ref()?;
    if step.stream > 0 {
        // The first step of a stream runs all of it.
        return match step.position {
            0 if stream::BUILT_IN => operators::stream(isa, plan, index, arena),
            0 => None,
            _ => Some(()),
        };
    }
    let operands = Operands::of(plan, step, arena, scratch)?;
    operators::run(isa, &step.operator, operands, spread)
}
