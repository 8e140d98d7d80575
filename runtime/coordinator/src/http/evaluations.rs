//! Evaluations: how good versions are on holdouts, measured here, with the engine itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::holdouts::found;
use super::rollouts::who;
use crate::compose::ComposeError;
use crate::evaluate::{self, Job, Measuring, NoPlan, Task};
use crate::store::evaluations::{self, Evaluation};
use crate::store::holdouts::Holdout;
use crate::store::models::{self, Model};

/// The longest that a request waits for evaluations.
pub(super) const LONGEST_WAIT: u64 = 20;

/// Which evaluations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those of this model.
    model: Option<String>,
}

/// Evaluations.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evaluations {
    /// Those that are done, by model, version and time.
    pub evaluations: Vec<Evaluation>,
    /// Those under way in this coordinator.
    pub under_way: Vec<Measuring>,
}

/// Every evaluation
#[utoipa::path(get, path = "/v1/evaluations", params(Wanted), responses(
    (status = 200, description = "The evaluations", body = Evaluations),
    (status = 400, description = "A parameter is wrong", body = ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Evaluations>, ApiError> {
    let Query(wanted) = wanted?;
    let model = wanted.model.as_deref().map(Name::new).transpose()?;
    let evaluations = evaluations::list(&mut *app.store.read().await?, model.as_ref()).await?;
    let mut under_way = app.evaluator.under_way();
    under_way.retain(|job| {
        wanted
            .model
            .as_ref()
            .is_none_or(|model| *model == job.model)
    });
    Ok(Json(Evaluations {
        evaluations,
        under_way,
    }))
}

/// What is to be measured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvaluation {
    /// On which holdout.
    pub holdout: String,
    /// Who asks.
    pub by: Option<String>,
    /// Seconds to wait for the end, at most 20; then the answer is 202, and the same question goes on waiting.
    #[serde(default)]
    pub wait_s: u64,
}

/// Where an evaluation stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evaluated {
    /// The result, once it is there.
    pub evaluation: Option<Evaluation>,
    /// What is waited for until then.
    pub under_way: Vec<Measuring>,
}

/// Measure a version on a holdout; what was measured before is not measured again
#[utoipa::path(post, path = "/v1/models/{model}/{version}/evaluations",
    params(("model" = String, Path, description = "The model's name"), ("version" = u32, Path, description = "Its version")),
    request_body = NewEvaluation, responses(
    (status = 200, description = "Measured", body = Evaluated),
    (status = 202, description = "Under way: ask again", body = Evaluated),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such version, or no such holdout", body = ErrorBody),
    (status = 409, description = "It cannot be measured: no plan that runs here, or holdout and model do not fit", body = ErrorBody),
))]
pub async fn evaluate(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, u32)>, PathRejection>,
    body: Result<Json<NewEvaluation>, JsonRejection>,
) -> Result<(StatusCode, Json<Evaluated>), ApiError> {
    let (name, version) = path?.0;
    let name = Name::new(&name)?;
    let Json(new) = body?;
    let by = who(new.by)?;
    let holdout = Name::new(&new.holdout)?;
    let until = Instant::now() + Duration::from_secs(new.wait_s.min(LONGEST_WAIT));
    loop {
        let mut tx = app.store.read().await?;
        let model = registered(&mut tx, &name, version).await?;
        let holdout = found(&mut tx, &holdout).await?;
        let done = evaluations::get(&mut tx, &name, version, &holdout.digest).await?;
        drop(tx);
        if done.is_some() {
            let answer = Evaluated {
                evaluation: done,
                under_way: Vec::new(),
            };
            return Ok((StatusCode::OK, Json(answer)));
        }
        let job = ask(&app, &name, &model, holdout, &by)?;
        if !wait(&app, std::slice::from_ref(&job), until).await? {
            let answer = Evaluated {
                evaluation: None,
                under_way: vec![job.progress()],
            };
            return Ok((StatusCode::ACCEPTED, Json(answer)));
        }
    }
}

/// A registered version.
pub(super) async fn registered(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
) -> Result<Model, ApiError> {
    let found = models::get(tx, name, version).await?;
    let name = name.clone();
    Ok(found.ok_or(ComposeError::NoModel { name, version })?)
}

/// Begins an evaluation, or joins the one under way.
pub(super) fn ask(
    app: &App,
    name: &Name,
    model: &Model,
    holdout: Holdout,
    by: &str,
) -> Result<Job, ApiError> {
    let plan = evaluate::choose(model)?.clone();
    Ok(app.evaluator.ask(Task {
        model: name.clone(),
        version: model.version,
        plan,
        holdout,
        by: by.to_owned(),
    }))
}

impl From<NoPlan> for ApiError {
    fn from(error: NoPlan) -> ApiError {
        ApiError::conflict("no_plan_runs_here", error.to_string(), Vec::new())
    }
}

/// Waits until all are done; false when the time is over. One that failed is the error.
pub(super) async fn wait(app: &App, jobs: &[Job], until: Instant) -> Result<bool, ApiError> {
    for job in jobs {
        let mut state = job.state.clone();
        let mut stopping = app.stopping.clone();
        let ended = tokio::select! {
            ended = state.wait_for(|state| !matches!(state, evaluate::State::Running(_))) => {
                ended.map(|state| state.clone()).ok()
            }
            _ = stopping.wait_for(|stopping| *stopping) => None,
            () = tokio::time::sleep_until(until) => return Ok(false),
        };
        match ended {
            Some(evaluate::State::Failed(why)) => {
                app.evaluator.told(job);
                let message = format!(
                    "{} v{} cannot be evaluated on {}: {why}",
                    job.task.model, job.task.version, job.task.holdout.name
                );
                return Err(ApiError::conflict("evaluation_failed", message, Vec::new()));
            }
            Some(_) => {}
            None => {
                let message = "the coordinator is stopping; ask again";
                return Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "stopping",
                    message,
                ));
            }
        }
    }
    Ok(true)
}
