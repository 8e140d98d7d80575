//! Groups: what each should run. Setting it is what `push` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use sanderling_wire::{
    Artifact, DEFAULT_CHUNK, Desired, MAX_CHUNK, MAX_MANIFEST, MAX_SMALL_MESSAGE, MIN_CHUNK,
    Manifest, Name, encode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::error::{ApiError, ErrorBody, Obstacle};
use crate::decide::fit::{Limits, fit};
use crate::decide::standing::{Standing, standing};
use crate::say::send_desired;
use crate::store::events::{self, Note};
use crate::store::models::{self, Model};
use crate::store::{devices, groups};

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
        let manifest = group.manifest;
        let mut standings = BTreeMap::new();
        for device in devices::list(&mut tx, Some(&manifest.group)).await? {
            let limits = device.birth.as_ref().map(Limits::from);
            let verdict = standing(Some(&manifest), limits.as_ref(), device.state.as_ref());
            *standings.entry(verdict.standing).or_default() += 1;
        }
        list.push(Group {
            name: manifest.group.to_string(),
            serial: manifest.serial,
            model: manifest.model.to_string(),
            version: manifest.version,
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

/// Say what a group should run; refused when it does not fit a known device of the group
#[utoipa::path(put, path = "/v1/groups/{group}/desired", params(("group" = String, Path, description = "The group's name")),
    request_body = Push, responses(
    (status = 200, description = "Set and published; robots pull it", body = Pushed),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 409, description = "It does not fit devices of the group, which are named", body = ErrorBody),
))]
pub async fn push(
    State(app): State<Arc<App>>,
    group: Result<Path<String>, PathRejection>,
    body: Result<Json<Push>, JsonRejection>,
) -> Result<Json<Pushed>, ApiError> {
    let group = Name::new(&group?.0)?;
    let Json(push) = body?;
    let name = Name::new(&push.model)?;
    let mut tx = app.store.write().await?;
    let model = models::get(&mut tx, &name, push.version).await?.ok_or_else(|| {
        let message = format!(
            "{name} v{} is not registered; `sanderling models` lists what is, `sanderling register` adds to it",
            push.version
        );
        ApiError::missing("model_not_found", message)
    })?;
    let serial = groups::next_serial(&mut tx, &group).await?;
    let manifest = manifest(
        &model,
        &name,
        group.clone(),
        serial,
        push.chunk_size.unwrap_or(DEFAULT_CHUNK),
    )?;
    let known = devices::list(&mut tx, Some(&group)).await?;
    let obstacles: Vec<Obstacle> = known
        .iter()
        .filter_map(|device| {
            let misfit = fit(&manifest, &Limits::from(device.birth.as_ref()?)).err()?;
            Some(Obstacle {
                device: device.name.to_string(),
                reason: misfit.to_string(),
            })
        })
        .collect();
    if let Some(first) = obstacles.first() {
        let message = format!(
            "{name} v{} does not fit {} of {} devices in {group}; {}: {}",
            push.version,
            obstacles.len(),
            known.len(),
            first.device,
            first.reason
        );
        return Err(ApiError::conflict("does_not_fit", message, obstacles));
    }
    let message = message(&manifest)?;
    groups::set(&mut tx, &manifest, &message).await?;
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
    tx.commit().await?;
    app.tell().await?;
    // From here it is set: a publish that is lost is made good at the next connection.
    send_desired(&app.link, &app.fleet, &group, message).await?;
    let devices = known
        .into_iter()
        .map(|device| {
            let limits = device.birth.as_ref().map(Limits::from);
            PushedDevice {
                name: device.name.to_string(),
                online: device.known.online,
                standing: standing(Some(&manifest), limits.as_ref(), device.state.as_ref())
                    .standing,
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

fn manifest(
    model: &Model,
    name: &Name,
    group: Name,
    serial: u64,
    chunk_size: u32,
) -> Result<Manifest, ApiError> {
    if !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk_size) {
        let message = format!("chunk_size must be {MIN_CHUNK} to {MAX_CHUNK} bytes");
        return Err(ApiError::bad("bad_chunk_size", message));
    }
    let mut artifacts = heapless::Vec::new();
    for plan in &model.artifacts {
        let artifact = Artifact {
            target: Name::new(&plan.target)?,
            digest: plan
                .digest
                .parse()
                .map_err(|e| ApiError::bad("bad_digest", e))?,
            size: plan.size,
            arena: plan.arena,
        };
        if artifacts.push(artifact).is_err() {
            let message = format!(
                "{name} v{} has more packing targets than a manifest holds",
                model.version
            );
            return Err(ApiError::bad("too_many_targets", message));
        }
    }
    Ok(Manifest {
        serial,
        group,
        model: name.clone(),
        version: model.version,
        chunk_size,
        expires_s: None,
        artifacts,
    })
}

fn message(manifest: &Manifest) -> Result<Vec<u8>, ApiError> {
    let wrong = |e| ApiError::bad("bad_manifest", e);
    let mut inner = [0; MAX_MANIFEST];
    let mut outer = [0; MAX_SMALL_MESSAGE];
    let desired = Desired::unsigned(encode(manifest, &mut inner).map_err(wrong)?);
    Ok(encode(&desired, &mut outer).map_err(wrong)?.to_vec())
}
