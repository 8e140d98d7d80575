//! Logins at the broker: made for a robot, taken away, and written for Mosquitto.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::asker::Asker;
use super::error::{ApiError, ErrorBody};
use crate::access::COORDINATOR;
use crate::store::events::{self, Note};
use crate::tls::Authority;

/// A robot to enroll.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// The group whose desired state it may read; `all` when absent.
    pub group: Option<String>,
    /// Replace the password of a robot that is enrolled.
    #[serde(default)]
    pub renew: bool,
}

/// All that a robot needs to come into the fleet.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enrolled {
    /// The robot, which is also the user name and the client id.
    pub device: String,
    /// The fleet.
    pub fleet: String,
    /// The group.
    pub group: String,
    /// The password. It is shown once; only its digest is kept.
    pub password: String,
    /// Where the broker is, as the coordinator reaches it.
    pub broker: String,
    /// Whether the embedded broker asks for logins; absent for a broker that somebody else runs.
    pub enforced: Option<bool>,
    /// The certificate authority's certificate, PEM, where there is one.
    pub ca: Option<String>,
    /// The fleet's roots, in hex, where it has any.
    pub root: Option<String>,
}

/// Make a login for a robot; the password in the answer is shown once
#[utoipa::path(post, path = "/v1/devices/{device}/credentials", params(("device" = String, Path, description = "Its name")),
    request_body = Enroll, responses(
    (status = 200, description = "Made", body = Enrolled),
    (status = 400, description = "A name is wrong", body = ErrorBody),
    (status = 409, description = "It is enrolled", body = ErrorBody),
))]
pub async fn enroll(
    State(app): State<Arc<App>>,
    device: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Result<Json<Enroll>, JsonRejection>,
) -> Result<Json<Enrolled>, ApiError> {
    let device = Name::new(&device?.0)?;
    let Json(body) = body?;
    let group = Name::new(body.group.as_deref().unwrap_or("all"))?;
    let access = &app.access;
    let password = access.enroll(&device, Some(&group), body.renew).await?;
    refresh(&app).await?;
    note(
        &app,
        &asker,
        &device,
        "enrolled",
        "has a login at the broker",
    )
    .await?;
    let ca = std::fs::read_to_string(app.tls_folder.join("ca.pem")).ok();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok(Json(Enrolled {
        device: device.to_string(),
        fleet: app.fleet.to_string(),
        group: group.to_string(),
        password,
        broker: app.broker.clone(),
        enforced: app.enforced,
        ca,
        root: app.signer.chain().map(hex),
    }))
}

/// What was taken away.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// The robot.
    pub device: String,
    /// False where there was no login.
    pub revoked: bool,
}

/// Take a robot's login away; nothing that it publishes is taken from then on
#[utoipa::path(delete, path = "/v1/devices/{device}/credentials", params(("device" = String, Path, description = "Its name")),
    responses(
    (status = 200, description = "Taken away", body = Revoked),
    (status = 400, description = "That is not a name", body = ErrorBody),
))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    device: Result<Path<String>, PathRejection>,
    asker: Asker,
) -> Result<Json<Revoked>, ApiError> {
    let device = Name::new(&device?.0)?;
    let revoked = app.access.revoke(&device).await?;
    if revoked {
        refresh(&app).await?;
        note(
            &app,
            &asker,
            &device,
            "revoked",
            "has no login at the broker any more",
        )
        .await?;
    }
    Ok(Json(Revoked {
        device: device.to_string(),
        revoked,
    }))
}

/// A login.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The robot's group; none: a coordinator.
    pub group: Option<String>,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
}

/// Logins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Logins {
    /// Whether the embedded broker asks for them; absent for a broker that somebody else runs.
    pub enforced: Option<bool>,
    /// By user name.
    pub logins: Vec<Login>,
}

/// Who has a login at the broker
#[utoipa::path(get, path = "/v1/access", responses((status = 200, description = "The logins", body = Logins)))]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<Logins>, ApiError> {
    let list = app.access.list().await?;
    Ok(Json(Logins {
        enforced: app.enforced,
        logins: list
            .into_iter()
            .map(|c| Login {
                user: c.user.to_string(),
                group: c.group.map(|group| group.to_string()),
                created_ms: c.created_ms,
            })
            .collect(),
    }))
}

/// Where Mosquitto's files are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mosquitto {
    /// The folder, on the coordinator's machine.
    pub folder: String,
    /// The files in it.
    pub files: Vec<String>,
    /// The coordinator's user name there; its password stands in `coordinator.password`.
    pub user: String,
}

/// Write the files with which Mosquitto keeps the same rules, and a new login of the coordinator for it
#[utoipa::path(post, path = "/v1/access/mosquitto", responses(
    (status = 200, description = "Written into the data directory", body = Mosquitto),
))]
pub async fn mosquitto(
    State(app): State<Arc<App>>,
    asker: Asker,
) -> Result<Json<Mosquitto>, ApiError> {
    let user = Name::new(COORDINATOR)?;
    let password = app.access.enroll(&user, None, true).await?;
    let authority = Authority::open(&app.tls_folder).map_err(ApiError::tls)?;
    let folder = app
        .access
        .write_mosquitto(&app.mosquitto, &authority, &app.tls_names, Some(&password))
        .await?;
    let text = "Mosquitto's files are written, with a new login of the coordinator";
    let mut tx = app.store.write().await?;
    asker.did(&mut tx, "enrolled", None, text).await?;
    tx.commit().await?;
    let files = [
        "mosquitto.conf",
        "passwords",
        "acl",
        "ca.pem",
        "server.pem",
        "server.key",
        "coordinator.password",
    ];
    Ok(Json(Mosquitto {
        folder: folder.display().to_string(),
        files: files.map(str::to_owned).to_vec(),
        user: user.to_string(),
    }))
}

/// Once Mosquitto's files were asked for, they follow every change.
async fn refresh(app: &App) -> Result<(), ApiError> {
    if app.mosquitto.join("passwords").exists() {
        let authority = Authority::open(&app.tls_folder).map_err(ApiError::tls)?;
        let names = &app.tls_names;
        app.access
            .write_mosquitto(&app.mosquitto, &authority, names, None)
            .await?;
    }
    Ok(())
}

async fn note(
    app: &App,
    asker: &Asker,
    device: &Name,
    kind: &'static str,
    text: &str,
) -> Result<(), ApiError> {
    tracing::info!("{device} {text}");
    let mut tx = app.store.write().await?;
    let note = Note {
        kind,
        device: Some(device),
        group: None,
        text,
    };
    events::add(&mut tx, note).await?;
    let text = format!("{device} {text}");
    asker.did(&mut tx, kind, None, &text).await?;
    tx.commit().await?;
    Ok(app.tell().await?)
}
