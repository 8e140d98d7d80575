//! Rollouts: starting one, seeing how far it is, and giving it orders.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sanderling_rollout::{Event, Policy, Summary, Version, arms, summary};
use sanderling_wire::{DEFAULT_CHUNK, MAX_CHUNK, MIN_CHUNK, Name, is_unprintable};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody, Obstacle};
use super::groups::is_whole;
use crate::clock::now_ms;
use crate::rollouts::{Ask, Command, OrderError, Start};
use crate::stages::may_run;
use crate::store::audit::{self, Line};
use crate::store::rollouts::{self, Rollout};

/// The name of whoever does not say who they are.
const NOBODY: &str = "api";

/// What robots up to a place do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Arm {
    /// The last place of the arm.
    pub upto: u32,
    /// `base` or `candidate`; null: keep what you have.
    #[schema(value_type = Option<String>)]
    pub run: Option<Version>,
    /// What runs beside it without acting.
    #[schema(value_type = Option<String>)]
    pub shadow: Option<Version>,
}

/// A rollout.
#[derive(Debug, Serialize, ToSchema)]
pub struct View {
    /// Its number.
    pub id: i64,
    /// The group.
    pub group: String,
    /// The model.
    pub model: String,
    /// The new version.
    pub version: u32,
    /// The old model and version, where the group had one.
    pub base: Option<(String, u32)>,
    /// Who started it.
    pub by: String,
    /// When, in ms since 1970.
    pub created_ms: i64,
    /// What was asked for.
    #[schema(value_type = Object)]
    pub policy: Policy,
    /// Where it stands: `status`, `stage`, counts of robots, what the gates measure, what it waits for.
    #[schema(value_type = Object)]
    pub summary: Summary,
    /// What robots are told, by place.
    pub arms: Vec<Arm>,
    /// The newest lines of its audit log, oldest first.
    pub audit: Vec<Line>,
}

/// Rollouts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Views {
    /// Newest first.
    pub rollouts: Vec<View>,
}

/// Which rollouts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those of this group.
    group: Option<String>,
    /// The most, at most 1000; 20 when absent.
    limit: Option<i64>,
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> ApiError {
        let text = error.to_string();
        match error {
            OrderError::Unknown(_) => ApiError::missing("rollout_not_found", text),
            OrderError::UnderWay { .. } => {
                ApiError::conflict("rollout_under_way", text, Vec::new())
            }
            OrderError::Same { .. } => ApiError::conflict("same_version", text, Vec::new()),
            OrderError::Refused(_) => ApiError::conflict("not_now", text, Vec::new()),
            OrderError::Unfit(devices) => {
                let obstacle = |(device, reason): (Name, String)| Obstacle {
                    device: device.to_string(),
                    reason,
                };
                ApiError::conflict(
                    "does_not_fit",
                    text,
                    devices.into_iter().map(obstacle).collect(),
                )
            }
            OrderError::Compose(error) => error.into(),
            OrderError::Store(error) => error.into(),
        }
    }
}

async fn view(app: &App, rollout: Rollout, lines: i64) -> Result<View, ApiError> {
    let mut tx = app.store.read().await?;
    let state = rollouts::state(&mut tx, &rollout).await?;
    let wanted = audit::Wanted {
        rollout: Some(rollout.id),
        limit: lines,
        ..audit::Wanted::default()
    };
    let audit = audit::list(&mut tx, &wanted).await?;
    let arm = |arm: sanderling_rollout::Arm| Arm {
        upto: arm.upto,
        run: arm.run,
        shadow: arm.shadow,
    };
    let head = &state.head;
    Ok(View {
        id: rollout.id,
        group: rollout.group.to_string(),
        model: head.candidate.model.clone(),
        version: head.candidate.version,
        base: head
            .base
            .as_ref()
            .map(|base| (base.model.clone(), base.version)),
        by: rollout.by,
        created_ms: rollout.created_ms,
        policy: head.policy.clone(),
        summary: summary(&state, u64::try_from(now_ms()).unwrap_or(0)),
        arms: arms(&state).into_iter().map(arm).collect(),
        audit,
    })
}

/// Rollouts, newest first
#[utoipa::path(get, path = "/v1/rollouts", params(Wanted), responses(
    (status = 200, description = "The rollouts", body = Views),
    (status = 400, description = "A parameter is wrong", body = ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Views>, ApiError> {
    let Query(wanted) = wanted?;
    let group = wanted.group.as_deref().map(Name::new).transpose()?;
    let limit = wanted.limit.unwrap_or(20).clamp(1, 1000);
    let found = rollouts::list(&mut *app.store.read().await?, group.as_ref(), limit).await?;
    let mut views = Vec::with_capacity(found.len());
    for rollout in found {
        views.push(view(&app, rollout, 0).await?);
    }
    Ok(Json(Views { rollouts: views }))
}

/// A new rollout.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// The group; `all` when absent.
    pub group: Option<String>,
    /// The model's name.
    pub model: String,
    /// The new version.
    pub version: u32,
    /// How: `strategy` and its fields, `gates`, `on_trip`.
    #[schema(value_type = Object)]
    pub policy: Policy,
    /// The size of a chunk that is proposed to robots, in bytes.
    pub chunk_size: Option<u32>,
    /// Who asks.
    pub by: Option<String>,
}

async fn ask(app: &App, ask: Ask) -> Result<i64, ApiError> {
    let stopping = || {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the coordinator is stopping; ask again",
        )
    };
    let (answer, answered) = oneshot::channel();
    app.orders
        .send(Command { ask, answer })
        .await
        .map_err(|_| stopping())?;
    Ok(answered.await.map_err(|_| stopping())??)
}

async fn one(app: &App, id: i64) -> Result<View, ApiError> {
    let found = rollouts::get(&mut *app.store.read().await?, id).await?;
    let rollout = found.ok_or(OrderError::Unknown(id))?;
    view(app, rollout, 50).await
}

pub(super) fn who(by: Option<String>) -> Result<String, ApiError> {
    let by = by.unwrap_or_else(|| NOBODY.to_owned());
    let by = by.trim();
    if by.is_empty() || by.len() > 100 || by.chars().any(is_unprintable) {
        return Err(ApiError::bad(
            "bad_name",
            "`by` is a name of 1 to 100 characters",
        ));
    }
    if by == sanderling_rollout::MACHINE {
        return Err(ApiError::bad(
            "bad_name",
            "`by` is the name of the state machine itself; give another",
        ));
    }
    Ok(by.to_owned())
}

/// Start a rollout; refused while another is under way in the group
#[utoipa::path(post, path = "/v1/rollouts", request_body = NewRollout, responses(
    (status = 200, description = "Started", body = View),
    (status = 400, description = "The body is wrong; the message names the field", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 409, description = "Another is under way, or the version is archived, not signed, or does not fit", body = ErrorBody),
))]
pub async fn start(
    State(app): State<Arc<App>>,
    body: Result<Json<NewRollout>, JsonRejection>,
) -> Result<Json<View>, ApiError> {
    let Json(new) = body?;
    new.policy
        .check()
        .map_err(|error| ApiError::bad("bad_policy", error))?;
    let chunk_size = new.chunk_size.unwrap_or(DEFAULT_CHUNK);
    if !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk_size) {
        let message = format!("chunk_size must be {MIN_CHUNK} to {MAX_CHUNK} bytes");
        return Err(ApiError::bad("bad_chunk_size", message));
    }
    let chunk_size = app
        .link
        .chunk_limit()
        .map_or(chunk_size, |l| l.min(chunk_size));
    let start = Start {
        group: Name::new(new.group.as_deref().unwrap_or("all"))?,
        model: Name::new(&new.model)?,
        version: new.version,
        policy: new.policy,
        chunk_size,
        by: who(new.by)?,
    };
    let mut tx = app.store.read().await?;
    let (group, model) = (&start.group, &start.model);
    may_run(&mut tx, &app.only_production, group, model, start.version).await?;
    is_whole(&app, &mut tx, model, start.version).await?;
    drop(tx);
    app.deltas.prepare(&start.model, start.version).await;
    let id = ask(&app, Ask::Start(Box::new(start))).await?;
    Ok(Json(one(&app, id).await?))
}

/// One rollout
#[utoipa::path(get, path = "/v1/rollouts/{rollout}", params(("rollout" = i64, Path, description = "Its number")), responses(
    (status = 200, description = "The rollout", body = View),
    (status = 404, description = "No such rollout", body = ErrorBody),
))]
pub async fn get(
    State(app): State<Arc<App>>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<View>, ApiError> {
    Ok(Json(one(&app, id?.0).await?))
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Stop where it stands.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Abort,
}

/// An order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// What.
    pub order: OrderKind,
    /// With an abort: put the old version back.
    #[serde(default)]
    pub revert: bool,
    /// Why, in a line.
    pub why: Option<String>,
    /// Who asks.
    pub by: Option<String>,
}

/// Pause, resume or abort a rollout
#[utoipa::path(post, path = "/v1/rollouts/{rollout}/orders", params(("rollout" = i64, Path, description = "Its number")),
    request_body = NewOrder, responses(
    (status = 200, description = "Done", body = View),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such rollout", body = ErrorBody),
    (status = 409, description = "Not as it stands", body = ErrorBody),
))]
pub async fn order(
    State(app): State<Arc<App>>,
    id: Result<Path<i64>, PathRejection>,
    body: Result<Json<NewOrder>, JsonRejection>,
) -> Result<Json<View>, ApiError> {
    let id = id?.0;
    let Json(new) = body?;
    let by = who(new.by)?;
    let event = match new.order {
        OrderKind::Pause => Event::Pause {
            by,
            why: new.why.unwrap_or_else(|| "asked for".to_owned()),
        },
        OrderKind::Resume => Event::Resume { by },
        OrderKind::Abort => Event::Abort {
            by,
            revert: new.revert,
        },
    };
    let id = ask(&app, Ask::Order(id, event)).await?;
    Ok(Json(one(&app, id).await?))
}
