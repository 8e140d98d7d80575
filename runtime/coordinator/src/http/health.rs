//! Whether the coordinator is well, and what its API is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{ApiDoc, App};

/// How the coordinator is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Healthz {
    /// `ok`, or `no_broker` while there is no connection to the broker.
    pub status: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The fleet's name.
    pub fleet: String,
    /// Where the broker is.
    pub broker: String,
    /// Whether the connection to it stands.
    pub broker_connected: bool,
}

/// Whether the coordinator is well
#[utoipa::path(get, path = "/healthz", responses(
    (status = 200, description = "It is", body = Healthz),
    (status = 503, description = "There is no connection to the broker", body = Healthz),
))]
pub async fn healthz(State(app): State<Arc<App>>) -> (StatusCode, Json<Healthz>) {
    let connected = *app.link.connected().borrow();
    let status = if connected {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let healthz = Healthz {
        status: if connected { "ok" } else { "no_broker" },
        version: env!("CARGO_PKG_VERSION"),
        fleet: app.fleet.to_string(),
        broker: app.broker.clone(),
        broker_connected: connected,
    };
    (status, Json(healthz))
}

/// This API as an OpenAPI document
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "The document", body = Object)))]
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(ApiDoc::openapi())
}
