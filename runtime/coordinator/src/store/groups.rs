//! The desired state of each group, with the exact bytes that are published for it.

use sanderling_wire::{Desired, Manifest, Name, decode};
use sqlx::{AnyConnection, Row};

use super::StoreError;
use crate::clock::now_ms;

/// A group's desired state.
#[derive(Clone, Debug)]
pub struct Group {
    /// The manifest.
    pub manifest: Manifest,
    /// The whole message, as it stands retained on the broker.
    pub message: Vec<u8>,
    /// When it was set, in ms since 1970.
    pub set_ms: i64,
}

fn group(row: &sqlx::any::AnyRow) -> Result<Group, StoreError> {
    let message: Vec<u8> = row.try_get(0)?;
    let manifest = decode::<Desired>(&message)
        .and_then(|d| d.read())
        .map_err(StoreError::corrupt)?;
    Ok(Group {
        manifest,
        message,
        set_ms: row.try_get(1)?,
    })
}

/// Every group that has a desired state.
pub async fn list(tx: &mut AnyConnection) -> Result<Vec<Group>, StoreError> {
    let rows = sqlx::query("SELECT manifest, set_ms FROM groups ORDER BY name")
        .fetch_all(tx)
        .await?;
    rows.iter().map(group).collect()
}

/// One group.
pub async fn get(tx: &mut AnyConnection, name: &Name) -> Result<Option<Group>, StoreError> {
    let row = sqlx::query("SELECT manifest, set_ms FROM groups WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(group).transpose()
}

/// The serial for a group's next desired state. It is taken from the clock, so that a coordinator
/// that lost its data does not publish a serial that robots have seen already; and it grows even
/// when the clock does not.
pub async fn next_serial(tx: &mut AnyConnection, name: &Name) -> Result<u64, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT serial FROM groups WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(tx)
        .await?;
    let next = now_ms().max(last.unwrap_or(0).saturating_add(1)).max(1);
    Ok(next as u64)
}

/// Sets a group's desired state.
pub async fn set(
    tx: &mut AnyConnection,
    manifest: &Manifest,
    message: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO groups (name, serial, model, version, manifest, set_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO UPDATE SET
             serial = $2, model = $3, version = $4, manifest = $5, set_ms = $6",
    )
    .bind(manifest.group.as_str())
    .bind(manifest.serial as i64)
    .bind(manifest.model.as_str())
    .bind(i64::from(manifest.version))
    .bind(message)
    .bind(now_ms())
    .execute(tx)
    .await?;
    Ok(())
}
