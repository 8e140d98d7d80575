//! InvenSense MPU-6050: angular velocity and acceleration over I2C.
//!
//! ```text
//! 0x19 SMPLRT_DIV    rate = 1 kHz / (1 + divider) with the low-pass filter on
//! 0x1a CONFIG        low-pass filter, 3 = 44 Hz
//! 0x1b GYRO_CONFIG   bits 4:3 full scale
//! 0x1c ACCEL_CONFIG  bits 4:3 full scale
//! 0x3b ACCEL_XOUT_H  14 bytes, big-endian: acceleration x y z, temperature, rotation x y z
//! 0x6b PWR_MGMT_1    bit 6 sleep, bits 2:0 clock source
//! 0x75 WHO_AM_I      0x68
//! ```

use embedded_hal::i2c::I2c;

mod register {
    pub const SMPLRT_DIV: u8 = 0x19;
    pub const CONFIG: u8 = 0x1a;
    pub const GYRO_CONFIG: u8 = 0x1b;
    pub const ACCEL_CONFIG: u8 = 0x1c;
    pub const ACCEL_XOUT_H: u8 = 0x3b;
    pub const PWR_MGMT_1: u8 = 0x6b;
    pub const WHO_AM_I: u8 = 0x75;
}

/// What `WHO_AM_I` reads, whatever the address pin says.
const IDENTITY: u8 = 0x68;
/// Awake, clocked by the rotation sensor's oscillator, which is the steadier one.
const AWAKE: u8 = 0x01;
/// Low-pass filter at 44 Hz: below half of the 100 Hz that models are trained on.
const LOW_PASS_44_HZ: u8 = 3;
/// The chip's own rate with the filter on.
const BASE_RATE_HZ: u16 = 1000;
const STANDARD_GRAVITY: f32 = 9.806_65;
const RADIANS_PER_DEGREE: f32 = core::f32::consts::PI / 180.0;

/// Full scale of the rotation sensor, in degrees a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationRange {
    /// ±250 °/s.
    Dps250 = 0,
    /// ±500 °/s.
    Dps500 = 1,
    /// ±1000 °/s.
    Dps1000 = 2,
    /// ±2000 °/s.
    Dps2000 = 3,
}

impl RotationRange {
    /// Radians a second for one step of the register.
    fn step(self) -> f32 {
        let per_degree = match self {
            Self::Dps250 => 131.0,
            Self::Dps500 => 65.5,
            Self::Dps1000 => 32.8,
            Self::Dps2000 => 16.4,
        };
        RADIANS_PER_DEGREE / per_degree
    }
}

/// Full scale of the acceleration sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccelerationRange {
    /// ±2 g.
    G2 = 0,
    /// ±4 g.
    G4 = 1,
    /// ±8 g.
    G8 = 2,
    /// ±16 g.
    G16 = 3,
}

impl AccelerationRange {
    /// m/s² for one step of the register.
    fn step(self) -> f32 {
        let per_g = match self {
            Self::G2 => 16384.0,
            Self::G4 => 8192.0,
            Self::G8 => 4096.0,
            Self::G16 => 2048.0,
        };
        STANDARD_GRAVITY / per_g
    }
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// Angular velocity x, y, z in rad/s.
    pub rotation: [f32; 3],
    /// Linear acceleration x, y, z in m/s², gravity included.
    pub acceleration: [f32; 3],
}

/// Why a reading failed. `E` is the bus's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpu6050Error<E> {
    /// The bus failed: check wiring, pull-ups and address.
    Bus(E),
    /// Another chip answers at this address; it says this in `WHO_AM_I`.
    Identity(u8),
    /// The chip cannot sample at this rate: 4 to 1000 Hz, dividing 1000.
    Rate(u16),
}

/// The sensor at one address.
#[derive(Clone, Copy, Debug)]
pub struct Mpu6050 {
    address: u8,
    rotation: RotationRange,
    acceleration: AccelerationRange,
}

impl Mpu6050 {
    /// Wakes the sensor at `address` (0x68, or 0x69 with AD0 high) and sets it up to
    /// sample `rate_hz` times a second.
    ///
    /// # Errors
    ///
    /// The bus fails, another chip answers, or the rate cannot be set.
    pub fn start<B: I2c>(
        bus: &mut B,
        address: u8,
        rate_hz: u16,
        rotation: RotationRange,
        acceleration: AccelerationRange,
    ) -> Result<Self, Mpu6050Error<B::Error>> {
        let divider = match BASE_RATE_HZ.checked_rem(rate_hz) {
            Some(0) => u8::try_from(BASE_RATE_HZ / rate_hz - 1).ok(),
            _ => None,
        };
        let divider = divider.ok_or(Mpu6050Error::Rate(rate_hz))?;
        let mut identity = [0];
        bus.write_read(address, &[register::WHO_AM_I], &mut identity)
            .map_err(Mpu6050Error::Bus)?;
        if identity != [IDENTITY] {
            let [found] = identity;
            return Err(Mpu6050Error::Identity(found));
        }
        for (register, value) in [
            (register::PWR_MGMT_1, AWAKE),
            (register::CONFIG, LOW_PASS_44_HZ),
            (register::SMPLRT_DIV, divider),
            (register::GYRO_CONFIG, (rotation as u8) << 3),
            (register::ACCEL_CONFIG, (acceleration as u8) << 3),
        ] {
            bus.write(address, &[register, value])
                .map_err(Mpu6050Error::Bus)?;
        }
        Ok(Mpu6050 {
            address,
            rotation,
            acceleration,
        })
    }

    /// The newest reading. One burst, so that all six values belong together.
    ///
    /// # Errors
    ///
    /// The bus fails.
    pub fn read<B: I2c>(&self, bus: &mut B) -> Result<Motion, Mpu6050Error<B::Error>> {
        let mut burst = [0; 14];
        bus.write_read(self.address, &[register::ACCEL_XOUT_H], &mut burst)
            .map_err(Mpu6050Error::Bus)?;
        let [ax, ay, az, _temperature, rx, ry, rz] = core::array::from_fn(|i| {
            f32::from(i16::from_be_bytes([burst[2 * i], burst[2 * i + 1]]))
        });
        Ok(Motion {
            rotation: [rx, ry, rz].map(|v: f32| v * self.rotation.step()),
            acceleration: [ax, ay, az].map(|v: f32| v * self.acceleration.step()),
        })
    }
}
