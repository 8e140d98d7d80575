//! Texas Instruments INA219: a motor's current over I2C, from the voltage across a shunt.
//!
//! ```text
//! 0x00 configuration   16 V or 32 V bus, gain, resolution, mode
//! 0x01 shunt voltage   signed, 10 µV a step
//! 0x02 bus voltage     bits 15:3, 4 mV a step; bit 1 conversion ready, bit 0 overflow
//! 0x04 current         signed, in the step that the calibration chose
//! 0x05 calibration     0.04096 / (current step × shunt resistance), even
//! ```
//!
//! All registers are 16 bits, big-endian.

use embedded_hal::i2c::I2c;

mod register {
    pub const CONFIGURATION: u8 = 0x00;
    pub const BUS_VOLTAGE: u8 = 0x02;
    pub const CURRENT: u8 = 0x04;
    pub const CALIBRATION: u8 = 0x05;
}

/// 32 V bus, ±320 mV shunt, 12 bits, one sample each (0.53 ms), continuous.
const CONFIGURATION: u16 = 0x399f;
/// Bit 0 of the bus voltage: the current or power register overflowed.
const OVERFLOW: u16 = 1;
/// The chip's fixed factor between calibration, current step and shunt.
const SCALE: f32 = 0.04096;

/// Why a reading failed. `E` is the bus's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ina219Error<E> {
    /// The bus failed: check wiring, pull-ups and address.
    Bus(E),
    /// The shunt and the largest current make no calibration that the chip can hold.
    Calibration,
    /// The current is larger than the chip was set up for.
    Overflow,
}

/// The sensor at one address.
#[derive(Clone, Copy, Debug)]
pub struct Ina219 {
    address: u8,
    amperes_per_step: f32,
}

impl Ina219 {
    /// Sets up the sensor at `address` (0x40 to 0x4f) for a shunt of `shunt_ohms` and
    /// currents up to `max_amperes` either way.
    ///
    /// # Errors
    ///
    /// The bus fails, or the two figures do not go together.
    pub fn start<B: I2c>(
        bus: &mut B,
        address: u8,
        shunt_ohms: f32,
        max_amperes: f32,
    ) -> Result<Self, Ina219Error<B::Error>> {
        let amperes_per_step = max_amperes / 32768.0;
        let calibration = SCALE / (amperes_per_step * shunt_ohms);
        // Written so that NaN is refused as well. The lowest bit cannot be set.
        if !(2.0..=65534.0).contains(&calibration) {
            return Err(Ina219Error::Calibration);
        }
        let calibration = calibration as u16 & !1;
        let sensor = Ina219 {
            address,
            amperes_per_step: SCALE / (f32::from(calibration) * shunt_ohms),
        };
        sensor.write(bus, register::CONFIGURATION, CONFIGURATION)?;
        sensor.write(bus, register::CALIBRATION, calibration)?;
        Ok(sensor)
    }

    /// The current in amperes, positive from V+ to V-.
    ///
    /// # Errors
    ///
    /// The bus fails, or the chip says that the value does not fit its register.
    pub fn amperes<B: I2c>(&self, bus: &mut B) -> Result<f32, Ina219Error<B::Error>> {
        if self.read(bus, register::BUS_VOLTAGE)? & OVERFLOW != 0 {
            return Err(Ina219Error::Overflow);
        }
        let steps = self.read(bus, register::CURRENT)?.cast_signed();
        Ok(f32::from(steps) * self.amperes_per_step)
    }

    fn write<B: I2c>(
        &self,
        bus: &mut B,
        register: u8,
        value: u16,
    ) -> Result<(), Ina219Error<B::Error>> {
        let [high, low] = value.to_be_bytes();
        bus.write(self.address, &[register, high, low])
            .map_err(Ina219Error::Bus)
    }

    fn read<B: I2c>(&self, bus: &mut B, register: u8) -> Result<u16, Ina219Error<B::Error>> {
        let mut value = [0; 2];
        bus.write_read(self.address, &[register], &mut value)
            .map_err(Ina219Error::Bus)?;
        Ok(u16::from_be_bytes(value))
    }
}
