//! Counted results: how many, how right, how fast.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use sanderling_wire::Name;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::error::ApiError;
use crate::decide::latency::quantile;
use crate::store::results::{self, Tally};

/// Which results.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those of this device.
    device: Option<String>,
}

/// Results of one device with one model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultSummary {
    /// The device.
    pub device: String,
    /// SHA-256 of the model file, in hex.
    pub digest: String,
    /// The model's name, where the file is registered.
    pub model: Option<String>,
    /// Its version.
    pub version: Option<u32>,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Counts of results. Each frame is counted once, however often its result was delivered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    /// Results.
    pub frames: u64,
    /// Results whose recording names the class.
    pub labelled: u64,
    /// Those of them that named the same class.
    pub correct: u64,
    /// `correct / labelled`.
    pub accuracy: Option<f64>,
    /// Mean time from queue to output, in µs.
    pub latency_mean_us: Option<f64>,
    /// Median of the same, to about 9 %.
    pub latency_p50_us: Option<u32>,
    /// 99th percentile of the same, to about 9 %.
    pub latency_p99_us: Option<u32>,
}

/// How complete a device's results are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Coverage {
    /// The device.
    pub device: String,
    /// Frames that the device numbered, up to the newest result.
    pub numbered: u64,
    /// Frames whose result was counted.
    pub counted: u64,
    /// The difference: dropped by the device's queue or outbox, or still on its way.
    pub missing: u64,
}

/// All results.
#[derive(Debug, Serialize, ToSchema)]
pub struct Summary {
    /// By device and model.
    pub results: Vec<ResultSummary>,
    /// By device.
    pub coverage: Vec<Coverage>,
    /// Together.
    pub total: Counts,
}

/// Results by device and model, and together
#[utoipa::path(get, path = "/v1/results/summary", params(Wanted), responses(
    (status = 200, description = "The counts", body = Summary),
    (status = 400, description = "A parameter is wrong", body = super::error::ErrorBody),
))]
pub async fn summary(
    State(app): State<Arc<App>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Summary>, ApiError> {
    let Query(wanted) = wanted?;
    let device = wanted.device.as_deref().map(Name::new).transpose()?;
    let mut tx = app.store.read().await?;
    let totals = results::totals(&mut tx, device.as_ref()).await?;
    let by_device = results::coverage(&mut tx).await?;
    let mut together = Tally::default();
    let mut list = Vec::new();
    for total in totals {
        together.merge(&total.tally);
        let (model, version) = total.model.unzip();
        list.push(ResultSummary {
            device: total.device,
            digest: total.digest,
            model,
            version,
            counts: counts(&total.tally),
        });
    }
    let coverage = coverage(by_device, device.as_ref());
    Ok(Json(Summary {
        results: list,
        coverage,
        total: counts(&together),
    }))
}

fn coverage(by_device: BTreeMap<String, results::Coverage>, only: Option<&Name>) -> Vec<Coverage> {
    by_device
        .into_iter()
        .filter(|(device, _)| only.is_none_or(|name| name.as_str() == device))
        .map(|(device, of)| Coverage {
            device,
            numbered: of.numbered,
            counted: of.counted,
            missing: of.numbered.saturating_sub(of.counted),
        })
        .collect()
}

fn counts(tally: &Tally) -> Counts {
    let ratio = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
    let buckets: Vec<(u16, u64)> = tally.buckets.iter().map(|(b, n)| (*b, *n)).collect();
    Counts {
        frames: tally.frames,
        labelled: tally.labelled,
        correct: tally.correct,
        accuracy: ratio(tally.correct, tally.labelled),
        latency_mean_us: ratio(tally.latency_us, tally.frames),
        latency_p50_us: quantile(&buckets, 0.5),
        latency_p99_us: quantile(&buckets, 0.99),
    }
}
