//! Models: what is registered, and how a plan is registered.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::{ApiError, ErrorBody};
use crate::files::sha256;
use crate::plan_check;
use crate::store::events::{self, Note};
use crate::store::models::{self, About, Added, Model, Plan};

const STAGES: [&str; 3] = ["staging", "production", "archived"];

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
    /// `staging` (also when absent), `production` or `archived`.
    stage: Option<String>,
    /// JSON object: what the user calls it.
    labels: Option<String>,
    /// JSON object: how it was measured.
    metrics: Option<String>,
    /// JSON object: where it comes from.
    provenance: Option<String>,
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
}

/// Register a plan file (the body) as a version of a model, for the target that the plan names
#[utoipa::path(post, path = "/v1/models", params(Registration),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A .plan file"),
    responses(
        (status = 201, description = "Registered", body = Registered),
        (status = 200, description = "The same file was registered before", body = Registered),
        (status = 400, description = "Not a sound plan, or a parameter is wrong", body = ErrorBody),
        (status = 409, description = "Another file stands for this name, version and target", body = ErrorBody),
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
        }),
    ))
}

fn about(registration: &Registration) -> Result<About, ApiError> {
    if let Some(stage) = &registration.stage
        && !STAGES.contains(&stage.as_str())
    {
        let message = format!("{stage:?} is not a stage; use one of {}", STAGES.join(", "));
        return Err(ApiError::bad("bad_stage", message));
    }
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
        stage: registration.stage.clone(),
        labels: object("labels", &registration.labels)?,
        metrics: object("metrics", &registration.metrics)?,
        provenance: object("provenance", &registration.provenance)?,
    })
}
