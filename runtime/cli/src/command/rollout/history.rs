//! `sanderling rollout history`: who did what when, in rollouts and with models.

use super::Line;
use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field};
use crate::table::{Align, Table};
use clap::Args;

/// List what was done in rollouts, and with models, by whom and when
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    at: At,
    /// Only this rollout
    rollout: Option<i64>,
    /// Only those of this group
    #[arg(long)]
    group: Option<String>,
    /// Only those of this model
    #[arg(long)]
    model: Option<String>,
    /// The most lines
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl History {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let rollout = self.rollout.map(|id| id.to_string());
        let limit = self.limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(rollout.as_deref().map(|id| ("rollout", id)));
        query.extend(self.group.as_deref().map(|group| ("group", group)));
        query.extend(self.model.as_deref().map(|model| ("model", model)));
        let answer = Coordinator::at(&self.at)?.get("/v1/audit", &query)?;
        let lines: Vec<Line> = field(&answer, "audit")?;
        if lines.is_empty() {
            return Ok(Answer::new("nothing was done yet", answer));
        }
        let mut table = Table::new(&[
            ("when (UTC)", Align::Left),
            ("rollout", Align::Right),
            ("who", Align::Left),
            ("what", Align::Left),
            ("", Align::Left),
        ]);
        for line in &lines {
            table.row([
                when(line.at_ms),
                line.rollout.map_or(String::new(), |id| id.to_string()),
                line.by.clone(),
                line.act.clone(),
                line.text.clone(),
            ]);
        }
        Ok(Answer::new(table.render(), answer))
    }
}

/// `2026-11-23 12:34:56`, from ms since 1970: Hinnant's "chrono-compatible low-level date algorithms", 2013.
pub fn when(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let moved = (5 * of_year + 2) / 153;
    let day = of_year - (153 * moved + 2) / 5 + 1;
    let month = if moved < 10 { moved + 3 } else { moved - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::when;

    #[test]
    fn moments_are_days_of_the_calendar() {
        assert_eq!(when(0), "1970-01-01 00:00:00");
        assert_eq!(when(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(when(1_764_000_296_123), "2025-11-24 16:04:56");
    }
}
