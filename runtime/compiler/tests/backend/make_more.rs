//! Random steps of the operators that compare, pick, interpolate, normalize, or end a model.

use crate::make::Maker;
use sanderling_compiler::program::{Operation, TensorId};
use sanderling_compiler::tables::Table;
use sanderling_plan::step::{
    ActivatedConv, ArgMax, Gather, LayerNorm, LookupReal, MatMul, ResizeLinear, SoftmaxReal,
    WideConv, WidePair, WideRequantize,
};
use sanderling_plan::{Dtype, Operator};

impl Maker {
    pub fn arg_max(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let axis = self.chance.size(shape.len()) - 1;
        let product = |dims: &[usize]| dims.iter().product::<usize>() as u32;
        let parameters = ArgMax {
            outer: product(&shape[..axis]),
            reduce: shape[axis] as u32,
            inner: product(&shape[axis + 1..]),
            smallest: self.chance.once_in(2),
            last: self.chance.once_in(2),
        };
        let mut kept = shape;
        kept[axis] = 1;
        let output = self.tensor(Dtype::I32, &kept);
        self.plain(Operator::ArgMax(parameters), &[x], output)
    }

    /// Rows of `x` by indices that may lie outside.
    pub fn gather(&mut self, x: TensorId, indices: TensorId) -> TensorId {
        let shape = self.shape(x);
        let axis = self.chance.size(shape.len()) - 1;
        let product = |dims: &[usize]| dims.iter().product::<usize>() as u32;
        let parameters = Gather {
            outer: product(&shape[..axis]),
            extent: shape[axis] as u32,
            inner: product(&shape[axis + 1..]),
        };
        let mut picked = shape;
        picked[axis] = self.program.tensor(indices).elements();
        let output = self.tensor(self.program.tensor(x).dtype, &picked);
        self.plain(Operator::Gather(parameters), &[x, indices], output)
    }

    /// `a` and `b` are batches of matrices with rows of one length.
    pub fn mat_mul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let (left, right) = (self.shape(a), self.shape(b));
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let parameters = MatMul {
            batch: left[0] as u32,
            zero_a: c.zero_point(),
            zero_b: c.zero_point(),
            multiplier: c.scale(1e-5, 1e-2),
            zero_point: c.zero_point(),
            low,
            high,
        };
        let output = self.tensor(Dtype::I8, &[left[0], left[1], right[1]]);
        self.plain(Operator::MatMul(parameters), &[a, b], output)
    }

    pub fn softmax_real(&mut self, x: TensorId) -> TensorId {
        let parameters = SoftmaxReal {
            scale: self.chance.scale(1e-3, 1.0),
            zero_x: self.chance.zero_point(),
        };
        let output = self.tensor(Dtype::F32, &self.shape(x));
        self.plain(Operator::SoftmaxReal(parameters), &[x], output)
    }

    pub fn lookup_real(&mut self, x: TensorId) -> TensorId {
        let table = (0..256).map(|_| self.chance.real(-9.0, 9.0)).collect();
        let output = self.tensor(Dtype::F32, &self.shape(x));
        let operator = Operator::LookupReal(LookupReal { table: 0 });
        self.tabled(operator, vec![Table::F32(table)], x, output)
    }

    pub fn layer_norm(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let width = shape.last().copied().unwrap_or(1);
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let parameters = LayerNorm {
            gain: 0,
            bias: 0,
            scale_x: c.scale(1e-3, 1.0),
            zero_x: c.zero_point(),
            epsilon: c.scale(1e-9, 1e-2),
            scale_y: c.scale(1e-3, 0.1),
            zero_point: c.zero_point(),
            low,
            high,
        };
        let gain = (0..width).map(|_| c.real(0.2, 2.0)).collect();
        let bias = (0..width).map(|_| c.real(-1.0, 1.0)).collect();
        let output = self.tensor(Dtype::I8, &shape);
        let tables = vec![Table::F32(gain), Table::F32(bias)];
        self.tabled(Operator::LayerNorm(parameters), tables, x, output)
    }

    pub fn resize_linear(&mut self, x: TensorId) -> TensorId {
        let shape = self.shape(x);
        let c = &mut self.chance;
        let (low, high) = c.clamp();
        let scale = c.scale(1e-3, 1.0);
        let parameters = ResizeLinear {
            rows: 0,
            row_weights: 0,
            columns: 0,
            column_weights: 0,
            scale_x: scale,
            zero_x: c.zero_point(),
            scale_y: scale * c.ratio(2.0),
            zero_point: c.zero_point(),
            low,
            high,
        };
        let (height, width) = (c.size(12), c.size(12));
        let mut taps = |count: usize, size: usize| -> [Table; 2] {
            let positions = (0..2 * count).map(|_| (c.size(size) - 1) as u16).collect();
            let weights = (0..count)
                .map(|_| c.real(0.0, 1.0))
                .flat_map(|share| [1.0 - share, share])
                .collect();
            [Table::U16(positions), Table::F32(weights)]
        };
        let [rows, row_weights] = taps(height, shape[1]);
        let [columns, column_weights] = taps(width, shape[2]);
        let output = self.tensor(Dtype::I8, &[shape[0], height, width, shape[3]]);
        let tables = vec![rows, row_weights, columns, column_weights];
        self.tabled(Operator::ResizeLinear(parameters), tables, x, output)
    }

    /// The convolution that `conv` makes, with a function of many levels behind it.
    pub fn activated_conv(&mut self, x: TensorId) -> TensorId {
        let output = self.conv(x, false);
        let Some(step) = self.program.steps.pop() else {
            return output;
        };
        let Operation::Conv {
            parameters: p,
            affine,
            ..
        } = step.operation
        else {
            return output;
        };
        let mut bounds: Vec<f32> = (0..self.chance.size(300))
            .map(|_| self.chance.real(-200.0, 200.0))
            .collect();
        bounds.sort_by(f32::total_cmp);
        let values = (0..=bounds.len()).map(|_| self.chance.i8()).collect();
        let operator = Operator::ActivatedConv(ActivatedConv {
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
            input_zero_point: p.input_zero_point,
            weight_zero_point: p.weight_zero_point,
            bounds: 0,
            values: 0,
            steps: bounds.len() as u32,
        });
        let tables = vec![
            Table::I8(affine.weights),
            Table::I32(affine.bias),
            Table::F32(affine.multipliers),
            Table::F32(bounds),
            Table::I8(values),
        ];
        self.tabled(operator, tables, x, output)
    }

    /// The convolution that `conv` makes, in 16 bits.
    pub fn wide_conv(&mut self, x: TensorId) -> TensorId {
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
        let (low, high) = self.wide_clamp();
        let operator = Operator::WideConv(WideConv {
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
            input_zero_point: self.wide_zero_point(),
            weight_zero_point: p.weight_zero_point,
            zero_point: self.wide_zero_point(),
            low,
            high,
        });
        let tables = vec![
            Table::I8(affine.weights),
            Table::I32(affine.bias),
            Table::F32(affine.multipliers),
        ];
        let output = self.tensor(Dtype::I16, &self.shape(narrow));
        self.tabled(operator, tables, x, output)
    }

    pub fn wide_pair(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let (low, high) = self.wide_clamp();
        let parameters = WidePair {
            product: self.chance.once_in(2),
            scale_a: self.chance.scale(1e-4, 1e-1),
            zero_a: self.wide_zero_point(),
            scale_b: self.chance.scale(1e-4, 1e-1),
            zero_b: self.wide_zero_point(),
            scale_y: self.chance.scale(1e-4, 1.0),
            zero_point: self.wide_zero_point(),
            low,
            high,
        };
        let output = self.tensor(Dtype::I16, &self.shape(a));
        self.plain(Operator::WidePair(parameters), &[a, b], output)
    }

    /// From 8 or 16 bits to 8 or 16 bits.
    pub fn wide_requantize(&mut self, x: TensorId, to: Dtype) -> TensorId {
        let (low, high) = match to {
            Dtype::I16 => self.wide_clamp(),
            _ => self.chance.clamp(),
        };
        let parameters = WideRequantize {
            scale_x: self.chance.scale(1e-4, 1e-1),
            zero_x: self.wide_zero_point(),
            scale_y: self.chance.scale(1e-4, 1e-1),
            zero_point: match to {
                Dtype::I16 => self.wide_zero_point(),
                _ => self.chance.zero_point(),
            },
            low,
            high,
        };
        let output = self.tensor(to, &self.shape(x));
        self.plain(Operator::WideRequantize(parameters), &[x], output)
    }

    fn wide_zero_point(&mut self) -> i32 {
        match self.chance.once_in(2) {
            true => 0,
            false => self.chance.of(-32_768, 32_767),
        }
    }

    fn wide_clamp(&mut self) -> (i32, i32) {
        match self.chance.once_in(2) {
            true => (-32_768, 32_767),
            false => (self.chance.of(-32_768, 0), self.chance.of(0, 32_767)),
        }
    }

    fn tabled(
        &mut self,
        operator: Operator,
        tables: Vec<Table>,
        x: TensorId,
        output: TensorId,
    ) -> TensorId {
        let channels = self.shape(x).last().copied().unwrap_or(1);
        let scratch = match &operator {
            Operator::ActivatedConv(p) => p.patch(channels).unwrap_or(0),
            Operator::WideConv(p) => 2 * p.patch(channels).unwrap_or(0),
            _ => 0,
        };
        let operation = Operation::Tabled { operator, tables };
        self.step(operation, &[x], output, scratch, 0)
    }
}
