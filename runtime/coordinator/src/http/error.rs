//! Errors of the API: a status, a code for programs, and a line that says what to do.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sanderling_wire::NameError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::AccessError;
use crate::compose::ComposeError;
use crate::decide::worse::Comparison;
use crate::files::FileError;
use crate::link::LinkClosed;
use crate::store::StoreError;
use crate::tls::TlsError;

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// One word for programs, such as `model_not_found`.
    pub code: &'static str,
    /// One line for people: what happened and what to do.
    pub message: String,
    /// The devices that stand in the way, where some do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Obstacle>,
    /// How versions compare, slice by slice, where that stands in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Comparison>,
}

/// A device that stands in the way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Obstacle {
    /// Its name.
    pub device: String,
    /// Why.
    pub reason: String,
}

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    detail: ErrorDetail,
}

impl ApiError {
    /// An error with a status, a code and a line.
    pub fn new(status: StatusCode, code: &'static str, message: impl ToString) -> ApiError {
        let detail = ErrorDetail {
            code,
            message: message.to_string(),
            devices: Vec::new(),
            checks: Vec::new(),
        };
        ApiError { status, detail }
    }

    /// The same with how versions compare.
    pub fn with_checks(mut self, checks: Vec<Comparison>) -> ApiError {
        self.detail.checks = checks;
        self
    }

    /// The request is not right.
    pub fn bad(code: &'static str, message: impl ToString) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// What is asked for is not there.
    pub fn missing(code: &'static str, message: impl ToString) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, code, message)
    }

    /// What is there stands against it.
    pub fn conflict(
        code: &'static str,
        message: impl ToString,
        devices: Vec<Obstacle>,
    ) -> ApiError {
        let mut error = ApiError::new(StatusCode::CONFLICT, code, message);
        error.detail.devices = devices;
        error
    }
}

impl ApiError {
    /// Its line, where what is there stands against what was asked for.
    pub fn objection(&self) -> Option<&str> {
        (self.status == StatusCode::CONFLICT).then_some(self.detail.message.as_str())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!("{}", self.detail.message);
        }
        (self.status, Json(ErrorBody { error: self.detail })).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> ApiError {
        StoreError::from(error).into()
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "files_failed", error)
    }
}

impl ApiError {
    /// The certificate authority's files failed.
    pub fn tls(error: TlsError) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "files_failed", error)
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> ApiError {
        match error {
            AccessError::Enrolled(_) => {
                ApiError::conflict("enrolled", error.to_string(), Vec::new())
            }
            AccessError::Reserved => ApiError::bad("bad_name", error),
            AccessError::Store(error) => error.into(),
            AccessError::Tls(error) => ApiError::tls(error),
            AccessError::Random(_) | AccessError::File { .. } => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "files_failed", error)
            }
        }
    }
}

impl From<ComposeError> for ApiError {
    fn from(error: ComposeError) -> ApiError {
        match error {
            ComposeError::NoModel { .. } => ApiError::missing("model_not_found", error),
            ComposeError::Unsigned { .. } => {
                ApiError::conflict("not_signed", error.to_string(), Vec::new())
            }
            ComposeError::Message(_) => ApiError::bad("bad_manifest", error),
            ComposeError::Store(error) => error.into(),
        }
    }
}

impl From<LinkClosed> for ApiError {
    fn from(error: LinkClosed) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", error)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> ApiError {
        ApiError::bad("bad_name", error)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(error: QueryRejection) -> ApiError {
        ApiError::bad(
            "bad_query",
            format!("{}; see /openapi.json", error.body_text()),
        )
    }
}

impl From<PathRejection> for ApiError {
    fn from(error: PathRejection) -> ApiError {
        ApiError::bad(
            "bad_path",
            format!("{}; see /openapi.json", error.body_text()),
        )
    }
}

impl From<JsonRejection> for ApiError {
    fn from(error: JsonRejection) -> ApiError {
        ApiError::bad(
            "bad_body",
            format!("{}; see /openapi.json", error.body_text()),
        )
    }
}

impl From<BytesRejection> for ApiError {
    fn from(error: BytesRejection) -> ApiError {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = "the file is larger than this coordinator takes; start it with a higher --max-model-bytes";
            return ApiError::new(error.status(), "too_large", message);
        }
        ApiError::new(error.status(), "bad_body", error.body_text())
    }
}

/// For paths that nothing answers.
pub async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::missing(
        "no_such_route",
        format!(
            "nothing answers at {}; /openapi.json lists every route",
            uri.path()
        ),
    )
}

/// For methods that a path does not take.
pub async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{} does not take {method}; /openapi.json lists every route",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
}
