//! What happens, as it happens, for browsers: server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::App;
use super::error::ApiError;
use crate::store::events::{self, Event};

/// How often something is said so that the connection is not taken for dead.
const SILENCE: Duration = Duration::from_secs(15);

struct Reader {
    app: Arc<App>,
    after: i64,
    waiting: VecDeque<Event>,
}

/// Events as `text/event-stream`; `Last-Event-ID` goes on where a connection broke
#[utoipa::path(get, path = "/v1/events/stream", responses(
    (status = 200, description = "Events, each `id`, `event` (its kind) and `data` (JSON), without end", content_type = "text/event-stream"),
))]
pub async fn stream(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let after = match last {
        Some(after) => after,
        None => events::newest(&mut *app.store.read().await?).await?,
    };
    let reader = Reader {
        app,
        after,
        waiting: VecDeque::new(),
    };
    let body = stream::unfold(reader, |mut reader| async move {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(text), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl Reader {
    /// The next piece of text; none when the coordinator stops or its store fails.
    async fn next(&mut self) -> Option<String> {
        // Subscribed before the look, so that nothing falls between look and wait.
        let mut news = self.app.news.subscribe();
        let mut stopping = self.app.stopping.clone();
        if self.waiting.is_empty() {
            let mut tx = self.app.store.read().await.ok()?;
            self.waiting = events::after(&mut tx, self.after, 200).await.ok()?.into();
        }
        if let Some(event) = self.waiting.pop_front() {
            self.after = event.id;
            let data = serde_json::to_string(&event).ok()?;
            return Some(format!(
                "id: {}\nevent: {}\ndata: {data}\n\n",
                event.id, event.kind
            ));
        }
        let after = self.after;
        tokio::select! {
            _ = news.wait_for(|newest| *newest > after) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return None,
            () = tokio::time::sleep(SILENCE) => {}
        }
        Some(":\n\n".to_owned())
    }
}
