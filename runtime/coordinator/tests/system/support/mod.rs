//! What the tests share: real coordinator processes, real brokers, robots that keep the rules, and a
//! small HTTP client. Every wait has a deadline.

pub mod agent;
pub mod broker;
pub mod frames;
pub mod http;
pub mod light;
pub mod plan;
pub mod postgres;
pub mod process;
pub mod robot;

use std::future::Future;
use std::time::Duration;

/// Long enough for a loaded machine; a test that needs longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `future`, and fails the test with `what` when it takes too long.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("this did not happen within {DEADLINE:?}: {what}"),
    }
}
