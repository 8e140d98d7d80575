//! The fleet's root: which keys robots believe.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use sanderling_trust::Role;
use sanderling_wire::Digest;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::asker::Asker;
use super::error::{ApiError, ErrorBody};
use crate::say::send_roots;
use crate::signer::KeysError;
use crate::store::events::{self, Note};
use crate::store::{devices, groups};

/// The root.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootView {
    /// False for a fleet without a root: robots without one install whatever the broker says.
    pub signed: bool,
    /// The root's version.
    pub version: Option<u32>,
    /// The root's epoch.
    pub epoch: Option<u32>,
    /// When nothing signed under it is installed any longer, in seconds since 1970.
    pub expires_s: Option<u64>,
    /// What each role needs.
    pub roles: Vec<RoleView>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleView {
    /// `root`, `release` or `fleet`.
    pub role: String,
    /// How many of the keys must sign.
    pub threshold: u8,
    /// Public keys, ed25519, in hex.
    pub keys: Vec<String>,
}

fn view(app: &App) -> RootView {
    let root = app.signer.root();
    let roles = root.iter().flat_map(|root| {
        Role::ALL.map(|role| {
            let wanted = role.keys_in(root);
            let keys = wanted.keys.iter();
            RoleView {
                role: role.to_string(),
                threshold: wanted.threshold,
                keys: keys
                    .filter_map(|&index| root.keys.get(usize::from(index)))
                    .map(|key| Digest(*key).to_string())
                    .collect(),
            }
        })
    });
    RootView {
        signed: root.is_some(),
        version: root.as_ref().map(|root| root.version),
        epoch: root.as_ref().map(|root| root.epoch),
        expires_s: root.as_ref().and_then(|root| root.expires_s),
        roles: roles.collect(),
    }
}

/// The root that desired states are signed under
#[utoipa::path(get, path = "/v1/root", responses((status = 200, description = "The root, or that there is none", body = RootView)))]
pub async fn get(State(app): State<Arc<App>>) -> Json<RootView> {
    Json(view(&app))
}

/// Publish a newer root (the body: the file `root` that `sanderling keys rotate` wrote)
#[utoipa::path(put, path = "/v1/root",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A chain of signed roots"),
    responses(
    (status = 200, description = "Held and published", body = RootView),
    (status = 400, description = "It is no root, or does not follow the one that is held", body = ErrorBody),
    (status = 409, description = "The fleet has no root that it could follow, or its private key is missing", body = ErrorBody),
))]
pub async fn put(
    State(app): State<Arc<App>>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<RootView>, ApiError> {
    let chain = body?.to_vec();
    let version = app.signer.follow(&chain).map_err(|error| match error {
        KeysError::Root(_) => ApiError::bad("root_refused", error),
        _ => ApiError::conflict("root_not_followed", error.to_string(), Vec::new()),
    })?;
    let mut tx = app.store.write().await?;
    let text = format!("root {version} is published");
    tracing::info!("{text}");
    let note = Note {
        kind: "root",
        device: None,
        group: None,
        text: &text,
    };
    events::add(&mut tx, note).await?;
    asker.did(&mut tx, "root", None, &text).await?;
    let mut names = devices::groups(&mut tx).await?;
    names.extend(groups::list(&mut tx).await?.into_iter().map(|g| g.name));
    names.sort_unstable();
    names.dedup();
    tx.commit().await?;
    app.tell().await?;
    for group in names {
        send_roots(&app.link, &app.fleet, &group, &app.signer).await?;
    }
    Ok(Json(view(&app)))
}
