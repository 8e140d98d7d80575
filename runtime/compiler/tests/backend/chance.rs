//! Reproducible choices for random programs.

/// A xorshift* sequence.
pub struct Chance(u64);

impl Chance {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number of `low..=high`.
    pub fn of(&mut self, low: i32, high: i32) -> i32 {
        let span = (i64::from(high) - i64::from(low) + 1) as u64;
        (i64::from(low) + (self.bits() % span) as i64) as i32
    }

    /// A size of `1..=high`.
    pub fn size(&mut self, high: usize) -> usize {
        1 + (self.bits() % high as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.bits().is_multiple_of(times)
    }

    /// A real number of `[low, high)`.
    pub fn real(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() & 0xff_ffff) as f32 / (1u32 << 24) as f32)
    }

    /// A positive number whose logarithm is uniform.
    pub fn scale(&mut self, low: f32, high: f32) -> f32 {
        self.real(low.ln(), high.ln()).exp()
    }

    /// A ratio of `1/high` to `high`: every other time one of small numbers, whose multiples
    /// fall on ties, where the order of the roundings shows.
    pub fn ratio(&mut self, high: f32) -> f32 {
        const BELOW: [f32; 8] = [1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 10.0, 14.0];
        let small = self.size(8) as f32 / BELOW[self.size(BELOW.len()) - 1];
        if self.once_in(2) && (1.0 / high..high).contains(&small) {
            return small;
        }
        self.scale(1.0 / high, high)
    }

    /// Any `i8`, extremes more often than others.
    pub fn i8(&mut self) -> i8 {
        match self.bits() % 10 {
            0 => -128,
            1 => 127,
            _ => self.bits() as i8,
        }
    }

    /// A zero point: 0, an extreme, or any.
    pub fn zero_point(&mut self) -> i32 {
        if self.once_in(3) {
            0
        } else {
            i32::from(self.i8())
        }
    }

    /// Lowest and highest output, mostly those of the dtype.
    pub fn clamp(&mut self) -> (i32, i32) {
        if self.once_in(2) {
            return (-128, 127);
        }
        let (a, b) = (self.of(-128, 127), self.of(-128, 127));
        (a.min(b), a.max(b))
    }

    /// 128 or 0.
    pub fn bias(&mut self) -> i32 {
        if self.once_in(2) { 128 } else { 0 }
    }
}
