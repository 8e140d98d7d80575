//! ConvTranspose, as ordinary convolutions.
//!
//! With stride `s`, output positions that are equal modulo `s` read the same taps of the
//! kernel, at neighbouring input positions. So each of the `s · s` phases is a convolution
//! of stride 1 with its part of the kernel, and a copy interleaves the phases: no
//! multiplication by a zero that stride put there, and every kernel of the engine serves.

use super::arrange::{CopyAxis, Image, image_order, nhwc, strided};
use super::conv::SignedWeights;
use super::meaning::{Quantization, Stored};
use super::window::Window;
use super::{Matcher, Why};
use crate::graph::Node;
use crate::program::{Affine, Operation, TensorId};
use sanderling_plan::{Dtype, Operator, step};

/// One axis of a phase.
struct Phase {
    /// Kernel position of each tap, in the order of the input; `None` has no weight.
    taps: Vec<Option<usize>>,
    dilation: usize,
    pad: usize,
    /// Output positions of this phase.
    count: usize,
}

/// What all phases share.
struct Transposed {
    image: Image,
    output: [usize; 4],
    kernel: [usize; 2],
    groups: usize,
    /// `[in][out / groups][kernel]`, one scale for each output channel.
    weights: SignedWeights,
    bias: Vec<i32>,
    from: Quantization,
    to: Quantization,
    clamp: (i32, i32),
}

impl Matcher<'_> {
    pub(super) fn conv_transpose(
        &mut self,
        node: &Node,
        to: Quantization,
        clamp: (i32, i32),
    ) -> Result<Stored, Why> {
        let (x, from) = self.operand(node, 0)?;
        let weights = self.node_weights(node, 1)?;
        let shape = self.output_shape(node);
        let order = image_order(shape.len())?;
        let image = self.image(node, &x)?;
        let output = nhwc(&shape);
        let [_, h, w, channels_in] = image.nhwc;
        let groups = node.int("group").unwrap_or(1).max(1) as usize;
        let (kernel, inputs, group_out) = match weights.shape.as_slice() {
            [inputs, outputs, kernel @ ..] => (kernel.to_vec(), *inputs, *outputs),
            _ => return Err("its weights have fewer than three dimensions".into()),
        };
        if inputs != channels_in
            || !channels_in.is_multiple_of(groups)
            || group_out * groups != output[3]
        {
            return Err("its weights do not fit the input's channels".into());
        }
        let signed = SignedWeights::of(&weights, group_out, 1)?;
        let signed = SignedWeights {
            scales: signed.scales.repeat(groups),
            ..signed
        };
        let bias = self.node_bias(node, 2, from.scale, &signed, false)?;
        let mut window = Window::of(node, &kernel, [h, w], [output[1], output[2]])?;
        window.pad = transposed_padding(node, &window, [h, w], [output[1], output[2]])?;
        let transposed = Transposed {
            image,
            output,
            kernel: window.kernel,
            groups,
            weights: signed,
            bias,
            from,
            to,
            clamp,
        };
        let stored = self.new_stored(node, shape, order, to.element, Some(to));
        let target = self.program.add_view(stored.tensor, output.to_vec());
        let phases = |i: usize| -> Vec<(usize, Phase)> {
            (0..window.stride[i])
                .map(|r| (r, Phase::of(&window, i, r, [h, w][i], output[i + 1])))
                .filter(|(_, phase)| phase.count > 0)
                .collect()
        };
        let (rows, columns) = (phases(0), phases(1));
        for (first_row, down) in &rows {
            for (first_column, across) in &columns {
                if window.stride == [1, 1] {
                    self.phase(node, &transposed, down, across, target)?;
                    continue;
                }
                let dims = vec![output[0], down.count, across.count, output[3]];
                let part = self.program.add_tensor(
                    &format!("{}/phase", node.name),
                    Dtype::I8,
                    dims.clone(),
                    to.scale,
                    to.zero_point_i8(),
                );
                self.phase(node, &transposed, down, across, part)?;
                let [_, out_h, out_w, channels] = output;
                let pixel = |row: usize, column: usize| (row * out_w + column) * channels;
                let from_row = across.count * channels;
                let axes: [CopyAxis; 4] = [
                    (
                        dims[0],
                        (dims[1] * from_row) as isize,
                        pixel(out_h, 0) as isize,
                    ),
                    (
                        dims[1],
                        from_row as isize,
                        pixel(window.stride[0], 0) as isize,
                    ),
                    (
                        dims[2],
                        channels as isize,
                        pixel(0, window.stride[1]) as isize,
                    ),
                    (channels, 1, 1),
                ];
                let copy = strided(&axes, 0, pixel(*first_row, *first_column))?;
                let operation = Operation::Plain(Operator::Copy(copy));
                self.step(node, operation, vec![part], target);
            }
        }
        Ok(stored)
    }

    /// The convolution of one phase.
    fn phase(
        &mut self,
        node: &Node,
        all: &Transposed,
        down: &Phase,
        across: &Phase,
        target: TensorId,
    ) -> Result<(), Why> {
        let (inputs, outputs) = (all.image.nhwc[3], all.output[3]);
        let (group_in, group_out) = (inputs / all.groups, outputs / all.groups);
        let depthwise = all.groups == inputs && inputs > 1;
        let taps: Vec<Option<(usize, usize)>> = down
            .taps
            .iter()
            .flat_map(|ky| across.taps.iter().map(move |kx| (*ky).zip(*kx)))
            .collect();
        let signed = &all.weights;
        let weight = |o: usize, tap: &Option<(usize, usize)>, i: usize| match tap {
            Some((ky, kx)) => {
                let channel = o / group_out * group_in + i;
                let at = (channel * group_out + o % group_out) * all.kernel[0] + ky;
                signed.values[at * all.kernel[1] + kx]
            }
            None => signed.zero_point,
        };
        let of_output = |o: usize| {
            taps.iter()
                .flat_map(move |tap| (0..group_in).map(move |i| (tap, i)))
                .map(move |(tap, i)| weight(o, tap, i))
        };
        let packed: Vec<i8> = if depthwise {
            taps.iter()
                .flat_map(|tap| (0..outputs).map(move |o| weight(o, tap, 0)))
                .collect()
        } else {
            (0..outputs).flat_map(of_output).collect()
        };
        let affine = Affine {
            weights: packed,
            bias: signed.fold(all.from.zero_point_i8(), &all.bias, of_output),
            multipliers: signed.multipliers(all.from.scale, all.to.scale),
        };
        let parameters = step::Conv {
            kernel_h: down.taps.len() as u32,
            kernel_w: across.taps.len() as u32,
            stride_h: 1,
            stride_w: 1,
            dilation_h: down.dilation as u32,
            dilation_w: across.dilation as u32,
            pad_top: down.pad as u32,
            pad_left: across.pad as u32,
            groups: all.groups as u32,
            weights: 0,
            bias: 0,
            multipliers: 0,
            input_zero_point: all.from.zero_point_i8(),
            zero_point: all.to.zero_point_i8(),
            low: all.clamp.0,
            high: all.clamp.1,
            weight_zero_point: signed.zero_point.into(),
        };
        let pixels = all.output[0] * down.count * across.count;
        let macs = (pixels * taps.len() * group_in * outputs) as u64;
        let operation = Operation::Conv {
            parameters,
            depthwise,
            affine,
        };
        self.step_with(node, operation, vec![all.image.tensor], target, 0, macs);
        Ok(())
    }
}

impl Phase {
    /// The phase of output positions `r`, `r + s`, …: position `r + s·j` reads input
    /// `j + (r + pad - k·dilation) / s` through each tap `k` for which that is whole.
    fn of(window: &Window, i: usize, r: usize, input: usize, output: usize) -> Self {
        let (stride, dilation) = (window.stride[i] as isize, window.dilation[i] as isize);
        let mut taps: Vec<(isize, Option<usize>)> = (0..window.kernel[i])
            .map(|k| {
                (
                    k,
                    r as isize + window.pad[i] as isize - k as isize * dilation,
                )
            })
            .filter(|(_, numerator)| numerator.rem_euclid(stride) == 0)
            .map(|(k, numerator)| (numerator.div_euclid(stride), Some(k)))
            .collect();
        taps.sort_unstable();
        let pace = match taps.as_slice() {
            [first, second, ..] => second.0 - first.0,
            _ => 1,
        };
        // Without a tap the output is the bias; a convolution starts at or before its position.
        let first = taps.first().map_or(0, |tap| tap.0);
        if taps.is_empty() {
            taps.push((0, None));
        }
        let missing = if first > 0 {
            (first + pace - 1) / pace
        } else {
            0
        };
        for before in 1..=missing {
            taps.insert(0, (first - before * pace, None));
        }
        let pad = (missing * pace - first) as usize;
        let count = output.saturating_sub(r).div_ceil(stride as usize);
        // A kernel of a single tap reads exactly the positions that there are.
        if taps.len() == 1 && pad == 0 && count != input {
            taps.push((pace, None));
        }
        Phase {
            taps: taps.into_iter().map(|(_, k)| k).collect(),
            dilation: pace as usize,
            pad,
            count,
        }
    }
}

/// Padding cut away above and to the left.
fn transposed_padding(
    node: &Node,
    window: &Window,
    input: [usize; 2],
    output: [usize; 2],
) -> Result<[usize; 2], Why> {
    let given = node.ints("output_shape").is_some();
    let automatic = node.text("auto_pad").unwrap_or("NOTSET");
    if !given && matches!(automatic, "NOTSET" | "") {
        return Ok(window.pad);
    }
    if automatic == "VALID" && !given {
        return Ok([0, 0]);
    }
    let extra = node.ints("output_padding").unwrap_or(&[]);
    let extra = |i: usize| match *extra {
        [h, w] => [h, w][i].max(0) as usize,
        [w] if i == 1 => w.max(0) as usize,
        _ => 0,
    };
    Ok([0, 1].map(|i| {
        let full = window.stride[i] * (input[i] - 1)
            + extra(i)
            + (window.kernel[i] - 1) * window.dilation[i]
            + 1;
        let total = full.saturating_sub(output[i]);
        // ONNX gives the odd rest to the end, but for SAME_UPPER to the beginning.
        if automatic == "SAME_UPPER" {
            total / 2
        } else {
            total - total / 2
        }
    }))
}
