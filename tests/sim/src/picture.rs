//! The course of a run as text.

use std::fmt::Write;

use crate::figures::{Figures, Moment};
use crate::options::Options;

const WIDTH: usize = 60;
const ROWS: usize = 24;

/// Progress over time, and the figures for people.
pub fn picture(options: &Options, figures: &Figures, course: &[Moment]) -> String {
    let mut text = String::new();
    let every = course.len().div_ceil(ROWS).max(1);
    let _ = writeln!(
        text,
        "{} robots, {}, seed {}\n\n  minute  #runs the new version  xfailed  .told to  (each column {:.1}%)",
        options.devices,
        options.rollout,
        options.seed,
        100.0 / WIDTH as f64
    );
    let last = course.len().checked_sub(1);
    for (at, moment) in course.iter().enumerate() {
        if at % every != 0 && Some(at) != last {
            continue;
        }
        let all = moment.known.max(1) as f64;
        let columns = |part: f64| (part * WIDTH as f64).round() as usize;
        let runs = columns(moment.updated as f64 / all);
        let failed = columns((moment.updated + moment.failed) as f64 / all).saturating_sub(runs);
        let told = columns(moment.share).saturating_sub(runs + failed);
        let bar = ["#".repeat(runs), "x".repeat(failed), ".".repeat(told)].concat();
        let _ = writeln!(
            text,
            "  {:>6}  |{bar:<WIDTH$}| {:>5} of {}",
            moment.minute, moment.updated, moment.known
        );
    }
    let _ = writeln!(text);
    for line in &figures.audit {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "\nstatus          {}", figures.status);
    if let Some(why) = &figures.why {
        let _ = writeln!(text, "why             {why}");
    }
    let _ = writeln!(text, "updated         {}", figures.updated);
    let _ = writeln!(text, "on the old one  {}", figures.on_old);
    let _ = writeln!(text, "failed          {}", figures.failed);
    let _ = writeln!(text, "fell back       {}", figures.fell_back);
    let _ = writeln!(text, "offline         {}", figures.offline);
    let within = if figures.blast_within_one_wave {
        "within"
    } else {
        "MORE THAN"
    };
    let _ = writeln!(
        text,
        "blast radius    {} robots, {within} one wave ({} robots)",
        figures.blast_radius, figures.largest_wave
    );
    let _ = writeln!(text, "rollout took    {} min", figures.rollout_s / 60);
    let _ = writeln!(text, "simulated       {} min", figures.simulated_s / 60);
    for (kind, sent) in &figures.bytes {
        let _ = writeln!(
            text,
            "  {kind:<12}{:>10} messages {:>14} bytes",
            sent.messages, sent.bytes
        );
    }
    let _ = writeln!(
        text,
        "rollout's state {} bytes as JSON",
        figures.rollout_state_bytes
    );
    text
}
