//! The engine gives the reference's bits, operator by operator and for whole networks.

use crate::make::Maker;
use crate::network::network;
use crate::run::assert_engine_agrees;
use sanderling_compiler::program::TensorId;
use sanderling_plan::Dtype;

/// Random programs of each operator.
const SEEDS: u64 = 150;

fn each_seed(build: impl Fn(&mut Maker) -> TensorId) {
    for seed in 0..SEEDS {
        let mut maker = Maker::new(seed);
        let output = build(&mut maker);
        maker.program.outputs.push(output);
        assert_engine_agrees(&maker.program, seed);
    }
}

#[test]
fn on_convolutions() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.conv(x, false)
    });
}

#[test]
fn on_depthwise_convolutions() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.conv(x, true)
    });
}

#[test]
fn on_matrix_products() {
    each_seed(|maker| {
        let shape = [maker.chance.size(40), maker.chance.size(90)];
        let x = maker.input(Dtype::I8, &shape);
        maker.fully_connected(x)
    });
}

#[test]
fn on_sums() {
    each_seed(|maker| {
        let shape = [maker.chance.size(20_000)];
        let a = maker.input(Dtype::I8, &shape);
        let b = maker.input(Dtype::I8, &shape);
        maker.add(a, b)
    });
}

#[test]
fn on_products() {
    each_seed(|maker| {
        let shape = [maker.chance.size(20_000)];
        let a = maker.input(Dtype::I8, &shape);
        let b = maker.input(Dtype::I8, &shape);
        maker.mul(a, b)
    });
}

#[test]
fn on_a_tensor_with_itself() {
    each_seed(|maker| {
        let a = maker.image(None);
        let b = maker.add(a, a);
        maker.mul(b, b)
    });
}

#[test]
fn on_max_pools() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.max_pool(x)
    });
}

#[test]
fn on_average_pools() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.average_pool(x)
    });
}

#[test]
fn on_means() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.reduce_mean(x)
    });
}

#[test]
fn on_tables() {
    each_seed(|maker| {
        let shape = [maker.chance.size(300)];
        let (from, to) = match maker.chance.size(3) {
            1 => (Dtype::U8, Dtype::I8),
            2 => (Dtype::I8, Dtype::U8),
            _ => (Dtype::I8, Dtype::I8),
        };
        let x = maker.input(from, &shape);
        maker.lookup(x, to)
    });
}

#[test]
fn on_softmax() {
    each_seed(|maker| {
        let shape = [maker.chance.size(400), maker.chance.size(40)];
        let x = maker.input(Dtype::I8, &shape);
        maker.softmax(x)
    });
}

#[test]
fn on_copies_of_every_dtype() {
    for dtype in Dtype::ALL {
        each_seed(|maker| {
            let rank = maker.chance.size(5);
            let shape: Vec<usize> = (0..rank).map(|_| maker.chance.size(6)).collect();
            let x = maker.input(dtype, &shape);
            match maker.chance.size(4) {
                1 => maker.transpose(x),
                2 => maker.slice(x),
                3 => maker.broadcast(x),
                _ => maker.pad(x),
            }
        });
    }
}

#[test]
fn on_concatenations() {
    each_seed(|maker| {
        let a = maker.image(None);
        let mut shape = maker.shape(a);
        let axis = maker.chance.size(4) - 1;
        shape[axis] = maker.chance.size(9);
        let b = maker.input(Dtype::I8, &shape);
        maker.concat(a, b, axis)
    });
}

#[test]
fn on_borders() {
    each_seed(|maker| {
        let shape = [maker.chance.size(30), maker.chance.size(40)];
        let x = maker.input(Dtype::F32, &shape);
        let q = maker.quantize(x);
        maker.dequantize(q)
    });
}

#[test]
fn on_resizes() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.resize_nearest(x)
    });
}

#[test]
fn on_indices_of_extremes() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.arg_max(x)
    });
}

#[test]
fn on_picked_rows() {
    each_seed(|maker| {
        let x = maker.image(None);
        let count = maker.chance.size(9);
        let indices = maker.input(Dtype::I32, &[count]);
        maker.gather(x, indices)
    });
}

#[test]
fn on_products_of_tensors() {
    each_seed(|maker| {
        let [batch, m, n, k] = [3, 9, 9, 40].map(|most| maker.chance.size(most));
        let a = maker.input(Dtype::I8, &[batch, m, k]);
        let b = maker.input(Dtype::I8, &[batch, n, k]);
        maker.mat_mul(a, b)
    });
}

#[test]
fn on_normalized_rows() {
    each_seed(|maker| {
        let shape = [maker.chance.size(5), maker.chance.size(90)];
        let x = maker.input(Dtype::I8, &shape);
        maker.layer_norm(x)
    });
}

#[test]
fn on_linear_resizes() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.resize_linear(x)
    });
}

#[test]
fn on_activated_convolutions() {
    each_seed(|maker| {
        let x = maker.image(None);
        maker.activated_conv(x)
    });
}

#[test]
fn on_sixteen_bits() {
    each_seed(|maker| {
        let [n, h, w, c] = [2, 7, 7, 9].map(|most| maker.chance.size(most));
        let x = maker.input(Dtype::I16, &[n, h, w, c]);
        match maker.chance.size(4) {
            1 => maker.wide_conv(x),
            2 => {
                let other = maker.input(Dtype::I16, &[n, h, w, c]);
                maker.wide_pair(x, other)
            }
            3 => {
                let narrow = maker.wide_requantize(x, Dtype::I8);
                maker.wide_requantize(narrow, Dtype::I16)
            }
            _ => maker.dequantize(x),
        }
    });
}

#[test]
fn on_float_ends() {
    each_seed(|maker| {
        let shape = [maker.chance.size(9), maker.chance.size(40)];
        let x = maker.input(Dtype::I8, &shape);
        match maker.chance.once_in(2) {
            true => maker.softmax_real(x),
            false => maker.lookup_real(x),
        }
    });
}

#[test]
fn on_real_sums() {
    each_seed(|maker| {
        let mut size = |most| maker.chance.size(most);
        let sizes = [size(5), size(30), size(6)];
        match size(5) {
            1 => maker.real_pair(&sizes),
            2 => maker.real_mean(sizes),
            3 => maker.real_product(sizes),
            4 => maker.real_map(&sizes),
            _ => {
                let x = maker.image(None);
                maker.real_conv(x)
            }
        }
    });
}

#[test]
fn on_steps_that_read_constants() {
    each_seed(|maker| {
        let a = maker.image(None);
        let shape = maker.shape(a);
        let values: Vec<i8> = (0..shape.iter().product())
            .map(|_| maker.chance.i8())
            .collect();
        let k = maker.program.add_constant("k", shape, &values, 0.5, 3);
        let b = maker.add(k, a);
        maker.mul(b, k)
    });
}

#[test]
fn on_networks() {
    for seed in 0..400 {
        assert_engine_agrees(&network(seed), seed);
    }
}
