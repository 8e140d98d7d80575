//! How large deltas are: retrains of a network drawn here, and of the models of this repository as they are stored.

use std::path::Path;

use sanderling_delta::{apply, make};

/// Numbers that look random; the same ones every time.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// About normal, with this deviation: the sum of twelve even ones.
    fn near(&mut self, deviation: f64) -> f64 {
        let sum: f64 = (0..12)
            .map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64)
            .sum();
        (sum - 6.0) * deviation
    }

    fn weight(&mut self, deviation: f64) -> u8 {
        self.near(deviation).round().clamp(-127.0, 127.0) as i8 as u8
    }
}

const SEED: u64 = 0x5EED;

/// 300,000 weights, the last 30,000 of them the head.
fn network(draw: &mut Draw) -> Vec<u8> {
    (0..300_000).map(|_| draw.weight(28.0)).collect()
}

/// The delta's share of the new file, in percent, once it was applied.
fn percent(base: &[u8], new: &[u8]) -> f64 {
    let delta = make(base, new, 4096).unwrap();
    assert_eq!(apply(base, &delta).unwrap(), new);
    100.0 * delta.len() as f64 / new.len() as f64
}

#[test]
fn a_new_head_takes_at_most_15_percent() {
    println!("seed {SEED:#x}");
    let mut draw = Draw(SEED);
    let base = network(&mut draw);
    let mut new = base.clone();
    for weight in &mut new[270_000..] {
        *weight = draw.weight(28.0);
    }
    let size = percent(&base, &new);
    assert!(size <= 15.0, "{size:.1} %");
}

#[test]
fn weights_that_drift_take_about_their_entropy() {
    println!("seed {SEED:#x}");
    // The entropy of a normal number rounded to whole steps, in percent of 8 bits.
    for (deviation, entropy) in [(0.28, 6.2), (1.4, 31.7)] {
        let mut draw = Draw(SEED);
        let base = network(&mut draw);
        let new: Vec<u8> = base
            .iter()
            .map(|&w| (f64::from(w as i8) + draw.near(deviation)).round() as i8 as u8)
            .collect();
        let size = percent(&base, &new);
        assert!(size <= entropy * 1.1 + 0.5, "{size:.1} % at {deviation}");
    }
}

#[test]
fn files_of_the_zoo_are_made_from_each_other() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    for name in ["terrain", "digits", "map"] {
        let [old, new] = ["v1", "v2"]
            .map(|v| std::fs::read(models.join(format!("{name}/{name}-{v}.onnx"))).unwrap());
        let size = percent(&old, &new);
        println!("{name}: {size:.1} %");
        assert!(size < 100.0);
        assert!(percent(&new, &new) < 2.0);
    }
}
