//! Groups: what each should run. Setting it is what `push` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use sanderling_wire::{DEFAULT_CHUNK, MAX_CHUNK, MIN_CHUNK, Manifest, Name};
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use utoipa::ToSchema;

use super::App;
use super::devices::verdict;
use super::error::{ApiError, ErrorBody, Obstacle};
use super::rollouts::who;
use crate::clock::now_ms;
use crate::compose::{Order, compose};
use crate::decide::fit::{Limits, fit};
use crate::decide::standing::Standing;
use crate::say::{send_desired, send_roots};
use crate::stages::may_run;
use crate::store::audit::{self, Entry};
use crate::store::events::{self, Note};
use crate::store::{StoreError, devices, groups, models, rollouts};

/// A group and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The number of its desired state; it grows with every change.
    pub serial: u64,
    /// The model it should run.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// Whether the fleet has a root, so that robots believe only what is signed.
    pub signed: bool,
    /// When that was set, in ms since 1970.
    pub set_ms: i64,
    /// How many of its devices stand where, by standing.
    #[schema(value_type = Object)]
    pub standings: BTreeMap<Standing, u32>,
}

/// Groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct Groups {
    /// Those that have a desired state, by name.
    pub groups: Vec<Group>,
}

/// Every group that has a desired state
#[utoipa::path(get, path = "/v1/groups", responses((status = 200, description = "The groups", body = Groups)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Groups>, ApiError> {
    let mut tx = app.store.read().await?;
    let mut list = Vec::new();
    for group in groups::list(&mut tx).await? {
        let mut standings = BTreeMap::new();
        for device in devices::list(&mut tx, Some(&group.name)).await? {
            let verdict = verdict(&device, Some(&group), &app.files);
            *standings.entry(verdict.standing).or_default() += 1;
        }
        let main = group.main();
        list.push(Group {
            name: group.name.to_string(),
            serial: group.serial,
            model: main.map_or(String::new(), |w| w.manifest.model.to_string()),
            version: main.map_or(0, |w| w.manifest.version),
            signed: app.signer.epoch().is_some(),
            set_ms: group.set_ms,
            standings,
        });
    }
    Ok(Json(Groups { groups: list }))
}

/// What a group should run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Push {
    /// The model's name.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// The size of a chunk that is proposed to robots, in bytes, 256 to 65536; 32768 when absent.
    pub chunk_size: Option<u32>,
    /// Who asks.
    pub by: Option<String>,
}

/// What was set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pushed {
    /// The group.
    pub group: String,
    /// The number of its desired state.
    pub serial: u64,
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// The devices of the group that are known, and where they stand now.
    pub devices: Vec<PushedDevice>,
}

/// A device of the group.
#[derive(Debug, Serialize, ToSchema)]
pub struct PushedDevice {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub online: bool,
    /// Where it stands.
    pub standing: Standing,
}

/// Refuses what robots could not pull: a file of the version is gone or damaged.
pub(super) async fn is_whole(
    app: &App,
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
) -> Result<(), ApiError> {
    let Some(model) = models::get(tx, name, version).await? else {
        return Ok(());
    };
    for plan in &model.artifacts {
        let digest = plan.digest.parse().map_err(StoreError::corrupt)?;
        if let Some(broken) = app.files.check(&digest).await? {
            let message = format!("{name} v{version} for {}: {broken}", plan.target);
            return Err(ApiError::conflict("file_broken", message, Vec::new()));
        }
    }
    Ok(())
}

/// Refuses what does not fit a robot that is known, and names those that stand in the way.
pub(super) fn fits<'m>(
    known: &[devices::Device],
    group: &Name,
    wanted: impl Fn(&devices::Device) -> Option<&'m Manifest>,
) -> Result<(), ApiError> {
    let obstacles: Vec<Obstacle> = known
        .iter()
        .filter_map(|device| {
            let limits = Limits::from(device.birth.as_ref()?);
            let misfit = fit(wanted(device)?, &limits).err()?;
            Some(Obstacle {
                device: device.name.to_string(),
                reason: misfit.to_string(),
            })
        })
        .collect();
    let Some(first) = obstacles.first() else {
        return Ok(());
    };
    let what = known.iter().find_map(&wanted);
    let what = what.map_or(String::new(), |m| format!("{} v{}", m.model, m.version));
    let message = format!(
        "{what} does not fit {} of {} devices in {group}; {}: {}",
        obstacles.len(),
        known.len(),
        first.device,
        first.reason
    );
    Err(ApiError::conflict("does_not_fit", message, obstacles))
}

/// Say what a group should run; refused when it does not fit a known device of the group
#[utoipa::path(put, path = "/v1/groups/{group}/desired", params(("group" = String, Path, description = "The group's name")),
    request_body = Push, responses(
    (status = 200, description = "Set and published; robots pull it", body = Pushed),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 409, description = "It is archived, or not signed, or does not fit devices of the group, which are named", body = ErrorBody),
))]
pub async fn push(
    State(app): State<Arc<App>>,
    group: Result<Path<String>, PathRejection>,
    body: Result<Json<Push>, JsonRejection>,
) -> Result<Json<Pushed>, ApiError> {
    let group = Name::new(&group?.0)?;
    let Json(push) = body?;
    let name = Name::new(&push.model)?;
    let by = who(push.by)?;
    app.deltas.prepare(&name, push.version).await;
    let mut tx = app.store.write().await?;
    let chunk_size = push.chunk_size.unwrap_or(DEFAULT_CHUNK);
    if !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk_size) {
        let message = format!("chunk_size must be {MIN_CHUNK} to {MAX_CHUNK} bytes");
        return Err(ApiError::bad("bad_chunk_size", message));
    }
    if let Some(id) = rollouts::of_group(&mut tx, &group).await? {
        let message = format!(
            "rollout {id} of group {group} is under way; wait for its end, or `sanderling rollout abort {id}`"
        );
        return Err(ApiError::conflict("rollout_under_way", message, Vec::new()));
    }
    may_run(&mut tx, &app.only_production, &group, &name, push.version).await?;
    is_whole(&app, &mut tx, &name, push.version).await?;
    // What the broker does not take need not be proposed.
    let chunk_size = app
        .link
        .chunk_limit()
        .map_or(chunk_size, |l| l.min(chunk_size));
    let order = Order::everybody(group.clone(), name.clone(), push.version, chunk_size);
    let composed = compose(&mut tx, &app.signer, &order).await?;
    let serial = composed.serial;
    let known = devices::list(&mut tx, Some(&group)).await?;
    fits(&known, &group, |device| {
        Some(composed.wanted(&device.name)?.manifest)
    })?;
    groups::set(&mut tx, &composed).await?;
    let text = format!("should run {name} v{} (serial {serial})", push.version);
    tracing::info!("group {group} {text}");
    events::add(
        &mut tx,
        Note {
            kind: "desired",
            device: None,
            group: Some(&group),
            text: &text,
        },
    )
    .await?;
    let entry = Entry {
        at_ms: now_ms(),
        by: &by,
        act: "pushed",
        rollout: None,
        group: Some(group.as_str()),
        model: Some((name.as_str(), Some(push.version))),
        text: &text,
    };
    audit::add(&mut tx, &entry).await?;
    tx.commit().await?;
    app.tell().await?;
    // From here it is set: a publish that is lost is made good at the next connection.
    send_roots(&app.link, &app.fleet, &group, &app.signer).await?;
    let message = composed.message.clone();
    send_desired(&app.link, &app.fleet, &group, message).await?;
    let devices = known
        .into_iter()
        .map(|device| {
            let verdict = verdict(&device, Some(&composed), &app.files);
            PushedDevice {
                name: device.name.to_string(),
                online: device.known.online,
                standing: verdict.standing,
            }
        })
        .collect();
    Ok(Json(Pushed {
        group: group.to_string(),
        serial,
        model: name.to_string(),
        version: push.version,
        devices,
    }))
}
