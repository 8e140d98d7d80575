//! How long to wait before the next try: longer each time, and never in step with the other robots.

use std::time::Duration;

/// A generator of numbers that need not be good, only different on each robot: splitmix64.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// A generator; give something that differs between robots.
    pub fn new(seed: u64) -> Dice {
        Dice { state: seed }
    }

    /// A number from 0 up to and without 1.
    pub fn roll(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The wait before try number `attempt` (0 is the first repeat): `base` doubled each time, at most `max`, and of that
/// between a half and the whole, as `roll` (0 to 1) says.
pub fn wait(attempt: u32, base: Duration, max: Duration, roll: f64) -> Duration {
    let doubled = base.saturating_mul(1u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX));
    doubled.min(max).mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_bound_and_differs() {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(30));
        assert_eq!(wait(0, base, max, 1.0), base);
        assert_eq!(wait(0, base, max, 0.0), base / 2);
        assert_eq!(wait(3, base, max, 1.0), base * 8);
        for attempt in [10, 31, 32, u32::MAX] {
            assert_eq!(wait(attempt, base, max, 1.0), max);
        }
        let (mut one, mut other) = (Dice::new(1), Dice::new(2));
        assert_ne!(one.roll(), other.roll());
        assert!((0..1000).all(|_| (0.0..1.0).contains(&one.roll())));
    }
}
