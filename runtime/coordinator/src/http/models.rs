//! Models: what is registered, and how a plan is registered.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::AnyConnection;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody};
use super::rollouts::who;
use crate::files::sha256;
use crate::plan_check;
use crate::stages::{self, Stage};
use crate::store::events::{self, Note};
use crate::store::models::{self, About, Added, Model, Plan};
use crate::store::policies;

/// Registered models.
#[derive(Debug, Serialize, ToSchema)]
pub struct Models {
    /// By name and version.
    pub models: Vec<Model>,
}

/// Which models.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only versions of this model.
    name: Option<String>,
}

/// Every registered version of every model
#[utoipa::path(get, path = "/v1/models", params(Wanted), responses(
    (status = 200, description = "The models", body = Models),
    (status = 400, description = "A parameter is wrong", body = ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Models>, ApiError> {
    let Query(wanted) = wanted?;
    let name = wanted.name.as_deref().map(Name::new).transpose()?;
    let mut tx = app.store.read().await?;
    Ok(Json(Models {
        models: models::list(&mut tx, name.as_ref()).await?,
    }))
}

/// What a plan is registered as.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Registration {
    /// The model's name.
    name: String,
    /// The version, from 1; without it, one more than the newest.
    version: Option<u32>,
    /// `staging`, `production` or `archived`; when absent, a new version is in staging. Straight to production it comes only
    /// where the model's policy asks for no holdout.
    stage: Option<String>,
    /// JSON object: what the user calls it.
    labels: Option<String>,
    /// JSON object: how it was measured.
    metrics: Option<String>,
    /// JSON object: where it comes from.
    provenance: Option<String>,
    /// Who asks.
    by: Option<String>,
}

/// What was registered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Registered {
    /// The version as it stands now, with every plan.
    pub model: Model,
    /// The plan that was sent.
    pub artifact: Plan,
    /// False when the same file was registered before.
    pub created: bool,
    /// What robots will not like about it.
    pub warnings: Vec<String>,
}

/// Register a plan file (the body) as a version of a model, for the target that the plan names
#[utoipa::path(post, path = "/v1/models", params(Registration),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A .plan file"),
    responses(
        (status = 201, description = "Registered", body = Registered),
        (status = 200, description = "The same file was registered before", body = Registered),
        (status = 400, description = "Not a sound plan, or a parameter is wrong", body = ErrorBody),
        (status = 409, description = "Another file stands for this name, version and target, or production asks for checks", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
    ))]
pub async fn register(
    State(app): State<Arc<App>>,
    registration: Result<Query<Registration>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Registered>), ApiError> {
    let Query(registration) = registration?;
    let name = Name::new(&registration.name)?;
    let about = about(&registration)?;
    let stage = stage(&registration)?;
    let by = who(registration.by.clone())?;
    if registration.version == Some(0) {
        return Err(ApiError::bad("bad_version", "versions begin at 1"));
    }
    let body = body?.to_vec();
    let facts = plan_check::check(&body).map_err(|error| ApiError::bad("not_a_plan", error))?;
    let digest = sha256(&body);
    let plan = Plan {
        target: facts.target.to_string(),
        digest: digest.to_string(),
        source: facts.source.to_string(),
        golden: facts.golden.to_string(),
        size: body.len() as u64,
        arena: facts.arena,
        macs: facts.macs,
    };
    // The file first: a row must never stand for a file that is not there.
    app.files.put(&digest, body).await?;
    let mut tx = app.store.write().await?;
    let version = match registration.version {
        Some(version) => version,
        None => models::next_version(&mut tx, &name).await?,
    };
    let added = models::add(&mut tx, &name, version, &about, &plan).await?;
    if let Added::Conflict(other) = added {
        let message = format!(
            "{name} v{version} for {} is registered with another file ({other}); register this one as a new version",
            plan.target
        );
        return Err(ApiError::conflict("version_taken", message, Vec::new()));
    }
    if added == Added::New {
        same_source(&mut tx, &name, version).await?;
        let text = format!(
            "{name} v{version} for {} ({} bytes, {})",
            plan.target,
            plan.size,
            digest.short()
        );
        tracing::info!("registered {text}");
        let note = Note {
            kind: "registered",
            device: None,
            group: None,
            text: &text,
        };
        events::add(&mut tx, note).await?;
        stages::line(
            &mut tx,
            "registered",
            (name.as_str(), Some(version)),
            &by,
            &text,
        )
        .await?;
    }
    if let Some(stage) = stage {
        set_stage(&mut tx, &name, version, stage, &by).await?;
    }
    let model = models::get(&mut tx, &name, version).await?;
    tx.commit().await?;
    app.tell().await?;
    app.deltas.prepare(&name, version).await;
    let model =
        model.ok_or_else(|| ApiError::missing("model_not_found", "the version vanished"))?;
    let created = added == Added::New;
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((
        status,
        Json(Registered {
            model,
            artifact: plan,
            created,
            warnings: facts.warnings,
        }),
    ))
}

fn stage(registration: &Registration) -> Result<Option<Stage>, ApiError> {
    let Some(word) = &registration.stage else {
        return Ok(None);
    };
    let stage = Stage::from_word(word).ok_or_else(|| {
        let known = Stage::ALL.map(Stage::word).join(", ");
        let message = format!("{word:?} is not a stage; use one of {known}");
        ApiError::bad("bad_stage", message)
    })?;
    Ok(Some(stage))
}

/// A version in production that passed checks stays the one that passed them: further plans come from the same ONNX file.
async fn same_source(tx: &mut AnyConnection, name: &Name, version: u32) -> Result<(), ApiError> {
    let Some(model) = models::get(tx, name, version).await? else {
        return Ok(());
    };
    let in_production = model.stage == Stage::Production.word();
    let sources: BTreeSet<&str> = model.artifacts.iter().map(|p| p.source.as_str()).collect();
    if in_production && sources.len() > 1 && !policies::get(tx, name).await?.holdouts.is_empty() {
        let message = format!(
            "{name} v{version} is in production, and this plan was compiled from another ONNX file than its other plans; register it as a new version"
        );
        return Err(ApiError::conflict("checks_required", message, Vec::new()));
    }
    Ok(())
}

/// The stage that a version is registered in; production only where nothing is to be checked before.
async fn set_stage(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    stage: Stage,
    by: &str,
) -> Result<(), ApiError> {
    let now = models::get(tx, name, version).await?;
    if now.is_some_and(|now| now.stage == stage.word()) {
        return Ok(());
    }
    let holdouts = policies::get(tx, name).await?.holdouts;
    if stage == Stage::Production && !holdouts.is_empty() {
        let message = format!(
            "{name} asks for checks on {} before production; register it in staging, then \
             `sanderling models promote {name} --version {version} --to production`",
            holdouts.join(", ")
        );
        return Err(ApiError::conflict("checks_required", message, Vec::new()));
    }
    stages::set(tx, name, version, stage, by, "registered so").await?;
    Ok(())
}

fn about(registration: &Registration) -> Result<About, ApiError> {
    let object =
        |field: &str, text: &Option<String>| -> Result<Option<Map<String, Value>>, ApiError> {
            let Some(text) = text else { return Ok(None) };
            let wrong = |error| {
                ApiError::bad(
                    "bad_json",
                    format!("{field} must be a JSON object: {error}"),
                )
            };
            serde_json::from_str(text).map(Some).map_err(wrong)
        };
    Ok(About {
        labels: object("labels", &registration.labels)?,
        metrics: object("metrics", &registration.metrics)?,
        provenance: object("provenance", &registration.provenance)?,
    })
}
