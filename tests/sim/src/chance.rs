//! Random numbers from a seed: SplitMix64 (Steele, Lea, Flood, 2014), and what the simulation draws from it.

/// A generator.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    /// One that belongs to `who` alone, so that what one part draws does not change another's.
    pub fn new(seed: u64, who: u64) -> Chance {
        let mut chance = Chance(seed ^ who.wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.next();
        chance
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn happens(&mut self, part: f64) -> bool {
        self.unit() < part
    }

    /// A whole number in `low..high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + (self.unit() * (high - low) as f64) as u64
    }

    /// A waiting time with this mean.
    pub fn wait(&mut self, mean: f64) -> u64 {
        (-self.unit().ln() * mean).ceil() as u64
    }
}
