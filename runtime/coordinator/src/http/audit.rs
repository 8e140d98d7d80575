//! The audit log: who did what when.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody};
use crate::store::audit::{self, Line};

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Of one rollout.
    rollout: Option<i64>,
    /// Of one group.
    group: Option<String>,
    /// Of one model.
    model: Option<String>,
    /// The most, at most 10,000; 200 when absent.
    limit: Option<i64>,
}

/// Lines of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lines {
    /// The newest that are wanted, oldest first.
    pub audit: Vec<Line>,
}

/// Who did what when
#[utoipa::path(get, path = "/v1/audit", params(Wanted), responses(
    (status = 200, description = "Lines of the log", body = Lines),
    (status = 400, description = "A parameter is wrong", body = ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Lines>, ApiError> {
    let Query(wanted) = wanted?;
    let wanted = audit::Wanted {
        rollout: wanted.rollout,
        group: wanted.group,
        model: wanted.model,
        limit: wanted.limit.unwrap_or(200).clamp(1, 10_000),
    };
    let audit = audit::list(&mut *app.store.read().await?, &wanted).await?;
    Ok(Json(Lines { audit }))
}
