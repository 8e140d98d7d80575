//! The least HTTP client: one request for each connection, JSON back.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// Sends a request to `base` (`http://host:port`) and gives status and JSON (null when there is none).
pub async fn request(base: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    within(&format!("{method} {path}"), send(base, method, path, body)).await
}

/// A GET that must succeed.
pub async fn get(base: &str, path: &str) -> Value {
    let (status, body) = request(base, "GET", path, b"").await;
    assert_eq!(status, 200, "GET {path}: {body}");
    body
}

async fn send(base: &str, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let host = base.strip_prefix("http://").expect("a base URL");
    let mut stream = TcpStream::connect(host).await.expect("the API listens");
    let is_json = [
        "/orders",
        "/stage",
        "/evaluations",
        "/rollouts",
        "/credentials",
    ];
    let kind = if method == "PUT" || is_json.iter().any(|end| path.ends_with(end)) {
        "application/json"
    } else {
        "application/octet-stream"
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the head is sent");
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    assert!(read.is_ok() || !answer.is_empty(), "no answer: {read:?}");
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Sends a request with exactly these headers and gives the answer's status and body, or, of an answer without end, the
/// status alone.
pub async fn raw(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value) {
    within(&format!("{method} {path} {headers:?}"), async {
        let address = base.strip_prefix("http://").expect("a base URL");
        let mut stream = TcpStream::connect(address).await.expect("the API listens");
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .expect("sent");
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let status = head.split(' ').nth(1).expect("a status");
                let status = status.parse().expect("a number");
                let json = serde_json::from_str(body);
                if json.is_ok() || head.contains("event-stream") {
                    return (status, json.unwrap_or(Value::Null));
                }
            }
            if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                let text = String::from_utf8_lossy(&answer);
                let status = text.split(' ').nth(1).and_then(|s| s.parse().ok());
                return (status.unwrap_or(0), Value::Null);
            }
        }
    })
    .await
}
