//! The HTTP server: connections within their bounds, each with a limit on how long its header may take.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::{Error, Router};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::doors::{Doors, Place};

/// How long a header may take, and how long a connection may stay between two requests.
const HEADER: Duration = Duration::from_secs(20);

/// Serves until it is stopped, and then what is under way.
pub async fn serve(
    listener: TcpListener,
    doors: Arc<Doors>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let stop = stopping.clone();
    loop {
        // Not an arm below: whoever is on the way in would be thrown out for somebody who leaves.
        while connections.try_join_next().is_some() {}
        tokio::select! {
            (stream, _, place) = doors.accept(&listener) => {
                connections.spawn(connection(stream, place, router.clone(), stop.clone()));
            }
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    place: Place,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let place = Arc::new(place);
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|request: Request<Incoming>| {
        place.busy();
        let busy = Busy(Arc::clone(&place));
        let answer = routes.call(request);
        async move {
            let answer = answer.await;
            answer.map(|answer: Response<Body>| answer.map(|body| Answer { body, _busy: busy }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // How a connection ends is its own affair.
        _ = connection.as_mut() => return,
        () = place.wanted() => return,
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A request that is being answered.
struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle();
    }
}

/// An answer's body; its connection works until it is sent.
struct Answer {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        hyper::body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}
