//! The terrain model's input: 2.56 s of ten channels at 100 Hz.
//!
//! Order, units and normalisation are those that `models/terrain/input.json` states; a
//! test compares the two files.

use embedded_hal::i2c::I2c;

use crate::{Ina219, Ina219Error, Mpu6050, Mpu6050Error, Wheel, Window};

/// Samples a second.
pub const RATE_HZ: u16 = 100;
/// Samples of a window.
pub const SAMPLES: usize = 256;
/// Values of a sample.
pub const CHANNELS: usize = 10;

/// The window that the model takes, float32 `1 × 10 × 1 × 256`.
pub type TerrainWindow = Window<CHANNELS, SAMPLES>;

/// How a channel is normalised: `(value - offset) / scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// Its name in the recordings.
    pub name: &'static str,
    /// What stands for 0.
    pub offset: f32,
    /// What stands for 1.
    pub scale: f32,
}

const fn channel(name: &'static str, offset: f32, scale: f32) -> Channel {
    Channel {
        name,
        offset,
        scale,
    }
}

/// Every channel, in the model's order.
pub const NORMALISATION: [Channel; CHANNELS] = [
    channel("angular_velocity_x", 0.0, 0.10),
    channel("angular_velocity_y", 0.0, 0.10),
    channel("angular_velocity_z", 0.0, 0.25),
    channel("linear_acceleration_x", 0.0, 2.5),
    channel("linear_acceleration_y", 0.0, 2.5),
    channel("linear_acceleration_z", 9.81, 1.2),
    channel("motor_current_left", 6.0, 6.0),
    channel("motor_current_right", 6.0, 6.0),
    channel("wheel_velocity_left", 0.0, 0.3),
    channel("wheel_velocity_right", 0.0, 0.3),
];

/// Why a sample could not be taken. `E` is the bus's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleError<E> {
    /// The motion sensor.
    Motion(Mpu6050Error<E>),
    /// The left motor's current sensor.
    LeftCurrent(Ina219Error<E>),
    /// The right motor's current sensor.
    RightCurrent(Ina219Error<E>),
}

/// Everything that a sample is read from.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    /// The motion sensor.
    pub motion: Mpu6050,
    /// The left motor's current sensor.
    pub left_current: Ina219,
    /// The right motor's current sensor.
    pub right_current: Ina219,
    /// The left wheel.
    pub left_wheel: Wheel,
    /// The right wheel.
    pub right_wheel: Wheel,
}

impl Sampler {
    /// Reads one sample in physical units, in the order of [`NORMALISATION`]. `counts` are
    /// the wheels' counters, left and right, 1 / [`RATE_HZ`] s after those of the last call.
    ///
    /// # Errors
    ///
    /// A sensor failed. The window then has a gap: clear it.
    pub fn sample<B: I2c>(
        &mut self,
        bus: &mut B,
        counts: [u16; 2],
    ) -> Result<[f32; CHANNELS], SampleError<B::Error>> {
        // Counted before anything can fail, so that a failed sample does not double the next speed.
        let period = 1.0 / f32::from(RATE_HZ);
        let [left, right] = counts;
        let (left_speed, right_speed) = (
            self.left_wheel.speed(left, period),
            self.right_wheel.speed(right, period),
        );
        let motion = self.motion.read(bus).map_err(SampleError::Motion)?;
        let left_current = self
            .left_current
            .amperes(bus)
            .map_err(SampleError::LeftCurrent)?;
        let right_current = self
            .right_current
            .amperes(bus)
            .map_err(SampleError::RightCurrent)?;
        let ([rx, ry, rz], [ax, ay, az]) = (motion.rotation, motion.acceleration);
        Ok([
            rx,
            ry,
            rz,
            ax,
            ay,
            az,
            left_current,
            right_current,
            left_speed,
            right_speed,
        ])
    }
}

/// A sample as the model takes it. Rare shocks lie beyond what its int8 input can hold;
/// the model's first step saturates them.
pub fn normalise(sample: [f32; CHANNELS]) -> [f32; CHANNELS] {
    let mut out = sample;
    for (value, channel) in out.iter_mut().zip(NORMALISATION) {
        *value = (*value - channel.offset) / channel.scale;
    }
    out
}
