//! Signed manifests: a release keys' word for a registered version.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use sanderling_wire::{Manifest, Name, Signed, decode};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::asker::Asker;
use super::error::{ApiError, ErrorBody};
use crate::store::events::{self, Note};
use crate::store::{deltas, models};

/// What was attached.
#[derive(Debug, Serialize, ToSchema)]
pub struct Attached {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// The lowest version that may replace it.
    pub floor: u32,
    /// How many signatures the manifest carries.
    pub signatures: usize,
    /// Packing targets that it names.
    pub targets: Vec<String>,
    /// How many deltas it names.
    pub deltas: usize,
}

/// Attach a signed manifest (the body: the file that `sanderling sign` wrote) to a registered version
#[utoipa::path(put, path = "/v1/models/{model}/{version}/manifest",
    params(("model" = String, Path, description = "The model's name"), ("version" = u32, Path, description = "Its version")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A signed manifest"),
    responses(
    (status = 200, description = "Attached", body = Attached),
    (status = 400, description = "It is no manifest, of another version, or not signed as the root wants it", body = ErrorBody),
    (status = 404, description = "No such version", body = ErrorBody),
    (status = 409, description = "It names files that are not registered", body = ErrorBody),
))]
pub async fn put(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, u32)>, PathRejection>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Attached>, ApiError> {
    let (name, version) = path?.0;
    let name = Name::new(&name)?;
    let body = body?.to_vec();
    let bad = |error: &dyn std::fmt::Display| ApiError::bad("bad_manifest", error.to_string());
    let signed: Signed<'_> = decode(&body).map_err(|error| bad(&error))?;
    let manifest: Manifest = signed.read().map_err(|error| bad(&error))?;
    if manifest.model != name || manifest.version != version {
        let message = format!(
            "the manifest is for {} v{}; attach it to that version",
            manifest.model, manifest.version
        );
        return Err(ApiError::bad("bad_manifest", message));
    }
    app.signer
        .check_release(&signed)
        .map_err(|refusal| ApiError::bad("not_signed", refusal))?;
    let mut tx = app.store.write().await?;
    let model = models::get(&mut tx, &name, version).await?.ok_or_else(|| {
        let message = format!("{name} v{version} is not registered; register its plans first");
        ApiError::missing("model_not_found", message)
    })?;
    for artifact in &manifest.artifacts {
        let there = model.artifacts.iter().any(|plan| {
            plan.target == artifact.target.as_str()
                && plan.digest == artifact.digest.to_string()
                && plan.size == artifact.size
        });
        if !there {
            let message = format!(
                "the manifest names {} for {}, which is not registered as {name} v{version}; register that plan first",
                artifact.digest.short(),
                artifact.target
            );
            return Err(ApiError::conflict("file_missing", message, Vec::new()));
        }
    }
    for delta in &manifest.deltas {
        let plan = manifest.artifacts.get(usize::from(delta.artifact));
        let known = match plan {
            Some(plan) => deltas::to(&mut tx, &plan.digest).await?,
            None => Vec::new(),
        };
        let there = known.iter().any(|known| {
            known.digest == Some(delta.digest)
                && known.base == delta.base
                && known.size == delta.size
        });
        if !there {
            let message = format!(
                "the manifest names the delta {} from {}, which is not here; `sanderling register` sends it where {:.16}.delta lies beside the manifest",
                delta.digest.short(),
                delta.base.short(),
                delta.digest.to_string(),
            );
            return Err(ApiError::conflict("file_missing", message, Vec::new()));
        }
    }
    models::set_manifest(&mut tx, &name, version, &body).await?;
    let text = format!(
        "{name} v{version} has a manifest with {} signatures, floor {}",
        signed.signatures.len(),
        manifest.floor
    );
    tracing::info!("{text}");
    let note = Note {
        kind: "signed",
        device: None,
        group: None,
        text: &text,
    };
    events::add(&mut tx, note).await?;
    let model = Some((name.as_str(), Some(version)));
    asker.did(&mut tx, "signed", model, &text).await?;
    tx.commit().await?;
    app.tell().await?;
    Ok(Json(Attached {
        model: name.to_string(),
        version,
        deltas: manifest.deltas.len(),
        floor: manifest.floor,
        signatures: signed.signatures.len(),
        targets: manifest
            .artifacts
            .iter()
            .map(|a| a.target.to_string())
            .collect(),
    }))
}
