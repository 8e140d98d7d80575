//! What happened, in order, for people and for `watch`.

use serde::Serialize;
use sqlx::{AnyConnection, Row};
use utoipa::ToSchema;

use super::StoreError;
use crate::clock::now_ms;

/// How many events are kept.
const KEPT: i64 = 20_000;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Grows by one with each event.
    pub id: i64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// What kind: `online`, `offline`, `running`, `updating`, `fell_back`, `registered`, `stage`, `evaluated`, `desired`, `order`, `forgotten`, `rollout`.
    pub kind: String,
    /// The device it is about.
    pub device: Option<String>,
    /// The group it is about.
    pub group: Option<String>,
    /// One line.
    pub text: String,
}

/// Something to be written down.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// See [`Event::kind`].
    pub kind: &'static str,
    /// The device it is about.
    pub device: Option<&'a str>,
    /// The group it is about.
    pub group: Option<&'a str>,
    /// One line.
    pub text: &'a str,
}

/// Writes an event down.
pub async fn add(tx: &mut AnyConnection, note: Note<'_>) -> Result<(), StoreError> {
    let id: i64 = sqlx::query_scalar("INSERT INTO events (at_ms, kind, device, grp, text) VALUES ($1, $2, $3, $4, $5) RETURNING id")
            .bind(now_ms())
            .bind(note.kind)
            .bind(note.device)
            .bind(note.group)
            .bind(note.text)
            .fetch_one(&mut *tx)
            .await?;
    if id % 256 == 0 {
        sqlx::query("DELETE FROM events WHERE id <= $1")
            .bind(id - KEPT)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// The events after `id`, oldest first, at most `limit`.
pub async fn after(tx: &mut AnyConnection, id: i64, limit: i64) -> Result<Vec<Event>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, at_ms, kind, device, grp, text FROM events WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Event {
                id: row.try_get(0)?,
                at_ms: row.try_get(1)?,
                kind: row.try_get(2)?,
                device: row.try_get(3)?,
                group: row.try_get(4)?,
                text: row.try_get(5)?,
            })
        })
        .collect()
}

/// The newest event's number, 0 when there is none.
pub async fn newest(tx: &mut AnyConnection) -> Result<i64, StoreError> {
    let id: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM events")
        .fetch_one(tx)
        .await?;
    Ok(id.unwrap_or(0))
}
