//! Holdouts: recorded frames with the right answers, by name.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::rollouts::who;
use crate::clock::now_ms;
use crate::files::sha256;
use crate::holdout;
use crate::store::audit::{self, Entry};
use crate::store::holdouts::{self, Holdout};
use crate::store::policies;

/// A holdout, and who needs it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed {
    /// The holdout.
    #[serde(flatten)]
    pub holdout: Holdout,
    /// The models whose policy asks for it.
    pub asked_for_by: Vec<String>,
}

/// Holdouts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Holdouts {
    /// By name.
    pub holdouts: Vec<Listed>,
}

/// Every holdout
#[utoipa::path(get, path = "/v1/holdouts", responses((status = 200, description = "The holdouts", body = Holdouts)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Holdouts>, ApiError> {
    let mut tx = app.store.read().await?;
    let mut listed = Vec::new();
    for holdout in holdouts::list(&mut tx).await? {
        listed.push(Listed {
            asked_for_by: policies::asking_for(&mut tx, &holdout.name).await?,
            holdout,
        });
    }
    Ok(Json(Holdouts { holdouts: listed }))
}

/// How a holdout is added.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Addition {
    /// Put it in the place of another file with the same name.
    #[serde(default)]
    replace: bool,
    /// Who asks.
    by: Option<String>,
}

/// What was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct Added {
    /// The holdout.
    pub holdout: Holdout,
    /// False when the same file had that name before.
    pub created: bool,
}

/// Add a holdout: a .npz (the body) with inputs, `label`, and `slice` where there are several
#[utoipa::path(put, path = "/v1/holdouts/{holdout}", params(("holdout" = String, Path, description = "Its name"), Addition),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A .npz of numpy"),
    responses(
    (status = 201, description = "Added", body = Added),
    (status = 200, description = "The same file had that name before", body = Added),
    (status = 400, description = "It is no holdout; the message names what is wrong", body = ErrorBody),
    (status = 409, description = "Another file has that name", body = ErrorBody),
    (status = 413, description = "The file is too large", body = ErrorBody),
))]
pub async fn put(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    addition: Result<Query<Addition>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Added>), ApiError> {
    let name = Name::new(&name?.0)?;
    let Query(addition) = addition?;
    let by = who(addition.by)?;
    let body = body.map_err(too_large)?;
    let (bytes, limit) = (body.clone(), app.evaluator.unpacked);
    // Unpacking takes a while, and others are served on this thread.
    let read = tokio::task::spawn_blocking(move || holdout::read(&bytes, limit));
    let read = read
        .await
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", error))?;
    let contents = read
        .map_err(|error| ApiError::bad("not_a_holdout", error))?
        .contents();
    let digest = sha256(&body);
    let holdout = Holdout {
        name: name.to_string(),
        digest: digest.to_string(),
        size: body.len() as u64,
        contents,
        created_ms: now_ms(),
        by,
    };
    // The file first: a row must never stand for a file that is not there.
    app.files.put(&digest, body.to_vec()).await?;
    let mut tx = app.store.write().await?;
    let before = holdouts::get(&mut tx, &name).await?;
    match &before {
        Some(before) if before.digest == holdout.digest => {
            let holdout = before.clone();
            let created = false;
            return Ok((StatusCode::OK, Json(Added { holdout, created })));
        }
        Some(before) if !addition.replace => {
            let message = format!(
                "holdout {name} is another file ({}); give this one another name, or replace that one with --replace: versions are then measured anew",
                before.digest.get(..8).unwrap_or_default()
            );
            return Err(ApiError::conflict("holdout_taken", message, Vec::new()));
        }
        _ => {}
    }
    holdouts::set(&mut tx, &holdout).await?;
    let slices = holdout.contents.slices.len();
    let text = format!(
        "holdout {name}: {} frames in {slices} slices ({})",
        holdout.contents.frames,
        digest.short()
    );
    write_down(&mut tx, "holdout", &holdout.by, &text).await?;
    tx.commit().await?;
    tracing::info!("{text}");
    // Whoever removed the last holdout with this file a moment ago took the file with it.
    if app.files.size(&digest).await?.is_none() {
        app.files.put(&digest, body.to_vec()).await?;
    }
    if let Some(before) = before {
        forget(&app, &before).await?;
    }
    let created = true;
    Ok((StatusCode::CREATED, Json(Added { holdout, created })))
}

fn too_large(error: BytesRejection) -> ApiError {
    if error.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return error.into();
    }
    let message = "the file is larger than this coordinator takes; draw fewer frames, or start it with a higher --max-holdout-bytes";
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// Who removes a holdout.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Removal {
    /// Who asks.
    by: Option<String>,
}

/// Remove a holdout and its file; what was measured with it stays
#[utoipa::path(delete, path = "/v1/holdouts/{holdout}", params(("holdout" = String, Path, description = "Its name"), Removal), responses(
    (status = 200, description = "Removed", body = Holdout),
    (status = 404, description = "No such holdout", body = ErrorBody),
    (status = 409, description = "A model's policy asks for it", body = ErrorBody),
))]
pub async fn remove(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    removal: Result<Query<Removal>, QueryRejection>,
) -> Result<Json<Holdout>, ApiError> {
    let name = Name::new(&name?.0)?;
    let by = who(removal?.0.by)?;
    let mut tx = app.store.write().await?;
    let holdout = found(&mut tx, &name).await?;
    let models = policies::asking_for(&mut tx, name.as_str()).await?;
    if let Some(model) = models.first() {
        let message = format!(
            "holdout {name} is required by {}; take it out of the policy first: `sanderling models policy {model} --require …` or `--require-nothing`",
            models.join(", ")
        );
        return Err(ApiError::conflict("holdout_required", message, Vec::new()));
    }
    holdouts::remove(&mut tx, &name).await?;
    let text = format!("holdout {name} is removed");
    write_down(&mut tx, "removed", &by, &text).await?;
    tx.commit().await?;
    tracing::info!("{text}, by {by}");
    forget(&app, &holdout).await?;
    Ok(Json(holdout))
}

/// The holdout of that name, or an error that says where others are listed.
pub(super) async fn found(tx: &mut AnyConnection, name: &Name) -> Result<Holdout, ApiError> {
    holdouts::get(tx, name).await?.ok_or_else(|| {
        let message = format!(
            "there is no holdout {name}; `sanderling holdouts` lists them, `sanderling holdouts add {name} FRAMES.npz` adds it"
        );
        ApiError::missing("holdout_not_found", message)
    })
}

/// Deletes a file that no holdout stands for any more.
async fn forget(app: &App, gone: &Holdout) -> Result<(), ApiError> {
    // Whoever adds a holdout waits for this transaction, and looks for the file after its own.
    let mut tx = app.store.write().await?;
    let left = holdouts::list(&mut tx).await?;
    if !left.iter().any(|holdout| holdout.digest == gone.digest) {
        app.files.remove(&gone.digest()?).await?;
    }
    tx.rollback().await?;
    Ok(())
}

async fn write_down(
    tx: &mut AnyConnection,
    act: &str,
    by: &str,
    text: &str,
) -> Result<(), ApiError> {
    let entry = Entry {
        at_ms: now_ms(),
        by,
        act,
        rollout: None,
        group: None,
        model: None,
        text,
    };
    Ok(audit::add(tx, &entry).await?)
}
