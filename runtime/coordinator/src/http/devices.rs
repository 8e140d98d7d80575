//! Devices: what each said last, where it stands, and orders to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sanderling_trust::serial;
use sanderling_wire::{Cmd, Name, Order};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::asker::Asker;
use super::error::{ApiError, ErrorBody};
use crate::clock::now_ms;
use crate::decide::fit::{Limits, fit};
use crate::decide::standing::{Standing, Verdict, standing};
use crate::files::Files;
use crate::say::{order_id, send_order};
use crate::store::events::{self, Note};
use crate::store::groups::{Group, Told};
use crate::store::{devices, groups, results};

/// Two robots of one name take turns of minutes; so long after they were seen last, one of them is thought to be gone.
const CLONE_MS: u64 = 15 * 60 * 1000;

/// A model that runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Running {
    /// Its name.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of the plan file, in hex.
    pub digest: String,
}

/// A download under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    /// SHA-256 of the plan file, in hex.
    pub release: String,
    /// Bytes held.
    pub held: u64,
    /// Bytes in all.
    pub size: u64,
}

/// Why the last update failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// SHA-256 of the plan file, in hex, where it was known.
    pub release: Option<String>,
    /// The class: `digest`, `plan`, `target`, `too_large`, `self_test`, `trial`, `storage`, `transfer`, `refused`.
    pub code: String,
    /// One line.
    pub text: String,
}

/// Counters, as the device sent them last.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Seconds since its program started.
    pub uptime_s: u32,
    /// Frames from its source.
    pub frames_in: u64,
    /// Frames answered.
    pub frames_out: u64,
    /// Frames dropped by its queue.
    pub frames_dropped: u64,
    /// Median latency over the last period, in µs.
    pub latency_p50_us: u32,
    /// 99th percentile of the same, in µs.
    pub latency_p99_us: u32,
    /// Arena of the running model, in bytes.
    pub arena_bytes: u64,
    /// Allocator calls on the inference path since the model was loaded.
    pub allocations: u64,
    /// Results that wait for a receipt.
    pub outbox_depth: u32,
    /// Results dropped by its outbox.
    pub outbox_dropped: u64,
    /// Bytes of models and deltas that it pulled since its program started.
    pub pulled_bytes: u64,
    /// Degrees Celsius, where it has a sensor.
    pub temperature_c: Option<f64>,
}

/// Its newest result.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LastResult {
    /// The boot counter.
    pub boot: u32,
    /// The frame's place since that boot.
    pub seq: u64,
    /// SHA-256 of the model file that answered, in hex.
    pub digest: String,
    /// The best class, for outputs that are one.
    pub top: Option<u16>,
    /// Its output.
    pub confidence: Option<f64>,
    /// The class that the recording names.
    pub truth: Option<u16>,
    /// From queue to output, in µs.
    pub latency_us: u32,
    /// When it was counted, in ms since 1970.
    pub at_ms: i64,
}

/// Which root a device believes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Anchor {
    /// The root's version.
    pub version: u32,
    /// The root's epoch.
    pub epoch: u32,
}

/// One device.
#[derive(Debug, Serialize, ToSchema)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// The group whose desired state it follows.
    pub group: Option<String>,
    /// Whether its connection stands.
    pub online: bool,
    /// The number of its connection.
    pub session: u64,
    /// Its software.
    pub software: Option<String>,
    /// Its board.
    pub board: Option<String>,
    /// The packing targets that it runs, the preferred one first.
    pub targets: Vec<String>,
    /// The largest arena it can give, in bytes.
    pub arena_limit: Option<u64>,
    /// The largest plan file it can hold, in bytes.
    pub flash_limit: Option<u64>,
    /// What it says it runs.
    pub running: Option<Running>,
    /// `empty`, `active`, `downloading`, `verifying`, `self_test`, `trial`, `fell_back`.
    pub phase: Option<&'static str>,
    /// The newest desired state it accepted.
    pub serial: Option<u64>,
    /// The root that it believes; none: it takes what is not signed.
    pub root: Option<Anchor>,
    /// A download under way.
    pub progress: Option<Progress>,
    /// Why its last update failed.
    pub failure: Option<Failure>,
    /// Where it stands against its group's desired state.
    pub standing: Standing,
    /// One line about that, where there is something to say.
    pub standing_text: Option<String>,
    /// What to do about two robots that connect under this name, while they do.
    pub clone: Option<String>,
    /// Its counters.
    pub health: Option<Health>,
    /// Its newest result.
    pub last_result: Option<LastResult>,
    /// How many of its results were counted.
    pub results: u64,
    /// When it was heard last, in ms since 1970; 0: never, but for what the broker had kept.
    pub seen_ms: i64,
}

/// Devices.
#[derive(Debug, Serialize, ToSchema)]
pub struct Devices {
    /// By name.
    pub devices: Vec<Device>,
}

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those of this group.
    group: Option<String>,
}

/// Every device that was heard, also those that are gone
#[utoipa::path(get, path = "/v1/devices", params(Wanted), responses(
    (status = 200, description = "The devices", body = Devices),
    (status = 400, description = "A parameter is wrong", body = ErrorBody),
))]
pub async fn list(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Devices>, ApiError> {
    let Query(wanted) = wanted?;
    let group = wanted.group.as_deref().map(Name::new).transpose()?;
    let mut tx = app.store.read().await?;
    let counted = results::coverage(&mut tx).await?;
    let groups: BTreeMap<Name, Group> = groups::list(&mut tx)
        .await?
        .into_iter()
        .map(|g| (g.name.clone(), g))
        .collect();
    let devices = devices::list(&mut tx, group.as_ref()).await?;
    let view = |device: devices::Device| {
        let counted = counted.get(device.name.as_str()).map_or(0, |c| c.counted);
        let group = device.birth.as_ref().map(|b| &b.group);
        let group = group.and_then(|g| groups.get(g));
        let verdict = verdict(&device, group, &app.files);
        view(device, verdict, counted)
    };
    Ok(Json(Devices {
        devices: devices.into_iter().map(view).collect(),
    }))
}

/// One device
#[utoipa::path(get, path = "/v1/devices/{device}", params(("device" = String, Path, description = "Its name")), responses(
    (status = 200, description = "The device", body = Device),
    (status = 400, description = "That is not a name", body = ErrorBody),
    (status = 404, description = "It was never heard", body = ErrorBody),
))]
pub async fn get(
    State(app): State<Arc<App>>,
    device: Result<Path<String>, PathRejection>,
) -> Result<Json<Device>, ApiError> {
    let name = Name::new(&device?.0)?;
    let mut tx = app.store.read().await?;
    let device = devices::get(&mut tx, &name)
        .await?
        .ok_or_else(|| unknown(&name))?;
    let counted = results::coverage(&mut tx)
        .await?
        .get(name.as_str())
        .map_or(0, |c| c.counted);
    let group = match &device.birth {
        Some(birth) => groups::get(&mut tx, &birth.group).await?,
        None => None,
    };
    let verdict = verdict(&device, group.as_ref(), &app.files);
    Ok(Json(view(device, verdict, counted)))
}

fn unknown(name: &Name) -> ApiError {
    let message = format!("no device {name} was ever heard; GET /v1/devices lists those that were");
    ApiError::missing("device_not_found", message)
}

/// Forget a device that will not come back; its counted results stay
#[utoipa::path(delete, path = "/v1/devices/{device}", params(("device" = String, Path, description = "Its name")), responses(
    (status = 204, description = "Forgotten; if it connects again it is back"),
    (status = 400, description = "That is not a name", body = ErrorBody),
    (status = 404, description = "It was never heard", body = ErrorBody),
    (status = 409, description = "It is online", body = ErrorBody),
))]
pub async fn forget(
    State(app): State<Arc<App>>,
    device: Result<Path<String>, PathRejection>,
    asker: Asker,
) -> Result<StatusCode, ApiError> {
    let name = Name::new(&device?.0)?;
    let mut tx = app.store.write().await?;
    let device = devices::get(&mut tx, &name)
        .await?
        .ok_or_else(|| unknown(&name))?;
    if device.known.online {
        let message = format!("{name} is online and would be back at once; stop it first");
        return Err(ApiError::conflict("device_online", message, Vec::new()));
    }
    devices::forget(&mut tx, &name).await?;
    let note = Note {
        kind: "forgotten",
        device: Some(&name),
        group: None,
        text: "is forgotten",
    };
    events::add(&mut tx, note).await?;
    let text = format!("{name} is forgotten");
    asker.did(&mut tx, "forgotten", None, &text).await?;
    tx.commit().await?;
    app.tell().await?;
    // The broker may still hold its retained birth and state, which would bring it back.
    for kind in sanderling_wire::Kind::ALL
        .into_iter()
        .filter(|k| k.is_retained())
    {
        let topic = sanderling_wire::Topic::device(&app.fleet, &name, kind).to_string();
        let empty = crate::link::Outgoing {
            topic,
            payload: Vec::new(),
            at_least_once: true,
            retain: true,
        };
        app.link.publish(empty).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What a device can be told.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderWord {
    /// Make itself known: blink, beep, log.
    Identify,
    /// Stop answering frames.
    Stop,
    /// Go on.
    Resume,
    /// Try the desired release again after a failure.
    Retry,
    /// Introduce itself again.
    Rebirth,
}

/// An order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// What to do.
    pub order: OrderWord,
}

/// An order was published.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ordered {
    /// Its number.
    pub id: u64,
    /// Whether the device was there to hear it. An order to a device that is not there is lost.
    pub online: bool,
}

/// Tell a device to do something
#[utoipa::path(post, path = "/v1/devices/{device}/orders", params(("device" = String, Path, description = "Its name")),
    request_body = OrderBody, responses(
    (status = 202, description = "Published", body = Ordered),
    (status = 400, description = "No such order", body = ErrorBody),
    (status = 404, description = "The device was never heard", body = ErrorBody),
))]
pub async fn order(
    State(app): State<Arc<App>>,
    device: Result<Path<String>, PathRejection>,
    asker: Asker,
    body: Result<Json<OrderBody>, JsonRejection>,
) -> Result<(StatusCode, Json<Ordered>), ApiError> {
    let name = Name::new(&device?.0)?;
    let Json(OrderBody { order: word }) = body?;
    let order = match word {
        OrderWord::Identify => Order::Identify,
        OrderWord::Stop => Order::Stop,
        OrderWord::Resume => Order::Resume,
        OrderWord::Retry => Order::Retry,
        OrderWord::Rebirth => Order::Rebirth,
    };
    let mut tx = app.store.write().await?;
    let device = devices::get(&mut tx, &name)
        .await?
        .ok_or_else(|| unknown(&name))?;
    let text = format!("is told: {}", format!("{word:?}").to_lowercase());
    tracing::info!("{name} {text}");
    let note = Note {
        kind: "order",
        device: Some(&name),
        group: None,
        text: &text,
    };
    events::add(&mut tx, note).await?;
    let text = format!("{name} {text}");
    asker.did(&mut tx, "order", None, &text).await?;
    tx.commit().await?;
    app.tell().await?;
    let id = order_id(&order);
    send_order(&app.link, &app.fleet, &name, &Cmd { id, order }).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(Ordered {
            id,
            online: device.known.online,
        }),
    ))
}

/// Where a device stands, and why.
pub(super) fn verdict(device: &devices::Device, group: Option<&Group>, files: &Files) -> Verdict {
    if let Some(version) = device.unreadable {
        let text = format!(
            "it speaks version {version} of the messages, and this coordinator reads {}; update the older of the two",
            sanderling_wire::VERSION
        );
        return Verdict {
            standing: Standing::Unknown,
            text: Some(text),
        };
    }
    let limits = device.birth.as_ref().map(Limits::from);
    let told = group.map(|group| group.told(&device.name));
    let mut verdict = standing(told, limits.as_ref(), device.state.as_ref());
    if let (Some(Told::Run(wanted)), Some(limits)) = (told, &limits)
        && matches!(verdict.standing, Standing::Behind | Standing::Updating)
        && let Ok(artifact) = fit(wanted.manifest, limits)
        && let Some(broken) = files.broken(&artifact.digest)
    {
        verdict.text = Some(broken.to_string());
    }
    verdict
}

fn view(device: devices::Device, verdict: Verdict, results: u64) -> Device {
    let birth = device.birth.as_ref();
    let state = device.state.as_ref();
    // A birth says what runs too, for a device whose state has not come yet.
    let running = match state {
        Some(state) => state.running.as_ref(),
        None => birth.and_then(|b| b.running.as_ref()),
    };
    let clone = (now_ms().abs_diff(device.clone_ms) < CLONE_MS).then(|| {
        format!(
            "two robots connect as {}: a copied card or state folder? Give one of them another name and an empty state \
             folder; until then they take turns, and the results of both are counted",
            device.name
        )
    });
    Device {
        name: device.name.to_string(),
        group: birth.map(|b| b.group.to_string()),
        online: device.known.online,
        session: device.known.session.0,
        software: birth.map(|b| b.software.to_string()),
        board: birth.map(|b| b.board.to_string()),
        targets: birth.map_or(Vec::new(), |b| {
            b.targets.iter().map(Name::to_string).collect()
        }),
        arena_limit: birth.map(|b| b.arena_limit),
        flash_limit: birth.map(|b| b.flash_limit),
        running: running.map(|r| Running {
            model: r.model.to_string(),
            version: r.version,
            digest: r.digest.to_string(),
        }),
        phase: state.map(|s| phase_word(s.phase)),
        serial: state.map(|s| serial::plain(s.serial)),
        root: state.and_then(|s| s.root).map(|root| Anchor {
            version: root.version,
            epoch: root.epoch,
        }),
        progress: state.and_then(|s| s.progress).map(|p| Progress {
            release: p.release.to_string(),
            held: p.held,
            size: p.size,
        }),
        failure: state.and_then(|s| s.failure.as_ref()).map(|f| Failure {
            release: f.release.map(|d| d.to_string()),
            code: failure_word(f.code).to_owned(),
            text: f.text.to_string(),
        }),
        standing: verdict.standing,
        standing_text: verdict.text.or_else(|| clone.clone()),
        clone,
        health: device.health.map(|h| Health {
            uptime_s: h.uptime_s,
            frames_in: h.frames_in,
            frames_out: h.frames_out,
            frames_dropped: h.frames_dropped,
            latency_p50_us: h.latency_p50_us,
            latency_p99_us: h.latency_p99_us,
            arena_bytes: h.arena_bytes,
            allocations: h.allocations,
            outbox_depth: h.outbox_depth,
            outbox_dropped: h.outbox_dropped,
            pulled_bytes: h.pulled_bytes,
            temperature_c: h.temperature_mc.map(|t| f64::from(t) / 1000.0),
        }),
        last_result: device
            .last_result
            .and_then(|json| serde_json::from_value(json).ok()),
        results,
        seen_ms: device.seen_ms,
    }
}

fn phase_word(phase: sanderling_wire::Phase) -> &'static str {
    use sanderling_wire::Phase::*;
    match phase {
        Empty => "empty",
        Active => "active",
        Downloading => "downloading",
        Verifying => "verifying",
        SelfTest => "self_test",
        Trial => "trial",
        FellBack => "fell_back",
    }
}

fn failure_word(code: sanderling_wire::FailureCode) -> &'static str {
    use sanderling_wire::FailureCode::*;
    match code {
        Digest => "digest",
        Plan => "plan",
        Target => "target",
        TooLarge => "too_large",
        SelfTest => "self_test",
        Trial => "trial",
        Storage => "storage",
        Transfer => "transfer",
        Refused => "refused",
        Held => "held",
    }
}
