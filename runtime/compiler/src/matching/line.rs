//! A straight line over the 256 values of a byte, as a step with integers computes it.
//!
//! A channel's gain and offset turn each stored byte into one, by way of real numbers: a table
//! of 256 entries that ONNX Runtime's arithmetic in float fills. The engine has
//! `clamp(round(f32(weight · x + bias) · multiplier) + zero point)` for it. Weight and bias are
//! whole, so only some lines can be had; but there are 127 weights to choose from, the offset
//! needs no more precision than lets every entry come out, and the multiplier has a range to
//! move in. So the three are searched for that give the table bit for bit.

/// What the engine computes for one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) weight: i8,
    pub(super) bias: i32,
    pub(super) multiplier: f32,
}

/// The table that a line is to give, by the stored byte from -128 on, and how it is stored.
pub(super) struct Wanted {
    pub(super) table: [i8; 256],
    pub(super) zero_point: i32,
    pub(super) clamp: (i32, i32),
}

/// The line with fewest entries other than the wanted ones, mostly none. `slope` and `at_zero`
/// are roughly what it gives for each step of the stored byte and for the stored byte 0, in
/// steps of the output and without its zero point. `None` where its bias has no 32 bits.
pub(super) fn line(wanted: &Wanted, slope: f64, at_zero: f64) -> Option<Line> {
    let first = wanted.table[0];
    if wanted.table.iter().all(|&entry| entry == first) {
        return Some(Line {
            weight: 0,
            bias: i32::from(first) - wanted.zero_point,
            multiplier: 1.0,
        });
    }
    let steep = slope.abs();
    // The offsets that each weight can give, the nearest first.
    let mut offsets: Vec<(f64, i8, i32)> = (1..=i8::MAX)
        .flat_map(|weight| {
            let bias = at_zero * f64::from(weight) / steep;
            [-1.0, 0.0, 1.0, 2.0].map(|more| (bias.floor() + more, bias, weight))
        })
        .filter(|(whole, ..)| whole.abs() < f64::from(1 << 30))
        .map(|(whole, bias, weight)| {
            (
                (whole - bias).abs() / f64::from(weight),
                weight,
                whole as i32,
            )
        })
        .collect();
    offsets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best: Option<(usize, Line)> = None;
    for (_, weight, bias) in offsets {
        let usual = steep / f64::from(weight);
        let weight = if slope < 0.0 { -weight } else { weight };
        let (least, most) = wanted.multipliers(weight, bias);
        // Without a range between them, the usual one is as good as any.
        let tried = match least <= most {
            true => vec![(least + most) / 2.0, usual, least, most],
            false => vec![usual],
        };
        for multiplier in tried.into_iter().map(|multiplier| multiplier as f32) {
            if !(multiplier.is_finite() && multiplier > 0.0) {
                continue;
            }
            let line = Line {
                weight,
                bias,
                multiplier,
            };
            let others = wanted.others(line);
            if others == 0 {
                return Some(line);
            }
            if best.is_none_or(|(fewest, _)| others < fewest) {
                best = Some((others, line));
            }
        }
    }
    best.map(|(_, line)| line)
}

impl Wanted {
    fn entries(&self) -> impl Iterator<Item = (i32, i32)> + '_ {
        (-128..).zip(self.table.iter().map(|&entry| i32::from(entry)))
    }

    /// The multipliers between which all entries come out, were it not for rounding; empty where
    /// the first is larger.
    fn multipliers(&self, weight: i8, bias: i32) -> (f64, f64) {
        let (mut least, mut most) = (0.0f64, f64::INFINITY);
        for (x, entry) in self.entries() {
            let sum = f64::from(i32::from(weight) * x) + f64::from(bias);
            let middle = f64::from(entry - self.zero_point);
            // At the ends of the range everything beyond comes out alike.
            let low = match entry <= self.clamp.0 {
                true => f64::NEG_INFINITY,
                false => middle - 0.5,
            };
            let high = match entry >= self.clamp.1 {
                true => f64::INFINITY,
                false => middle + 0.5,
            };
            if sum > 0.0 {
                (least, most) = (least.max(low / sum), most.min(high / sum));
            } else if sum < 0.0 {
                (least, most) = (least.max(high / sum), most.min(low / sum));
            }
        }
        (least, most)
    }

    /// How many entries a line gives otherwise.
    fn others(&self, line: Line) -> usize {
        let Line {
            weight,
            bias,
            multiplier,
        } = line;
        (self.entries())
            .filter(|&(x, entry)| {
                let sum = i32::from(weight) * x + bias;
                let steps = (sum as f32 * multiplier).round_ties_even();
                // The same whether it is clamped before or after the zero point is added.
                let (low, high) = (
                    (self.clamp.0 - self.zero_point) as f32,
                    (self.clamp.1 - self.zero_point) as f32,
                );
                steps.max(low).min(high) as i32 + self.zero_point != entry
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    /// Gains and offsets as BatchNormalization has them, and such that ties are frequent. A table
    /// comes out whole but where its offset lies close beside a whole number of the input's
    /// steps: there the offsets that can be had lie 1/127 of a step apart.
    #[test]
    fn entries_come_out() {
        let mut random = SplitMix64::new(11);
        let (mut lines, mut entries) = (0, 0);
        for round in 0..2000 {
            let mut unit = || random.unit();
            let (zero_x, zero_y) = ((unit() * 255.0) as i32 - 128, (unit() * 255.0) as i32 - 128);
            let (scale_x, scale_y, gain, offset) = match round % 2 {
                0 => (
                    0.01 + unit() * 0.1,
                    0.01 + unit() * 0.1,
                    unit() * 4.0 - 2.0,
                    unit() * 6.0 - 3.0,
                ),
                _ => (
                    0.0625,
                    0.125,
                    (1.0 + (unit() * 7.0).floor()) / 4.0,
                    (unit() * 128.0).floor() / 32.0,
                ),
            };
            let table = std::array::from_fn(|at| {
                let real = (at as i32 - 128 - zero_x) as f32 * scale_x * gain + offset;
                let steps = (real / scale_y).round_ties_even().clamp(-1000.0, 1000.0);
                (steps as i32 + zero_y).clamp(-128, 127) as i8
            });
            let wanted = Wanted {
                table,
                zero_point: zero_y,
                clamp: (-128, 127),
            };
            let slope = f64::from(scale_x) * f64::from(gain) / f64::from(scale_y);
            let at_zero = f64::from(offset) / f64::from(scale_y) - slope * f64::from(zero_x);
            let line = line(&wanted, slope, at_zero).unwrap();
            lines += usize::from(wanted.others(line) > 0);
            entries += wanted.others(line);
        }
        assert!(
            lines <= 1 && entries <= 1,
            "{lines} of 2,000 lines differ, in {entries} entries"
        );
    }
}
