//! The desired state of each group, with the exact bytes that are published for it.

use sanderling_trust::{place, serial};
use sanderling_wire::{Arm, Desired, Manifest, Name, SERIAL_LIMIT, Signed, decode};
use sqlx::{AnyConnection, Row};

use super::StoreError;
use super::devices::{self, Device};

/// A group's desired state.
#[derive(Clone, Debug)]
pub struct Group {
    /// The group.
    pub name: Name,
    /// The serial, without an epoch.
    pub serial: u64,
    /// What robots' places are made of.
    pub salt: [u8; 16],
    /// Who does what.
    pub arms: Vec<Arm>,
    /// The releases that arms name.
    pub releases: Vec<Manifest>,
    /// The whole message, as it stands retained on the broker.
    pub message: Vec<u8>,
    /// When it was set, in ms since 1970.
    pub set_ms: i64,
}

/// What a robot should run, and since which serial.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'g> {
    /// The release.
    pub manifest: &'g Manifest,
    /// The serial, without an epoch.
    pub serial: u64,
}

/// What a robot's arm tells it.
#[derive(Clone, Copy, Debug)]
pub enum Told<'g> {
    /// To run this.
    Run(Wanted<'g>),
    /// To keep what it has: its rollout is paused, or ended half-way.
    Keep,
}

impl Group {
    /// What this robot is told.
    pub fn told(&self, device: &Name) -> Told<'_> {
        self.wanted(device).map_or(Told::Keep, Told::Run)
    }

    /// What this robot's arm gives it to run; none: it keeps what it has.
    pub fn wanted(&self, device: &Name) -> Option<Wanted<'_>> {
        let place = place(&self.salt, device);
        let arm = self.arms.iter().find(|arm| place <= arm.upto)?;
        self.of_index(arm.run?)
    }

    /// The release that the first arm that runs one runs.
    pub fn main(&self) -> Option<Wanted<'_>> {
        let index = self.arms.iter().find_map(|arm| arm.run)?;
        self.of_index(index)
    }

    fn of_index(&self, index: u8) -> Option<Wanted<'_>> {
        Some(Wanted {
            manifest: self.releases.get(usize::from(index))?,
            serial: self.serial,
        })
    }
}

/// What a message says, read for the coordinator's own use: it wrote it itself.
pub fn read(message: Vec<u8>, set_ms: i64) -> Result<Group, StoreError> {
    let signed: Signed<'_> = decode(&message).map_err(StoreError::corrupt)?;
    let desired: Desired<'_> = signed.read().map_err(StoreError::corrupt)?;
    let releases = desired.releases.iter().map(|release| release.read());
    let releases: Result<Vec<Manifest>, _> = releases.collect();
    Ok(Group {
        name: desired.group.clone(),
        serial: desired.serial,
        salt: desired.salt,
        arms: desired.arms.to_vec(),
        releases: releases.map_err(StoreError::corrupt)?,
        set_ms,
        message: message.clone(),
    })
}

/// Every group that has a desired state.
pub async fn list(tx: &mut AnyConnection) -> Result<Vec<Group>, StoreError> {
    let query = "SELECT message, set_ms FROM groups WHERE length(message) > 0 ORDER BY name";
    let rows = sqlx::query(query).fetch_all(tx).await?;
    rows.iter()
        .map(|row| read(row.try_get(0)?, row.try_get(1)?))
        .collect()
}

/// One group.
pub async fn get(tx: &mut AnyConnection, name: &Name) -> Result<Option<Group>, StoreError> {
    let query = "SELECT message, set_ms FROM groups WHERE name = $1 AND length(message) > 0";
    let row = sqlx::query(query)
        .bind(name.as_str())
        .fetch_optional(tx)
        .await?;
    row.map(|row| read(row.try_get(0)?, row.try_get(1)?))
        .transpose()
}

/// Groups whose desired state an older program published in another form: name, model, version.
pub async fn outdated(tx: &mut AnyConnection) -> Result<Vec<(String, String, u32)>, StoreError> {
    let query = "SELECT name, model, version FROM groups WHERE length(message) = 0";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(query).fetch_all(tx).await?;
    let version = |version| u32::try_from(version).map_err(StoreError::corrupt);
    rows.into_iter()
        .map(|(name, model, of)| Ok((name, model, version(of)?)))
        .collect()
}

/// Serials up to here are followed when robots report them. Any robot can claim one, so as many again are kept for
/// counting. The clock reaches it in hundredths of a second, as older programs counted, in the year 2144.
pub const FOLLOWED: u64 = SERIAL_LIMIT / 2;

/// The highest serial that one of these robots says it has accepted under this epoch, of those that are followed.
pub fn held(robots: &[Device], epoch: Option<u32>) -> u64 {
    let epoch = u64::from(epoch.unwrap_or(0));
    let serials = robots.iter().filter_map(|robot| {
        let held = robot.state.as_ref()?.serial;
        (serial::epoch(held) == epoch).then_some(serial::plain(held))
    });
    let followed = serials.filter(|&serial| serial < FOLLOWED);
    followed.max().unwrap_or(0)
}

/// The serial for a group's next desired state: one more than the last one, and than any that its robots have accepted,
/// so that a registry that began anew does not say what they would ignore.
pub async fn next_serial(
    tx: &mut AnyConnection,
    name: &Name,
    epoch: Option<u32>,
) -> Result<u64, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT serial FROM groups WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    let last = last.map_or(0, |last| u64::try_from(last).unwrap_or(0));
    let held = held(&devices::list(tx, Some(name)).await?, epoch);
    Ok((last.max(held) + 1).min(SERIAL_LIMIT - 1))
}

/// Sets a group's desired state.
pub async fn set(tx: &mut AnyConnection, group: &Group) -> Result<(), StoreError> {
    let main = group.main().map(|wanted| wanted.manifest);
    sqlx::query(
        "INSERT INTO groups (name, serial, model, version, message, set_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO UPDATE SET
             serial = $2, model = $3, version = $4, message = $5, set_ms = $6",
    )
    .bind(group.name.as_str())
    .bind(group.serial as i64)
    .bind(main.map_or("", |manifest| manifest.model.as_str()))
    .bind(main.map_or(0, |manifest| i64::from(manifest.version)))
    .bind(&group.message)
    .bind(group.set_ms)
    .execute(tx)
    .await?;
    Ok(())
}
