//! Reproducible pseudo-random numbers, for golden inputs and the placement search.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state and the same sequence on
/// every machine, which is all that a compiler may ask of chance.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The high half of a product is uniform up to 2⁻⁶⁴ · end, which nobody sees here.
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A real number of `[0, 1)` with 24 random bits, all that an `f32` holds.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        (self.bits() >> 56) as u8
    }
}
