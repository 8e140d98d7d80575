//! The HTTP API: JSON in, JSON out, one file for each thing that can be asked for.
//!
//! The router and the OpenAPI document are both made from the handlers; a test holds them equal.

// The macro that documents a handler names its parameters' types by their whole path.
#![allow(unused_qualifications)]

mod access;
mod asker;
mod audit;
mod deltas;
mod devices;
mod error;
mod evaluations;
mod events;
mod groups;
mod guard;
mod health;
mod holdouts;
mod manifests;
mod models;
mod pace;
mod results;
mod rollouts;
mod root;
pub mod serve;
mod stages;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post, put};
use sanderling_wire::Name;
use tokio::sync::{mpsc, watch};
use utoipa::OpenApi;

use crate::access::Access;
use crate::deltas::Deltas;
use crate::evaluate::Evaluator;
use crate::files::Files;
use crate::link::Link;
use crate::rollouts::Command;
use crate::signer::Signer;
use crate::store::{Store, StoreError, events as event_store};

pub use guard::Hosts;

/// What handlers work with.
#[derive(Debug)]
pub struct App {
    /// The names under which the API answers.
    pub hosts: Arc<Hosts>,
    /// The fleet's name.
    pub fleet: Name,
    /// Registry and device table.
    pub store: Store,
    /// Model files.
    pub files: Files,
    /// The maker of deltas.
    pub deltas: Deltas,
    /// The way to the robots.
    pub link: Arc<Link>,
    /// The fleet's key.
    pub signer: Arc<Signer>,
    /// Who may talk to the broker.
    pub access: Arc<Access>,
    /// Whether the embedded broker asks for logins; none: somebody else's broker.
    pub enforced: Option<bool>,
    /// Where registry and files are.
    pub data_dir: PathBuf,
    /// Why what robots say cannot be written down, while that is so.
    pub storage_trouble: watch::Receiver<Option<String>>,
    /// Where the certificate authority is.
    pub tls_folder: PathBuf,
    /// The broker's host names and addresses, for its certificate.
    pub tls_names: Vec<String>,
    /// Where Mosquitto's files go.
    pub mosquitto: PathBuf,
    /// Where the broker is, for people.
    pub broker: String,
    /// The largest body of an upload, in bytes.
    pub max_model_bytes: usize,
    /// The largest holdout, in bytes.
    pub max_holdout_bytes: usize,
    /// Measures versions on holdouts.
    pub evaluator: Arc<Evaluator>,
    /// The groups that take only versions in production; `*`: every one.
    pub only_production: Vec<String>,
    /// Told the newest event's number after each commit.
    pub news: watch::Sender<i64>,
    /// Where orders to rollouts go.
    pub orders: mpsc::Sender<Command>,
    /// True once the process is stopping.
    pub stopping: watch::Receiver<bool>,
}

impl App {
    /// After a commit that added events: wakes those who wait for them.
    async fn tell(&self) -> Result<(), StoreError> {
        let mut tx = self.store.read().await?;
        let newest = event_store::newest(&mut tx).await?;
        self.news
            .send_if_modified(|known| std::mem::replace(known, newest) != newest);
        Ok(())
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sanderling coordinator",
        description = "Registry of models, desired state of groups, table of devices, counted results. \
            Errors are objects {\"error\": {\"code\", \"message\"}}; the message says what to do. \
            A request with a body says its type: application/json, or application/octet-stream for a file. Requests of web \
            pages (a foreign Origin, Sec-Fetch-Site, or Host) are refused. \
            Who asks stands in the field `by` of a body, or else in the header `sanderling-by`, and goes into the audit log."
    ),
    paths(
        models::list,
        models::register,
        manifests::put,
        stages::stage,
        stages::policy,
        stages::set_policy,
        evaluations::list,
        evaluations::evaluate,
        holdouts::list,
        holdouts::put,
        holdouts::remove,
        deltas::put,
        rollouts::list,
        rollouts::start,
        rollouts::get,
        rollouts::order,
        audit::list,
        stream::stream,
        root::get,
        root::put,
        devices::list,
        devices::get,
        devices::forget,
        devices::order,
        access::enroll,
        access::revoke,
        access::list,
        access::mosquitto,
        groups::list,
        groups::push,
        results::summary,
        events::list,
        health::healthz,
        health::openapi,
    ),
    components(schemas(error::ErrorBody))
)]
struct ApiDoc;

/// Every route, with the methods it takes.
fn routes(max_holdout_bytes: usize) -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let holdouts_may_be = DefaultBodyLimit::max(max_holdout_bytes);
    vec![
        (
            "/v1/models",
            get(models::list).merge(post(models::register)),
        ),
        ("/v1/models/{model}/{version}/manifest", put(manifests::put)),
        ("/v1/models/{model}/{version}/stage", post(stages::stage)),
        (
            "/v1/models/{model}/{version}/evaluations",
            post(evaluations::evaluate),
        ),
        (
            "/v1/models/{model}/policy",
            get(stages::policy).merge(put(stages::set_policy)),
        ),
        ("/v1/evaluations", get(evaluations::list)),
        ("/v1/holdouts", get(holdouts::list)),
        (
            "/v1/holdouts/{holdout}",
            put(holdouts::put)
                .layer(holdouts_may_be)
                .merge(delete(holdouts::remove)),
        ),
        ("/v1/deltas", put(deltas::put)),
        (
            "/v1/rollouts",
            get(rollouts::list).merge(post(rollouts::start)),
        ),
        ("/v1/rollouts/{rollout}", get(rollouts::get)),
        ("/v1/rollouts/{rollout}/orders", post(rollouts::order)),
        ("/v1/audit", get(audit::list)),
        ("/v1/events/stream", get(stream::stream)),
        ("/v1/root", get(root::get).merge(put(root::put))),
        ("/v1/devices", get(devices::list)),
        (
            "/v1/devices/{device}",
            get(devices::get).merge(delete(devices::forget)),
        ),
        ("/v1/devices/{device}/orders", post(devices::order)),
        (
            "/v1/devices/{device}/credentials",
            post(access::enroll).merge(delete(access::revoke)),
        ),
        ("/v1/access", get(access::list)),
        ("/v1/access/mosquitto", post(access::mosquitto)),
        ("/v1/groups", get(groups::list)),
        ("/v1/groups/{group}/desired", put(groups::push)),
        ("/v1/results/summary", get(results::summary)),
        ("/v1/events", get(events::list)),
        ("/healthz", get(health::healthz)),
        ("/openapi.json", get(health::openapi)),
    ]
}

/// The whole API.
pub fn router(app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max(app.max_model_bytes);
    let hosts = Arc::clone(&app.hosts);
    routes(app.max_holdout_bytes)
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        })
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(limit)
        .layer(from_fn(pace::pace))
        // The outermost: nothing is looked at before it.
        .layer(from_fn_with_state(hosts, guard::guard))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_route_and_no_other() {
        let document = ApiDoc::openapi();
        let mut documented: Vec<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let mut routed: Vec<&str> = routes(0).iter().map(|(path, _)| *path).collect();
        documented.sort_unstable();
        routed.sort_unstable();
        assert_eq!(documented, routed);
    }
}
