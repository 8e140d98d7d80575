//! The reference against answers worked out by hand from the formulas.

use crate::make::{Maker, dense, strided};
use sanderling_compiler::program::{Affine, Operation, Program};
use sanderling_compiler::reference::{golden_inputs, run};
use sanderling_plan::step::{
    Add, AveragePool, Conv, Dequantize, FullyConnected, MaxPool, Mul, Quantize, ReduceMean, Softmax,
};
use sanderling_plan::{Dtype, Operator};

fn bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&v| v as u8).collect()
}

/// A program of one step over `i8`.
fn one(operation: Operation, inputs: &[&[usize]], output: &[usize]) -> Program {
    one_of(operation, Dtype::I8, inputs, Dtype::I8, output)
}

fn one_of(
    operation: Operation,
    from: Dtype,
    inputs: &[&[usize]],
    to: Dtype,
    output: &[usize],
) -> Program {
    let mut maker = Maker::new(0);
    let inputs: Vec<_> = inputs
        .iter()
        .map(|shape| maker.input(from, shape))
        .collect();
    let output = maker.tensor(to, output);
    maker.step(operation, &inputs, output, 0, 0);
    maker.program.outputs.push(output);
    maker.program
}

fn conv() -> Conv {
    Conv {
        kernel_h: 1,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
        groups: 1,
        weights: 0,
        bias: 0,
        multipliers: 0,
        input_zero_point: 0,
        zero_point: 0,
        low: -128,
        high: 127,
        weight_zero_point: 0,
    }
}

#[test]
fn padding_of_a_convolution_reads_the_zero_point() {
    // A row 1 2 3, kernel 10 20 30 with one column of padding on either side.
    let parameters = Conv {
        kernel_w: 3,
        pad_left: 1,
        input_zero_point: -1,
        ..conv()
    };
    let affine = Affine {
        weights: vec![10, 20, 30],
        bias: vec![5],
        multipliers: vec![0.5],
    };
    let operation = Operation::Conv {
        parameters,
        depthwise: false,
        affine,
    };
    let program = one(operation, &[&[1, 1, 3, 1]], &[1, 1, 3, 1]);
    // (5 - 10 + 20 + 60)/2 = 37.5 to even 38; (5 + 10 + 40 + 90)/2 = 72.5 to even 72;
    // (5 + 20 + 60 - 30)/2 = 27.5 to even 28.
    assert_eq!(run(&program, &[bytes(&[1, 2, 3])]), [bytes(&[38, 72, 28])]);
}

#[test]
fn groups_of_a_convolution_see_their_own_channels() {
    let parameters = Conv {
        groups: 2,
        weight_zero_point: 1,
        ..conv()
    };
    let affine = Affine {
        weights: vec![2, 3, 4, 5],
        bias: vec![0, 100],
        multipliers: vec![1.0, 1.0],
    };
    let operation = Operation::Conv {
        parameters,
        depthwise: false,
        affine,
    };
    let program = one(operation, &[&[1, 1, 1, 4]], &[1, 1, 1, 2]);
    // 1·(2-1) + 2·(3-1) and 100 + 3·(4-1) + 4·(5-1).
    assert_eq!(run(&program, &[bytes(&[1, 2, 3, 4])]), [bytes(&[5, 125])]);
}

#[test]
fn depthwise_weights_are_kernel_rows_of_all_channels() {
    let parameters = Conv {
        kernel_h: 2,
        groups: 2,
        dilation_h: 2,
        ..conv()
    };
    let affine = Affine {
        weights: vec![1, 10, 2, 20],
        bias: vec![0, 0],
        multipliers: vec![1.0, 1.0],
    };
    let operation = Operation::Conv {
        parameters,
        depthwise: true,
        affine,
    };
    let program = one(operation, &[&[1, 3, 1, 2]], &[1, 1, 1, 2]);
    // Rows 0 and 2: 1·1 + 5·2 and 2·10 + 4·20.
    assert_eq!(
        run(&program, &[bytes(&[1, 2, 9, 9, 5, 4])]),
        [bytes(&[11, 100])]
    );
}

#[test]
fn an_accumulator_wraps_at_32_bits() {
    let affine = Affine {
        weights: vec![1],
        bias: vec![i32::MAX],
        multipliers: vec![1.0],
    };
    let parameters = FullyConnected {
        weights: 0,
        bias: 0,
        multipliers: 0,
        zero_point: 3,
        low: -100,
        high: 127,
        weight_zero_point: 0,
    };
    let operation = Operation::FullyConnected { parameters, affine };
    let program = one(operation, &[&[2, 1]], &[2, 1]);
    assert_eq!(run(&program, &[bytes(&[1, 0])]), [bytes(&[-100, 127])]);
}

#[test]
fn a_sum_is_fused_and_rounds_half_to_even() {
    let parameters = Add {
        ratio_a: 0.5,
        ratio_b: 0.25,
        fixed: 128.0,
        bias_a: 0,
        bias_b: 128,
        bias_y: 128,
        low: -128,
        high: 127,
    };
    let operation = Operation::Plain(Operator::Add(parameters));
    let program = one(operation, &[&[3], &[3]], &[3]);
    // 0.5·1 + 0.25·128 + 128 = 160.5 to 160; 161.5 to 162; saturation above.
    let answer = run(&program, &[bytes(&[1, 3, 127]), bytes(&[0, 0, 127])]);
    assert_eq!(answer, [bytes(&[32, 34, 127])]);
}

#[test]
fn a_product_takes_its_zero_points_off_first() {
    let parameters = Mul {
        zero_a: 1,
        zero_b: -2,
        ratio: 0.5,
        offset: 10.0,
        bias_y: 0,
        low: -128,
        high: 20,
    };
    let operation = Operation::Plain(Operator::Mul(parameters));
    let program = one(operation, &[&[2], &[2]], &[2]);
    // (3-1)·(3+2)/2 + 10 = 15; (11-1)·(2+2)/2 + 10 = 30, clamped.
    assert_eq!(
        run(&program, &[bytes(&[3, 11]), bytes(&[3, 2])]),
        [bytes(&[15, 20])]
    );
}

#[test]
fn pools_ignore_taps_outside() {
    let max = MaxPool {
        kernel_h: 1,
        kernel_w: 2,
        stride_h: 1,
        stride_w: 2,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 1,
    };
    let program = one(
        Operation::Plain(Operator::MaxPool(max)),
        &[&[1, 1, 3, 1]],
        &[1, 1, 2, 1],
    );
    assert_eq!(run(&program, &[bytes(&[-7, 4, -3])]), [bytes(&[-7, 4])]);
    let average = |count_include_pad| {
        let parameters = AveragePool {
            kernel_h: 1,
            kernel_w: 2,
            stride_h: 1,
            stride_w: 2,
            pad_top: 0,
            pad_left: 1,
            count_include_pad,
            scale_x: 0.5,
            zero_x: 1,
            scale_y: 0.25,
            offset: 128.0,
            bias_y: 128,
            low: -128,
            high: 127,
        };
        let operation = Operation::Plain(Operator::AveragePool(parameters));
        run(
            &one(operation, &[&[1, 1, 3, 1]], &[1, 1, 2, 1]),
            &[bytes(&[-7, 4, -3])],
        )
    };
    // -8 steps of 0.5 are -16 steps of 0.25; 3 - 4 steps over two are -1.
    assert_eq!(average(false), [bytes(&[-16, -1])]);
    assert_eq!(average(true), [bytes(&[-8, -1])]);
}

#[test]
fn a_mean_over_nothing_is_the_lowest_output() {
    let parameters = AveragePool {
        kernel_h: 1,
        kernel_w: 1,
        stride_h: 1,
        stride_w: 1,
        pad_top: 0,
        pad_left: 1,
        count_include_pad: false,
        scale_x: 1.0,
        zero_x: 0,
        scale_y: 1.0,
        offset: 0.0,
        bias_y: 0,
        low: -5,
        high: 127,
    };
    let operation = Operation::Plain(Operator::AveragePool(parameters));
    let program = one(operation, &[&[1, 1, 1, 1]], &[1, 1, 2, 1]);
    assert_eq!(run(&program, &[bytes(&[9])]), [bytes(&[-5, 9])]);
    crate::run::assert_engine_agrees(&program, 0);
}

#[test]
fn a_mean_reduces_the_middle_axis() {
    let parameters = ReduceMean {
        outer: 2,
        reduce: 2,
        inner: 2,
        zero_x: 1,
        multiplier: 0.5,
        zero_point: -3,
        low: -128,
        high: 127,
    };
    let operation = Operation::Plain(Operator::ReduceMean(parameters));
    let program = one(operation, &[&[2, 2, 2]], &[2, 2]);
    let answer = run(&program, &[bytes(&[1, 2, 3, 4, 10, 20, 30, 40])]);
    // (1+3-2)/2 - 3, (2+4-2)/2 - 3, (10+30-2)/2 - 3, (20+40-2)/2 - 3.
    assert_eq!(answer, [bytes(&[-2, -1, 16, 26])]);
}

#[test]
fn softmax_looks_up_the_distance_from_the_maximum() {
    let mut table = vec![0.0f32; 256];
    (table[127], table[126], table[125]) = (4.0, 2.0, 1.0);
    let parameters = Softmax {
        table: 0,
        inverse_scale: 256.0,
        zero_point: -128,
    };
    let program = one(
        Operation::Softmax { parameters, table },
        &[&[2, 3]],
        &[2, 3],
    );
    let answer = run(&program, &[bytes(&[5, 4, 4, -126, -127, -128])]);
    // 4:2:2 of 256, then 4:2:1 of 256.
    assert_eq!(answer, [bytes(&[0, -64, -64, 18, -55, -91])]);
}

#[test]
fn softmax_sums_in_order() {
    // Beside 2^24 a 1 is lost, unless enough of them were added up before.
    let mut table = vec![1.0f32; 256];
    table[127] = 16_777_216.0;
    let parameters = Softmax {
        table: 0,
        inverse_scale: 101.5,
        zero_point: 0,
    };
    let program = one(
        Operation::Softmax { parameters, table },
        &[&[2, 40]],
        &[2, 40],
    );
    let (mut first, mut last) = ([0i8; 40], [0i8; 40]);
    (first[0], last[39]) = (9, 9);
    let answer = run(&program, &[bytes(&[first, last].concat())]);
    // 101.5 to even, and a little less than 101.5.
    (first[0], last[39]) = (102, 101);
    assert_eq!(answer, [bytes(&[first, last].concat())]);
    crate::run::assert_engine_agrees(&program, 0);
}

#[test]
fn quantization_saturates_and_turns_no_number_into_the_lowest() {
    let parameters = Quantize {
        scale: 0.5,
        zero_point: 10,
    };
    let operation = Operation::Plain(Operator::Quantize(parameters));
    let program = one_of(operation, Dtype::F32, &[&[6]], Dtype::I8, &[6]);
    let reals = [0.25f32, 0.75, -1e30, f32::INFINITY, f32::NAN, -0.75];
    let input = reals.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(
        run(&program, &[input]),
        [bytes(&[10, 12, -128, 127, -128, 8])]
    );
}

#[test]
fn dequantization_is_one_product() {
    let operation = Operation::Plain(Operator::Dequantize(Dequantize {
        scale: 0.1,
        zero_point: -1,
    }));
    let program = one_of(operation, Dtype::I8, &[&[2]], Dtype::F32, &[2]);
    let expected: Vec<u8> = [3.0f32 * 0.1, -127.0 * 0.1]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(run(&program, &[bytes(&[2, -128])]), [expected]);
}

#[test]
fn a_copy_moves_whole_elements() {
    let copy = strided(&[2, 3], &[1, 2], &dense(&[2, 3]), 0, 0);
    let operation = Operation::Plain(Operator::Copy(copy));
    let program = one_of(operation, Dtype::I16, &[&[3, 2]], Dtype::I16, &[2, 3]);
    let input = [1i16, -2, 3, -4, 5, -6]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let expected: Vec<u8> = [1i16, 3, 5, -2, -4, -6]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(run(&program, &[input]), [expected]);
}

#[test]
fn golden_inputs_are_the_same_every_time_and_cover_the_quantized_range() {
    let mut maker = Maker::new(3);
    let x = maker.input(Dtype::F32, &[1, 40, 50]);
    let raw = maker.input(Dtype::U8, &[2000]);
    // The quantization stands behind a transposition.
    let y = maker.transpose(x);
    let output = maker.tensor(Dtype::I8, &[2000]);
    let quantize = Quantize {
        scale: 0.5,
        zero_point: 27,
    };
    maker.step(
        Operation::Plain(Operator::Quantize(quantize)),
        &[y],
        output,
        0,
        0,
    );
    let other = maker.lookup(raw, Dtype::I8);
    maker.program.outputs.extend([output, other]);
    let inputs = golden_inputs(&maker.program, 2, 7);
    assert_eq!(inputs, golden_inputs(&maker.program, 2, 7));
    assert_ne!(inputs, golden_inputs(&maker.program, 2, 8));
    assert_ne!(inputs[0], inputs[1]);
    let reals: Vec<f32> = inputs[0][0]
        .chunks_exact(4)
        .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    let (low, high) = (-155.0 * 0.5, 100.0 * 0.5);
    assert!(reals.iter().all(|&r| (low - 5.0..high + 5.0).contains(&r)));
    assert!(reals.iter().any(|&r| r < low) && reals.iter().any(|&r| r > high));
    let seen = |byte: u8| inputs[0][1].contains(&byte);
    assert!((0..=255).filter(|&byte| seen(byte)).count() > 250);
}
