//! Spreading the work of a step over several threads, which the caller provides.

use core::ops::Range;
use sanderling_plan::{Operator, Plan};

/// Threads that work on the parts of a step.
pub trait Spread: Sync {
    /// How many parts are worked on at the same time. The engine makes use of at most 8.
    fn width(&self) -> usize;

    /// Calls `work` once with each of `parts`, in any order and on any thread, and returns
    /// when all calls have returned.
    fn each<T: Send>(&self, parts: &mut [T], work: impl Fn(&mut T) + Sync);
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Spread for Alone {
    #[inline(always)]
    fn width(&self) -> usize {
        1
    }

    #[inline(always)]
    fn each<T: Send>(&self, parts: &mut [T], work: impl Fn(&mut T) + Sync) {
        parts.iter_mut().for_each(work);
    }
}

/// Most parts that a step is cut into: two for each thread where it is long, so that one
/// which is held up leaves work to the others.
const MOST: usize = 16;

/// Scratch for the parts of the steps of `plan`, beside its arena, so that
/// [`Engine::run_with`](crate::Engine::run_with) can spread all steps over `width` threads.
pub fn spread_bytes<B: AsRef<[u8]>>(plan: &Plan<B>, width: usize) -> usize {
    let own = plan.steps().filter_map(|step| {
        let input = plan.tensor(*step.inputs().first()?)?.shape.nhwc()?;
        match &step.operator {
            Operator::DepthwiseConv(p) => {
                let scratch = p.scratch(plan.target(), input, true, false)?;
                sanderling_plan::align_up(scratch.bytes()?)
            }
            _ => None,
        }
    });
    match width.min(MOST / 2) {
        0 | 1 => 0,
        width => own.max().unwrap_or(0).saturating_mul(2 * width),
    }
}

/// One part of a step: so many units of the output, and scratch of its own.
struct Part<'a> {
    units: Range<usize>,
    y: &'a mut [i8],
    own: &'a mut [u8],
    done: bool,
}

/// How the output of a step is cut.
pub(crate) struct Cut {
    /// Units in which it is cut, and values of each.
    pub(crate) units: usize,
    pub(crate) values: usize,
    /// Parts have a multiple of so many units.
    pub(crate) grain: usize,
    /// Nanoseconds, roughly, that all of it takes on one thread.
    pub(crate) cost: usize,
    /// Bytes of scratch for each part.
    pub(crate) own: usize,
}

/// Nanoseconds below which spreading a step saves little or nothing: on a processor of 2023
/// it takes about 1500, and what one core has written, another has to fetch.
const WORTH: usize = 8000;

/// Nanoseconds above which a step has two parts for each thread instead of one.
const LONG: usize = 40_000;

impl Cut {
    /// Parts that the output is cut into; 1 where spreading would not pay.
    pub(crate) fn parts<S: Spread>(&self, spread: &S, own: &[u8]) -> usize {
        let width = spread.width().min(MOST / 2);
        if width < 2 || self.cost < WORTH {
            return 1;
        }
        let room = own.len().checked_div(self.own).unwrap_or(MOST);
        let grains = self.units / self.grain.max(1);
        let wanted = if self.cost < LONG { width } else { 2 * width };
        wanted.min(grains).min(room).max(1)
    }

    /// Calls `work` with the units, the output, and the scratch of every part.
    pub(crate) fn run<S: Spread>(
        &self,
        spread: &S,
        y: &mut [i8],
        own: &mut [u8],
        work: impl Fn(Range<usize>, &mut [i8], &mut [u8]) -> Option<()> + Sync,
    ) -> Option<()> {
        let count = self.parts(spread, own);
        if count < 2 {
            return work(0..self.units, y, own);
        }
        let grain = self.grain.max(1);
        let units = self.units.div_ceil(count).checked_next_multiple_of(grain)?;
        let mut parts = [const { None }; MOST];
        let (mut y, mut own, mut first) = (y, own, 0);
        for part in &mut parts {
            let units = units.min(self.units - first);
            if units == 0 {
                break;
            }
            let (this, rest) = y.split_at_mut_checked(units.checked_mul(self.values)?)?;
            let (scratch, more) = own.split_at_mut_checked(self.own)?;
            *part = Some(Part {
                units: first..first + units,
                y: this,
                own: scratch,
                done: false,
            });
            (y, own, first) = (rest, more, first + units);
        }
        spread.each(&mut parts, |part| {
            if let Some(part) = part {
                part.done = work(part.units.clone(), part.y, part.own).is_some();
            }
        });
        let done = parts.iter().flatten().all(|part| part.done);
        done.then_some(())
    }
}
