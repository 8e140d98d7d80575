//! From registers to the terrain model's input.

mod bus;

use bus::{Bus, CurrentChip, MotionChip};
use sanderling_robot::terrain::{self, Sampler, TerrainWindow};
use sanderling_robot::{AccelerationRange, Ina219, Mpu6050, RotationRange, Wheel, Window};

fn sampler(bus: &mut Bus) -> Sampler {
    Sampler {
        motion: Mpu6050::start(
            bus,
            0x68,
            terrain::RATE_HZ,
            RotationRange::Dps250,
            AccelerationRange::G4,
        )
        .unwrap(),
        left_current: Ina219::start(bus, 0x40, 0.002, 40.0).unwrap(),
        right_current: Ina219::start(bus, 0x41, 0.002, 40.0).unwrap(),
        left_wheel: Wheel::new(0.0005, 0),
        right_wheel: Wheel::new(0.0005, 0),
    }
}

fn robot() -> Bus {
    Bus::default()
        .with(0x68, MotionChip::new([0, 0, 8192, 0, 0, 0, 131]))
        .with(0x40, CurrentChip::new(12_000))
        .with(0x41, CurrentChip::new(24_000))
}

#[test]
fn a_robot_at_rest_gives_the_normalisations_zeros() {
    let mut bus = robot();
    let sample = sampler(&mut bus).sample(&mut bus, [6, 12]).unwrap();
    let normal = terrain::normalise(sample);
    let expected = [
        0.0,
        0.0,
        1f32.to_radians() / 0.25,
        0.0,
        0.0,
        (9.80665 - 9.81) / 1.2,
        0.0,
        1.0,
        1.0,
        2.0,
    ];
    for ((got, expected), channel) in normal.iter().zip(expected).zip(terrain::NORMALISATION) {
        assert!(
            (got - expected).abs() < 0.01,
            "{}: {got} where {expected} was expected",
            channel.name
        );
    }
}

#[test]
fn a_sample_that_fails_does_not_double_the_next_speed() {
    let mut bus = robot();
    let mut sampler = sampler(&mut bus);
    bus.breaks_after = Some(0);
    assert!(sampler.sample(&mut bus, [6, 6]).is_err());
    bus.breaks_after = None;
    let sample = sampler.sample(&mut bus, [12, 12]).unwrap();
    assert!((sample[8] - 0.3).abs() < 1e-6 && (sample[9] - 0.3).abs() < 1e-6);
}

#[test]
fn a_window_is_written_channel_by_channel_oldest_first() {
    let mut window = Window::<2, 3>::new();
    let mut input = [0; Window::<2, 3>::BYTES];
    for i in 0..5 {
        assert_eq!(window.is_due(1), i >= 3);
        window.push([i as f32, 10.0 + i as f32]);
    }
    assert!(window.take(&mut input));
    let values: Vec<f32> = input
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    assert_eq!(values, [2.0, 3.0, 4.0, 12.0, 13.0, 14.0]);
}

#[test]
fn a_window_is_due_once_a_stride_and_only_when_full() {
    let mut window = TerrainWindow::new();
    let mut input = vec![0; TerrainWindow::BYTES];
    assert!(!window.take(&mut input));
    let mut due = Vec::new();
    for i in 1..=terrain::SAMPLES + 130 {
        window.push([0.0; terrain::CHANNELS]);
        if window.is_due(64) {
            assert!(window.take(&mut input));
            due.push(i);
        }
    }
    assert_eq!(due, [256, 320, 384]);
    assert!(!window.take(&mut input[1..]));
    window.clear();
    assert!(!window.is_due(0));
}

#[test]
fn the_channels_are_those_that_the_model_was_trained_on() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/terrain/input.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    // Enough of a reader for a file of names and numbers.
    let value = |line: &str| {
        line.split_once(':')
            .unwrap()
            .1
            .trim()
            .trim_matches([',', '"', ' '])
            .to_string()
    };
    let all = |key: &str| -> Vec<String> {
        let key = format!("\"{key}\":");
        text.lines()
            .filter(|line| line.trim_start().starts_with(&key))
            .map(value)
            .collect()
    };
    let channels = all("offset").into_iter().zip(all("scale"));
    let channels: Vec<(f32, f32)> = channels
        .map(|(o, s)| (o.parse().unwrap(), s.parse().unwrap()))
        .collect();
    assert_eq!(
        channels,
        terrain::NORMALISATION.map(|c| (c.offset, c.scale))
    );
    for channel in terrain::NORMALISATION {
        assert!(
            text.contains(&format!("\"{}\"", channel.name)),
            "{}",
            channel.name
        );
    }
}
