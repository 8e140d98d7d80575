//! How large deltas between plans are, beside what zstd makes of the same files:
//! `cargo run -p sanderling-delta --features make --example sizes -- OLD.plan NEW.plan`, or one plan for
//! retrains of it that are drawn (weights that drift, and a new last layer).

use std::io::Write as _;
use std::ops::Range;

use sanderling_delta::{apply, make};
use sanderling_plan::golden::Part;
use sanderling_plan::{Operator, Plan};

/// Numbers that look random; the same ones every time.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Where a plan's weights and biases lie, by step, and its golden outputs.
struct Layout {
    layers: Vec<Layer>,
    outputs: Range<usize>,
}

struct Layer {
    weights: Range<usize>,
    bias: Range<usize>,
}

impl Layout {
    fn of(bytes: &[u8]) -> Layout {
        let mut room = vec![0u8; bytes.len() + 16];
        let skip = room.as_ptr().align_offset(16);
        room[skip..skip + bytes.len()].copy_from_slice(bytes);
        let plan = Plan::new(&room[skip..skip + bytes.len()]).expect("a plan");
        let constants = plan.constants();
        let place = |part: &[u8]| part.as_ptr() as usize - plan.bytes().as_ptr() as usize;
        let start = place(constants);
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        for step in plan.steps() {
            let (weights, bias, multipliers) = match &step.operator {
                Operator::Conv(p) | Operator::DepthwiseConv(p) => {
                    (p.weights, p.bias, p.multipliers)
                }
                Operator::FullyConnected(p) => (p.weights, p.bias, p.multipliers),
                _ => continue,
            };
            found.push((weights as usize, bias as usize, multipliers as usize));
        }
        let mut ends: Vec<usize> = found.iter().flat_map(|&(a, b, c)| [a, b, c]).collect();
        ends.push(constants.len());
        let end = |from: usize| {
            start
                + ends
                    .iter()
                    .copied()
                    .filter(|&e| e > from)
                    .min()
                    .unwrap_or(from)
        };
        let mut outputs = 0..0;
        for golden in plan.golden() {
            for part in golden.parts(plan.io_tensors()) {
                if let Part::Output(_, bytes) = part {
                    outputs = place(bytes)..place(bytes) + bytes.len();
                }
            }
        }
        let layers = found.iter().map(|&(weights, bias, _)| Layer {
            weights: start + weights..end(weights),
            bias: start + bias..end(bias),
        });
        Layout {
            layers: layers.collect(),
            outputs,
        }
    }
}

/// Moves every weight by noise of `part` of its layer's standard deviation; biases by as much of themselves.
fn drift(bytes: &mut [u8], layers: &[Layer], part: f64, draw: &mut Draw) {
    for layer in layers {
        let weights = &mut bytes[layer.weights.clone()];
        let squares: f64 = weights.iter().map(|&w| f64::from(w as i8).powi(2)).sum();
        let deviation = (squares / weights.len() as f64).sqrt();
        for weight in weights.iter_mut() {
            let moved = f64::from(*weight as i8) + draw.normal() * part * deviation;
            // Zeros are mostly what fills a packed block up.
            if *weight != 0 {
                *weight = moved.round().clamp(-127.0, 127.0) as i8 as u8;
            }
        }
        for word in bytes[layer.bias.clone()].chunks_exact_mut(4) {
            let bias = f64::from(i32::from_le_bytes(word.try_into().expect("four")));
            let moved = bias * (1.0 + draw.normal() * part);
            word.copy_from_slice(&(moved.round() as i32).to_le_bytes());
        }
    }
}

/// A new last layer with the old one's spread.
fn head(bytes: &mut [u8], layers: &[Layer], draw: &mut Draw) {
    let Some(layer) = layers.last() else { return };
    let squares: f64 = bytes[layer.weights.clone()]
        .iter()
        .map(|&w| f64::from(w as i8).powi(2))
        .sum();
    let deviation = (squares / layer.weights.len() as f64).sqrt();
    for weight in &mut bytes[layer.weights.clone()] {
        *weight = (draw.normal() * deviation).round().clamp(-127.0, 127.0) as i8 as u8;
    }
    for byte in &mut bytes[layer.bias.clone()] {
        *byte = draw.next() as u8;
    }
}

/// What every new plan has: the digest of another file, and golden outputs of its own. The outputs are taken from
/// near by among the old ones.
fn other(bytes: &mut [u8], outputs: Range<usize>, draw: &mut Draw) {
    let old = bytes[outputs.clone()].to_vec();
    let words = old.len() / 4;
    for (i, word) in bytes[outputs].chunks_exact_mut(4).enumerate() {
        let from = (i + draw.next() as usize % 64).min(words - 1);
        word.copy_from_slice(&old[4 * from..][..4]);
    }
    for byte in &mut bytes[32..64] {
        *byte = draw.next() as u8;
    }
}

/// XOR, the bytes of every fourth place together, zstd at 19.
fn xor_shuffle(base: &[u8], new: &[u8]) -> usize {
    let plain: Vec<u8> = (0..new.len())
        .map(|i| new[i] ^ base.get(i).copied().unwrap_or(0))
        .collect();
    let shuffled: Vec<u8> = (0..4)
        .flat_map(|k| plain.iter().skip(k).step_by(4).copied())
        .collect();
    [plain, shuffled]
        .iter()
        .filter_map(|bytes| zstd::bulk::compress(bytes, 19).ok())
        .map(|bytes| bytes.len())
        .min()
        .unwrap_or(0)
}

/// `zstd -19 --patch-from`.
fn patch_from(base: &[u8], new: &[u8]) -> usize {
    let mut encoder =
        zstd::stream::Encoder::with_ref_prefix(Vec::new(), 19, base).expect("an encoder");
    encoder.long_distance_matching(true).expect("a parameter");
    encoder.window_log(24).expect("a parameter");
    encoder.write_all(new).expect("memory");
    encoder.finish().expect("memory").len()
}

fn row(name: &str, base: &[u8], new: &[u8]) {
    let full = new.len();
    let percent = |n: usize| format!("{n:>8} {:>5.1}%", 100.0 * n as f64 / full as f64);
    let ours = |block: u32| {
        let delta = make(base, new, block).expect("a delta");
        assert_eq!(apply(base, &delta).expect("it applies"), new);
        delta.len()
    };
    println!(
        "| {name:<44} | {full:>8} | {} | {} | {} | {} | {} |",
        percent(zstd::bulk::compress(new, 19).map_or(0, |b| b.len())),
        percent(patch_from(base, new)),
        percent(xor_shuffle(base, new)),
        percent(ours(4096)),
        percent(ours(32768)),
    );
}

fn drawn(name: &str, base: &[u8], layout: &Layout) {
    let layers = &layout.layers;
    for part in [0.01, 0.05, 0.2] {
        let mut draw = Draw(0x5EED);
        let mut new = base.to_vec();
        drift(&mut new, layers, part, &mut draw);
        other(&mut new, layout.outputs.clone(), &mut draw);
        row(&format!("{name}, {} % drift", part * 100.0), base, &new);
    }
    let mut draw = Draw(0x5EED);
    let mut new = base.to_vec();
    head(&mut new, layers, &mut draw);
    other(&mut new, layout.outputs.clone(), &mut draw);
    let share = layers
        .last()
        .map_or(0, |l| 100 * l.weights.len() / base.len());
    row(&format!("{name}, new head ({share} %)"), base, &new);
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let read = |name: &String| std::fs::read(name).expect("a readable file");
    let short = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
    println!(
        "| new file | bytes | zstd -19 | patch-from | XOR, shuffle, zstd | delta, 4 KiB | delta, 32 KiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    match files.as_slice() {
        [old, new] => row(
            &format!("{} to {}", short(old), short(new)),
            &read(old),
            &read(new),
        ),
        [one] => {
            let base = read(one);
            drawn(&short(one), &base, &Layout::of(&base));
        }
        _ => {
            // A network of 1.2 million weights with a tenth of them in its head, each channel with a spread of its own.
            let mut draw = Draw(0xBA5E);
            let mut base = vec![0u8; 4096];
            let mut layers = Vec::new();
            for (channels, taps) in [(64, 288), (128, 576), (256, 1152), (256, 2304), (128, 1000)] {
                let start = base.len();
                for _ in 0..channels {
                    let spread = 18.0 + 22.0 * draw.unit();
                    base.extend((0..taps).map(|_| {
                        (draw.normal() * spread).round().clamp(-127.0, 127.0) as i8 as u8
                    }));
                }
                let middle = base.len();
                for _ in 0..channels {
                    base.extend(((draw.normal() * 3000.0) as i32).to_le_bytes());
                }
                layers.push(Layer {
                    weights: start..middle,
                    bias: middle..base.len(),
                });
            }
            let outputs = 0..0;
            drawn("1.2 M weights", &base, &Layout { layers, outputs });
        }
    }
}
