//! The drivers against register-accurate chips.

mod bus;

use bus::{Bus, CurrentChip, MotionChip};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use sanderling_robot::{
    AccelerationRange, Ina219, Ina219Error, Mpu6050, Mpu6050Error, RotationRange, Wheel,
};

const NOBODY: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

fn near(got: f32, expected: f32, tolerance: f32) {
    assert!(
        (got - expected).abs() <= tolerance,
        "{got} where {expected} was expected"
    );
}

fn start(bus: &mut Bus) -> Result<Mpu6050, Mpu6050Error<ErrorKind>> {
    Mpu6050::start(bus, 0x68, 100, RotationRange::Dps500, AccelerationRange::G4)
}

#[test]
fn motion_comes_in_physical_units() {
    let mut bus = Bus::default().with(
        0x68,
        MotionChip::new([0, -4096, 8192, 340, 655, -655, 3275]),
    );
    let sensor = start(&mut bus).unwrap();
    let motion = sensor.read(&mut bus).unwrap();
    for (got, expected) in motion
        .acceleration
        .into_iter()
        .zip([0.0, -4.903_325, 9.806_65])
    {
        near(got, expected, 1e-5);
    }
    for (got, degrees) in motion.rotation.into_iter().zip([10.0f32, -10.0, 50.0]) {
        near(got, degrees.to_radians(), 1e-6);
    }
}

#[test]
fn extreme_readings_are_finite() {
    let mut bus = Bus::default().with(0x68, MotionChip::new([i16::MIN; 7]));
    let motion = start(&mut bus).unwrap().read(&mut bus).unwrap();
    near(motion.acceleration[0], -4.0 * 9.806_65, 1e-4);
    assert!(
        motion
            .rotation
            .iter()
            .chain(&motion.acceleration)
            .all(|v| v.is_finite())
    );
}

#[test]
fn a_missing_chip_and_a_wrong_one_are_told_apart() {
    assert_eq!(
        start(&mut Bus::default()).err(),
        Some(Mpu6050Error::Bus(NOBODY))
    );
    let mut other = MotionChip::new([0; 7]);
    other.registers[0x75] = 0xea;
    assert_eq!(
        start(&mut Bus::default().with(0x68, other)).err(),
        Some(Mpu6050Error::Identity(0xea))
    );
}

#[test]
fn rates_that_the_chip_cannot_make_are_refused() {
    let mut bus = Bus::default().with(0x68, MotionChip::new([0; 7]));
    for rate in [0, 3, 300, 1001] {
        let started = Mpu6050::start(
            &mut bus,
            0x68,
            rate,
            RotationRange::Dps250,
            AccelerationRange::G2,
        );
        assert_eq!(started.err(), Some(Mpu6050Error::Rate(rate)));
    }
    for rate in [4, 100, 1000] {
        assert!(
            Mpu6050::start(
                &mut bus,
                0x68,
                rate,
                RotationRange::Dps2000,
                AccelerationRange::G16
            )
            .is_ok()
        );
    }
}

#[test]
fn current_is_read_through_the_calibration() {
    for (microvolts, amperes) in [(0, 0.0), (50_000, 5.0), (-100_000, -10.0)] {
        let mut bus = Bus::default().with(0x41, CurrentChip::new(microvolts));
        let sensor = Ina219::start(&mut bus, 0x41, 0.01, 16.0).unwrap();
        near(sensor.amperes(&mut bus).unwrap(), amperes, 0.002);
    }
}

#[test]
fn a_current_past_the_range_is_an_error_not_a_small_number() {
    let mut bus = Bus::default().with(0x40, CurrentChip::new(200_000));
    let sensor = Ina219::start(&mut bus, 0x40, 0.01, 10.0).unwrap();
    assert_eq!(sensor.amperes(&mut bus), Err(Ina219Error::Overflow));
}

#[test]
fn figures_that_make_no_calibration_are_refused() {
    let mut bus = Bus::default().with(0x40, CurrentChip::new(0));
    for (shunt, amperes) in [
        (0.0, 1.0),
        (0.1, 0.0),
        (1e-9, 1.0),
        (1e6, 1.0),
        (f32::NAN, 1.0),
        (-0.1, 1.0),
    ] {
        assert_eq!(
            Ina219::start(&mut bus, 0x40, shunt, amperes).err(),
            Some(Ina219Error::Calibration)
        );
    }
}

#[test]
fn a_bus_that_breaks_at_any_operation_is_reported() {
    for operations in 0..20 {
        let mut bus = Bus::default()
            .with(0x68, MotionChip::new([1; 7]))
            .with(0x40, CurrentChip::new(1000));
        bus.breaks_after = Some(operations);
        let motion = start(&mut bus).and_then(|sensor| sensor.read(&mut bus));
        let current =
            Ina219::start(&mut bus, 0x40, 0.1, 3.2).and_then(|sensor| sensor.amperes(&mut bus));
        // Nine operations for the one sensor (identity and burst take two each), then six for the other.
        assert_eq!(motion.is_ok(), operations >= 9, "{operations} operations");
        assert_eq!(current.is_ok(), operations >= 15, "{operations} operations");
    }
}

#[test]
fn a_wheel_counts_on_when_its_counter_wraps() {
    let mut wheel = Wheel::new(0.001, 65_530);
    near(wheel.speed(4, 0.01), 1.0, 1e-6);
    near(wheel.speed(65_530, 0.01), -1.0, 1e-6);
    near(wheel.speed(65_530, 0.01), 0.0, 0.0);
}
