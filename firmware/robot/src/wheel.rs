//! A wheel's speed from a quadrature counter, as timers of microcontrollers count.

/// A wheel and the last count seen.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    metres_per_count: f32,
    last: u16,
}

impl Wheel {
    /// A wheel that moves `metres_per_count` for each count; `count` is where the
    /// counter stands now.
    pub fn new(metres_per_count: f32, count: u16) -> Self {
        Wheel {
            metres_per_count,
            last: count,
        }
    }

    /// Metres a second since the last call, `period_s` seconds ago. The counter may wrap:
    /// less than 32,768 counts either way between two calls are told apart.
    pub fn speed(&mut self, count: u16, period_s: f32) -> f32 {
        let moved = count.wrapping_sub(self.last).cast_signed();
        self.last = count;
        f32::from(moved) * self.metres_per_count / period_s
    }
}
