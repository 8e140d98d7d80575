//! Rollouts as they stand: a head each, and a record for each robot that was heard of.

use sanderling_rollout::{Device, Head, Key, State};
use sanderling_wire::Name;
use sqlx::{AnyConnection, Row};

use super::StoreError;

/// A rollout with what does not change about it.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Its number.
    pub id: i64,
    /// The group it is for.
    pub group: Name,
    /// What robots' places are made of.
    pub salt: [u8; 16],
    /// The size of a chunk, in bytes.
    pub chunk_size: u32,
    /// Where it stands.
    pub head: Head,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
    /// Who made it.
    pub by: String,
}

const COLUMNS: &str = "SELECT id, grp, salt, chunk_size, head, created_ms, by_whom FROM rollouts";

fn rollout(row: &sqlx::any::AnyRow) -> Result<Rollout, StoreError> {
    let group: &str = row.try_get(1)?;
    let salt: &[u8] = row.try_get(2)?;
    let head: &str = row.try_get(4)?;
    Ok(Rollout {
        id: row.try_get(0)?,
        group: Name::new(group).map_err(StoreError::corrupt)?,
        salt: salt.try_into().map_err(StoreError::corrupt)?,
        chunk_size: u32::try_from(row.try_get::<i64, _>(3)?).map_err(StoreError::corrupt)?,
        head: serde_json::from_str(head).map_err(StoreError::corrupt)?,
        created_ms: row.try_get(5)?,
        by: row.try_get(6)?,
    })
}

/// Those that are not over.
pub async fn under_way(tx: &mut AnyConnection) -> Result<Vec<Rollout>, StoreError> {
    let query = format!("{COLUMNS} WHERE is_over = 0 ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .fetch_all(tx)
        .await?;
    rows.iter().map(rollout).collect()
}

/// The number of the rollout that a group takes part in.
pub async fn of_group(tx: &mut AnyConnection, group: &Name) -> Result<Option<i64>, StoreError> {
    let id = sqlx::query_scalar("SELECT id FROM rollouts WHERE grp = $1 AND is_over = 0")
        .bind(group.as_str())
        .fetch_optional(tx)
        .await?;
    Ok(id)
}

/// The newest rollouts, newest first, of one group or all.
pub async fn list(
    tx: &mut AnyConnection,
    group: Option<&Name>,
    limit: i64,
) -> Result<Vec<Rollout>, StoreError> {
    let query = format!("{COLUMNS} WHERE $1 IS NULL OR grp = $1 ORDER BY id DESC LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(group.map(Name::as_str))
        .bind(limit)
        .fetch_all(tx)
        .await?;
    rows.iter().map(rollout).collect()
}

/// One rollout.
pub async fn get(tx: &mut AnyConnection, id: i64) -> Result<Option<Rollout>, StoreError> {
    let query = format!("{COLUMNS} WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(rollout).transpose()
}

/// The records of a rollout's robots.
pub async fn state(tx: &mut AnyConnection, rollout: &Rollout) -> Result<State, StoreError> {
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT device, record FROM rollout_devices WHERE rollout = $1")
            .bind(rollout.id)
            .fetch_all(tx)
            .await?;
    let record = |(key, record): (i64, String)| {
        let device: Device = serde_json::from_str(&record).map_err(StoreError::corrupt)?;
        Ok((Key(key as u64), device))
    };
    let devices: Result<_, StoreError> = rows.into_iter().map(record).collect();
    Ok(State {
        head: rollout.head.clone(),
        devices: devices?,
    })
}

/// Adds a rollout and gives its number; the one in `rollout` is not looked at.
pub async fn add(tx: &mut AnyConnection, rollout: &Rollout) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO rollouts (grp, salt, chunk_size, head, is_over, created_ms, by_whom) VALUES ($1, $2, $3, $4, 0, $5, $6) RETURNING id",
    )
    .bind(rollout.group.as_str())
    .bind(rollout.salt.to_vec())
    .bind(i64::from(rollout.chunk_size))
    .bind(serde_json::to_string(&rollout.head).map_err(StoreError::corrupt)?)
    .bind(rollout.created_ms)
    .bind(&rollout.by)
    .fetch_one(tx)
    .await?;
    Ok(id)
}

/// Writes a head down.
pub async fn set_head(tx: &mut AnyConnection, id: i64, head: &Head) -> Result<(), StoreError> {
    sqlx::query("UPDATE rollouts SET head = $1, is_over = $2 WHERE id = $3")
        .bind(serde_json::to_string(head).map_err(StoreError::corrupt)?)
        .bind(i64::from(head.status.is_over()))
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes a robot's record down, or takes it away.
pub async fn set_device(
    tx: &mut AnyConnection,
    id: i64,
    key: Key,
    device: Option<&Device>,
) -> Result<(), StoreError> {
    match device {
        Some(device) => {
            sqlx::query(
                "INSERT INTO rollout_devices (rollout, device, record) VALUES ($1, $2, $3)
                 ON CONFLICT (rollout, device) DO UPDATE SET record = $3",
            )
            .bind(id)
            .bind(key.0 as i64)
            .bind(serde_json::to_string(device).map_err(StoreError::corrupt)?)
            .execute(tx)
            .await?
        }
        None => {
            sqlx::query("DELETE FROM rollout_devices WHERE rollout = $1 AND device = $2")
                .bind(id)
                .bind(key.0 as i64)
                .execute(tx)
                .await?
        }
    };
    Ok(())
}
