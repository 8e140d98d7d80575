//! The constant that a convolution or product adds to its sums.
//!
//! A sum counts in units of input scale · weight scale, and the bias is added to it, so it has
//! to be counted in the same unit. The file may have it in any other: float, or integers with
//! a scale and zero point of their own. ONNX Runtime takes the integers of a bias as they are
//! where its Conv runs in integers and their scale is [near](NEAR) the unit; in every other
//! case it dequantizes the bias and adds it in float. Here the real value is brought to the
//! unit, rounded once, which moves a result by half a unit at most.

use super::conv::SignedWeights;
use super::meaning::{Meaning, Quantization, Weights};
use super::{Matcher, Why};
use crate::graph::{Element, Node};

/// How far the scale of a bias may be from the unit for ONNX Runtime 1.32 to take its integers
/// as they are: so much, and so large a part of the unit.
const NEAR: (f32, f32) = (1e-6, 1e-2);

/// The largest bias, in units. Sums are added to it in 32 bits.
const LARGEST: f64 = (1u32 << 30) as f64;

/// Whether ONNX Runtime computes an operator in integers: operand and result have one type, and
/// nothing but the result's own range clamps it.
pub(super) fn in_integers(from: Quantization, to: Quantization, clamp: (i32, i32)) -> bool {
    from.element == to.element && clamp == to.range() && to.element != Element::I16
}

impl Matcher<'_> {
    /// The bias at `input` in units of input scale · weight scale, one for each output
    /// channel; 0 where there is none.
    ///
    /// `in_integers` says whether ONNX Runtime runs the operator [in integers](in_integers).
    pub(super) fn node_bias(
        &self,
        node: &Node,
        input: usize,
        input_scale: f32,
        weights: &SignedWeights,
        in_integers: bool,
    ) -> Result<Vec<i32>, Why> {
        self.bias_by_row(node, input, input_scale, weights, in_integers, 1)
    }

    /// As [`Matcher::node_bias`], where the bias may also differ between `rows` rows: then the
    /// numbers of all outputs of one row follow those of the row before.
    pub(super) fn bias_by_row(
        &self,
        node: &Node,
        input: usize,
        input_scale: f32,
        weights: &SignedWeights,
        in_integers: bool,
        rows: usize,
    ) -> Result<Vec<i32>, Why> {
        let channels = weights.scales.len();
        let Some(id) = node.input(input) else {
            return Ok(vec![0; channels]);
        };
        // One value for all channels, or one for each, is repeated over everything else. What
        // counts is along which axis they lie, not how many there are.
        let shape = &self.graph.value(id).shape;
        let (&along, others) = shape.split_last().unwrap_or((&1, &[]));
        let apart: usize = others.iter().product();
        if apart != 1 && others != [rows] {
            return Err(format!(
                "its bias {shape:?} is not the same for every row; only one value for each of \
                 its {channels} outputs is supported"
            ));
        }
        if along != 1 && along != channels {
            return Err(format!(
                "its bias {shape:?} does not fit {channels} outputs"
            ));
        }
        let scales = weights.scales.iter().cycle().take(apart * channels);
        let units = scales.map(|scale| input_scale * scale);
        let of = |at: usize| at / channels * along + if along == 1 { 0 } else { at % channels };
        match (self.meaning(node, input), self.graph.constant(node, input)) {
            (Some(Meaning::Weights(bias)), _) => {
                let steps = bias.steps();
                let units: Vec<f32> = units.collect();
                let taken_as_they_are = in_integers
                    && bias.element == Element::I32
                    && (units.iter().enumerate())
                        .all(|(channel, &unit)| is_near(steps[of(channel)].1, unit))
                    && bias.zero_points.iter().all(|&point| point == 0);
                (units.iter().enumerate())
                    .map(|(channel, &unit)| {
                        let (step, scale) = steps[of(channel)];
                        match taken_as_they_are {
                            true => Ok(bias.values[of(channel)]),
                            false => in_units(step as f64 * f64::from(scale), unit, |real| {
                                (real / f64::from(unit)).round_ties_even()
                            }),
                        }
                    })
                    .collect()
            }
            (_, Some(constant)) => {
                let floats = constant
                    .floats()
                    .ok_or("its bias is neither float nor quantized")?;
                // ONNX Runtime quantizes it so, in `f32`.
                let rounded =
                    |real: f64, unit: f32| f64::from((real as f32 / unit).round_ties_even());
                (units.enumerate())
                    .map(|(channel, unit)| {
                        let real = f64::from(floats[of(channel)]);
                        in_units(real, unit, |real| rounded(real, unit))
                    })
                    .collect()
            }
            _ => Err("its bias is not constant".into()),
        }
    }
}

/// Whether a bias of scale `scale` counts as one in the unit `unit`.
fn is_near(scale: f32, unit: f32) -> bool {
    (scale - unit).abs() <= NEAR.0 + NEAR.1 * unit.abs()
}

/// A real number in whole units, as `round` has them.
fn in_units(real: f64, unit: f32, round: impl Fn(f64) -> f64) -> Result<i32, Why> {
    if !real.is_finite() {
        return Err(format!("its bias holds {real}, which is no finite number"));
    }
    if real == 0.0 {
        return Ok(0);
    }
    let units = round(real);
    if units.abs() <= LARGEST {
        return Ok(units as i32);
    }
    Err(format!(
        "its bias of {real:e} is too large beside its input's scale times its weights' scale, \
         {unit:e}: sums have 32 bits; give the weights a larger scale"
    ))
}

impl Weights {
    /// Each value less its zero point, and its scale.
    pub(super) fn steps(&self) -> Vec<(i64, f32)> {
        let inner: usize = self.shape.iter().skip(self.axis + 1).product();
        (self.values.iter().enumerate())
            .map(|(at, &value)| {
                let index = at / inner.max(1) % self.scales.len();
                let step = i64::from(value) - i64::from(self.zero_points[index]);
                (step, self.scales[index])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges that ONNX Runtime 1.32 was seen to have, by bisection: for a unit of 2e-4 at
    /// a distance of 3.0e-6, for one of 2e-6 at 1.02e-6.
    #[test]
    fn a_scale_is_near_where_onnx_runtime_takes_it_for_the_unit() {
        assert!(is_near(2e-4 + 2.99e-6, 2e-4) && !is_near(2e-4 + 3.01e-6, 2e-4));
        assert!(is_near(2e-4 - 2.99e-6, 2e-4) && !is_near(2e-4 - 3.01e-6, 2e-4));
        assert!(is_near(2e-6 + 1.01e-6, 2e-6) && !is_near(2e-6 + 1.03e-6, 2e-6));
        assert!(is_near(1.0 + 0.009, 1.0) && !is_near(1.0 + 0.0101, 1.0));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        let units =
            |real, unit: f32| in_units(real, unit, |r| (r / f64::from(unit)).round_ties_even());
        assert_eq!(units(0.5, 0.2), Ok(2));
        assert_eq!(units(0.0, 0.0), Ok(0));
        assert!(units(1.0, 0.0).is_err());
        assert!(units(f64::NAN, 0.1).is_err() && units(f64::INFINITY, 0.1).is_err());
        assert!(units(1e9, 1e-3).is_err() && units(-1e9, 1e-3).is_err());
    }
}
