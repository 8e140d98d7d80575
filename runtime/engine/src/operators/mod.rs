//! One operator per file. Each walks shapes and borders and computes the formula that
//! its namesake in [`sanderling_plan::step`] states.

mod activated_conv;
mod add;
mod arg_max;
mod average_pool;
mod conv;
mod copy;
mod dense;
mod depthwise;
mod dequantize;
mod fill;
mod fully_connected;
mod gather;
mod layer_norm;
mod lookup;
mod lookup_real;
mod mat_mul;
mod max_pool;
mod mul;
mod pairs;
mod quantize;
mod reduce_mean;
mod resize_linear;
mod resize_nearest;
mod rows;
mod softmax;
mod softmax_real;
mod stream;
mod wide;
mod window;

pub(crate) use window::Axis;

use crate::kernels::{Generic, Isa, Kernel};
use crate::memory::Operands;
use sanderling_plan::{Operator, Plan};

/// Runs one step with the loops of `isa`; `None` when its memory is not what was checked.
pub(crate) fn run(isa: Isa, operator: &Operator, operands: Operands<'_>) -> Option<()> {
    match operator {
        Operator::Conv(_) | Operator::DepthwiseConv(_) | Operator::FullyConnected(_) => match isa {
            Isa::Generic => products::<Generic>(operator, operands),
        },
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
        Operator::ActivatedConv(p) => activated_conv::run(p, operands),
        Operator::WideConv(p) => wide::conv(p, operands),
        Operator::WidePair(p) => wide::pair(p, operands),
        Operator::WideRequantize(p) => wide::requantize(p, operands),
        Operator::ArgMax(p) => arg_max::run(p, operands),
        Operator::Gather(p) => gather::run(p, operands),
        Operator::LayerNorm(p) => layer_norm::run(p, operands),
        Operator::LookupReal(p) => lookup_real::run(p, operands),
        Operator::MatMul(p) => mat_mul::run(p, operands),
        Operator::ResizeLinear(p) => resize_linear::run(p, operands),
        Operator::SoftmaxReal(p) => softmax_real::run(p, operands),
    }
}

/// Runs the stream of steps that starts with number `first`.
pub(crate) fn stream<B: AsRef<[u8]>>(
    isa: Isa,
    plan: &Plan<B>,
    first: usize,
    arena: &mut [u8],
) -> Option<()> {
    match isa {
        Isa::Generic => stream::run::<Generic, B>(plan, first, arena),
    }
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
