//! Who asks, for the audit log: requests whose body has no field for it carry a header.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sqlx::AnyConnection;

use super::error::ApiError;
use super::rollouts::who;
use crate::clock::now_ms;
use crate::store::StoreError;
use crate::store::audit::{self, Entry};

/// The header's name.
const HEADER: &str = "sanderling-by";

/// The asker's name.
pub struct Asker(pub String);

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asker, ApiError> {
        let said = parts.headers.get(HEADER);
        // Anything that is no text is no name either.
        let said = said.map(|value| value.to_str().unwrap_or_default().to_owned());
        who(said).map(Asker)
    }
}

impl Asker {
    /// Adds a line to the audit log.
    pub async fn did(
        &self,
        tx: &mut AnyConnection,
        act: &str,
        model: Option<(&str, Option<u32>)>,
        text: &str,
    ) -> Result<(), StoreError> {
        let entry = Entry {
            at_ms: now_ms(),
            by: &self.0,
            act,
            rollout: None,
            group: None,
            model,
            text,
        };
        audit::add(tx, &entry).await
    }
}
