//! Random steps whose results stay real, or did until their quantization.

use crate::make::Maker;
use sanderling_compiler::program::{Operation, TensorId};
use sanderling_compiler::tables::Table;
use sanderling_plan::step::{RealConv, RealMap, RealMean, RealPair, RealProduct};
use sanderling_plan::{Dtype, Operator};

impl Maker {
    /// The convolution that `conv` makes, with real sums; sometimes with an addend.
    pub fn real_conv(&mut self, x: TensorId) -> TensorId {
        let narrow = self.conv(x, false);
        let Some(step) = self.program.steps.pop() else {
            return narrow;
        };
        let Operation::Conv {
            parameters: p,
            affine,
            ..
        } = step.operation
        else {
            return narrow;
        };
        let shape = self.shape(narrow);
        let mut inputs = vec![x];
        let (mut scale_z, mut zero_z) = (1.0, 0);
        if self.chance.once_in(2) {
            let (z, scale, zero) = self.real_operand(&shape);
            inputs.push(z);
            (scale_z, zero_z) = (scale, zero);
        }
        let (output, scale_y, zero_point) = self.real_output(&shape);
        let [low, high] = self.real_bounds();
        let parameters = RealConv {
            kernel_h: p.kernel_h,
            kernel_w: p.kernel_w,
            stride_h: p.stride_h,
            stride_w: p.stride_w,
            dilation_h: p.dilation_h,
            dilation_w: p.dilation_w,
            pad_top: p.pad_top,
            pad_left: p.pad_left,
            groups: p.groups,
            weights: 0,
            bias: 0,
            multipliers: 0,
            offsets: 0,
            input_zero_point: p.input_zero_point,
            weight_zero_point: p.weight_zero_point,
            scale_z,
            zero_z,
            low,
            high,
            scale_y,
            zero_point,
        };
        let offsets = (0..affine.bias.len())
            .map(|_| self.chance.real(-3.0, 3.0))
            .collect();
        let tables = vec![
            Table::I8(affine.weights),
            Table::I32(affine.bias),
            Table::F32(affine.multipliers),
            Table::F32(offsets),
        ];
        let channels = self.shape(x).last().copied().unwrap_or(1);
        let scratch = parameters.patch(channels).unwrap_or(0);
        let operator = Operator::RealConv(parameters);
        self.step(
            Operation::Tabled { operator, tables },
            &inputs,
            output,
            scratch,
            0,
        )
    }

    pub fn real_pair(&mut self, shape: &[usize]) -> TensorId {
        let (a, scale_a, zero_a) = self.real_operand(shape);
        let axis = self.chance.size(shape.len()) - 1;
        let (extent, inner) = match self.chance.size(3) {
            1 => (1, 1),
            2 => (shape[axis], shape[axis + 1..].iter().product()),
            _ => (shape.iter().product(), 1),
        };
        let (b, scale_b, zero_b) = self.real_operand(&[extent]);
        let (output, scale_y, zero_point) = self.real_output(shape);
        let [low, high] = self.real_bounds();
        let parameters = RealPair {
            operation: self.chance.of(0, 3) as u32,
            reversed: self.chance.once_in(2),
            scale_a,
            zero_a,
            scale_b,
            zero_b,
            inner: inner as u32,
            extent: extent as u32,
            low,
            high,
            scale_y,
            zero_point,
        };
        self.plain(Operator::RealPair(parameters), &[a, b], output)
    }

    pub fn real_mean(&mut self, [outer, reduce, inner]: [usize; 3]) -> TensorId {
        let (x, scale_x, zero_x) = self.real_operand(&[outer, reduce, inner]);
        let (output, scale_y, zero_point) = self.real_output(&[outer, inner]);
        let parameters = RealMean {
            outer: outer as u32,
            reduce: reduce as u32,
            inner: inner as u32,
            scale_x,
            zero_x,
            divisor: reduce as f32,
            scale_y,
            zero_point,
        };
        self.plain(Operator::RealMean(parameters), &[x], output)
    }

    pub fn real_product(&mut self, [rows, k, outputs]: [usize; 3]) -> TensorId {
        let x = self.input(Dtype::F32, &[rows, k]);
        let (output, scale_y, zero_point) = self.real_output(&[rows, outputs]);
        let [low, high] = self.real_bounds();
        let operator = Operator::RealProduct(RealProduct {
            weights: 0,
            offsets: 0,
            low,
            high,
            scale_y,
            zero_point,
        });
        let mut reals = |count: usize| -> Vec<f32> {
            (0..count).map(|_| self.chance.real(-1.0, 1.0)).collect()
        };
        let tables = vec![Table::F32(reals(k * outputs)), Table::F32(reals(outputs))];
        self.step(Operation::Tabled { operator, tables }, &[x], output, 0, 0)
    }

    pub fn real_map(&mut self, shape: &[usize]) -> TensorId {
        let x = self.input(Dtype::F32, shape);
        let (output, scale_y, zero_point) = self.real_output(shape);
        let parameters = RealMap {
            function: self.chance.of(0, 4) as u32,
            alpha: self.chance.real(-1.0, 0.5),
            beta: self.chance.real(0.5, 1.0),
            scale_y,
            zero_point,
        };
        self.plain(Operator::RealMap(parameters), &[x], output)
    }

    /// A real input, `f32` or bytes, with the scale and zero point that a step has for it.
    fn real_operand(&mut self, shape: &[usize]) -> (TensorId, f32, i32) {
        if self.chance.once_in(2) {
            return (self.input(Dtype::F32, shape), 1.0, 0);
        }
        let dtype = match self.chance.once_in(3) {
            true => Dtype::I16,
            false => Dtype::I8,
        };
        let x = self.input(dtype, shape);
        (x, self.chance.scale(1e-3, 1.0), self.chance.zero_point())
    }

    fn real_output(&mut self, shape: &[usize]) -> (TensorId, f32, i32) {
        if self.chance.once_in(2) {
            return (self.tensor(Dtype::F32, shape), 1.0, 0);
        }
        let output = self.tensor(Dtype::I8, shape);
        (
            output,
            self.chance.scale(1e-2, 1.0),
            self.chance.zero_point(),
        )
    }

    fn real_bounds(&mut self) -> [f32; 2] {
        match self.chance.once_in(2) {
            true => [f32::MIN, f32::MAX],
            false => [self.chance.real(-9.0, 0.0), self.chance.real(0.0, 9.0)],
        }
    }
}
