//! One operator per file. Each walks shapes and borders and computes the formula that
//! its namesake in [`sanderling_plan::step`] states.

mod add;
mod average_pool;
mod conv;
mod copy;
mod dense;
mod depthwise;
mod dequantize;
mod fill;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod padded;
mod padded_rows;
mod pairs;
mod quantize;
mod reduce_mean;
mod resize_nearest;
mod rows;
mod softmax;
mod stream;
mod window;

pub(crate) use window::Axis;

#[cfg(target_arch = "aarch64")]
use crate::kernels::{Aarch64, Aarch64Dotprod};
use crate::kernels::{Generic, Isa, Kernel};
use crate::memory::Operands;
use sanderling_plan::{Operator, Plan};

/// Evaluates an expression with `K` standing for the kernel of an instruction set.
macro_rules! with_kernel {
    ($isa:expr, $kernel:ident => $expression:expr) => {
        match $isa {
            Isa::Generic => {
                type $kernel = Generic;
                $expression
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Aarch64 => {
                type $kernel = Aarch64;
                $expression
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Aarch64Dotprod => {
                type $kernel = Aarch64Dotprod;
                $expression
            }
        }
    };
}

/// Runs one step with the loops of `isa`; `None` when its memory is not what was checked.
pub(crate) fn run(isa: Isa, operator: &Operator, operands: Operands<'_>) -> Option<()> {
    match operator {
        Operator::Conv(_) | Operator::DepthwiseConv(_) | Operator::FullyConnected(_) => {
            with_kernel!(isa, K => products::<K>(operator, operands))
        }
        Operator::Add(p) => add::run(p, operands),
        Operator::Mul(p) => mul::run(p, operands),
        Operator::MaxPool(p) => max_pool::run(p, operands),
        Operator::AveragePool(p) => average_pool::run(p, operands),
        Operator::ReduceMean(p) => reduce_mean::run(p, operands),
        Operator::Lookup(p) => lookup::run(p, operands),
        Operator::Softmax(p) => softmax::run(p, operands),
        Operator::Copy(p) => copy::run(p, operands),
        Operator::Fill(p) => fill::run(p, operands),
        Operator::Quantize(p) => quantize::run(p, operands),
        Operator::Dequantize(p) => dequantize::run(p, operands),
        Operator::ResizeNearest(p) => resize_nearest::run(p, operands),
    }
}

/// Runs the stream of steps that starts with number `first`.
pub(crate) fn stream<B: AsRef<[u8]>>(
    isa: Isa,
    plan: &Plan<B>,
    first: usize,
    arena: &mut [u8],
) -> Option<()> {
    with_kernel!(isa, K => stream::run::<K, B>(plan, first, arena))
}

/// The steps whose weights are packed for an instruction set.
fn products<K: Kernel>(operator: &Operator, operands: Operands<'_>) -> Option<()> {
    match operator {
        Operator::Conv(p) => conv::run::<K>(p, operands),
        Operator::DepthwiseConv(p) => depthwise::run::<K>(p, operands),
        Operator::FullyConnected(p) => fully_connected::run::<K>(p, operands),
        _ => None,
    }
}
