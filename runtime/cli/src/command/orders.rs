//! `sanderling orders`: tells robots to do something at once.

use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field, segment};
use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  sanderling orders retry robot-1        try again what failed there, also what it remembers as bad
  sanderling orders stop robot-1         stop answering frames
  sanderling orders resume robot-1       go on
  sanderling orders identify robot-1     make itself known: blink, beep, or a line in its log

An order to a robot that is not there is lost, and the command fails.";

/// Tell robots to retry, stop, resume, or identify themselves
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Orders {
    #[command(flatten)]
    at: At,
    /// What to do
    order: Order,
    /// The robots
    #[arg(required = true)]
    devices: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Try the desired version again though it failed before
    Retry,
    /// Stop answering frames
    Stop,
    /// Answer frames again
    Resume,
    /// Make itself known to a person
    Identify,
    /// Introduce itself to the fleet again
    Rebirth,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Order::Retry => "retry",
            Order::Stop => "stop",
            Order::Resume => "resume",
            Order::Identify => "identify",
            Order::Rebirth => "rebirth",
        }
    }
}

impl Orders {
    /// Gives the order to each of them.
    pub fn run(&self) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let word = self.order.word();
        let mut given: Vec<Value> = Vec::new();
        let mut away: Vec<&str> = Vec::new();
        for device in &self.devices {
            let path = format!("/v1/devices/{}/orders", segment(device));
            let answer = coordinator.post_json(&path, &json!({ "order": word }))?;
            if !field::<bool>(&answer, "online")? {
                away.push(device);
            }
            given.push(json!({ "device": device, "id": answer["id"] }));
        }
        if !away.is_empty() {
            bail!(
                "{word} is lost for {}: not connected; give it again when `sanderling devices` shows it online",
                away.join(", ")
            );
        }
        let text = format!("{word}: told {}", self.devices.join(", "));
        Ok(Answer::new(text, json!({ "order": word, "given": given })))
    }
}
