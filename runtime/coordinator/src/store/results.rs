//! Results, counted once each: totals by robot, model and day, and latencies in buckets.

use std::collections::BTreeMap;

use sanderling_wire::{Digest, Inference, Name, Output};
use sqlx::{AnyConnection, Row};

use super::StoreError;
use crate::decide::frames::{Changes, Frames};
use crate::decide::latency::bucket;

/// The frames of one start of one robot that were counted; `number` is what [`super::runs`] gives the start.
pub async fn frames(
    tx: &mut AnyConnection,
    device: &Name,
    number: i64,
) -> Result<Frames, StoreError> {
    let rows: Vec<(i64, i64)> =
        sqlx::query_as("SELECT first, last FROM result_frames WHERE device = $1 AND boot = $2")
            .bind(device.as_str())
            .bind(number)
            .fetch_all(tx)
            .await?;
    Ok(Frames::from_ranges(
        rows.into_iter()
            .map(|(first, last)| (first as u64, last as u64)),
    ))
}

/// Writes down what changed in the counted frames.
pub async fn set_frames(
    tx: &mut AnyConnection,
    device: &Name,
    number: i64,
    changes: &Changes,
) -> Result<(), StoreError> {
    for first in &changes.removed {
        sqlx::query("DELETE FROM result_frames WHERE device = $1 AND boot = $2 AND first = $3")
            .bind(device.as_str())
            .bind(number)
            .bind(*first as i64)
            .execute(&mut *tx)
            .await?;
    }
    for (first, last) in &changes.written {
        sqlx::query(
            "INSERT INTO result_frames (device, boot, first, last) VALUES ($1, $2, $3, $4)
             ON CONFLICT (device, boot, first) DO UPDATE SET last = $4",
        )
        .bind(device.as_str())
        .bind(number)
        .bind(*first as i64)
        .bind(*last as i64)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Results of one robot with one model on one day, to be added to the totals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Results.
    pub frames: u64,
    /// Results whose recording names the class.
    pub labelled: u64,
    /// Results of those that named the same class.
    pub correct: u64,
    /// Sum of latencies, in µs.
    pub latency_us: u64,
    /// Results by bucket of latency.
    pub buckets: BTreeMap<u16, u64>,
}

impl Tally {
    /// Counts one result.
    pub fn count(&mut self, result: &Inference<'_>) {
        self.frames += 1;
        self.latency_us += u64::from(result.latency_us);
        *self.buckets.entry(bucket(result.latency_us)).or_default() += 1;
        if let (Some(truth), Output::Class { top, .. }) = (result.truth, &result.output) {
            self.labelled += 1;
            self.correct += u64::from(truth == *top);
        }
    }

    /// Counts what another tally has counted.
    pub fn merge(&mut self, other: &Tally) {
        self.frames += other.frames;
        self.labelled += other.labelled;
        self.correct += other.correct;
        self.latency_us += other.latency_us;
        for (bucket, frames) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += frames;
        }
    }
}

/// Adds a tally to the totals.
pub async fn add(
    tx: &mut AnyConnection,
    device: &Name,
    model: &Digest,
    day: i64,
    tally: &Tally,
) -> Result<(), StoreError> {
    let model = model.to_string();
    sqlx::query(
        "INSERT INTO result_counts (device, model, day, frames, labelled, correct, latency_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (device, model, day) DO UPDATE SET
             frames = result_counts.frames + $4, labelled = result_counts.labelled + $5,
             correct = result_counts.correct + $6, latency_us = result_counts.latency_us + $7",
    )
    .bind(device.as_str())
    .bind(&model)
    .bind(day)
    .bind(tally.frames as i64)
    .bind(tally.labelled as i64)
    .bind(tally.correct as i64)
    .bind(tally.latency_us as i64)
    .execute(&mut *tx)
    .await?;
    for (bucket, frames) in &tally.buckets {
        sqlx::query(
            "INSERT INTO result_latency (device, model, bucket, frames) VALUES ($1, $2, $3, $4)
             ON CONFLICT (device, model, bucket) DO UPDATE SET frames = result_latency.frames + $4",
        )
        .bind(device.as_str())
        .bind(&model)
        .bind(i64::from(*bucket))
        .bind(*frames as i64)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Totals of one robot with one model, over all days.
#[derive(Clone, Debug)]
pub struct Total {
    /// The robot.
    pub device: String,
    /// The model file's digest, in hex.
    pub digest: String,
    /// The registered name and version of that file, where it is registered.
    pub model: Option<(String, u32)>,
    /// The counts; the buckets are filled in too.
    pub tally: Tally,
}

/// The totals, of one robot or of all.
pub async fn totals(
    tx: &mut AnyConnection,
    device: Option<&Name>,
) -> Result<Vec<Total>, StoreError> {
    let device = device.map(Name::as_str);
    let rows = sqlx::query(
        "SELECT c.device, c.model, CAST(sum(c.frames) AS BIGINT), CAST(sum(c.labelled) AS BIGINT),
                CAST(sum(c.correct) AS BIGINT), CAST(sum(c.latency_us) AS BIGINT),
                (SELECT m.name FROM artifacts a JOIN models m ON m.id = a.model_id
                 WHERE a.digest = c.model ORDER BY m.id DESC LIMIT 1),
                (SELECT m.version FROM artifacts a JOIN models m ON m.id = a.model_id
                 WHERE a.digest = c.model ORDER BY m.id DESC LIMIT 1)
         FROM result_counts c WHERE $1 IS NULL OR c.device = $1
         GROUP BY c.device, c.model ORDER BY c.device, min(c.day), c.model",
    )
    .bind(device)
    .fetch_all(&mut *tx)
    .await?;
    let buckets: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT device, model, bucket, frames FROM result_latency WHERE $1 IS NULL OR device = $1",
    )
    .bind(device)
    .fetch_all(&mut *tx)
    .await?;
    let mut totals = Vec::new();
    for row in &rows {
        let count = |i: usize| row.try_get::<i64, _>(i).map(|n| n as u64);
        let name: Option<String> = row.try_get(6)?;
        let version: Option<i64> = row.try_get(7)?;
        let version = version.map(u32::try_from).transpose();
        let version = version.map_err(StoreError::corrupt)?;
        totals.push(Total {
            device: row.try_get(0)?,
            digest: row.try_get(1)?,
            model: name.zip(version),
            tally: Tally {
                frames: count(2)?,
                labelled: count(3)?,
                correct: count(4)?,
                latency_us: count(5)?,
                buckets: BTreeMap::new(),
            },
        });
    }
    let place: BTreeMap<(String, String), usize> = totals
        .iter()
        .enumerate()
        .map(|(i, t)| ((t.device.clone(), t.digest.clone()), i))
        .collect();
    for (device, model, bucket, frames) in buckets {
        if let Some(total) = place.get(&(device, model)).and_then(|&i| totals.get_mut(i)) {
            let bucket = u16::try_from(bucket).map_err(StoreError::corrupt)?;
            total.tally.buckets.insert(bucket, frames as u64);
        }
    }
    Ok(totals)
}

/// How complete the results of one robot are, over all boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Frames that the robot numbered, up to the newest counted one of each boot.
    pub numbered: u64,
    /// Frames that were counted.
    pub counted: u64,
}

/// How complete the results of each robot are. What was numbered and not counted was dropped by the
/// robot, or is still on its way.
pub async fn coverage(tx: &mut AnyConnection) -> Result<BTreeMap<String, Coverage>, StoreError> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT device, max(last) + 1, CAST(sum(last - first + 1) AS BIGINT)
         FROM result_frames GROUP BY device, boot",
    )
    .fetch_all(tx)
    .await?;
    let mut coverage: BTreeMap<String, Coverage> = BTreeMap::new();
    for (device, numbered, counted) in rows {
        let of = coverage.entry(device).or_default();
        of.numbered = of.numbered.saturating_add(numbered as u64);
        of.counted = of.counted.saturating_add(counted as u64);
    }
    Ok(coverage)
}
