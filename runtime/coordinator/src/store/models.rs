//! Models and their artifacts: what was registered, and where its digest stands.

use sanderling_wire::{Digest, Name};
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{AnyConnection, Row};
use utoipa::ToSchema;

use super::StoreError;
use crate::clock::now_ms;

/// A registered version of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// `staging`, `production` or `archived`.
    pub stage: String,
    /// What the user calls it: a JSON object.
    #[schema(value_type = Object)]
    pub labels: Map<String, Value>,
    /// How it was measured: a JSON object.
    #[schema(value_type = Object)]
    pub metrics: Map<String, Value>,
    /// Where it comes from: a JSON object.
    #[schema(value_type = Object)]
    pub provenance: Map<String, Value>,
    /// When it was registered, in ms since 1970.
    pub created_ms: i64,
    /// Whether release keys signed it: a fleet with a root runs nothing else.
    pub signed: bool,
    /// Its plans, one for each packing target.
    pub artifacts: Vec<Plan>,
}

/// One plan file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Plan {
    /// What it is packed for.
    pub target: String,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// SHA-256 of the ONNX file it was compiled from, in hex.
    pub source: String,
    /// SHA-256 of its golden vectors, in hex; empty where it was registered by an older program.
    pub golden: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The arena it needs, in bytes.
    pub arena: u64,
    /// Multiply-accumulate operations of one inference.
    pub macs: u64,
}

/// What the user says of a version; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// See [`Model::labels`].
    pub labels: Option<Map<String, Value>>,
    /// See [`Model::metrics`].
    pub metrics: Option<Map<String, Value>>,
    /// See [`Model::provenance`].
    pub provenance: Option<Map<String, Value>>,
}

/// What came of adding a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// The same file was there.
    Same,
    /// Another file stands for the same name, version and target; its digest.
    Conflict(String),
}

/// The version after the newest of a model.
pub async fn next_version(tx: &mut AnyConnection, name: &Name) -> Result<u32, StoreError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM models WHERE name = $1")
        .bind(name.as_str())
        .fetch_one(tx)
        .await?;
    u32::try_from(newest.unwrap_or(0) + 1).map_err(StoreError::corrupt)
}

/// Adds a plan to a version, and makes the version, in staging, when it is new.
pub async fn add(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    about: &About,
    plan: &Plan,
) -> Result<Added, StoreError> {
    let json = |map: &Option<Map<String, Value>>| map.clone().map(|m| Value::Object(m).to_string());
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO models (name, version, stage, labels, metrics, provenance, created_ms)
         VALUES ($1, $2, 'staging', coalesce($3, '{}'), coalesce($4, '{}'), coalesce($5, '{}'), $6)
         ON CONFLICT (name, version) DO UPDATE SET labels = coalesce($3, models.labels),
             metrics = coalesce($4, models.metrics), provenance = coalesce($5, models.provenance)
         RETURNING id",
    )
    .bind(name.as_str())
    .bind(i64::from(version))
    .bind(json(&about.labels))
    .bind(json(&about.metrics))
    .bind(json(&about.provenance))
    .bind(now_ms())
    .fetch_one(&mut *tx)
    .await?;
    let there: Option<String> =
        sqlx::query_scalar("SELECT digest FROM artifacts WHERE model_id = $1 AND target = $2")
            .bind(id)
            .bind(&plan.target)
            .fetch_optional(&mut *tx)
            .await?;
    match there {
        Some(digest) if digest == plan.digest => return Ok(Added::Same),
        Some(digest) => return Ok(Added::Conflict(digest)),
        None => {}
    }
    sqlx::query(
        "INSERT INTO artifacts (model_id, target, digest, source, golden, size, arena, macs, created_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(&plan.target)
    .bind(&plan.digest)
    .bind(&plan.source)
    .bind(&plan.golden)
    .bind(plan.size as i64)
    .bind(plan.arena as i64)
    .bind(plan.macs as i64)
    .bind(now_ms())
    .execute(tx)
    .await?;
    Ok(Added::New)
}

/// Every version of every model, or of one.
pub async fn list(tx: &mut AnyConnection, name: Option<&Name>) -> Result<Vec<Model>, StoreError> {
    let rows = sqlx::query(
        "SELECT m.name, m.version, m.stage, m.labels, m.metrics, m.provenance, m.created_ms,
                a.target, a.digest, a.source, a.size, a.arena, a.macs, a.golden,
                CASE WHEN m.manifest IS NULL THEN 0 ELSE 1 END
         FROM models m JOIN artifacts a ON a.model_id = m.id
         WHERE $1 IS NULL OR m.name = $1
         ORDER BY m.name, m.version, a.target",
    )
    .bind(name.map(Name::as_str))
    .fetch_all(tx)
    .await?;
    let mut models: Vec<Model> = Vec::new();
    for row in &rows {
        let name: String = row.try_get(0)?;
        let version = row.try_get::<i64, _>(1)?;
        let version = u32::try_from(version).map_err(StoreError::corrupt)?;
        let plan = Plan {
            target: row.try_get(7)?,
            digest: row.try_get(8)?,
            source: row.try_get(9)?,
            golden: row.try_get(13)?,
            size: row.try_get::<i64, _>(10)? as u64,
            arena: row.try_get::<i64, _>(11)? as u64,
            macs: row.try_get::<i64, _>(12)? as u64,
        };
        match models.last_mut() {
            Some(m) if m.name == name && m.version == version => m.artifacts.push(plan),
            _ => models.push(Model {
                name,
                version,
                stage: row.try_get(2)?,
                labels: object(row.try_get(3)?)?,
                metrics: object(row.try_get(4)?)?,
                provenance: object(row.try_get(5)?)?,
                created_ms: row.try_get(6)?,
                signed: row.try_get::<i64, _>(14)? != 0,
                artifacts: vec![plan],
            }),
        }
    }
    Ok(models)
}

fn object(text: &str) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(text).map_err(StoreError::corrupt)
}

/// One version of a model.
pub async fn get(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
) -> Result<Option<Model>, StoreError> {
    Ok(list(tx, Some(name))
        .await?
        .into_iter()
        .find(|m| m.version == version))
}

/// Sets a version's stage.
pub async fn set_stage(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    stage: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE models SET stage = $1 WHERE name = $2 AND version = $3")
        .bind(stage)
        .bind(name.as_str())
        .bind(i64::from(version))
        .execute(tx)
        .await?;
    Ok(())
}

/// The signed manifest of a version, if there is one, as it was registered.
pub async fn manifest(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let found: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT manifest FROM models WHERE name = $1 AND version = $2")
            .bind(name.as_str())
            .bind(i64::from(version))
            .fetch_optional(tx)
            .await?;
    Ok(found.flatten())
}

/// Keeps a version's signed manifest.
pub async fn set_manifest(
    tx: &mut AnyConnection,
    name: &Name,
    version: u32,
    manifest: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("UPDATE models SET manifest = $1 WHERE name = $2 AND version = $3")
        .bind(manifest)
        .bind(name.as_str())
        .bind(i64::from(version))
        .execute(tx)
        .await?;
    Ok(())
}

/// The size of the registered plan or delta with this digest, in bytes.
pub async fn size_of(tx: &mut AnyConnection, digest: &Digest) -> Result<Option<u64>, StoreError> {
    let size: Option<i64> =
        sqlx::query_scalar("SELECT size FROM artifacts WHERE digest = $1 UNION SELECT size FROM deltas WHERE digest = $1 LIMIT 1")
            .bind(digest.to_string())
            .fetch_optional(tx)
            .await?;
    Ok(size.map(|s| s as u64))
}

/// Every digest that a file must stand for, with its size.
pub async fn digests(tx: &mut AnyConnection) -> Result<Vec<(Digest, u64)>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT DISTINCT digest, size FROM artifacts")
        .fetch_all(tx)
        .await?;
    rows.into_iter()
        .map(|(digest, size)| Ok((digest.parse().map_err(StoreError::corrupt)?, size as u64)))
        .collect()
}
