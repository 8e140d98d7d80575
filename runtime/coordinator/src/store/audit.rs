//! Who did what when. Lines are added in the transaction of what was done, and never changed.

use serde::Serialize;
use sqlx::{AnyConnection, Row};
use utoipa::ToSchema;

use super::StoreError;

/// One line.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Line {
    /// Grows with each line.
    pub id: i64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// A person, a token's name, or `rollout` where the state machine acted.
    pub by: String,
    /// What: `started`, `stage`, `moved`, `held`, `tripped`, `paused`, `resumed`, `reverting`, `aborted`, `finished`;
    /// `registered`, `signed`, `pushed`, `policy`, `evaluated`, `refused`, `promoted`, `archived`, `staged`;
    /// `holdout`, `removed`; `enrolled`, `revoked`, `root`, `order`, `forgotten`.
    pub act: String,
    /// The rollout it is about.
    pub rollout: Option<i64>,
    /// The group it is about.
    pub group: Option<String>,
    /// The model it is about.
    pub model: Option<String>,
    /// Its version.
    pub version: Option<u32>,
    /// One line.
    pub text: String,
}

/// Something to be written down.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// See [`Line::at_ms`].
    pub at_ms: i64,
    /// See [`Line::by`].
    pub by: &'a str,
    /// See [`Line::act`].
    pub act: &'a str,
    /// See [`Line::rollout`].
    pub rollout: Option<i64>,
    /// See [`Line::group`].
    pub group: Option<&'a str>,
    /// Model, and version where it is about one.
    pub model: Option<(&'a str, Option<u32>)>,
    /// One line.
    pub text: &'a str,
}

/// Which lines.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of one rollout.
    pub rollout: Option<i64>,
    /// Of one group.
    pub group: Option<String>,
    /// Of one model.
    pub model: Option<String>,
    /// At most so many, the newest.
    pub limit: i64,
}

/// Adds a line.
pub async fn add(tx: &mut AnyConnection, entry: &Entry<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (at_ms, by_whom, act, rollout, grp, model, version, text) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.at_ms)
    .bind(entry.by)
    .bind(entry.act)
    .bind(entry.rollout)
    .bind(entry.group)
    .bind(entry.model.map(|(name, _)| name))
    .bind(entry.model.and_then(|(_, version)| version).map(i64::from))
    .bind(entry.text)
    .execute(tx)
    .await?;
    Ok(())
}

/// The newest lines that are wanted, oldest first.
pub async fn list(tx: &mut AnyConnection, wanted: &Wanted) -> Result<Vec<Line>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, at_ms, by_whom, act, rollout, grp, model, version, text FROM audit
         WHERE ($1 IS NULL OR rollout = $1) AND ($2 IS NULL OR grp = $2) AND ($3 IS NULL OR model = $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(wanted.rollout)
    .bind(&wanted.group)
    .bind(&wanted.model)
    .bind(wanted.limit)
    .fetch_all(tx)
    .await?;
    let line = |row: &sqlx::any::AnyRow| -> Result<Line, StoreError> {
        Ok(Line {
            id: row.try_get(0)?,
            at_ms: row.try_get(1)?,
            by: row.try_get(2)?,
            act: row.try_get(3)?,
            rollout: row.try_get(4)?,
            group: row.try_get(5)?,
            model: row.try_get(6)?,
            version: row
                .try_get::<Option<i64>, _>(7)?
                .and_then(|v| u32::try_from(v).ok()),
            text: row.try_get(8)?,
        })
    };
    rows.iter().rev().map(line).collect()
}
