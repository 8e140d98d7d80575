//! One binary decision's probability, as it adapts: the same arithmetic on both sides, in integers.

/// The bits of a probability.
pub(crate) const CHANCE_BITS: u32 = 12;

/// How often a probability has adapted, in the lowest bits of its word.
const COUNT_MASK: u16 = 15;
/// From this count on it adapts at its slowest.
const COUNT_LIMIT: u16 = 14;

/// `65536 / (count + 1.6)`: a fresh probability follows what it sees, an old one hardly moves.
const RATE: [u32; 16] = [
    40960, 25206, 18204, 14246, 11703, 9930, 8623, 7620, 6826, 6182, 5650, 5201, 4819, 4489, 3200,
    3200,
];

/// The probability that a bit is 1, in 1/4096, above how often it has adapted.
#[derive(Clone, Copy)]
pub(crate) struct Chance(u16);

impl Chance {
    /// A probability that starts at `twelfth` of 4096, as if it had been seen `count` times.
    pub(crate) const fn new(of_4096: u16, count: u16) -> Chance {
        Chance(of_4096 << 4 | count)
    }

    /// The probability of a 1, from 1 to 4095.
    pub(crate) fn one(self) -> u32 {
        u32::from(self.0 >> 4).clamp(1, (1 << CHANCE_BITS) - 1)
    }

    /// Learns what the bit was.
    pub(crate) fn learn(&mut self, bit: bool) {
        let count = self.0 & COUNT_MASK;
        let now = i32::from(self.0 >> 4);
        let goal = if bit { (1 << CHANCE_BITS) - 1 } else { 0 };
        let rate = RATE.get(count as usize).copied().unwrap_or(0) as i32;
        // The distance is below 2¹², the rate below 2¹⁶: no overflow. Rounded to the nearest, so that both ends are reached alike.
        let next = now + (((goal - now) * rate + (1 << 15)) >> 16);
        let count = if count < COUNT_LIMIT {
            count + 1
        } else {
            count
        };
        self.0 = (next.clamp(0, 4095) as u16) << 4 | count;
    }
}
