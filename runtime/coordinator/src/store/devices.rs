//! The device table: what each robot said last, as it said it.

use sanderling_wire::{Birth, DecodeError, Health, Name, Presence, Session, State, decode};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::StoreError;
use crate::clock::now_ms;
use crate::decide::presence::Known;

/// A row of the table. What cannot be read by this version of the program counts as unsaid.
#[derive(Clone, Debug)]
pub struct Device {
    /// The robot.
    pub name: Name,
    /// Its connection.
    pub known: Known,
    /// Its newest birth.
    pub birth: Option<Birth>,
    /// Its newest state.
    pub state: Option<State>,
    /// The version of its newest birth or state, where that is none that this program reads.
    pub unreadable: Option<u8>,
    /// Its newest health.
    pub health: Option<Health>,
    /// Its newest result, a JSON object.
    pub last_result: Option<serde_json::Value>,
    /// When it was heard last, in ms since 1970; 0: nothing was heard but what the broker had kept.
    pub seen_ms: i64,
    /// When two robots were last seen under this name, in ms since 1970; 0: never.
    pub clone_ms: i64,
}

fn device(row: &AnyRow) -> Result<Device, StoreError> {
    let name: &str = row.try_get(0)?;
    let birth: Option<&[u8]> = row.try_get(3)?;
    let state: Option<&[u8]> = row.try_get(4)?;
    let health: Option<&[u8]> = row.try_get(5)?;
    let last_result: Option<&str> = row.try_get(6)?;
    Ok(Device {
        name: Name::new(name).map_err(StoreError::corrupt)?,
        known: Known {
            session: Session(row.try_get::<i64, _>(1)? as u64),
            online: row.try_get::<i64, _>(2)? != 0,
        },
        birth: birth.and_then(|b| match decode::<Presence>(b) {
            Ok(Presence::Born(birth)) => Some(birth),
            _ => None,
        }),
        state: state.and_then(|b| decode(b).ok()),
        unreadable: birth
            .and_then(|b| version_of(decode::<Presence>(b)))
            .or_else(|| state.and_then(|b| version_of(decode::<State>(b)))),
        health: health.and_then(|b| decode(b).ok()),
        last_result: last_result.and_then(|text| serde_json::from_str(text).ok()),
        seen_ms: row.try_get(7)?,
        clone_ms: row.try_get(8)?,
    })
}

/// The version of a message that is of none that this program reads.
fn version_of<T>(decoded: Result<T, DecodeError>) -> Option<u8> {
    match decoded {
        Err(DecodeError::Version(version)) => Some(version),
        _ => None,
    }
}

/// Every robot, or those of one group.
pub async fn list(tx: &mut AnyConnection, group: Option<&Name>) -> Result<Vec<Device>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, session, online, birth, state, health, last_result, seen_ms, clone_ms
         FROM devices WHERE $1 IS NULL OR grp = $1 ORDER BY name",
    )
    .bind(group.map(Name::as_str))
    .fetch_all(tx)
    .await?;
    rows.iter().map(device).collect()
}

/// Every group that a robot named.
pub async fn groups(tx: &mut AnyConnection) -> Result<Vec<Name>, StoreError> {
    let query = "SELECT DISTINCT grp FROM devices WHERE grp IS NOT NULL";
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(tx).await?;
    let names = names.iter().map(|name| Name::new(name));
    names.collect::<Result<_, _>>().map_err(StoreError::corrupt)
}

/// One robot.
pub async fn get(tx: &mut AnyConnection, name: &Name) -> Result<Option<Device>, StoreError> {
    let row = sqlx::query(
        "SELECT name, session, online, birth, state, health, last_result, seen_ms, clone_ms
         FROM devices WHERE name = $1",
    )
    .bind(name.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(device).transpose()
}

/// Writes down whether a robot is there, and makes its row. `live`: it said so itself just now; what the broker had
/// kept, and that a robot is gone, are no signs of life.
pub async fn set_known(
    tx: &mut AnyConnection,
    name: &Name,
    known: Known,
    live: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO devices (name, session, online, seen_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET
             session = $2, online = $3, seen_ms = CASE WHEN $4 = 0 THEN devices.seen_ms ELSE $4 END",
    )
    .bind(name.as_str())
    .bind(known.session.0 as i64)
    .bind(i64::from(known.online))
    .bind(heard_ms(live))
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes a birth down, as it was received, for a robot that has a row.
pub async fn set_birth(
    tx: &mut AnyConnection,
    name: &Name,
    group: &Name,
    message: &[u8],
    live: bool,
) -> Result<(), StoreError> {
    let query = "UPDATE devices SET grp = $1, birth = $2,
             seen_ms = CASE WHEN $3 = 0 THEN seen_ms ELSE $3 END WHERE name = $4";
    sqlx::query(query)
        .bind(group.as_str())
        .bind(message)
        .bind(heard_ms(live))
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes a birth down that this program cannot read, for a robot that has a row. The group stays as it was.
pub async fn set_unread_birth(
    tx: &mut AnyConnection,
    name: &Name,
    message: &[u8],
    live: bool,
) -> Result<(), StoreError> {
    let query = "UPDATE devices SET birth = $1,
             seen_ms = CASE WHEN $2 = 0 THEN seen_ms ELSE $2 END WHERE name = $3";
    sqlx::query(query)
        .bind(message)
        .bind(heard_ms(live))
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes a state down, as it was received.
pub async fn set_state(
    tx: &mut AnyConnection,
    name: &Name,
    message: &[u8],
    live: bool,
) -> Result<(), StoreError> {
    let query = "UPDATE devices SET state = $1,
             seen_ms = CASE WHEN $2 = 0 THEN seen_ms ELSE $2 END WHERE name = $3";
    sqlx::query(query)
        .bind(message)
        .bind(heard_ms(live))
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes a health report down, as it was received.
pub async fn set_health(
    tx: &mut AnyConnection,
    name: &Name,
    message: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET health = $1, seen_ms = $2 WHERE name = $3")
        .bind(message)
        .bind(now_ms())
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Writes the newest result down, a JSON object.
pub async fn set_last_result(
    tx: &mut AnyConnection,
    name: &Name,
    json: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET last_result = $1, seen_ms = $2 WHERE name = $3")
        .bind(json)
        .bind(now_ms())
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// The robots that count as there though nothing was heard of them since `since_ms`, or though they were heard after
/// `until_ms`, when the clock was ahead.
pub async fn silent(
    tx: &mut AnyConnection,
    since_ms: i64,
    until_ms: i64,
) -> Result<Vec<Device>, StoreError> {
    let rows = sqlx::query(
        "SELECT name, session, online, birth, state, health, last_result, seen_ms, clone_ms
         FROM devices WHERE online = 1 AND (seen_ms < $1 OR seen_ms > $2) ORDER BY name",
    )
    .bind(since_ms)
    .bind(until_ms)
    .fetch_all(tx)
    .await?;
    rows.iter().map(device).collect()
}

/// Two robots connect under this name.
pub async fn set_clone(tx: &mut AnyConnection, name: &Name) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET clone_ms = $1 WHERE name = $2")
        .bind(now_ms())
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// When a message was heard, or 0 where nobody says that its sender still lives.
fn heard_ms(live: bool) -> i64 {
    if live { now_ms().max(1) } else { 0 }
}

/// Forgets a robot; its counted results stay. True when there was one.
pub async fn forget(tx: &mut AnyConnection, name: &Name) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM devices WHERE name = $1")
        .bind(name.as_str())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}
