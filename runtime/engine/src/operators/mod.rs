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
mod padded;
mod padded_image;
mod padded_rows;
mod pairs;
mod patch;
mod quantize;
mod real_conv;
mod real_map;
mod real_mean;
mod real_pair;
mod real_product;
mod reals;
mod reduce_mean;
mod resize_linear;
mod resize_nearest;
mod rows;
mod softmax;
mod softmax_real;
mod stream;
mod wide;
mod window;
#[cfg(feature = "cortex-m4")]
mod winograd_conv;

pub(crate) use window::Axis;

#[cfg(feature = "cortex-m4")]
use crate::kernels::CortexM4;
#[cfg(feature = "generic")]
use crate::kernels::Generic;
#[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
use crate::kernels::Mve;
#[cfg(target_arch = "aarch64")]
use crate::kernels::{Aarch64, Aarch64Dotprod};
#[cfg(target_arch = "x86_64")]
use crate::kernels::{Avx2, Avx512, Sse2};
use crate::kernels::{Isa, Kernel};
use crate::memory::Operands;
use crate::spread::Spread;
use sanderling_plan::step::built_in;
use sanderling_plan::{Operator, Plan};

/// Evaluates an expression with `K` standing for the kernel of an instruction set.
macro_rules! with_kernel {
    ($isa:expr, $kernel:ident => $expression:expr) => {
        match $isa {
            #[cfg(feature = "cortex-m4")]
            Isa::CortexM4 => {
                type $kernel = CortexM4;
                $expression
            }
            #[cfg(feature = "generic")]
            Isa::Generic => {
                type $kernel = Generic;
                $expression
            }
            #[cfg(all(target_arch = "arm", feature = "cortex-m55"))]
            Isa::Mve => {
                type $kernel = Mve;
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
            #[cfg(target_arch = "x86_64")]
            Isa::Sse2 => {
                type $kernel = Sse2;
                $expression
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                type $kernel = Avx2;
                $expression
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                type $kernel = Avx512;
                $expression
            }
        }
    };
}

/// Runs one step with the loops of `isa`; `None` when its memory is not what was checked.
///
/// Not inlined: an application that is built for size would build these loops for size, too.
#[inline(never)]
pub(crate) fn run<S: Spread>(
    isa: Isa,
    operator: &Operator,
    operands: Operands<'_>,
    spread: &S,
) -> Option<()> {
    match operator {
        Operator::Conv(_) | Operator::DepthwiseConv(_) | Operator::FullyConnected(_) => {
            with_kernel!(isa, K => products::<K, S>(operator, operands, spread))
        }
        Operator::Add(p) if built_in::Add => add::run(isa, p, operands),
        Operator::Mul(p) if built_in::Mul => mul::run(p, operands),
        Operator::MaxPool(p) if built_in::MaxPool => max_pool::run(p, operands),
        Operator::AveragePool(p) if built_in::AveragePool => average_pool::run(p, operands),
        Operator::ReduceMean(p) if built_in::ReduceMean => reduce_mean::run(isa, p, operands),
        Operator::Lookup(p) if built_in::Lookup => lookup::run(p, operands),
        Operator::Softmax(p) if built_in::Softmax => softmax::run(p, operands),
        Operator::Copy(p) if built_in::Copy => copy::run(p, operands),
        Operator::Fill(p) if built_in::Fill => fill::run(p, operands),
        Operator::Quantize(p) if built_in::Quantize => quantize::run(p, operands),
        Operator::Dequantize(p) if built_in::Dequantize => dequantize::run(p, operands),
        Operator::ResizeNearest(p) if built_in::ResizeNearest => resize_nearest::run(p, operands),
        Operator::ActivatedConv(p) if built_in::ActivatedConv => activated_conv::run(p, operands),
        Operator::WideConv(p) if built_in::WideConv => wide::conv(p, operands),
        Operator::WidePair(p) if built_in::WidePair => wide::pair(p, operands),
        Operator::WideRequantize(p) if built_in::WideRequantize => wide::requantize(p, operands),
        Operator::ArgMax(p) if built_in::ArgMax => arg_max::run(p, operands),
        Operator::Gather(p) if built_in::Gather => gather::run(p, operands),
        Operator::LayerNorm(p) if built_in::LayerNorm => layer_norm::run(p, operands),
        Operator::LookupReal(p) if built_in::LookupReal => lookup_real::run(p, operands),
        Operator::MatMul(p) if built_in::MatMul => mat_mul::run(p, operands),
        Operator::ResizeLinear(p) if built_in::ResizeLinear => resize_linear::run(p, operands),
        Operator::SoftmaxReal(p) if built_in::SoftmaxReal => softmax_real::run(p, operands),
        Operator::RealConv(p) if built_in::RealConv => real_conv::run(p, operands),
        Operator::RealPair(p) if built_in::RealPair => real_pair::run(p, operands),
        Operator::RealMean(p) if built_in::RealMean => real_mean::run(p, operands),
        Operator::RealProduct(p) if built_in::RealProduct => real_product::run(p, operands),
        Operator::RealMap(p) if built_in::RealMap => real_map::run(p, operands),
        #[cfg(feature = "cortex-m4")]
        Operator::WinogradConv(p) if built_in::WinogradConv => winograd_conv::run(p, operands),
        _ => None,
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
fn products<K: Kernel, S: Spread>(
    operator: &Operator,
    operands: Operands<'_>,
    spread: &S,
) -> Option<()> {
    match operator {
        Operator::Conv(p) if built_in::Conv => conv::run::<K, S>(p, operands, spread),
        Operator::DepthwiseConv(p) if built_in::DepthwiseConv => {
            depthwise::run::<K, S>(p, operands, spread)
        }
        Operator::FullyConnected(p) if built_in::FullyConnected => {
            fully_connected::run::<K, S>(p, operands, spread)
        }
        _ => None,
    }
}
