//! Which starts of a robot the counted frames are of.
//!
//! A robot that says its run (a random number of each start) is told apart by it. One that does not has its boot counter
//! only, and some of its frames are marked with what they held: a message that differs from the one that was counted
//! under its number is of another life of that robot, whose frames are then counted apart.

use sanderling_wire::{Name, RunId};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::StoreError;
use crate::clock::now_ms;

/// Numbers of runs begin here, above every boot counter.
const FIRST: i64 = 1 << 32;
/// Below this, every frame is marked; above, those whose number is a power of two.
const MARKED: u64 = 16;

/// The number under which frames of a start are kept.
pub async fn number(
    tx: &mut AnyConnection,
    device: &Name,
    run: Option<RunId>,
    boot: u32,
) -> Result<i64, StoreError> {
    let known: Option<i64> = sqlx::query_scalar(
        "SELECT number FROM result_runs WHERE device = $1 AND run = $2 AND boot = $3",
    )
    .bind(device.as_str())
    .bind(text(run))
    .bind(i64::from(boot))
    .fetch_optional(&mut *tx)
    .await?;
    match (known, run) {
        (Some(number), _) => Ok(number),
        (None, None) => Ok(i64::from(boot)),
        (None, Some(_)) => begin(tx, device, run, boot).await,
    }
}

/// A new number for a start: for a run that was not heard before, or another life under the same boot counter.
pub async fn begin(
    tx: &mut AnyConnection,
    device: &Name,
    run: Option<RunId>,
    boot: u32,
) -> Result<i64, StoreError> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(number) FROM result_runs WHERE device = $1")
            .bind(device.as_str())
            .fetch_one(&mut *tx)
            .await?;
    let number = last.map_or(FIRST, |last| last.saturating_add(1));
    sqlx::query(
        "INSERT INTO result_runs (device, run, boot, number, since_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (device, run, boot) DO UPDATE SET number = $4, since_ms = $5",
    )
    .bind(device.as_str())
    .bind(text(run))
    .bind(i64::from(boot))
    .bind(number)
    .bind(now_ms())
    .execute(tx)
    .await?;
    Ok(number)
}

fn text(run: Option<RunId>) -> String {
    run.map_or(String::new(), |run| run.to_string())
}

/// Whether what a frame held is kept. So few are that their number hardly grows.
pub const fn is_marked(seq: u64) -> bool {
    seq < MARKED || seq.is_power_of_two()
}

/// What a message held, in 8 bytes.
pub fn mark(message: &[u8]) -> i64 {
    let digest: [u8; 32] = Sha256::digest(message).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What a counted frame held, where that was kept.
pub async fn marked(
    tx: &mut AnyConnection,
    device: &Name,
    number: i64,
    seq: u64,
) -> Result<Option<i64>, StoreError> {
    let mark = sqlx::query_scalar(
        "SELECT mark FROM result_marks WHERE device = $1 AND number = $2 AND seq = $3",
    )
    .bind(device.as_str())
    .bind(number)
    .bind(seq as i64)
    .fetch_optional(tx)
    .await?;
    Ok(mark)
}

/// Keeps what a frame held.
pub async fn set_mark(
    tx: &mut AnyConnection,
    device: &Name,
    number: i64,
    seq: u64,
    mark: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO result_marks (device, number, seq, mark) VALUES ($1, $2, $3, $4)
         ON CONFLICT (device, number, seq) DO NOTHING",
    )
    .bind(device.as_str())
    .bind(number)
    .bind(seq as i64)
    .bind(mark)
    .execute(tx)
    .await?;
    Ok(())
}
