//! Whether the coordinator is well, and what its API is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{ApiDoc, App};
use crate::storage;

/// How the coordinator is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Healthz {
    /// `ok`; `no_storage` while nothing can be written down; `no_broker` while there is no connection to the broker.
    pub status: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The fleet's name.
    pub fleet: String,
    /// Where the broker is.
    pub broker: String,
    /// Whether the connection to it stands.
    pub broker_connected: bool,
    /// What is wrong with the broker, in a line that says what to do.
    pub broker_problem: Option<String>,
    /// Why nothing can be written down, in a line that says what to do.
    pub storage_problem: Option<String>,
}

/// Whether the coordinator is well
#[utoipa::path(get, path = "/healthz", responses(
    (status = 200, description = "It is", body = Healthz),
    (status = 503, description = "It cannot write, or there is no connection to the broker", body = Healthz),
))]
pub async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, Json<Healthz>) {
    let connected = *app.link.connected().borrow();
    let storage_problem = storage_problem(&app).await;
    let (status, word) = match (&storage_problem, connected) {
        (Some(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "no_storage"),
        (None, false) => (StatusCode::SERVICE_UNAVAILABLE, "no_broker"),
        (None, true) => (StatusCode::OK, "ok"),
    };
    let healthz = Healthz {
        status: word,
        version: env!("CARGO_PKG_VERSION"),
        fleet: app.fleet.to_string(),
        broker: app.broker.clone(),
        broker_connected: connected,
        broker_problem: app.link.trouble(),
        storage_problem,
    };
    (status, Json(healthz))
}

/// What writing to the data directory says, and whoever wrote to the registry last.
async fn storage_problem(app: &App) -> Option<String> {
    let folder = app.data_dir.clone();
    let probed =
        tokio::task::spawn_blocking(move || storage::probe(&folder, storage::ONE_BLOCK)).await;
    if let Ok(Err(error)) = probed {
        return Some(format!(
            "the data directory {} cannot be written: {error}; free some space, or see to the rights",
            app.data_dir.display()
        ));
    }
    app.storage_trouble.borrow().clone()
}

/// This API as an OpenAPI document
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "The document", body = Object)))]
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(ApiDoc::openapi())
}
