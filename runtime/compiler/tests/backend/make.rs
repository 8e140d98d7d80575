//! Steps with random shapes and parameters that fit the tensors they read.

use crate::chance::Chance;
use sanderling_compiler::program::{Affine, Operation, Program, Step, TensorId};
use sanderling_plan::step::{
    Add, AveragePool, Conv, Copy, Dequantize, Fill, FullyConnected, MaxPool, Mul, Quantize,
    ReduceMean, Softmax,
};
use sanderling_plan::{Dtype, Operator};

/// A program that grows by random steps.
pub struct Maker {
    pub program: Program,
    pub chance: Chance,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Maker {
            program: Program::default(),
            chance: Chance::new(seed),
        }
    }

    pub fn tensor(&mut self, dtype: Dtype, shape: &[usize]) -> TensorId {
        let name = format!("t{}", self.program.tensors.len());
        let zero_point = self.chance.zero_point();
        self.program
            .add_tensor(&name, dtype, shape.to_vec(), 0.1, zero_point)
    }

    pub fn input(&mut self, dtype: Dtype, shape: &[usize]) -> TensorId {
        let id = self.tensor(dtype, shape);
        self.program.inputs.push(id);
        id
    }

    /// A batch of images of `channels` channels, or of a few.
    pub fn image(&mut self, channels: Option<usize>) -> TensorId {
        let c = &mut self.chance;
        let batch = if c.once_in(4) { 2 } else { 1 };
        let shape = [
            batch,
            c.size(9),
            c.size(9),
            channels.unwrap_or_else(|| c.size(20)),
        ];
        self.input(Dtype::I8, &shape)
    }

    pub fn shape(&self, id: TensorId) -> Vec<usize> {
        self.program.tensor(id).shape.clone()
    }

    pub fn step(
        &mut self,
        operation: Operation,
        inputs: &[TensorId],
        output: TensorId,
        scratch_bytes: usize,
        macs: usize,
    ) -> TensorId {
        let name = format!("s{}", self.program.steps.len());
        let (inputs, macs) = (inputs.to_vec(), macs as u64);
        self.program.steps.push(Step {
            name,
            operation,
            inputs,
            output,
            scratch_bytes,
            macs,
        });
        output
    }

    pub fn plain(&mut self, operator: Operator, inputs: &[TensorId], output: TensorId) -> TensorId {
        self.step(Operation::Plain(operator), inputs, output, 0, 0)
    }

    pub fn affine(&mut self, weights: usize, outputs: usize, terms: usize) -> Affine {
        let c = &mut self.chance;
        // Some sums must pass the ends of an `i32` and wrap.
        let wild = c.once_in(6);
        let bias = |c: &mut Chance| {
            let usual = c.of(-20_000, 20_000);
            match (wild, c.size(3)) {
                (true, 1) => i32::MAX - usual.abs(),
                (true, 2) => i32::MIN + usual.abs(),
                _ => usual,
            }
        };
        // So that sums spread over the range of the output, and past it now and then;
        // powers of two put many of them on ties.
        let usual = 1.0 / (16.0 * (terms as f32).sqrt());
        let multiplier = |c: &mut Chance| match c.size(12) {
            1 => 0.0,
            2 => c.scale(1e-12, 1e12),
            3 => -c.scale(usual / 8.0, usual),
            4..=7 => (-c.of(5, 12) as f32).exp2(),
            _ => c.scale(usual / 64.0, usual),
        };
        Affine {
            weights: (0..weights).map(|_| c.i8()).collect(),
            bias: (0..outputs).map(|_| bias(c)).collect(),
            multipliers: (0..outputs).map(|_| multiplier(c)).collect(),
        }
    }

    pub fn weight_zero_point(&mut self) -> i32 {
        if self.chance.once_in(3) {
            i32::from(self.chance.i8())
        } else {
            0
        }
    }

    pub fn conv(&mut self, x: TensorId, depthwise: bool) -> TensorId {
        let [n, h, w, channels] = self.nhwc(x);
        let (vertical, horizontal) = (self.sweep(h, true), self.sweep(w, true));
        let divisors: Vec<usize> = (1..=channels)
            .filter(|d| channels.is_multiple_of(*d))
            .collect();
        let c = &mut self.chance;
        let groups = match depthwise {
            true => channels,
            false if c.once_in(2) => 1,
            false => divisors[c.size(divisors.len()) - 1],
        };
        let outputs = match depthwise {
            true => channels * if c.once_in(3) { c.size(3) } else { 1 },
            false => groups * c.size(20 / groups.min(20)).max(1),
        };
        let terms = vertical.kernel * horizontal.kernel * (channels / groups);
        let (low, high) = c.clamp();
        let parameters = Conv {
            kernel_h: vertical.kernel as u32,
            kernel_w: horizontal.kernel as u32,
            stride_h: vertical.stride as u32,
            stride_w: horizontal.stride as u32,
            dilation_h: vertical.dilation as u32,
            dilation_w: horizontal.dilation as u32,
            pad_top: vertical.pad as u32,
            pad_left: horizontal.pad as u32,
            groups: groups as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: c.zero_point(),
            zero_point: c.zero_point(),
            low,
            high,
            weight_zero_point: 0,
        };
        let parameters = Conv {
            weight_zero_point: self.weight_zero_point(),
            ..parameters
        };
        let affine = self.affine(terms * outputs, outputs, terms);
        let output = self.tensor(Dtype::I8, &[n, vertical.output, horizontal.output, outputs]);
        let macs = n * vertical.output * horizontal.output * outputs * terms;
        self.step(
            Operation::Conv {
                parameters,
                depthwise,
                affine,
            },
            &[x],
            output,
            0,
            macs,
        )
    }

    pub fn fully_connected(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let depth = shape.last().copied().unwrap_or(1);
        let rows = self.program.tensor(x).elements() / depth;
        let outputs = self.chance.size(24);
        let (low, high) = self.chance.clamp();
        let weight_zero_point = self.weight_zero_point();
        let zero_point = self.chance.zero_point();
        let parameters = FullyConnected {
            weights: 0,
            bias: 0,
            multipliers: 0,
            zero_point,
            low,
            high,
            weight_zero_point,
        };
        let affine = self.affine(depth * outputs, outputs, depth);
        let output = self.tensor(Dtype::I8, &[rows, outputs]);
        let macs = rows * depth * outputs;
        self.step(
            Operation::FullyConnected { parameters, affine },
            &[x],
            output,
            0,
            macs,
        )
    }

    pub fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let parameters = Add {
            ratio_a: c.ratio(10.0),
            ratio_b: c.ratio(10.0),
            fixed: if c.once_in(2) {
                c.of(-300, 300) as f32 / 2.0
            } else {
                c.real(-300.0, 300.0)
            },
            bias_a: c.bias(),
            bias_b: c.bias(),
            bias_y: c.bias(),
            low,
            high,
        };
        let output = self.tensor(Dtype::I8, &self.shape(a));
        self.plain(Operator::Add(parameters), &[a, b], output)
    }

    pub fn mul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let parameters = Mul {
            zero_a: c.zero_point(),
            zero_b: c.zero_point(),
            ratio: c.ratio(12.0) / if c.once_in(2) { 1.0 } else { 64.0 },
            offset: c.of(-128, 255) as f32,
            bias_y: c.bias(),
            low,
            high,
        };
        let output = self.tensor(Dtype::I8, &self.shape(a));
        self.plain(Operator::Mul(parameters), &[a, b], output)
    }

    pub fn max_pool(&mut self, x: TensorId) -> TensorId {
        let [n, h, w, channels] = self.nhwc(x);
        let (vertical, horizontal) = (self.sweep(h, true), self.sweep(w, true));
        let parameters = MaxPool {
            kernel_h: vertical.kernel as u32,
            kernel_w: horizontal.kernel as u32,
            stride_h: vertical.stride as u32,
            stride_w: horizontal.stride as u32,
            dilation_h: vertical.dilation as u32,
            dilation_w: horizontal.dilation as u32,
            pad_top: vertical.pad as u32,
            pad_left: horizontal.pad as u32,
        };
        let output = self.tensor(
            Dtype::I8,
            &[n, vertical.output, horizontal.output, channels],
        );
        self.plain(Operator::MaxPool(parameters), &[x], output)
    }

    pub fn average_pool(&mut self, x: TensorId) -> TensorId {
        let [n, h, w, channels] = self.nhwc(x);
        let (vertical, horizontal) = (self.sweep(h, false), self.sweep(w, false));
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let scale = c.scale(1e-3, 10.0);
        let parameters = AveragePool {
            kernel_h: vertical.kernel as u32,
            kernel_w: horizontal.kernel as u32,
            stride_h: vertical.stride as u32,
            stride_w: horizontal.stride as u32,
            pad_top: vertical.pad as u32,
            pad_left: horizontal.pad as u32,
            count_include_pad: c.once_in(2),
            scale_x: scale,
            zero_x: c.zero_point(),
            scale_y: scale * c.ratio(3.0),
            offset: c.of(0, 255) as f32,
            bias_y: c.bias(),
            low,
            high,
        };
        let output = self.tensor(
            Dtype::I8,
            &[n, vertical.output, horizontal.output, channels],
        );
        self.plain(Operator::AveragePool(parameters), &[x], output)
    }

    /// The mean over one axis, or over two neighbours.
    pub fn reduce_mean(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let c = &mut self.chance;
        let first = c.size(shape.len()) - 1;
        let after = (first + c.size(2)).min(shape.len());
        let product = |dims: &[usize]| dims.iter().product::<usize>() as u32;
        let reduce = product(&shape[first..after]);
        let (low, high) = c.clamp();
        let parameters = ReduceMean {
            outer: product(&shape[..first]),
            reduce,
            inner: product(&shape[after..]),
            zero_x: c.zero_point(),
            multiplier: c.ratio(3.0) / reduce as f32,
            zero_point: c.zero_point(),
            low,
            high,
        };
        let mut kept = shape;
        kept[first..after].fill(1);
        let output = self.tensor(Dtype::I8, &kept);
        let scratch = parameters.scratch_bytes().unwrap_or(0);
        self.step(
            Operation::Plain(Operator::ReduceMean(parameters)),
            &[x],
            output,
            scratch,
            0,
        )
    }

    /// A table between any two 8-bit dtypes.
    pub fn lookup(&mut self, x: TensorId, to: Dtype) -> TensorId {
        let mut table = [0u8; 256];
        table.fill_with(|| self.chance.bits() as u8);
        let output = self.tensor(to, &self.shape(x));
        self.step(Operation::Lookup { table }, &[x], output, 0, 0)
    }

    pub fn softmax(&mut self, x: TensorId) -> TensorId {
        let c = &mut self.chance;
        let (scale, height) = (c.scale(1e-3, 1.0), c.scale(1e-3, 1e6));
        // Small whole numbers put many shares on ties.
        let whole = c.once_in(2);
        let exponential = |byte: u8| ((f32::from(byte as i8) - 127.0) * scale).exp() * height;
        let table = (0..=255u8)
            .map(|byte| {
                if whole {
                    c.size(24) as f32
                } else {
                    exponential(byte)
                }
            })
            .collect();
        let inverse_scale = if c.once_in(2) {
            256.0
        } else {
            c.of(1, 400) as f32
        };
        let parameters = Softmax {
            table: 0,
            inverse_scale,
            zero_point: c.zero_point(),
        };
        let output = self.tensor(Dtype::I8, &self.shape(x));
        self.step(Operation::Softmax { parameters, table }, &[x], output, 0, 0)
    }

    pub fn quantize(&mut self, x: TensorId) -> TensorId {
        let c = &mut self.chance;
        let parameters = Quantize {
            scale: c.scale(1e-3, 10.0),
            zero_point: c.zero_point(),
        };
        let output = self.tensor(Dtype::I8, &self.shape(x));
        self.plain(Operator::Quantize(parameters), &[x], output)
    }

    pub fn dequantize(&mut self, x: TensorId) -> TensorId {
        let c = &mut self.chance;
        let parameters = Dequantize {
            scale: c.scale(1e-3, 10.0),
            zero_point: c.zero_point(),
        };
        let output = self.tensor(Dtype::F32, &self.shape(x));
        self.plain(Operator::Dequantize(parameters), &[x], output)
    }

    pub fn resize_nearest(&mut self, x: TensorId) -> TensorId {
        let [n, h, w, channels] = self.nhwc(x);
        let c = &mut self.chance;
        let mut table = |size: usize| -> Vec<u16> {
            (0..c.size(12)).map(|_| (c.size(size) - 1) as u16).collect()
        };
        let (rows, columns) = (table(h), table(w));
        let output = self.tensor(Dtype::I8, &[n, rows.len(), columns.len(), channels]);
        self.step(
            Operation::ResizeNearest { rows, columns },
            &[x],
            output,
            0,
            0,
        )
    }

    /// The axes of `x` in another order, some of them backwards.
    pub fn transpose(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let mut order: Vec<usize> = (0..shape.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, self.chance.size(i + 1) - 1);
        }
        let strides = dense(&shape);
        let new: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let mut from = 0;
        let mut from_strides: Vec<i32> = Vec::new();
        for &axis in &order {
            let backwards = self.chance.once_in(6);
            from += if backwards {
                (shape[axis] - 1) * strides[axis] as usize
            } else {
                0
            };
            from_strides.push(if backwards {
                -strides[axis]
            } else {
                strides[axis]
            });
        }
        let output = self.tensor(self.program.tensor(x).dtype, &new);
        let copy = strided(&new, &from_strides, &dense(&new), from, 0);
        self.plain(Operator::Copy(copy), &[x], output)
    }

    /// Every so many elements of each axis, from some start.
    pub fn slice(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let strides = dense(&shape);
        let (mut new, mut from_strides, mut from) = (Vec::new(), Vec::new(), 0);
        for (&extent, &stride) in shape.iter().zip(&strides) {
            let start = self.chance.size(extent) - 1;
            let every = self.chance.size(3);
            new.push(self.chance.size((extent - start).div_ceil(every)));
            from_strides.push(every as i32 * stride);
            from += start * stride as usize;
        }
        let output = self.tensor(self.program.tensor(x).dtype, &new);
        let copy = strided(&new, &from_strides, &dense(&new), from, 0);
        self.plain(Operator::Copy(copy), &[x], output)
    }

    /// `x` repeated along a new first axis.
    pub fn broadcast(&mut self, x: TensorId) -> TensorId {
        let mut shape = self.shape(x);
        let mut from_strides = dense(&shape);
        shape.insert(0, self.chance.size(4));
        from_strides.insert(0, 0);
        let output = self.tensor(self.program.tensor(x).dtype, &shape);
        let copy = strided(&shape, &from_strides, &dense(&shape), 0, 0);
        self.plain(Operator::Copy(copy), &[x], output)
    }

    /// A fill and `x` in the middle of it.
    pub fn pad(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let before: Vec<usize> = shape.iter().map(|_| self.chance.size(3) - 1).collect();
        let padded: Vec<usize> = shape
            .iter()
            .zip(&before)
            .map(|(extent, before)| extent + before + self.chance.size(3) - 1)
            .collect();
        let strides = dense(&padded);
        let to = before
            .iter()
            .zip(&strides)
            .map(|(&n, &stride)| n * stride as usize)
            .sum();
        let output = self.tensor(self.program.tensor(x).dtype, &padded);
        let value = self.chance.bits() as u8;
        self.plain(
            Operator::Fill(Fill {
                value: value.into(),
            }),
            &[],
            output,
        );
        let copy = strided(&shape, &dense(&shape), &strides, 0, to);
        self.plain(Operator::Copy(copy), &[x], output)
    }

    /// `a` and `b` beside each other along `axis`; they agree on the other axes.
    pub fn concat(&mut self, a: TensorId, b: TensorId, axis: usize) -> TensorId {
        let mut joined = self.shape(a);
        joined[axis] += self.shape(b)[axis];
        let output = self.tensor(Dtype::I8, &joined);
        let mut to = 0;
        for part in [a, b] {
            let shape = self.shape(part);
            let copy = strided(&shape, &dense(&shape), &dense(&joined), 0, to);
            self.plain(Operator::Copy(copy), &[part], output);
            to += shape[axis] * dense(&joined)[axis] as usize;
        }
        output
    }

    pub fn nhwc(&self, id: TensorId) -> [usize; 4] {
        let shape = self.shape(id);
        shape.try_into().expect("images only")
    }

    /// A kernel over an axis of `size` that fits at least once. Without `anywhere`, every
    /// window covers at least one element.
    fn sweep(&mut self, size: usize, anywhere: bool) -> Sweep {
        let c = &mut self.chance;
        loop {
            let kernel = if c.once_in(3) { 1 } else { c.size(5) };
            let dilation = if anywhere && c.once_in(4) {
                c.size(3)
            } else {
                1
            };
            let reach = (kernel - 1) * dilation + 1;
            let most = if kernel == 1 { 0 } else { kernel - 1 };
            let (pad, behind) = (c.of(0, most as i32) as usize, c.of(0, most as i32) as usize);
            if size + pad + behind >= reach {
                let stride = c.size(3);
                let output = (size + pad + behind - reach) / stride + 1;
                return Sweep {
                    kernel,
                    stride,
                    dilation,
                    pad,
                    output,
                };
            }
        }
    }
}

/// A kernel along one axis.
struct Sweep {
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    output: usize,
}

/// Elements between neighbours of each axis of a dense tensor.
pub fn dense(shape: &[usize]) -> Vec<i32> {
    (0..shape.len())
        .map(|axis| shape[axis + 1..].iter().product::<usize>() as i32)
        .collect()
}

/// A copy over up to six axes; those missing in front are 1.
pub fn strided(
    shape: &[usize],
    from_strides: &[i32],
    to_strides: &[i32],
    from: usize,
    to: usize,
) -> Copy {
    let first = 6 - shape.len();
    let mut copy = Copy {
        shape: [1; 6],
        from_strides: [0; 6],
        to_strides: [0; 6],
        from: from as u32,
        to: to as u32,
    };
    for axis in 0..shape.len() {
        copy.shape[first + axis] = shape[axis] as u32;
        copy.from_strides[first + axis] = from_strides[axis];
        copy.to_strides[first + axis] = to_strides[axis];
    }
    copy
}
