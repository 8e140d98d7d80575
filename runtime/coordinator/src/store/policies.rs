//! What versions of a model must pass before production.

use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use utoipa::ToSchema;

use super::StoreError;
use crate::clock::now_ms;
use crate::decide::worse::Rule;

/// A model's policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// The holdouts that each version is compared on with the one in production, by name.
    pub holdouts: Vec<String>,
    /// What a slice may lose.
    #[serde(flatten)]
    pub rule: Rule,
}

/// The policy of a model; the default one where none was set.
pub async fn get(tx: &mut AnyConnection, model: &Name) -> Result<Policy, StoreError> {
    let text: Option<String> = sqlx::query_scalar("SELECT policy FROM policies WHERE model = $1")
        .bind(model.as_str())
        .fetch_optional(tx)
        .await?;
    match text {
        Some(text) => serde_json::from_str(&text).map_err(StoreError::corrupt),
        None => Ok(Policy::default()),
    }
}

/// Sets it.
pub async fn set(
    tx: &mut AnyConnection,
    model: &Name,
    policy: &Policy,
    by: &str,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(policy).map_err(StoreError::corrupt)?;
    sqlx::query(
        "INSERT INTO policies (model, policy, set_ms, by_whom) VALUES ($1, $2, $3, $4)
         ON CONFLICT (model) DO UPDATE SET policy = $2, set_ms = $3, by_whom = $4",
    )
    .bind(model.as_str())
    .bind(text)
    .bind(now_ms())
    .bind(by)
    .execute(tx)
    .await?;
    Ok(())
}

/// The models that ask for a holdout.
pub async fn asking_for(tx: &mut AnyConnection, holdout: &str) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT model, policy FROM policies ORDER BY model")
            .fetch_all(tx)
            .await?;
    let mut models = Vec::new();
    for (model, text) in rows {
        let policy: Policy = serde_json::from_str(&text).map_err(StoreError::corrupt)?;
        if policy.holdouts.iter().any(|name| name == holdout) {
            models.push(model);
        }
    }
    Ok(models)
}
