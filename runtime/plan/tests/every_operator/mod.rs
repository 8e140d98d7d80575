//! A small valid plan in which every operator occurs once that every target has, the seed
//! of mutations.

mod aligned;
mod reals;
#[allow(dead_code, reason = "not everyone mutates it")]
pub mod winograd;

pub use aligned::Aligned;
use sanderling_plan::step::{
    ActivatedConv, Add, ArgMax, AveragePool, Conv, Copy, Dequantize, Fill, FullyConnected, Gather,
    LayerNorm, Lookup, LookupReal, MatMul, MaxPool, Mul, Quantize, ReduceMean, ResizeLinear,
    ResizeNearest, Softmax, SoftmaxReal, WideConv, WidePair, WideRequantize,
};
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Shape, Target, TensorId};

/// Writes tensors one after the other into the arena.
struct Builder {
    writer: Writer,
    next: u32,
}

impl Builder {
    fn tensor(&mut self, name: &str, dtype: Dtype, dims: &[u32]) -> TensorId {
        let shape = Shape::new(dims).unwrap();
        let offset = self.next;
        self.next += ((shape.elements() * dtype.bytes()) as u32).next_multiple_of(16);
        let place = Place::Arena;
        let (scale, zero_point) = (0.05, 3);
        self.writer.tensor(&TensorRecord {
            name,
            dtype,
            shape,
            place,
            offset,
            scale,
            zero_point,
        })
    }

    fn step(&mut self, operator: Operator, inputs: &[TensorId], output: TensorId, scratch: u32) {
        let scratch_offset = self.next;
        self.next += scratch.next_multiple_of(16);
        let (name, scratch_bytes) = (operator.name(), scratch);
        self.writer.step(&StepRecord {
            name,
            operator,
            inputs,
            output,
            scratch_offset,
            scratch_bytes,
        });
    }

    fn ramp(&mut self, len: usize) -> u32 {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + 11) as u8).collect();
        self.writer.constant(&bytes)
    }

    fn floats(&mut self, len: usize, of: impl Fn(usize) -> f32) -> u32 {
        let bytes: Vec<u8> = (0..len).flat_map(|i| of(i).to_le_bytes()).collect();
        self.writer.constant(&bytes)
    }

    fn biases(&mut self, len: usize) -> u32 {
        let bytes: Vec<u8> = (0..len)
            .flat_map(|i| (i as i32 * 100 - 150).to_le_bytes())
            .collect();
        self.writer.constant(&bytes)
    }
}

/// The plan; `golden` gives the outputs of the inputs that it is called with.
pub fn plan(golden: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut b = Builder {
        writer: Writer::new(Target::Generic, [7; 32]),
        next: 0,
    };
    let image = b.tensor("image", Dtype::F32, &[1, 6, 6, 2]);
    let quantized = b.tensor("quantized", Dtype::I8, &[1, 6, 6, 2]);
    let wide = b.tensor("wide", Dtype::I8, &[1, 6, 6, 4]);
    let small = b.tensor("small", Dtype::I8, &[1, 3, 3, 4]);
    let maxima = b.tensor("maxima", Dtype::I8, &[1, 2, 2, 4]);
    let means = b.tensor("means", Dtype::I8, &[1, 2, 2, 4]);
    let large = b.tensor("large", Dtype::I8, &[1, 4, 4, 4]);
    let turned = b.tensor("turned", Dtype::I8, &[1, 4, 4, 4]);
    let pooled = b.tensor("pooled", Dtype::I8, &[1, 4]);
    let classes = b.tensor("classes", Dtype::I8, &[1, 3]);
    let scores = b.tensor("scores", Dtype::F32, &[1, 3]);

    b.step(
        Operator::Quantize(Quantize {
            scale: 0.05,
            zero_point: 3,
        }),
        &[image],
        quantized,
        0,
    );
    let conv = Conv {
        kernel_h: 3,
        kernel_w: 3,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1,
        pad_left: 1,
        groups: 1,
        weights: b.ramp(3 * 3 * 2 * 4),
        bias: b.biases(4),
        multipliers: b.floats(4, |i| 0.003 + i as f32 * 0.001),
        input_zero_point: 3,
        zero_point: -5,
        low: -128,
        high: 127,
        weight_zero_point: 0,
    };
    b.step(
        Operator::Conv(conv),
        &[quantized],
        wide,
        conv.scratch(Target::Generic, [1, 6, 6, 2], false, false)
            .and_then(|scratch| scratch.bytes())
            .unwrap() as u32,
    );
    let depthwise = Conv {
        stride_h: 2,
        stride_w: 2,
        groups: 4,
        weights: b.ramp(3 * 3 * 4),
        low: -5,
        weight_zero_point: 2,
        ..conv
    };
    b.step(Operator::DepthwiseConv(depthwise), &[wide], small, 0);
    let max_pool = MaxPool {
        kernel_h: 2,
        kernel_w: 2,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
    };
    b.step(Operator::MaxPool(max_pool), &[small], maxima, 0);
    let average_pool = AveragePool {
        kernel_h: 2,
        kernel_w: 2,
        stride_h: 1,
        stride_w: 1,
        pad_top: 0,
        pad_left: 0,
        count_include_pad: false,
        scale_x: 0.05,
        zero_x: -5,
        scale_y: 0.04,
        offset: -3.0,
        bias_y: 0,
        low: -128,
        high: 127,
    };
    b.step(Operator::AveragePool(average_pool), &[small], means, 0);
    let add = Add {
        ratio_a: 0.7,
        ratio_b: 0.4,
        fixed: 1.25,
        bias_a: 0,
        bias_b: 128,
        bias_y: 0,
        low: -100,
        high: 127,
    };
    b.step(Operator::Add(add), &[maxima, means], means, 0);
    let mul = Mul {
        zero_a: 1,
        zero_b: -2,
        ratio: 0.01,
        offset: 4.0,
        bias_y: 0,
        low: -128,
        high: 127,
    };
    b.step(Operator::Mul(mul), &[maxima, means], maxima, 0);
    let table = b.ramp(256);
    b.step(Operator::Lookup(Lookup { table }), &[maxima], maxima, 0);
    let indices: Vec<u8> = [0u16, 0, 1, 1]
        .iter()
        .flat_map(|i| i.to_le_bytes())
        .collect();
    let indices = b.writer.constant(&indices);
    let resize = ResizeNearest {
        rows: indices,
        columns: indices,
    };
    b.step(Operator::ResizeNearest(resize), &[maxima], large, 0);
    b.step(Operator::Fill(Fill { value: 0xf0 }), &[], turned, 0);
    let transpose = Copy {
        shape: [1, 1, 1, 4, 4, 3],
        from_strides: [0, 0, 0, 4, 16, 1],
        to_strides: [0, 0, 0, 16, 4, 1],
        from: 0,
        to: 1,
    };
    b.step(Operator::Copy(transpose), &[large], turned, 0);
    let mean = ReduceMean {
        outer: 1,
        reduce: 16,
        inner: 4,
        zero_x: 3,
        multiplier: 0.06,
        zero_point: 1,
        low: -128,
        high: 127,
    };
    b.step(Operator::ReduceMean(mean), &[turned], pooled, 16);
    let fully_connected = FullyConnected {
        weights: b.ramp(4 * 3),
        bias: b.biases(3),
        multipliers: b.floats(3, |_| 0.01),
        zero_point: 0,
        low: -128,
        high: 127,
        weight_zero_point: 0,
    };
    b.step(
        Operator::FullyConnected(fully_connected),
        &[pooled],
        classes,
        0,
    );
    let softmax = Softmax {
        table: b.floats(256, |i| ((i as u8 as i8) as f32 * 0.05).exp()),
        inverse_scale: 256.0,
        zero_point: -128,
    };
    b.step(Operator::Softmax(softmax), &[classes], classes, 0);
    ends(&mut b, turned, classes, scores);
    sixteen_bits(&mut b, turned);
    reals::steps(&mut b, turned);
    let dequantize = Dequantize {
        scale: 1.0 / 256.0,
        zero_point: -128,
    };
    b.step(Operator::Dequantize(dequantize), &[classes], scores, 0);

    let input: Vec<u8> = (0..72)
        .flat_map(|i| ((i % 13) as f32 * 0.7 - 4.0).to_le_bytes())
        .collect();
    let output = golden(&input);
    b.writer.golden([input.as_slice(), output.as_slice()]);
    let macs = 36 * 72 + 9 * 36 + 12;
    b.writer.finish(&[image], &[scores], b.next, wide, macs)
}

/// Steps that compare, pick, interpolate, normalize, or end a model in float; what they
/// write is read by each other alone.
fn ends(b: &mut Builder, image: TensorId, classes: TensorId, scores: TensorId) {
    let zoomed = b.tensor("zoomed", Dtype::I8, &[1, 3, 2, 4]);
    let best = b.tensor("best", Dtype::I32, &[1, 3, 2, 1]);
    let rows = b.tensor("rows", Dtype::I8, &[6, 4]);
    let products = b.tensor("products", Dtype::I8, &[1, 4, 4]);
    let activated = b.tensor("activated", Dtype::I8, &[1, 4, 4, 2]);
    let sources = |b: &mut Builder, indices: &[u16]| {
        let bytes: Vec<u8> = indices.iter().flat_map(|i| i.to_le_bytes()).collect();
        b.writer.constant(&bytes)
    };
    let resize = ResizeLinear {
        rows: sources(b, &[0, 1, 1, 2, 3, 3]),
        row_weights: b.floats(6, |_| 0.5),
        columns: sources(b, &[0, 1, 2, 3]),
        column_weights: b.floats(4, |i| [0.25, 0.75][i % 2]),
        scale_x: 0.05,
        zero_x: 3,
        scale_y: 0.04,
        zero_point: -1,
        low: -128,
        high: 120,
    };
    b.step(Operator::ResizeLinear(resize), &[image], zoomed, 0);
    let arg_max = ArgMax {
        outer: 6,
        reduce: 4,
        inner: 1,
        smallest: false,
        last: true,
    };
    b.step(Operator::ArgMax(arg_max), &[zoomed], best, 0);
    let gather = Gather {
        outer: 1,
        extent: 16,
        inner: 4,
    };
    b.step(Operator::Gather(gather), &[image, best], rows, 0);
    let layer_norm = LayerNorm {
        gain: b.floats(4, |i| 0.5 + i as f32),
        bias: b.floats(4, |i| i as f32 * 0.1),
        scale_x: 0.05,
        zero_x: 3,
        epsilon: 1e-5,
        scale_y: 0.03,
        zero_point: 0,
        low: -128,
        high: 127,
    };
    let normalized = b.tensor("normalized", Dtype::I8, &[6, 4]);
    b.step(Operator::LayerNorm(layer_norm), &[rows], normalized, 0);
    let left = b.tensor("left", Dtype::I8, &[1, 4, 6]);
    let copy = Copy {
        shape: [1, 1, 1, 1, 4, 6],
        from_strides: [0, 0, 0, 0, 1, 4],
        to_strides: [0, 0, 0, 0, 6, 1],
        from: 0,
        to: 0,
    };
    b.step(Operator::Copy(copy), &[normalized], left, 0);
    let mat_mul = MatMul {
        batch: 1,
        zero_a: 0,
        zero_b: 3,
        multiplier: 0.002,
        zero_point: 5,
        low: -128,
        high: 127,
    };
    b.step(Operator::MatMul(mat_mul), &[left, left], products, 0);
    let activated_conv = ActivatedConv {
        kernel_h: 2,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1,
        pad_left: 0,
        groups: 2,
        weights: b.ramp(2 * 2 * 2),
        bias: b.biases(2),
        multipliers: b.floats(2, |_| 0.001),
        input_zero_point: 3,
        weight_zero_point: 1,
        bounds: b.floats(3, |i| i as f32 - 1.0),
        values: b.ramp(4),
        steps: 3,
    };
    b.step(
        Operator::ActivatedConv(activated_conv),
        &[image],
        activated,
        4,
    );
    let table = b.floats(256, |i| i as f32 * 0.5);
    let lookup = Operator::LookupReal(LookupReal { table });
    b.step(lookup, &[classes], scores, 0);
    let softmax = SoftmaxReal {
        scale: 0.1,
        zero_x: 3,
    };
    b.step(Operator::SoftmaxReal(softmax), &[classes], scores, 0);
}

/// Steps on 16 bits.
fn sixteen_bits(b: &mut Builder, image: TensorId) {
    let a = b.tensor("a", Dtype::I16, &[1, 4, 4, 4]);
    let y = b.tensor("y", Dtype::I16, &[1, 4, 4, 4]);
    let (low, high) = (-30_000, 32_767);
    let requantize = WideRequantize {
        scale_x: 0.05,
        zero_x: 3,
        scale_y: 0.0002,
        zero_point: -100,
        low,
        high,
    };
    b.step(Operator::WideRequantize(requantize), &[image], a, 0);
    let conv = WideConv {
        kernel_h: 3,
        kernel_w: 2,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 1,
        pad_left: 1,
        groups: 2,
        weights: b.ramp(4 * 3 * 2 * 2),
        bias: b.biases(4),
        multipliers: b.floats(4, |i| 0.003 + i as f32 * 0.001),
        input_zero_point: -100,
        weight_zero_point: 1,
        zero_point: 7,
        low,
        high,
    };
    b.step(Operator::WideConv(conv), &[a], y, 24);
    let pair = WidePair {
        product: true,
        scale_a: 0.0002,
        zero_a: -100,
        scale_b: 0.001,
        zero_b: 7,
        scale_y: 0.0005,
        zero_point: 0,
        low,
        high,
    };
    let product = b.tensor("product", Dtype::I16, &[1, 4, 4, 4]);
    b.step(Operator::WidePair(pair), &[a, y], product, 0);
}
