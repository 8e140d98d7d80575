//! How good versions are on holdouts: one row for each pair, by the holdout's digest.

use sanderling_wire::Name;
use serde::Serialize;
use sqlx::{AnyConnection, Row};
use utoipa::ToSchema;

use super::StoreError;
use crate::evaluate::Scores;

/// How good a version is on a holdout.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Evaluation {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the holdout's file, in hex.
    pub holdout: String,
    /// Names under which that file is known now.
    pub names: Vec<String>,
    /// The packing target of the plan that ran; the others give the same bits.
    pub target: String,
    /// SHA-256 of that plan, in hex.
    pub plan: String,
    /// On all frames, and on each slice.
    pub scores: Scores,
    /// How long it took, in ms.
    pub took_ms: u64,
    /// When it ended, in ms since 1970.
    pub at_ms: i64,
    /// Who asked for it.
    pub by: String,
}

/// Writes one down, in the place of an older one.
pub async fn set(tx: &mut AnyConnection, done: &Evaluation) -> Result<(), StoreError> {
    let scores = serde_json::to_string(&done.scores).map_err(StoreError::corrupt)?;
    sqlx::query(
        "INSERT INTO evaluations (model, version, holdout, target, plan_digest, scores, took_ms, at_ms, by_whom)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (model, version, holdout) DO UPDATE SET
             target = $4, plan_digest = $5, scores = $6, took_ms = $7, at_ms = $8, by_whom = $9",
    )
    .bind(&done.model)
    .bind(i64::from(done.version))
    .bind(&done.holdout)
    .bind(&done.target)
    .bind(&done.plan)
    .bind(scores)
    .bind(done.took_ms as i64)
    .bind(done.at_ms)
    .bind(&done.by)
    .execute(tx)
    .await?;
    Ok(())
}

/// Those of one model or of all, by model, version and time.
pub async fn list(
    tx: &mut AnyConnection,
    model: Option<&Name>,
) -> Result<Vec<Evaluation>, StoreError> {
    let rows = sqlx::query(
        "SELECT model, version, holdout, target, plan_digest, scores, took_ms, at_ms, by_whom FROM evaluations
         WHERE $1 IS NULL OR model = $1 ORDER BY model, version, at_ms",
    )
    .bind(model.map(Name::as_str))
    .fetch_all(&mut *tx)
    .await?;
    let holdouts = super::holdouts::list(tx).await?;
    let one = |row: &sqlx::any::AnyRow| -> Result<Evaluation, StoreError> {
        let holdout: String = row.try_get(2)?;
        let known = holdouts.iter().filter(|h| h.digest == holdout);
        let names = known.map(|h| h.name.clone()).collect();
        let scores: &str = row.try_get(5)?;
        Ok(Evaluation {
            model: row.try_get(0)?,
            version: u32::try_from(row.try_get::<i64, _>(1)?).map_err(StoreError::corrupt)?,
            holdout,
            names,
            target: row.try_get(3)?,
            plan: row.try_get(4)?,
            scores: serde_json::from_str(scores).map_err(StoreError::corrupt)?,
            took_ms: row.try_get::<i64, _>(6)? as u64,
            at_ms: row.try_get(7)?,
            by: row.try_get(8)?,
        })
    };
    rows.iter().map(one).collect()
}

/// That of one version on the file with this digest.
pub async fn get(
    tx: &mut AnyConnection,
    model: &Name,
    version: u32,
    digest: &str,
) -> Result<Option<Evaluation>, StoreError> {
    Ok(list(tx, Some(model))
        .await?
        .into_iter()
        .find(|e| e.version == version && e.holdout == digest))
}
