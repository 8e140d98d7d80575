//! `sanderling watch`: the fleet as it lives.
//!
//! On a terminal a table that is drawn anew; elsewhere a line per event; with `--json` a
//! line per event and a line for the whole table whenever it was asked for.

use super::devices;
use crate::answer::{Answer, draw, print, print_json, shown};
use crate::coordinator::{At, Coordinator, Device, Event, field};
use crate::text;
use clap::Args;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Events below the table.
const SHOWN_EVENTS: usize = 10;
/// How long to wait before asking a silent coordinator again.
const RETRY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  sanderling watch
  sanderling watch --for 30
  sanderling watch --json | jq -c 'select(.type == \"event\") | .text'

JSON lines are {\"type\": \"event\", ...} for each event and, after events and every
--interval seconds, {\"type\": \"fleet\", \"devices\": [...], \"results\": {...}}.";

/// Watch devices, updates, and results live
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Watch {
    #[command(flatten)]
    at: At,
    /// Seconds between two looks at the table, at most 60
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    /// Stop after so many seconds [default: when interrupted]
    #[arg(long = "for", value_name = "SECONDS")]
    duration: Option<u64>,
}

/// The fleet at one moment.
struct Look {
    devices: Value,
    results: Value,
    events: Vec<Value>,
    next: i64,
}

impl Watch {
    /// Watches until the time is up or the program is interrupted. A coordinator that
    /// goes away is waited for.
    pub fn run(&self, json: bool) -> anyhow::Result<Answer> {
        let coordinator = Coordinator::at(&self.at)?;
        let start = Instant::now();
        let over = || {
            self.duration
                .is_some_and(|s| start.elapsed() >= Duration::from_secs(s))
        };
        let live = !json && std::io::stdout().is_terminal();
        let mut recent: Vec<Value> = Vec::new();
        // The first look must succeed: a wrong URL is an error, not something to wait for.
        let mut look = look(&coordinator, None, 0)?;
        loop {
            if json {
                for line in lines(&look) {
                    print_json(&line)?;
                }
            } else if live {
                recent.append(&mut look.events);
                recent.drain(..recent.len().saturating_sub(SHOWN_EVENTS));
                draw(&screen(coordinator.url(), &look, &recent)?)?;
            } else {
                print(&told(&look.events)?)?;
            }
            let mut silent = false;
            loop {
                if over() {
                    return Ok(Answer::silent());
                }
                match self::look(&coordinator, Some(look.next), self.interval) {
                    Ok(next) => {
                        look = next;
                        break;
                    }
                    Err(error) => {
                        if !silent {
                            eprintln!("{error:#}; asking again every second");
                        }
                        silent = true;
                        std::thread::sleep(RETRY);
                    }
                }
            }
        }
    }
}

/// Waits up to `wait_s` for news after the event `after`, then reads the table.
fn look(coordinator: &Coordinator, after: Option<i64>, wait_s: u64) -> anyhow::Result<Look> {
    let (after, wait) = (after.map(|id| id.to_string()), wait_s.to_string());
    let mut query = vec![("wait_s", wait.as_str())];
    query.extend(after.as_deref().map(|id| ("after", id)));
    if after.is_none() {
        query.push(("limit", "10"));
    }
    let news = coordinator.get_waiting("/v1/events", &query, Duration::from_secs(wait_s))?;
    Ok(Look {
        devices: field(&coordinator.get("/v1/devices", &[])?, "devices")?,
        results: coordinator.get("/v1/results/summary", &[])?,
        events: field(&news, "events")?,
        next: field(&news, "next")?,
    })
}

fn lines(look: &Look) -> Vec<Value> {
    let mut lines = look.events.clone();
    for event in &mut lines {
        if let Value::Object(event) = event {
            event.insert("type".to_owned(), json!("event"));
        }
    }
    let fleet = json!({ "type": "fleet", "devices": look.devices, "results": look.results });
    lines.push(fleet);
    lines
}

fn told(events: &[Value]) -> anyhow::Result<String> {
    let mut text = String::new();
    for event in events {
        let event: Event = serde_json::from_value(event.clone())?;
        let about = [event.group.as_deref(), event.device.as_deref()];
        let mut about: Vec<&str> = about.into_iter().flatten().collect();
        if about.is_empty() {
            about.push(&event.kind);
        }
        text.push_str(&format!(
            "{} {} {}\n",
            clock(event.at_ms),
            about.join(" "),
            event.text
        ));
    }
    Ok(text)
}

/// One screen: the cursor goes home, every line is cleared as it is written, and what was
/// below is cleared at the end, so that nothing flickers.
fn screen(url: &str, look: &Look, recent: &[Value]) -> anyhow::Result<String> {
    let devices: Vec<Device> = serde_json::from_value(look.devices.clone())?;
    let online = devices.iter().filter(|d| d.online).count();
    let mut text = format!("{url}: {} devices, {online} online\n\n", devices.len());
    text.push_str(&devices::table(&devices));
    text.push('\n');
    text.push_str(&total(&look.results));
    text.push('\n');
    text.push_str(&told(recent)?);
    let lines = shown(&text).replace('\n', "\x1b[K\n");
    Ok(format!("\x1b[H{lines}\x1b[J"))
}

/// `12,000 results, 97.3 % of 12,000 right, p50 410 µs, p99 900 µs`.
fn total(results: &Value) -> String {
    let number = |name: &str| {
        results
            .pointer(&format!("/total/{name}"))
            .and_then(Value::as_f64)
    };
    let whole = |name: &str| text::count(number(name).unwrap_or(0.0) as u64);
    let mut text = format!("{} results", whole("frames"));
    if let Some(accuracy) = number("accuracy") {
        text.push_str(&format!(
            ", {:.1} % of {} right",
            accuracy * 100.0,
            whole("labelled")
        ));
    }
    if number("latency_p50_us").is_some() {
        text.push_str(&format!(
            ", p50 {} µs, p99 {} µs",
            whole("latency_p50_us"),
            whole("latency_p99_us")
        ));
    }
    text.push('\n');
    text
}

/// Time of day in UTC.
fn clock(at_ms: i64) -> String {
    let seconds = at_ms.div_euclid(1000).rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
