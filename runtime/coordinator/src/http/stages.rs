//! Stages: how a version comes to production, by which checks, and how it is archived.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::App;
use super::error::{ApiError, ErrorBody};
use super::evaluations::{LONGEST_WAIT, ask, registered, wait};
use super::holdouts::found;
use super::rollouts::who;
use crate::decide::worse::{Comparison, Row, Rule, Verdict, compare};
use crate::evaluate::{Job, Measure, Measuring};
use crate::stages::{self, NotHere, Stage};
use crate::store::holdouts::Holdout;
use crate::store::models::{self, Model};
use crate::store::policies::{self, Policy};
use crate::store::{evaluations, rollouts};

/// Which stage a version should come to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStage {
    /// The stage.
    pub stage: Stage,
    /// To production: holdouts to compare on beside those that the model's policy asks for.
    #[serde(default)]
    pub holdouts: Vec<String>,
    /// To production: what a slice may lose this once, instead of what the policy says; the audit log keeps it.
    pub allow_worse: Option<f64>,
    /// Who asks.
    pub by: Option<String>,
    /// Seconds to wait for evaluations, at most 20; then the answer is 202, and the same question goes on waiting.
    #[serde(default)]
    pub wait_s: u64,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Staged {
    /// The model.
    pub model: String,
    /// The version.
    pub version: u32,
    /// Where it is now.
    #[schema(value_type = String)]
    pub stage: Stage,
    /// Whether that changed.
    pub changed: bool,
    /// Versions that left production for it.
    pub archived: Vec<u32>,
    /// How it stands beside the version that was in production, on each holdout.
    pub checks: Vec<Comparison>,
    /// Evaluations that are waited for; nothing is decided before they are done.
    pub under_way: Vec<Measuring>,
}

/// What follows from the scores that are stored.
enum Decision {
    /// It may come to production.
    Passed(Vec<Comparison>),
    /// It may not.
    Refused(ApiError, String),
    /// Scores are missing.
    Missing(Vec<(Model, Holdout)>),
}

/// Bring a version to another stage. To production it comes when no slice of the required holdouts is worse than allowed
#[utoipa::path(post, path = "/v1/models/{model}/{version}/stage",
    params(("model" = String, Path, description = "The model's name"), ("version" = u32, Path, description = "Its version")),
    request_body = NewStage, responses(
    (status = 200, description = "It is there", body = Staged),
    (status = 202, description = "Evaluations are under way, and nothing is decided: ask again", body = Staged),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such version, or no such holdout", body = ErrorBody),
    (status = 409, description = "A slice is worse than allowed (`checks` has all of them), it cannot be measured, or a rollout of it is under way", body = ErrorBody),
))]
pub async fn stage(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, u32)>, PathRejection>,
    body: Result<Json<NewStage>, JsonRejection>,
) -> Result<(StatusCode, Json<Staged>), ApiError> {
    let (name, version) = path?.0;
    let name = Name::new(&name)?;
    let Json(new) = body?;
    let by = who(new.by.clone())?;
    if let Some(percent) = new.allow_worse {
        check_percent(percent)?;
    }
    let until = Instant::now() + Duration::from_secs(new.wait_s.min(LONGEST_WAIT));
    loop {
        let mut tx = app.store.write().await?;
        let model = registered(&mut tx, &name, version).await?;
        let mut staged = Staged {
            model: name.to_string(),
            version,
            stage: new.stage,
            changed: true,
            archived: Vec::new(),
            checks: Vec::new(),
            under_way: Vec::new(),
        };
        if model.stage == new.stage.word() {
            staged.changed = false;
            return Ok((StatusCode::OK, Json(staged)));
        }
        let mut why = "asked for".to_owned();
        let missing = match new.stage {
            Stage::Staging => Vec::new(),
            Stage::Archived => {
                not_under_way(&mut tx, &name, version).await?;
                Vec::new()
            }
            Stage::Production => match decide(&mut tx, &name, &model, &new).await? {
                Decision::Passed(checks) => {
                    why = passed(&checks, new.allow_worse);
                    staged.checks = checks;
                    Vec::new()
                }
                Decision::Refused(error, why) => {
                    let text = format!("{name} v{version} is not promoted: {why}");
                    stages::line(
                        &mut tx,
                        "refused",
                        (name.as_str(), Some(version)),
                        &by,
                        &text,
                    )
                    .await?;
                    tx.commit().await?;
                    tracing::info!("{text}, by {by}");
                    return Err(error);
                }
                Decision::Missing(missing) => missing,
            },
        };
        if missing.is_empty() {
            staged.archived = stages::set(&mut tx, &name, version, new.stage, &by, &why).await?;
            tx.commit().await?;
            app.tell().await?;
            return Ok((StatusCode::OK, Json(staged)));
        }
        tx.rollback().await?;
        let (jobs, done) = match measure(&app, &name, missing, &by, until).await {
            Ok(measured) => measured,
            Err(error) => {
                if let Some(why) = error.objection() {
                    let text = format!("{name} v{version} is not promoted: {why}");
                    let mut tx = app.store.write().await?;
                    stages::line(
                        &mut tx,
                        "refused",
                        (name.as_str(), Some(version)),
                        &by,
                        &text,
                    )
                    .await?;
                    tx.commit().await?;
                }
                return Err(error);
            }
        };
        if !done {
            staged.stage = Stage::from_word(&model.stage).unwrap_or(Stage::Staging);
            staged.changed = false;
            staged.under_way = jobs.iter().map(Job::progress).collect();
            return Ok((StatusCode::ACCEPTED, Json(staged)));
        }
    }
}

/// Has missing scores measured; whether they are there when the time is over.
async fn measure(
    app: &App,
    name: &Name,
    missing: Vec<(Model, Holdout)>,
    by: &str,
    until: Instant,
) -> Result<(Vec<Job>, bool), ApiError> {
    let jobs: Result<Vec<Job>, ApiError> = missing
        .into_iter()
        .map(|(model, holdout)| ask(app, name, &model, holdout, by))
        .collect();
    let jobs = jobs?;
    let done = wait(app, &jobs, until).await?;
    Ok((jobs, done))
}

/// Compares the version with the one in production, on every holdout that is asked for.
async fn decide(
    tx: &mut AnyConnection,
    name: &Name,
    model: &Model,
    new: &NewStage,
) -> Result<Decision, ApiError> {
    let policy = policies::get(tx, name).await?;
    let rule = Rule {
        allow_worse: new.allow_worse.unwrap_or(policy.rule.allow_worse),
        ..policy.rule
    };
    let mut wanted = policy.holdouts.clone();
    for holdout in &new.holdouts {
        if !wanted.contains(holdout) {
            wanted.push(holdout.clone());
        }
    }
    let all = models::list(tx, Some(name)).await?;
    let base = all
        .into_iter()
        .find(|m| m.stage == Stage::Production.word());
    let (mut checks, mut missing) = (Vec::new(), Vec::new());
    for holdout in &wanted {
        let holdout = found(tx, &Name::new(holdout)?).await?;
        let mut scores = Vec::new();
        for side in [base.as_ref(), Some(model)].into_iter().flatten() {
            match evaluations::get(tx, name, side.version, &holdout.digest).await? {
                Some(done) => scores.push((side.version, done.scores)),
                None => missing.push((side.clone(), holdout.clone())),
            }
        }
        let mut sides = scores.iter().rev();
        if let Some((version, scores)) = sides.next() {
            let base = sides.next().map(|(version, scores)| (*version, scores));
            checks.push(compare(&holdout.name, base, (*version, scores), rule));
        }
    }
    if !missing.is_empty() {
        return Ok(Decision::Missing(missing));
    }
    let against = checks
        .iter()
        .flat_map(|check| check.worse().map(move |row| (check, row)));
    let mut worse: Vec<(&Comparison, &Row)> = against.collect();
    // The slice that lost most says more than all frames together.
    worse.sort_by(|(_, a), (_, b)| {
        let of = |row: &Row| (row.slice.is_none(), row.gain.unwrap_or(f64::MIN));
        let ((whole_a, a), (whole_b, b)) = (of(a), of(b));
        whole_a.cmp(&whole_b).then(a.total_cmp(&b))
    });
    if let Some((check, row)) = worse.first() {
        let first = in_words(check, row);
        let version = model.version;
        let against = base.map_or(String::new(), |base| {
            format!("v{} in production", base.version)
        });
        let more = match worse.len() {
            1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        let why = format!("worse than {against}: {first}{more}");
        let message = format!(
            "{name} v{version} is not promoted: it is {why}; {} is allowed. Train on what got worse and register the next version, \
             or promote it with --allow-worse PERCENT: the audit log keeps who did",
            checks
                .first()
                .map_or(String::new(), |check| loss(&rule, check.measure))
        );
        let error = ApiError::conflict("worse", message, Vec::new());
        return Ok(Decision::Refused(error.with_checks(checks), why));
    }
    if let Some(check) = checks.iter().find(|check| check.is_void()) {
        let least = check.rule.min_frames;
        let why = format!("holdout {} has fewer than {least} frames", check.holdout);
        let message = format!(
            "{name} v{} is not promoted: {why}, so nothing of it counts; record more, or lower the policy's --min-frames",
            model.version
        );
        let error = ApiError::conflict("too_few_frames", message, Vec::new());
        return Ok(Decision::Refused(error.with_checks(checks), why));
    }
    Ok(Decision::Passed(checks))
}

/// What a slice may lose, in words.
fn loss(rule: &Rule, measure: Measure) -> String {
    match (measure, rule.allow_worse) {
        (Measure::MeanAbsoluteError, percent) => format!("{percent} % more error"),
        (_, 1.0) => "a loss of 1 percentage point".to_owned(),
        (_, points) => format!("a loss of {points} percentage points"),
    }
}

fn in_words(check: &Comparison, row: &Row) -> String {
    let slice = match &row.slice {
        Some(slice) => format!("slice `{slice}` of {}", check.holdout),
        None => format!("all frames of {}", check.holdout),
    };
    let measure = check.measure.word();
    match (row.verdict, row.base) {
        (Verdict::Worse, Some(base)) => {
            format!("{slice}, {measure} {:.4} after {base:.4}", row.value)
        }
        _ => format!("{slice} is measured by {measure}, and the other version is not"),
    }
}

/// Why a version was promoted, for the audit log.
fn passed(checks: &[Comparison], allow_worse: Option<f64>) -> String {
    let Some(first) = checks.first() else {
        return "no holdout is required".to_owned();
    };
    let names: Vec<&str> = checks.iter().map(|check| check.holdout.as_str()).collect();
    let against = match first.base {
        Some(base) => format!("compared with v{base}"),
        None => "measured; nothing was in production".to_owned(),
    };
    let allowed = match allow_worse {
        Some(_) => format!(", {} allowed this once", loss(&first.rule, first.measure)),
        None => String::new(),
    };
    format!("{against} on {}{allowed}", names.join(", "))
}

/// A version that a rollout is giving to robots is not archived under its hands.
async fn not_under_way(tx: &mut AnyConnection, name: &Name, version: u32) -> Result<(), ApiError> {
    for rollout in rollouts::under_way(tx).await? {
        let release = &rollout.head.candidate;
        if release.model == name.as_str() && release.version == version {
            let message = format!(
                "rollout {} of group {} is giving {name} v{version} to robots; wait for its end, or `sanderling rollout abort {}`",
                rollout.id, rollout.group, rollout.id
            );
            return Err(ApiError::conflict("rollout_under_way", message, Vec::new()));
        }
    }
    Ok(())
}

fn check_percent(percent: f64) -> Result<(), ApiError> {
    match (0.0..=100.0).contains(&percent) {
        true => Ok(()),
        false => Err(ApiError::bad(
            "bad_policy",
            "allow_worse is 0 to 100 percent",
        )),
    }
}

/// What versions of a model must pass
#[utoipa::path(get, path = "/v1/models/{model}/policy", params(("model" = String, Path, description = "The model's name")), responses(
    (status = 200, description = "The policy; the default one where none was set", body = Policy),
))]
pub async fn policy(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Policy>, ApiError> {
    let name = Name::new(&name?.0)?;
    let policy = policies::get(&mut *app.store.read().await?, &name).await?;
    Ok(Json(policy))
}

/// A policy, or parts of one; what is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// The holdouts that each version is compared on.
    pub holdouts: Option<Vec<String>>,
    /// What a slice may lose: percentage points of accuracy or IoU, percent of an error.
    pub allow_worse: Option<f64>,
    /// Slices with fewer frames do not count.
    pub min_frames: Option<u64>,
    /// Who asks.
    pub by: Option<String>,
}

/// Say what versions of a model must pass before production
#[utoipa::path(put, path = "/v1/models/{model}/policy", params(("model" = String, Path, description = "The model's name")),
    request_body = NewPolicy, responses(
    (status = 200, description = "Set", body = Policy),
    (status = 400, description = "The body is wrong", body = ErrorBody),
    (status = 404, description = "No such holdout", body = ErrorBody),
    (status = 409, description = "A holdout has too few frames to count", body = ErrorBody),
))]
pub async fn set_policy(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Json<NewPolicy>, JsonRejection>,
) -> Result<Json<Policy>, ApiError> {
    let name = Name::new(&name?.0)?;
    let Json(new) = body?;
    let by = who(new.by)?;
    let mut tx = app.store.write().await?;
    let mut policy = policies::get(&mut tx, &name).await?;
    if let Some(mut holdouts) = new.holdouts {
        holdouts.sort();
        holdouts.dedup();
        policy.holdouts = holdouts;
    }
    if let Some(percent) = new.allow_worse {
        check_percent(percent)?;
        policy.rule.allow_worse = percent;
    }
    policy.rule.min_frames = new.min_frames.unwrap_or(policy.rule.min_frames).max(1);
    for holdout in &policy.holdouts {
        let holdout = found(&mut tx, &Name::new(holdout)?).await?;
        let (frames, least) = (holdout.contents.frames, policy.rule.min_frames);
        if frames < least {
            let message = format!(
                "holdout {} has {frames} frames, and fewer than {least} do not count; record more, or lower --min-frames",
                holdout.name
            );
            return Err(ApiError::conflict("too_few_frames", message, Vec::new()));
        }
    }
    policies::set(&mut tx, &name, &policy, &by).await?;
    let text = format!(
        "{name} asks for {}: {} allowed, on slices of {} frames or more",
        match policy.holdouts.as_slice() {
            [] => "no holdout".to_owned(),
            names => names.join(", "),
        },
        loss(&policy.rule, Measure::Accuracy),
        policy.rule.min_frames
    );
    stages::line(&mut tx, "policy", (name.as_str(), None), &by, &text).await?;
    tx.commit().await?;
    tracing::info!("{text}, by {by}");
    Ok(Json(policy))
}

impl From<NotHere> for ApiError {
    fn from(error: NotHere) -> ApiError {
        match error {
            NotHere::Archived { .. } => {
                ApiError::conflict("archived", error.to_string(), Vec::new())
            }
            NotHere::NotInProduction { .. } => {
                ApiError::conflict("not_in_production", error.to_string(), Vec::new())
            }
            NotHere::Store(error) => error.into(),
        }
    }
}
