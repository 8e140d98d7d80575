//! Delta files that somebody signed, or is about to: taken after they were tried.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use sanderling_delta::{Delta as Head, apply};
use sanderling_wire::Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::error::{ApiError, ErrorBody};
use crate::files::sha256;
use crate::store::{deltas, models};

/// What was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    /// SHA-256 of the delta, in hex.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of the plan that it starts from, in hex.
    pub base: String,
    /// SHA-256 of the plan that comes out, in hex.
    pub plan: String,
    /// False where it was here before.
    pub created: bool,
}

/// Give the registry a delta (the body) between two plans; signed manifests may then name it
#[utoipa::path(put, path = "/v1/deltas",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A .delta file"),
    responses(
    (status = 200, description = "Taken", body = Taken),
    (status = 400, description = "It is no delta, or does not make what it says", body = ErrorBody),
    (status = 409, description = "The plan that it makes is not registered", body = ErrorBody),
    (status = 413, description = "The file is too large", body = ErrorBody),
))]
pub async fn put(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Taken>, ApiError> {
    let body = body?.to_vec();
    let bad = |why: &dyn std::fmt::Display| ApiError::bad("bad_delta", why.to_string());
    let head = body.first_chunk().map(Head::open);
    let head = head
        .ok_or_else(|| bad(&"the file is too short to be a delta; `sanderling sign` makes them"))?
        .map_err(|error| bad(&error))?;
    if head.size() as usize != body.len() {
        return Err(bad(&"the file has another size than it says; sign again"));
    }
    let (base, plan) = (Digest(*head.base_digest()), Digest(*head.new_digest()));
    let base_size = {
        let mut tx = app.store.read().await?;
        let Some(full) = models::size_of(&mut tx, &plan).await? else {
            let message = format!(
                "the delta makes {}, which is not registered; register that plan first",
                plan.short()
            );
            return Err(ApiError::conflict("file_missing", message, Vec::new()));
        };
        // Trying it takes as much memory as its head says.
        if full != u64::from(head.new_size()) {
            return Err(bad(&"it makes a plan of another size; sign again"));
        }
        models::size_of(&mut tx, &base).await?
    };
    let digest = sha256(&body);
    let size = body.len() as u64;
    // A base that only robots have cannot be tried; they try it themselves, and take the full file where it is wrong.
    let body = match base_size {
        Some(size) => {
            let old = app.files.read(&base, 0..size).await?;
            let tried = tokio::task::spawn_blocking(move || apply(&old, &body).map(|_| body));
            let tried = tried.await.map_err(|error| bad(&error))?;
            tried.map_err(|_| bad(&"the delta does not make the plan that it names; sign again"))?
        }
        None => body,
    };
    app.files.put(&digest, body).await?;
    let mut tx = app.store.write().await?;
    let delta = deltas::Delta {
        plan,
        base,
        digest: Some(digest),
        size,
    };
    let created = deltas::add(&mut tx, &delta).await?;
    tx.commit().await?;
    Ok(Json(Taken {
        digest: digest.to_string(),
        size,
        base: base.to_string(),
        plan: plan.to_string(),
        created,
    }))
}
