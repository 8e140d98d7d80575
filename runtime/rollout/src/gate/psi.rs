//! Output shift: the population stability index between the classes that the two versions answered.
//!
//! `PSI = Σ (q_i − p_i) · ln(q_i / p_i)` over the bins, p the old version's parts and q the new one's (Siddiqi, "Credit
//! Risk Scorecards", 2006; it is Jeffreys's symmetric divergence, 1946). Below 0.1 counts as no shift, above 0.25 as a
//! large one. Each bin gets half an answer more, so that an empty one has a logarithm (Jeffreys's prior).

use super::{Gates, Measure};
use crate::device::HISTOGRAM_BINS;
use crate::tally::Tally;

/// The index of two histograms. Bins that are empty in both do not count.
pub fn psi(old: &[u64; HISTOGRAM_BINS], new: &[u64; HISTOGRAM_BINS]) -> f64 {
    let pairs: Vec<(f64, f64)> = old
        .iter()
        .zip(new)
        .filter(|(p, q)| **p > 0 || **q > 0)
        .map(|(p, q)| (*p as f64 + 0.5, *q as f64 + 0.5))
        .collect();
    let (all_old, all_new) = pairs
        .iter()
        .fold((0.0, 0.0), |(a, b), (p, q)| (a + p, b + q));
    pairs
        .iter()
        .map(|(p, q)| {
            let (p, q) = (p / all_old, q / all_new);
            (q - p) * (q / p).ln()
        })
        .sum()
}

pub(super) fn measure(gates: &Gates, tally: &Tally) -> Option<Measure> {
    let (old, new) = (tally.old_side(gates.min_inferences), &tally.new);
    let answers = |classes: &[u64; HISTOGRAM_BINS]| classes.iter().sum::<u64>();
    let samples = answers(&old.classes).min(answers(&new.classes));
    if samples == 0 || samples < gates.min_inferences {
        return None;
    }
    let value = psi(&old.classes, &new.classes);
    Some(Measure {
        value,
        sure: value,
        samples,
        enough: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_formulas() {
        let histogram = |a, b| {
            let mut bins = [0; HISTOGRAM_BINS];
            (bins[0], bins[1]) = (a, b);
            bins
        };
        let (old, new) = (histogram(500_000, 500_000), histogram(800_000, 200_000));
        // (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5)
        let by_hand = 0.3 * 1.6f64.ln() - 0.3 * 0.4f64.ln();
        assert!((psi(&old, &new) - by_hand).abs() < 1e-4);
        assert!(psi(&old, &old).abs() < 1e-12);
        assert_eq!(psi(&histogram(0, 0), &histogram(0, 0)), 0.0);
        assert!(
            (psi(&old, &new) - psi(&new, &old)).abs() < 1e-9,
            "it is symmetric"
        );
    }
}
