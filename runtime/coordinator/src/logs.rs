//! Lines on standard error: nothing that comes from outside reaches a terminal as it is, and no line comes without end.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sanderling_wire::Printable;
use tracing::callsite::Identifier;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How many lines of one kind are written in [`WINDOW`].
const LINES: u64 = 100;
/// The time in which they are counted.
const WINDOW: Duration = Duration::from_secs(30);

/// Logs as `filter` says, for the rest of the process.
pub fn start(filter: &str) {
    // The broker's own reports are for those who ask for them.
    let filter = format!("warn,mqtt5=error,{}", by_crate(filter));
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let flood = Arc::new(Flood::default());
    let terminal = std::io::stderr().is_terminal();
    let fields = format::debug_fn(
        |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
            let text = match field.name() {
                "message" => format!("{value:?}"),
                name => format!("{name}={value:?}"),
            };
            write!(writer, "{}", Printable(&text))
        },
    );
    let lines = layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .fmt_fields(fields.delimited(" "))
        .event_format(Lines {
            line: format::format().with_target(false),
            flood: Arc::clone(&flood),
        });
    tracing_subscriber::registry()
        .with(filter)
        .with(Dam(flood))
        .with(lines)
        .init();
}

/// A bare level is meant for this program; anything longer is a filter as it stands.
fn by_crate(filter: &str) -> String {
    let bare = filter.chars().all(|c| c.is_ascii_alphabetic());
    if bare {
        format!("sanderling_coordinator={filter}")
    } else {
        filter.to_owned()
    }
}

/// How often each line of the program was written lately.
#[derive(Debug, Default)]
struct Flood(Mutex<HashMap<Identifier, Count>>);

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    written: u64,
    held_back: u64,
}

impl Flood {
    /// Whether one more is written.
    fn passes(&self, line: Identifier, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(line).or_insert(Count {
            since: now,
            written: 0,
            held_back: 0,
        });
        if now.duration_since(count.since) >= WINDOW {
            count.since = now;
            count.written = 0;
        }
        if count.written == LINES {
            count.held_back += 1;
            return false;
        }
        count.written += 1;
        true
    }

    /// How many were held back since this was asked last.
    fn held_back(&self, line: Identifier) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .get_mut(&line)
            .map_or(0, |count| std::mem::take(&mut count.held_back))
    }
}

/// Holds back what comes too often. Debugging is asked for, and gets all.
struct Dam(Arc<Flood>);

impl<S: Subscriber> Layer<S> for Dam {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        *about.level() > Level::INFO || self.0.passes(about.callsite(), Instant::now())
    }
}

/// Writes a line, and how many of its kind were not written before it.
struct Lines {
    line: Format<Full>,
    flood: Arc<Flood>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let held_back = self.flood.held_back(event.metadata().callsite());
        if held_back > 0 {
            writeln!(writer, "{held_back} lines like the next one were held back")?;
        }
        self.line.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;

    use super::*;

    #[test]
    fn a_line_that_comes_too_often_is_counted_and_comes_again_later() {
        struct Site;
        impl Callsite for Site {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &tracing::Metadata<'_> {
                unreachable!("nobody asks")
            }
        }
        let (flood, start) = (Flood::default(), Instant::now());
        let line = Identifier(&Site);
        let written = (0..1000).filter(|_| flood.passes(line.clone(), start));
        assert_eq!(written.count() as u64, LINES);
        assert!(flood.passes(line.clone(), start + WINDOW));
        assert_eq!(flood.held_back(line.clone()), 1000 - LINES);
        assert_eq!(flood.held_back(line), 0);
    }
}
