//! Holdouts by name: which file each stands for, and what is in it.

use sanderling_wire::{Digest, Name};
use serde::Serialize;
use sqlx::{AnyConnection, Row};
use utoipa::ToSchema;

use super::StoreError;
use crate::holdout::Contents;

/// A holdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Holdout {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// The file's size in bytes.
    pub size: u64,
    /// What is in it.
    pub contents: Contents,
    /// When it was added, in ms since 1970.
    pub created_ms: i64,
    /// Who added it.
    pub by: String,
}

impl Holdout {
    /// The digest of its file.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        self.digest.parse().map_err(StoreError::corrupt)
    }
}

/// Adds one, or puts another file in its place.
pub async fn set(tx: &mut AnyConnection, holdout: &Holdout) -> Result<(), StoreError> {
    let contents = serde_json::to_string(&holdout.contents).map_err(StoreError::corrupt)?;
    sqlx::query(
        "INSERT INTO holdouts (name, digest, size, contents, created_ms, by_whom) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO UPDATE SET digest = $2, size = $3, contents = $4, created_ms = $5, by_whom = $6",
    )
    .bind(&holdout.name)
    .bind(&holdout.digest)
    .bind(holdout.size as i64)
    .bind(contents)
    .bind(holdout.created_ms)
    .bind(&holdout.by)
    .execute(tx)
    .await?;
    Ok(())
}

/// All, by name.
pub async fn list(tx: &mut AnyConnection) -> Result<Vec<Holdout>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, digest, size, contents, created_ms, by_whom FROM holdouts ORDER BY name",
    )
    .fetch_all(tx)
    .await?;
    let holdout = |row: &sqlx::any::AnyRow| -> Result<Holdout, StoreError> {
        let contents: &str = row.try_get(3)?;
        Ok(Holdout {
            name: row.try_get(0)?,
            digest: row.try_get(1)?,
            size: row.try_get::<i64, _>(2)? as u64,
            contents: serde_json::from_str(contents).map_err(StoreError::corrupt)?,
            created_ms: row.try_get(4)?,
            by: row.try_get(5)?,
        })
    };
    rows.iter().map(holdout).collect()
}

/// One.
pub async fn get(tx: &mut AnyConnection, name: &Name) -> Result<Option<Holdout>, StoreError> {
    Ok(list(tx)
        .await?
        .into_iter()
        .find(|holdout| holdout.name == name.as_str()))
}

/// Takes one away; what was measured with it stays.
pub async fn remove(tx: &mut AnyConnection, name: &Name) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM holdouts WHERE name = $1")
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Every digest that a file must stand for, with its size.
pub async fn digests(tx: &mut AnyConnection) -> Result<Vec<(Digest, u64)>, StoreError> {
    let holdouts = list(tx).await?;
    holdouts.iter().map(|h| Ok((h.digest()?, h.size))).collect()
}
