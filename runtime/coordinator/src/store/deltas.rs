//! Deltas: which file turns which plan into which.

use sanderling_wire::{Digest, Name};
use sqlx::{AnyConnection, Row};

use super::StoreError;
use crate::clock::now_ms;

/// A delta between two plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// SHA-256 of the plan that comes out.
    pub plan: Digest,
    /// SHA-256 of the plan that it starts from.
    pub base: Digest,
    /// SHA-256 of its own bytes; none: it was found that none pays.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: u64,
}

/// Keeps a delta; true where it is new.
pub async fn add(tx: &mut AnyConnection, delta: &Delta) -> Result<bool, StoreError> {
    let added = sqlx::query(
        "INSERT INTO deltas (plan, base, digest, size, created_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (plan, base, digest) DO NOTHING",
    )
    .bind(delta.plan.to_string())
    .bind(delta.base.to_string())
    .bind(delta.digest.map_or(String::new(), |d| d.to_string()))
    .bind(delta.size as i64)
    .bind(now_ms())
    .execute(tx)
    .await?;
    Ok(added.rows_affected() > 0)
}

/// Forgets the deltas with this digest: their file is gone.
pub async fn forget(tx: &mut AnyConnection, digest: &Digest) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM deltas WHERE digest = $1")
        .bind(digest.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// What is known of deltas to a plan, those that do not pay too.
pub async fn to(tx: &mut AnyConnection, plan: &Digest) -> Result<Vec<Delta>, StoreError> {
    let query = "SELECT plan, base, digest, size FROM deltas WHERE plan = $1 ORDER BY base, size";
    let rows = sqlx::query(query)
        .bind(plan.to_string())
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// Deltas to a plan from other versions of a model, the smallest for each, those from the newest version first.
pub async fn offers(
    tx: &mut AnyConnection,
    model: &Name,
    plan: &Digest,
) -> Result<Vec<Delta>, StoreError> {
    let rows = sqlx::query(
        "SELECT d.plan, d.base, d.digest, d.size, max(m.version) AS newest
         FROM deltas d JOIN artifacts a ON a.digest = d.base JOIN models m ON m.id = a.model_id
         WHERE m.name = $1 AND d.plan = $2 AND d.digest <> ''
         GROUP BY d.plan, d.base, d.digest, d.size
         ORDER BY newest DESC, d.size",
    )
    .bind(model.as_str())
    .bind(plan.to_string())
    .fetch_all(tx)
    .await?;
    let mut offers: Vec<Delta> = Vec::new();
    for row in &rows {
        let delta = read(row)?;
        if offers.iter().all(|offer| offer.base != delta.base) {
            offers.push(delta);
        }
    }
    Ok(offers)
}

/// Every file that there must be.
pub async fn files(tx: &mut AnyConnection) -> Result<Vec<Delta>, StoreError> {
    let query = "SELECT plan, base, digest, size FROM deltas WHERE digest <> ''";
    let rows = sqlx::query(query).fetch_all(tx).await?;
    rows.iter().map(read).collect()
}

fn read(row: &sqlx::any::AnyRow) -> Result<Delta, StoreError> {
    let digest = |text: String| text.parse::<Digest>().map_err(StoreError::corrupt);
    let own: String = row.try_get(2)?;
    Ok(Delta {
        plan: digest(row.try_get(0)?)?,
        base: digest(row.try_get(1)?)?,
        digest: match own.is_empty() {
            true => None,
            false => Some(digest(own)?),
        },
        size: row.try_get::<i64, _>(3)? as u64,
    })
}
