//! How slowly a body may come: a sender that stops in the middle of one does not keep a connection for ever.

use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use hyper::body::Body as _;
use tokio::time::{Instant, timeout_at};

/// How long the first byte of a body may take, and a pause at the end of a body that came fast.
const PATIENCE: Duration = Duration::from_secs(20);
/// The slowest that a body may come from then on, in bytes per second.
const SLOWEST: u64 = 8 * 1024;

/// Ends the reading of a body that comes too slowly.
pub async fn pace(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    next.run(request.map(|body| Body::from_stream(paced(body))))
        .await
}

fn paced(body: Body) -> impl Stream<Item = Result<Bytes, BoxError>> {
    let start = Instant::now();
    stream::unfold(
        (body.into_data_stream(), 0),
        move |(mut body, had)| async move {
            let due = start + PATIENCE + Duration::from_secs(had / SLOWEST);
            match timeout_at(due, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => {
                    let had = had + bytes.len() as u64;
                    Some((Ok(bytes), (body, had)))
                }
                Ok(Some(Err(error))) => Some((Err(error.into()), (body, had))),
                Err(_) => {
                    let slow = format!(
                        "the body came too slowly: {had} bytes in {} s; send it again over a faster connection",
                        start.elapsed().as_secs()
                    );
                    Some((Err(slow.into()), (body, had)))
                }
            }
        },
    )
}
