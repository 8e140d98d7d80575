//! Steps with packed weights, drawn at random, before they are packed.

use super::single::{Aligned, Draw};
use sanderling_engine::Engine;
use sanderling_plan::packing::winograd;
use sanderling_plan::step::{Conv, FullyConnected, WinogradConv};
use sanderling_plan::writer::{StepRecord, TensorRecord, Writer};
use sanderling_plan::{Dtype, Operator, Place, Plan, Shape, Target, TensorId};
use std::ops::Range;

/// Untouched bytes around everything in the arena.
const GUARD: usize = 32;
/// What the arena holds before a run.
const PATTERN: u8 = 0xa5;

/// A step before it is packed.
#[derive(Clone, Debug)]
pub struct Case {
    pub operator: Kind,
    pub input: Vec<u32>,
    pub output: Vec<u32>,
    /// Whether the output is written over the input.
    pub in_place: bool,
    pub x: Vec<i8>,
    /// `[out][k]`, or `[taps][out]` for a depthwise step.
    pub weights: Vec<i8>,
    pub bias: Vec<i32>,
    pub multipliers: Vec<f32>,
}

/// A step as a plan, and where in the arena it may write.
pub struct Packed {
    pub bytes: Vec<u8>,
    output: Range<usize>,
    input: Range<usize>,
    scratch: Range<usize>,
    end: usize,
}

/// Offsets in the parameters are not yet known.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Conv(Conv),
    /// By Winograd's algorithm where the target has it.
    Winograd(Conv),
    Depthwise(Conv),
    FullyConnected(FullyConnected),
}

/// The window of a convolution along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Along {
    size: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    pad: u32,
    out: u32,
}

impl Along {
    /// A window whose padding after the end is at most that before the start.
    pub fn new([size, kernel, stride, dilation, pad]: [u32; 5]) -> Self {
        let reach = (kernel - 1) * dilation + 1;
        let out = match (size + 2 * pad).checked_sub(reach) {
            Some(rest) => rest / stride + 1,
            None => 1,
        };
        Along {
            size,
            kernel,
            stride,
            dilation,
            pad,
            out,
        }
    }

    pub fn draw(draw: &mut Draw, size: i32, kernel: i32) -> Self {
        let kernel = draw.range(1, kernel);
        let mut along = Along::new([
            draw.range(1, size) as u32,
            kernel as u32,
            draw.range(1, 3) as u32,
            if draw.bits().is_multiple_of(4) { 2 } else { 1 },
            draw.range(0, kernel - 1) as u32,
        ]);
        // Now and then the last windows read nothing but padding.
        if kernel > 1 && draw.bits().is_multiple_of(4) {
            along.out += draw.range(1, 4) as u32;
        }
        along
    }
}

/// Activations or weights: all of them the lowest, the extremes mixed, or anything.
pub fn values(draw: &mut Draw, len: usize) -> Vec<i8> {
    match draw.bits() % 4 {
        0 => vec![i8::MIN; len],
        _ => draw.i8s(len),
    }
}

pub fn conv_case(
    draw: &mut Draw,
    [rows, columns]: [Along; 2],
    batch: u32,
    groups: u32,
    [group_in, group_out]: [u32; 2],
    depthwise: bool,
) -> Case {
    let outputs = (groups * group_out) as usize;
    let (low, high) = draw.clamp();
    let p = Conv {
        kernel_h: rows.kernel,
        kernel_w: columns.kernel,
        stride_h: rows.stride,
        stride_w: columns.stride,
        dilation_h: rows.dilation,
        dilation_w: columns.dilation,
        pad_top: rows.pad,
        pad_left: columns.pad,
        groups,
        weights: 0,
        bias: 0,
        multipliers: 0,
        input_zero_point: draw.zero_point(),
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };
    let input = vec![batch, rows.size, columns.size, groups * group_in];
    let k = rows.kernel * columns.kernel * group_in;
    Case {
        in_place: (batch == 1 || p.is_flat() && !depthwise) && draw.bits().is_multiple_of(3),
        x: values(draw, input.iter().product::<u32>() as usize),
        weights: values(draw, k as usize * outputs),
        bias: draw.biases(outputs),
        multipliers: draw.multipliers(outputs),
        output: vec![batch, rows.out, columns.out, groups * group_out],
        operator: match depthwise {
            true => Kind::Depthwise(p),
            false => Kind::Conv(p),
        },
        input,
    }
}

/// A convolution with a 3×3 kernel and stride 1; the padding below and to the right is
/// anything.
pub fn winograd_case(draw: &mut Draw, size: [u32; 2], batch: u32, channels: [u32; 2]) -> Case {
    let axes = size.map(|size| {
        let mut along = Along::new([size, 3, 1, 1, draw.range(0, 2) as u32]);
        along.out = (along.out as i32 + draw.range(-1, 3)).max(1) as u32;
        along
    });
    let case = conv_case(draw, axes, batch, 1, channels, false);
    let Kind::Conv(p) = case.operator else {
        unreachable!("a convolution");
    };
    Case {
        operator: Kind::Winograd(p),
        ..case
    }
}

pub fn fully_connected_case(draw: &mut Draw, rows: u32, k: u32, outputs: u32) -> Case {
    let (low, high) = draw.clamp();
    let p = FullyConnected {
        weights: 0,
        bias: 0,
        multipliers: 0,
        zero_point: draw.zero_point(),
        low,
        high,
        weight_zero_point: draw.zero_point(),
    };
    Case {
        operator: Kind::FullyConnected(p),
        input: vec![rows, k],
        output: vec![rows, outputs],
        in_place: false,
        x: values(draw, (rows * k) as usize),
        weights: values(draw, (k * outputs) as usize),
        bias: draw.biases(outputs as usize),
        multipliers: draw.multipliers(outputs as usize),
    }
}

impl Case {
    /// The step as a plan, packed for `target`.
    pub fn plan(&self, target: Target) -> Packed {
        let mut writer = Writer::new(target, [0; 32]);
        let bytes = |dims: &[u32]| dims.iter().product::<u32>() as usize;
        let (x_bytes, y_bytes) = (bytes(&self.input), bytes(&self.output));
        let (operator, scratch, distance) = self.pack(target, &mut writer);
        let output_at = GUARD;
        let input_at = match distance {
            Some(distance) => (output_at + distance).next_multiple_of(16),
            None => (output_at + y_bytes + GUARD).next_multiple_of(16),
        };
        let io_end = (output_at + y_bytes).max(input_at + x_bytes);
        let scratch_at = (io_end + GUARD).next_multiple_of(16);
        let end = (scratch_at + scratch + GUARD).next_multiple_of(16);
        let mut tensor = |dims: &[u32], at: usize| {
            writer.tensor(&TensorRecord {
                name: "",
                dtype: Dtype::I8,
                shape: Shape::new(dims).expect("shape"),
                place: Place::Arena,
                offset: at as u32,
                scale: 1.0,
                zero_point: 0,
            })
        };
        let input: TensorId = tensor(&self.input, input_at);
        let output = tensor(&self.output, output_at);
        writer.step(&StepRecord {
            name: "step",
            operator,
            inputs: &[input],
            output,
            scratch_offset: if scratch > 0 { scratch_at as u32 } else { 0 },
            scratch_bytes: scratch as u32,
        });
        Packed {
            bytes: writer.finish(&[input], &[output], end as u32, output, 0),
            output: output_at..output_at + y_bytes,
            input: input_at..input_at + x_bytes,
            scratch: scratch_at..scratch_at + scratch,
            end,
        }
    }

    /// Runs the step, packed for `target`, and gives the output.
    pub fn run(&self, target: Target) -> Vec<i8> {
        let packed = self.plan(target);
        let plan = Aligned::new(&packed.bytes);
        let plan = Plan::new(plan.as_ref()).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let end = packed.end;
        let mut engine = Engine::new(plan, Aligned::new(&vec![PATTERN; end])).expect("engine");
        let x: &[u8] = bytemuck::cast_slice(&self.x);
        engine.input_mut(0).expect("input").copy_from_slice(x);
        engine.run().expect("run");
        let y = bytemuck::cast_slice(engine.output(0).expect("output")).to_vec();
        let (_, arena) = engine.into_parts();
        let arena: &[u8] = arena.as_ref();
        let written = [&packed.output, &packed.input, &packed.scratch];
        for (at, &byte) in arena.iter().enumerate() {
            assert!(
                byte == PATTERN || written.iter().any(|range| range.contains(&at)),
                "{target}: byte {at} of the arena was overwritten"
            );
        }
        if !self.in_place {
            assert_eq!(&arena[packed.input], x, "{target}: input");
        }
        y
    }

    /// The operator with its constants packed, its scratch, and, in place, how far behind
    /// the output's start the input starts.
    fn pack(&self, target: Target, writer: &mut Writer) -> (Operator, usize, Option<usize>) {
        let dense = target.dense();
        let multipliers = writer.constant(bytemuck::cast_slice(&self.multipliers));
        let mut constants = |weights: Vec<i8>, bias: Vec<i32>| {
            let weights = writer.constant(bytemuck::cast_slice(&weights));
            (weights, writer.constant(bytemuck::cast_slice(&bias)))
        };
        let p = match self.operator {
            Kind::Winograd(p) if winograd::runs(target) => {
                return self.pack_winograd(&p, writer);
            }
            Kind::Conv(p) | Kind::Winograd(p) | Kind::Depthwise(p) => p,
            Kind::FullyConnected(p) => {
                let k = self.input[1] as usize;
                let (weights, bias) = constants(
                    dense.pack(&self.weights, k),
                    dense.fold_bias(&self.weights, k, &self.bias),
                );
                let scratch = p.scratch_bytes(target, k).expect("scratch");
                let operator = Operator::FullyConnected(FullyConnected {
                    weights,
                    bias,
                    multipliers,
                    ..p
                });
                return (operator, scratch, None);
            }
        };
        let depthwise = matches!(self.operator, Kind::Depthwise(_));
        let nhwc = |dims: &[u32]| <[u32; 4]>::try_from(dims).expect("four dimensions");
        let (input, output) = (nhwc(&self.input), nhwc(&self.output));
        let outputs = output[3] as usize;
        let (weights, bias) = match depthwise {
            true => constants(
                target.pack_depthwise(&self.weights, outputs),
                self.bias.clone(),
            ),
            false => {
                let k = self.weights.len() / outputs;
                let groups = self.weights.chunks(outputs / p.groups as usize * k);
                constants(
                    groups.flat_map(|weights| dense.pack(weights, k)).collect(),
                    dense.fold_bias(&self.weights, k, &self.bias),
                )
            }
        };
        let distance = self
            .in_place
            .then(|| p.overlap(target, input, output, depthwise))
            .flatten();
        let overlaps = self.overlaps(distance);
        let p = Conv {
            weights,
            bias,
            multipliers,
            ..p
        };
        let scratch = p.scratch(target, input, depthwise, overlaps);
        let scratch = scratch.and_then(|s| s.bytes()).expect("scratch");
        let operator = match depthwise {
            true => Operator::DepthwiseConv(p),
            false => Operator::Conv(p),
        };
        (operator, scratch, distance)
    }

    /// The same for a convolution by Winograd's algorithm.
    fn pack_winograd(&self, p: &Conv, writer: &mut Writer) -> (Operator, usize, Option<usize>) {
        let nhwc = |dims: &[u32]| <[u32; 4]>::try_from(dims).expect("four dimensions");
        let (input, output) = (nhwc(&self.input), nhwc(&self.output));
        let weights = winograd::pack(&self.weights, input[3] as usize, p.weight_zero_point);
        let p = WinogradConv {
            pad_top: p.pad_top,
            pad_left: p.pad_left,
            weights: writer.constant(bytemuck::cast_slice(&weights)),
            bias: writer.constant(bytemuck::cast_slice(&self.bias)),
            multipliers: writer.constant(bytemuck::cast_slice(&self.multipliers)),
            input_zero_point: p.input_zero_point,
            zero_point: p.zero_point,
            low: p.low,
            high: p.high,
        };
        let distance = self.in_place.then(|| p.overlap(input, output)).flatten();
        let scratch = p.scratch(input, output[2], self.overlaps(distance));
        let scratch = scratch.and_then(|s| s.bytes()).expect("scratch");
        (Operator::WinogradConv(p), scratch, distance)
    }

    /// Whether input and output overlap, the input being `distance` behind the output's
    /// start. It is rounded up to the alignment, so that they may still be apart.
    fn overlaps(&self, distance: Option<usize>) -> bool {
        let y_bytes = self.output.iter().product::<u32>() as usize;
        distance.is_some_and(|distance| (GUARD + distance).next_multiple_of(16) < GUARD + y_bytes)
    }
}
