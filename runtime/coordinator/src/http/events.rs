//! What happens, as it happens: a request waits until there is something new.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::ApiError;
use crate::store::events::{self, Event};

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Events after this number; without it, only what happens from now on (or the newest `limit` when `wait_s` is absent).
    after: Option<i64>,
    /// How long to wait for the first event, in seconds, at most 60.
    wait_s: Option<u64>,
    /// The most events in one answer, at most 1000.
    limit: Option<i64>,
}

/// Events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// What happened.
    pub events: Vec<Event>,
    /// Give this as `after` in the next request.
    pub next: i64,
}

/// Events after a number; waits for the first when asked to
#[utoipa::path(get, path = "/v1/events", params(Wanted), responses(
    (status = 200, description = "Events, perhaps none", body = Events),
    (status = 400, description = "A parameter is wrong", body = super::error::ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Events>, ApiError> {
    let Query(wanted) = wanted?;
    let limit = wanted.limit.unwrap_or(100).clamp(1, 1000);
    let wait = Duration::from_secs(wanted.wait_s.unwrap_or(0).min(60));
    // Subscribed before the first look, so that nothing falls between look and wait.
    let mut news = app.news.subscribe();
    let mut stopping = app.stopping.clone();
    let mut tx = app.store.read().await?;
    let after = match wanted.after {
        Some(after) => after,
        None => {
            let newest = events::newest(&mut tx).await?;
            if wait.is_zero() {
                (newest - limit).max(0)
            } else {
                newest
            }
        }
    };
    let mut found = events::after(&mut tx, after, limit).await?;
    drop(tx);
    if found.is_empty() && !wait.is_zero() {
        let wake = async {
            tokio::select! {
                _ = news.wait_for(|newest| *newest > after) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        };
        if tokio::time::timeout(wait, wake).await.is_ok() {
            let mut tx = app.store.read().await?;
            found = events::after(&mut tx, after, limit).await?;
        }
    }
    let next = found.last().map_or(after, |e| e.id);
    Ok(Json(Events {
        events: found,
        next,
    }))
}
