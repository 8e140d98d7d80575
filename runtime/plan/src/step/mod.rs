//! Step records: one operator each, with its operands and parameters.
//!
//! ```text
//!  0    1      2      3        4   6   8   10     12      16      20    24   26  32          128
//!  ┌────┬──────┬──────┬────────┬───┬───┬───┬──────┬───────┬───────┬─────┬────┬───┬───────────┐
//!  │ op │inputs│stream│position│in0│in1│in2│output│scratch│scratch│name │name│ 0 │24 words of│
//!  │ u8 │ u8   │ u8   │ u8     │u16│u16│u16│ u16  │offset │bytes  │u32  │u16 │   │parameters │
//!  └────┴──────┴──────┴────────┴───┴───┴───┴──────┴───────┴───────┴─────┴────┴───┴───────────┘
//! ```
//!
//! One file per operator says which parameters it has, what the engine computes from
//! them, and what must hold for the step to be accepted.

mod activated_conv;
mod arg_max;
mod average_pool;
mod binary;
mod check;
mod conv;
mod copy;
mod fully_connected;
mod gather;
mod layer_norm;
mod lookup;
mod mat_mul;
mod max_pool;
mod quantize;
mod real;
mod real_sums;
mod reduce_mean;
mod resize;
mod resize_linear;
mod softmax;
pub mod stream;
mod wide;
mod winograd_conv;
mod word;

pub use activated_conv::ActivatedConv;
pub use arg_max::ArgMax;
pub use average_pool::AveragePool;
pub use binary::{Add, Mul};
pub use conv::{Conv, ConvScratch};
pub use copy::{Copy, Fill};
pub use fully_connected::FullyConnected;
pub use gather::Gather;
pub use layer_norm::LayerNorm;
pub use lookup::Lookup;
pub use mat_mul::MatMul;
pub use max_pool::MaxPool;
pub use quantize::{Dequantize, Quantize};
pub use real::{LookupReal, SoftmaxReal};
pub use real_sums::{RealConv, RealMap, RealMean, RealPair, RealProduct};
pub use reduce_mean::ReduceMean;
pub use resize::ResizeNearest;
pub use resize_linear::ResizeLinear;
pub use softmax::Softmax;
pub use wide::{WideConv, WidePair, WideRequantize};
pub use winograd_conv::{WinogradConv, WinogradScratch};

pub(crate) use check::Check;

use crate::bytes::{u16_at, u32_at};
use crate::{StepFault, TensorId};
use core::ops::Range;

/// Record length in bytes.
pub const BYTES: usize = 128;
/// Most inputs a step can have.
pub const MAX_INPUTS: usize = 3;
/// Parameter words in a record.
pub const WORDS: usize = 24;

/// Byte offsets within a step record.
pub mod field {
    /// `u8`, see [`Operator`](super::Operator).
    pub const OPERATOR: usize = 0;
    /// `u8`, number of inputs, 0 to 3.
    pub const INPUTS: usize = 1;
    /// `u8`, steps of the [stream](super::stream) that it belongs to; 0 for a step alone.
    pub const STREAM: usize = 2;
    /// `u8`, its position in the stream, from 0.
    pub const POSITION: usize = 3;
    /// Three `u16` tensor ids.
    pub const INPUT: usize = 4;
    /// `u16` tensor id.
    pub const OUTPUT: usize = 10;
    /// `u32`, from the start of the arena.
    pub const SCRATCH: usize = 12;
    /// `u32`, bytes of scratch.
    pub const SCRATCH_LEN: usize = 16;
    /// `u32`, from the start of the names.
    pub const NAME: usize = 20;
    /// `u16`, bytes of the name.
    pub const NAME_LEN: usize = 24;
    /// 24 little-endian words.
    pub const PARAMETERS: usize = 32;
}

macro_rules! operators {
    ($($number:literal $name:ident($parameters:ty) $text:literal $(#[$doc:meta])+;)+) => {
        /// What a step computes.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Operator {
            $($(#[$doc])+ $name($parameters),)+
        }

        impl Operator {
            /// The number stored in a step record.
            pub const fn number(&self) -> u8 {
                match self { $(Self::$name(_) => $number,)+ }
            }

            /// Its name in tables and messages.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)+ }
            }

            /// The parameter words as stored.
            pub fn words(&self) -> [u32; WORDS] {
                match self { $(Self::$name(p) => p.words(),)+ }
            }

            /// Number and name of every operator, by rising number.
            pub const ALL: &'static [(u8, &'static str)] = &[$(($number, $text)),+];

            /// The name of the operator that has `number`, built in or not.
            pub const fn name_of(number: u8) -> Option<&'static str> {
                match number { $($number => Some($text),)+ _ => None }
            }

            fn from_words(number: u8, words: &[u32; WORDS]) -> Result<Self, StepFault> {
                match number {
                    $($number if built_in::$name => {
                        Ok(Self::$name(<$parameters>::from_words(words).ok_or(StepFault::Parameter)?))
                    })+
                    $($number => Err(StepFault::NotBuiltIn(number)),)+
                    _ => Err(StepFault::UnknownOperator(number)),
                }
            }

            pub(crate) fn check(&self, check: &Check<'_>) -> Result<(), StepFault> {
                match self {
                    $(Self::$name(p) if built_in::$name => p.check(check),)+
                    _ => Err(StepFault::NotBuiltIn(self.number())),
                }
            }
        }

        /// Whether this build runs an operator: each stands behind the feature of its name
        /// ([`Operator::name`]), so that a firmware image holds what its plan needs.
        #[allow(non_upper_case_globals, reason = "spelled as the operators are")]
        pub mod built_in {
            $($(#[$doc])+ pub const $name: bool = cfg!(feature = $text);)+
        }
    };
}

operators! {
    1 Conv(Conv) "conv" /** Convolution with groups over NHWC. */;
    2 DepthwiseConv(Conv) "depthwise-conv" /** Convolution with one input channel per group; weights `[kh][kw][out]`. */;
    3 FullyConnected(FullyConnected) "fully-connected" /** Matrix product with constant weights. */;
    4 Add(Add) "add" /** Sum of two tensors of one shape. */;
    5 Mul(Mul) "mul" /** Product of two tensors of one shape. */;
    6 MaxPool(MaxPool) "max-pool" /** Maximum over windows of NHWC. */;
    7 AveragePool(AveragePool) "average-pool" /** Mean over windows of NHWC. */;
    8 ReduceMean(ReduceMean) "reduce-mean" /** Mean over the middle of three groups of axes. */;
    9 Lookup(Lookup) "lookup" /** A 256-entry table from byte to byte. */;
    10 Softmax(Softmax) "softmax" /** Softmax over the last axis. */;
    11 Copy(Copy) "copy" /** Strided copy: transpose, slice, concat, pad, broadcast. */;
    12 Fill(Fill) "fill" /** One value everywhere. */;
    13 Quantize(Quantize) "quantize" /** `f32` to a quantized dtype. */;
    14 Dequantize(Dequantize) "dequantize" /** A quantized dtype to `f32`. */;
    15 ResizeNearest(ResizeNearest) "resize-nearest" /** Nearest-neighbour resize of NHWC. */;
    16 ArgMax(ArgMax) "arg-max" /** Index of the largest or smallest element along the middle of three groups of axes. */;
    17 ResizeLinear(ResizeLinear) "resize-linear" /** Bilinear resize of NHWC. */;
    18 MatMul(MatMul) "mat-mul" /** Matrix product of two tensors. */;
    19 LayerNorm(LayerNorm) "layer-norm" /** Normalization of rows. */;
    20 Gather(Gather) "gather" /** Rows picked by index. */;
    21 LookupReal(LookupReal) "lookup-real" /** A 256-entry table from byte to `f32`. */;
    22 SoftmaxReal(SoftmaxReal) "softmax-real" /** Softmax over the last axis, to `f32`. */;
    23 ActivatedConv(ActivatedConv) "activated-conv" /** Convolution whose activation stands before the quantization. */;
    24 WideConv(WideConv) "wide-conv" /** Convolution of 16-bit activations. */;
    25 WidePair(WidePair) "wide-pair" /** Sum or product of two 16-bit tensors. */;
    26 WideRequantize(WideRequantize) "wide-requantize" /** Change of scale between 8 and 16 bits. */;
    27 WinogradConv(WinogradConv) "winograd-conv" /** 3×3 convolution with fewer products. */;
    28 RealConv(RealConv) "real-conv" /** Convolution whose sums stay real. */;
    29 RealPair(RealPair) "real-pair" /** Sum, difference, product or quotient of two real tensors. */;
    30 RealMean(RealMean) "real-mean" /** Mean over the middle of three groups of axes, of real numbers. */;
    31 RealProduct(RealProduct) "real-product" /** Matrix product with constant real weights. */;
    32 RealMap(RealMap) "real-map" /** A function of each real element. */;
}

impl Operator {
    /// Whether the output may occupy exactly the bytes of an input. Convolutions have a
    /// rule of their own: [`Conv::overlap`].
    pub const fn works_in_place(&self) -> bool {
        matches!(
            self,
            Self::Add(_) | Self::Mul(_) | Self::Lookup(_) | Self::Softmax(_)
        )
    }
}

/// One step, as its record says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    inputs: [TensorId; MAX_INPUTS],
    input_count: u8,
    /// The tensor it writes.
    pub output: TensorId,
    /// First byte of its scratch in the arena.
    pub scratch_offset: u32,
    /// Bytes of its scratch; 0 where it needs none.
    pub scratch_bytes: u32,
    /// What it computes.
    pub operator: Operator,
    /// Steps of the [stream](stream) that it belongs to; 0 for a step alone.
    pub stream: u8,
    /// Its position in the stream, from 0.
    pub position: u8,
    pub(crate) name: (u32, u16),
}

impl Step {
    /// The tensors it reads, in the operator's order.
    pub fn inputs(&self) -> &[TensorId] {
        self.inputs
            .get(..usize::from(self.input_count))
            .unwrap_or(&self.inputs)
    }

    /// The bytes of the arena that it uses as scratch.
    pub fn scratch(&self) -> Range<usize> {
        let start = self.scratch_offset as usize;
        start..start.saturating_add(self.scratch_bytes as usize)
    }

    /// Reads a record. What it names need not exist: see [`Check`].
    pub(crate) fn read(record: &[u8]) -> Result<Self, StepFault> {
        let truncated = StepFault::Parameter;
        let number = *record.get(field::OPERATOR).ok_or(truncated)?;
        let input_count = *record.get(field::INPUTS).ok_or(truncated)?;
        if usize::from(input_count) > MAX_INPUTS {
            return Err(StepFault::Operand);
        }
        let mut inputs = [TensorId(0); MAX_INPUTS];
        for (i, id) in inputs.iter_mut().enumerate() {
            *id = TensorId(u16_at(record, field::INPUT + 2 * i).ok_or(truncated)?);
        }
        let mut words = [0u32; WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = u32_at(record, field::PARAMETERS + 4 * i).ok_or(truncated)?;
        }
        let operator = Operator::from_words(number, &words)?;
        Ok(Step {
            inputs,
            input_count,
            output: TensorId(u16_at(record, field::OUTPUT).ok_or(truncated)?),
            scratch_offset: u32_at(record, field::SCRATCH).ok_or(truncated)?,
            scratch_bytes: u32_at(record, field::SCRATCH_LEN).ok_or(truncated)?,
            operator,
            stream: *record.get(field::STREAM).ok_or(truncated)?,
            position: *record.get(field::POSITION).ok_or(truncated)?,
            name: (
                u32_at(record, field::NAME).ok_or(truncated)?,
                u16_at(record, field::NAME_LEN).ok_or(truncated)?,
            ),
        })
    }
}
