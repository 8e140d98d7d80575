//! An I2C bus with register-accurate chips on it: pointer writes, auto-increment where
//! the chip has it, reserved bits, big-endian words, no answer from empty addresses.

use std::collections::BTreeMap;

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

/// A chip's side of the bus.
pub trait Chip {
    /// Bytes written in one go: the register pointer, then data.
    fn write(&mut self, bytes: &[u8]);
    /// Bytes read from where the pointer stands.
    fn read(&mut self, bytes: &mut [u8]);
}

/// The bus.
#[derive(Default)]
pub struct Bus {
    chips: BTreeMap<u8, Box<dyn Chip>>,
    /// Operations left until the bus breaks; `None` for never.
    pub breaks_after: Option<usize>,
}

impl Bus {
    pub fn with(mut self, address: u8, chip: impl Chip + 'static) -> Self {
        self.chips.insert(address, Box::new(chip));
        self
    }
}

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl I2c for Bus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        for operation in operations {
            if let Some(left) = &mut self.breaks_after {
                *left = left.checked_sub(1).ok_or(ErrorKind::Bus)?;
            }
            let chip = self
                .chips
                .get_mut(&address)
                .ok_or(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address))?;
            match operation {
                Operation::Write(bytes) => chip.write(bytes),
                Operation::Read(bytes) => chip.read(bytes),
            }
        }
        Ok(())
    }
}

/// An MPU-6050: byte registers, the pointer moves with every byte. Sleeps after power-up,
/// and then its data registers stand still at zero.
pub struct MotionChip {
    pub registers: [u8; 128],
    pointer: usize,
    /// Acceleration x y z, temperature, rotation x y z, as the chip counts.
    pub reading: [i16; 7],
}

impl MotionChip {
    pub fn new(reading: [i16; 7]) -> Self {
        let mut registers = [0; 128];
        registers[0x6b] = 0x40;
        registers[0x75] = 0x68;
        MotionChip {
            registers,
            pointer: 0,
            reading,
        }
    }
}

impl Chip for MotionChip {
    fn write(&mut self, bytes: &[u8]) {
        let Some((&pointer, data)) = bytes.split_first() else {
            return;
        };
        self.pointer = usize::from(pointer);
        for &byte in data {
            // WHO_AM_I and the data registers cannot be written.
            if self.pointer != 0x75 && !(0x3b..0x49).contains(&self.pointer) {
                self.registers[self.pointer] = byte;
            }
            self.pointer += 1;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        let awake = self.registers[0x6b] & 0x40 == 0;
        for (i, value) in self.reading.iter().enumerate() {
            let value = if awake { *value } else { 0 };
            self.registers[0x3b + 2 * i..][..2].copy_from_slice(&value.to_be_bytes());
        }
        for byte in bytes {
            *byte = self.registers[self.pointer];
            self.pointer += 1;
        }
    }
}

/// An INA219: 16-bit registers, the pointer stays. Until it is calibrated its current
/// register reads zero.
pub struct CurrentChip {
    registers: [u16; 6],
    pointer: usize,
    shunt_microvolts: i32,
}

impl CurrentChip {
    pub fn new(shunt_microvolts: i32) -> Self {
        CurrentChip {
            registers: [0x399f, 0, 0, 0, 0, 0],
            pointer: 0,
            shunt_microvolts,
        }
    }

    fn refresh(&mut self) {
        // Datasheet, 8.5.1: current register = shunt voltage register × calibration / 4096.
        let shunt = self.shunt_microvolts / 10;
        let current = i64::from(shunt) * i64::from(self.registers[5]) / 4096;
        let fits = i16::try_from(current);
        self.registers[1] = (shunt as i16).cast_unsigned();
        self.registers[2] = (12_000 / 4) << 3 | 2 | u16::from(fits.is_err());
        self.registers[4] = fits.unwrap_or(i16::MAX).cast_unsigned();
    }
}

impl Chip for CurrentChip {
    fn write(&mut self, bytes: &[u8]) {
        let Some((&pointer, data)) = bytes.split_first() else {
            return;
        };
        self.pointer = usize::from(pointer);
        if let (&[high, low], true) = (data, matches!(pointer, 0 | 5)) {
            let mask = if pointer == 5 { !1 } else { !0 };
            self.registers[self.pointer] = u16::from_be_bytes([high, low]) & mask;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        self.refresh();
        bytes.copy_from_slice(&self.registers[self.pointer].to_be_bytes());
    }
}
