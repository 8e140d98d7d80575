//! The demo's end: what was counted, printed and held to what must have happened.

use std::time::Duration;

use anyhow::{Context, bail};

use super::api;
use super::cast::Status;
use crate::terminal::thousands;

/// One robot's part.
pub struct RobotReport {
    /// Its name.
    pub name: &'static str,
    /// What it counted itself.
    pub status: Status,
    /// Seconds from the push until the coordinator heard that it runs the new model.
    pub switched: Option<f64>,
}

/// Everything that is known at the end.
pub struct Report {
    /// What the coordinator counted.
    pub counted: api::Summary,
    /// What each robot counted.
    pub robots: Vec<RobotReport>,
    /// From the push until every robot was in step with it.
    pub update: Duration,
    /// Bytes that each robot pulled.
    pub update_bytes: u64,
}

impl Report {
    /// Prints it.
    pub fn print(&self) {
        let micros = |value: Option<f64>| value.map_or("-".to_string(), |us| format!("{us:.0}"));
        println!();
        println!(
            "{:<10} {:<8} {:>8} {:>10} {:>10} {:>10}",
            "robot", "version", "frames", "accuracy", "p50 us", "p99 us"
        );
        for tally in &self.counted.results {
            let accuracy = match tally.labelled {
                0 => "-".to_string(),
                n => format!("{:.1} %", 100.0 * tally.correct as f64 / n as f64),
            };
            println!(
                "{:<10} {:<8} {:>8} {:>10} {:>10} {:>10}",
                tally.device,
                tally.version.map_or("?".to_string(), |v| format!("v{v}")),
                thousands(tally.frames),
                accuracy,
                micros(tally.latency_p50_us),
                micros(tally.latency_p99_us)
            );
        }
        println!();
        for robot in &self.robots {
            let [from, to] = robot.status.turn().unwrap_or_default();
            println!(
                "{}: v1 answered up to frame {}, v2 from frame {}{}; {} frames in, {} answered, {} dropped, \
                 {} allocations while inferring",
                robot.name,
                thousands(from),
                thousands(to),
                robot
                    .switched
                    .map_or(String::new(), |s| format!(" ({s:.2} s after the push)")),
                thousands(robot.status.frames_in),
                thousands(robot.status.frames_out),
                thousands(robot.status.frames_dropped),
                thousands(robot.status.allocations)
            );
        }
        for c in &self.counted.coverage {
            println!(
                "{}: {} frames numbered, {} results at the coordinator, {} missing",
                c.device,
                thousands(c.numbered),
                thousands(c.counted),
                thousands(c.missing)
            );
        }
        println!(
            "update: {} bytes to each robot, {:.1} s from the push until the fleet was in step (trial included)",
            thousands(self.update_bytes),
            self.update.as_secs_f64()
        );
        println!();
    }

    /// An error unless every robot ran both versions, one right after the other, and no
    /// frame is missing anywhere.
    pub fn verdict(&self) -> anyhow::Result<()> {
        for robot in &self.robots {
            let (name, status) = (robot.name, &robot.status);
            let [from, to] = status.turn().with_context(|| {
                format!(
                    "{name} answered with {} models, not with v1 and then v2",
                    status.models.len()
                )
            })?;
            if to != from + 1 {
                bail!(
                    "{name} answered frame {from} with v1 and frame {to} with v2: frames between are missing"
                );
            }
            for model in &status.models {
                if model.frames != model.last_seq + 1 - model.first_seq {
                    bail!(
                        "{name} answered {} of the frames {} to {}",
                        model.frames,
                        model.first_seq,
                        model.last_seq
                    );
                }
            }
            if status.frames_dropped > 0 {
                bail!(
                    "{name} dropped {} frames: the model was slower than the source",
                    status.frames_dropped
                );
            }
            self.counted_by_the_coordinator(name)?;
        }
        Ok(())
    }

    fn counted_by_the_coordinator(&self, name: &str) -> anyhow::Result<()> {
        for version in [1, 2] {
            let of =
                |t: &&api::Tally| t.device == name && t.version == Some(version) && t.frames > 0;
            self.counted.results.iter().find(of).with_context(|| {
                format!("the coordinator counted no result of {name} with v{version}")
            })?;
        }
        let coverage = self
            .counted
            .coverage
            .iter()
            .find(|c| c.device == name)
            .with_context(|| format!("the coordinator knows nothing of {name}'s frames"))?;
        if coverage.missing > 0 {
            bail!(
                "the coordinator has no result for {} of {name}'s {} frames",
                coverage.missing,
                coverage.numbered
            );
        }
        Ok(())
    }
}
