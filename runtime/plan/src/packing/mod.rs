//! How each target lays out the weights of dense steps, and what its kernels gather.
//!
//! A dense step (convolution, matrix product) multiplies rows of `k` activations with
//! `[out][k]` weights. A kernel computes several output pixels and several outputs
//! together, so that what it loads once is used more than once; the compiler stores the
//! weights in the order in which that kernel reads them:
//!
//! ```text
//! [group][⌈out / outputs⌉] ( [header] [⌈k / depth⌉][outputs][depth] )     i8, absent ones 0
//! ```
//!
//! and the engine gathers `pixels` rows of activations, each `⌈k / depth⌉ · depth` long,
//! in scratch (im2col), unless the kernel can read the image as it lies.

pub mod aarch64;
mod cortex_m4;
pub mod cortex_m55;
pub mod winograd;
mod x86_64;

use crate::Target;
use crate::step::Conv;

/// The blocking of a target's dense kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Output channels whose weights are interleaved.
    pub outputs: usize,
    /// Weights of one output channel that stand together.
    pub depth: usize,
    /// Output pixels that are computed together.
    pub pixels: usize,
    /// Bytes of a gathered activation: 1 as `i8`, 2 widened to `i16`.
    pub activation_bytes: usize,
    /// What the kernels add to every activation before they multiply, such as the 128 that
    /// makes unsigned bytes of them; the compiler takes it out of the bias.
    pub activation_offset: i32,
    /// Bytes in front of the weights of each block of `outputs`, of which the first is 1
    /// where two weights of -128 meet, `depth / 2` apart in the same `depth`: the sum of
    /// their products may then not fit 16 bits. Else 0.
    pub header: usize,
    /// Whether convolutions put the rows that their windows read aside together with the
    /// padding at both sides, so that gathering has no sides to look for. It takes scratch.
    pub padded_rows: bool,
    /// Whether kernels read rows in place that end before a whole `depth`.
    pub ragged: bool,
    /// How the weights of a block stand.
    pub layout: Layout,
}

/// How a block of [`outputs`](Dense::outputs) × [`depth`](Dense::depth) weights stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[outputs][depth]`, as they are.
    Rows,
    /// Two outputs in the halves of 16 bits, as Cortex-M4 wants them.
    Lanes,
}

impl Target {
    /// The blocking of its dense kernels.
    pub const fn dense(self) -> Dense {
        match self.read() {
            Self::CortexM4 => cortex_m4::DENSE,
            Self::CortexM55 => cortex_m55::DENSE,
            Self::Generic => Dense {
                outputs: 1,
                depth: 1,
                pixels: 1,
                activation_bytes: 1,
                activation_offset: 0,
                header: 0,
                padded_rows: false,
                ragged: false,
                layout: Layout::Rows,
            },
            Self::X86_64 => x86_64::DENSE,
            Self::Aarch64 => Dense {
                outputs: 8,
                depth: 16,
                pixels: 16,
                activation_bytes: 1,
                activation_offset: 0,
                header: 16,
                padded_rows: true,
                ragged: false,
                layout: Layout::Rows,
            },
            Self::Aarch64Dotprod => Dense {
                outputs: 8,
                depth: 4,
                pixels: 24,
                activation_bytes: 1,
                activation_offset: 0,
                header: 0,
                padded_rows: true,
                ragged: false,
                layout: Layout::Rows,
            },
        }
    }
}

/// How a target lays out depthwise weights, `[kh][kw][out]` where nothing else is said.
impl Target {
    /// Bytes of the weights of a depthwise step with `taps` taps.
    pub const fn depthwise_weight_bytes(self, taps: usize, outputs: usize) -> Option<usize> {
        match self.read() {
            Self::Aarch64 | Self::Aarch64Dotprod => aarch64::bytes(self, taps, outputs),
            _ => taps.checked_mul(outputs),
        }
    }

    /// Bytes of scratch that the kernels of a depthwise step want on input rows of `width`
    /// pixels of `channels`.
    pub fn depthwise_scratch_bytes(
        self,
        parameters: &Conv,
        width: usize,
        channels: usize,
    ) -> Option<usize> {
        match self.read() {
            Self::CortexM4 => cortex_m4::depthwise_scratch_bytes(parameters, width),
            Self::CortexM55 => match cortex_m55::Windows::of(parameters, width as u32) {
                Some(windows) => windows.bytes(channels),
                None => Some(0),
            },
            Self::X86_64 => x86_64::depthwise_scratch_bytes(parameters, width, channels),
            _ => Some(0),
        }
    }

    /// Bytes of the copy of an `[h][w][in]` image, with its padding, that the kernels read
    /// the windows of a convolution from; 0 where they gather windows in a tile.
    pub const fn padded_image_bytes(
        self,
        parameters: &Conv,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Option<usize> {
        match self.read() {
            Self::X86_64 => x86_64::padded_image_bytes(parameters, height, width, channels),
            _ => Some(0),
        }
    }

    /// Packs the weights `[kh · kw][out]` of a depthwise step.
    #[cfg(feature = "writer")]
    pub fn pack_depthwise(self, weights: &[i8], outputs: usize) -> alloc::vec::Vec<i8> {
        match self.read() {
            Self::Aarch64 | Self::Aarch64Dotprod => aarch64::pack(self, weights, outputs),
            Self::CortexM55 => cortex_m55::pack_depthwise(weights, outputs),
            _ => weights.to_vec(),
        }
    }
}

impl Target {
    /// Bytes of scratch of a convolution over images of `width` pixels of `channels`, where
    /// the kernels do not gather tiles for it.
    pub fn conv_scratch_bytes(
        self,
        parameters: &Conv,
        width: usize,
        channels: usize,
    ) -> Option<usize> {
        match self.read() {
            Self::CortexM55 => cortex_m55::Padded::of(parameters, width, channels)?.bytes(),
            _ => None,
        }
    }
}

/// Whether two weights of -128 meet, `distance` apart in the same `2 · distance`.
#[cfg(feature = "writer")]
fn lowest_meet(weights: &[i8], distance: usize) -> bool {
    weights.chunks(2 * distance.max(1)).any(|pair| {
        let (a, b) = pair.split_at(distance.min(pair.len()));
        a.iter().zip(b).any(|(&a, &b)| a == i8::MIN && b == i8::MIN)
    })
}

impl Dense {
    /// Length of a row of activations or weights that holds `k`.
    pub fn row(&self, k: usize) -> Option<usize> {
        k.checked_next_multiple_of(self.depth.max(1))
    }

    /// Bytes of the weights of one group: `outputs` channels of `k` each.
    pub fn weight_bytes(&self, outputs: usize, k: usize) -> Option<usize> {
        let block = self.outputs.checked_mul(self.row(k)?)?;
        outputs
            .div_ceil(self.outputs.max(1))
            .checked_mul(block.checked_add(self.header)?)
    }

    /// Bytes of scratch for a tile: `pixels` rows of activations.
    pub fn tile_bytes(&self, k: usize) -> Option<usize> {
        self.row(k)?
            .checked_mul(self.pixels)?
            .checked_mul(self.activation_bytes)
    }

    /// Whether kernels read rows of `k` activations where they lie.
    pub fn reads_in_place(&self, k: usize) -> bool {
        self.activation_bytes == 1 && (self.ragged || k.is_multiple_of(self.depth.max(1)))
    }

    /// The bias of outputs with the weights `[out][k]`, for accumulators that count every
    /// activation with [`activation_offset`](Self::activation_offset).
    #[cfg(feature = "writer")]
    pub fn fold_bias(&self, weights: &[i8], k: usize, bias: &[i32]) -> alloc::vec::Vec<i32> {
        bias.iter()
            .zip(weights.chunks(k.max(1)))
            .map(|(&bias, weights)| {
                let sum = weights
                    .iter()
                    .fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
                bias.wrapping_sub(self.activation_offset.wrapping_mul(sum))
            })
            .collect()
    }

    /// Packs the weights `[out][k]` of one group.
    #[cfg(feature = "writer")]
    pub fn pack(&self, weights: &[i8], k: usize) -> alloc::vec::Vec<i8> {
        let outputs = weights.len().checked_div(k).unwrap_or(0);
        let rows = k.div_ceil(self.depth);
        let mut packed = alloc::vec::Vec::new();
        for block in 0..outputs.div_ceil(self.outputs) {
            let header = packed.len();
            packed.resize(header + self.header, 0);
            for chunk in 0..rows {
                for output in (0..self.outputs).map(|o| block * self.outputs + o) {
                    for at in (0..self.depth).map(|d| chunk * self.depth + d) {
                        let weight = (output < outputs && at < k).then(|| weights[output * k + at]);
                        packed.push(weight.unwrap_or(0));
                    }
                }
                if self.layout == Layout::Lanes {
                    cortex_m4::interleave(&mut packed);
                }
            }
            if self.header > 0 {
                packed[header] =
                    i8::from(lowest_meet(&packed[header + self.header..], self.depth / 2));
            }
        }
        packed
    }
}
