//! One operator per file. Each walks shapes and borders and computes the formula that
//! its namesake in [`sanderling_plan::step`] states.

mod add;
mod average_pool;
mod conv;
mod copy;
mod depthwise;
mod dequantize;
mod fill;
mod fully_connected;
mod lookup;
mod max_pool;
mod mul;
mod pairs;
mod quantize;
mod reduce_mean;
mod resize_nearest;
mod softmax;
mod window;

use crate::memory::Operands;
use sanderling_plan::Operator;

/// Runs one step; `None` when its memory is not what was checked.
pub(crate) fn run(operator: &Operator, operands: Operands<'_>) -> Option<()> {
    match operator {
        Operator::Conv(p) => conv::run(p, operands),
        Operator::DepthwiseConv(p) => depthwise::run(p, operands),
        Operator::FullyConnected(p) => fully_connected::run(p, operands),
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
