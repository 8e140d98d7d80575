//! What is simulated.

use std::str::FromStr;

use clap::Parser;

/// A part of a whole, given as a percentage or a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part(pub f64);

impl FromStr for Part {
    type Err = String;
    fn from_str(text: &str) -> Result<Part, String> {
        let value: Option<f64> = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(|p: f64| p / 100.0),
            None => text.parse().ok(),
        };
        match value {
            Some(value) if (0.0..=1.0).contains(&value) => Ok(Part(value)),
            _ => Err("give a percentage, such as 3%, or a number from 0 to 1".to_owned()),
        }
    }
}

/// Take a new version through a simulated fleet
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask sim", max_term_width = 100)]
pub struct Options {
    /// How many robots
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub devices: u32,
    /// How the new version spreads: all-at-once, waves, canary, shadow, ab, bandit
    #[arg(long, default_value = "waves")]
    pub rollout: String,
    /// The part of all robots on which the new version fails its self-test or its trial
    #[arg(long, default_value = "0%")]
    pub bad: Part,
    /// The new version fails in its trial on every robot
    #[arg(long)]
    pub bad_model: bool,
    /// The part of all robots that has no connection, at any time
    #[arg(long, default_value = "0%")]
    pub offline: Part,
    /// The part of messages that the network loses
    #[arg(long, default_value = "1%")]
    pub loss: Part,
    /// Chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Put the old version back when a gate trips
    #[arg(long)]
    pub revert: bool,
    /// Seconds that a stage is watched
    #[arg(long, default_value_t = 600)]
    pub soak: u64,
    /// The plan's size in bytes
    #[arg(long, default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub model_bytes: u32,
    /// How often the coordinator is killed on the way
    #[arg(long, default_value_t = 2)]
    pub kills: u32,
    /// The most simulated hours
    #[arg(long, default_value_t = 48)]
    pub hours: u64,
    /// Only the figures, as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// The defaults, for so many robots.
    pub fn of(devices: u32, rollout: &str) -> Options {
        Options {
            devices,
            rollout: rollout.to_owned(),
            bad: Part(0.0),
            bad_model: false,
            offline: Part(0.0),
            loss: Part(0.01),
            seed: 1,
            revert: false,
            soak: 600,
            model_bytes: 65_536,
            kills: 2,
            hours: 48,
            json: true,
        }
    }
}
