//! A web page in the browser of somebody who can reach the API: whatever it asks for, on every route, is refused.

use serde_json::Value;

use crate::support::http::raw;
use crate::support::process::Coordinator;

/// Every route and method of the API's own document, with names in place of its parameters.
async fn routes(coordinator: &Coordinator) -> Vec<(String, String)> {
    let document = coordinator.get("/openapi.json").await;
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path: Vec<&str> = path
            .split('/')
            .map(|part| match part {
                "{version}" | "{rollout}" => "1",
                part if part.starts_with('{') => "robot",
                part => part,
            })
            .collect();
        for method in methods.as_object().unwrap().keys() {
            routes.push((method.to_uppercase(), path.join("/")));
        }
    }
    assert!(routes.len() >= 30, "{routes:?}");
    routes
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_a_foreign_page_and_none_takes_a_body_of_a_form() {
    let coordinator = Coordinator::start().await;
    let base = &coordinator.http;
    let own = base.strip_prefix("http://").unwrap();
    let port = own.rsplit(':').next().unwrap();
    let rebound = format!("page.example:{port}");
    let length = ("content-length", "2");
    let typed = ("content-type", "application/json");
    let mut routes = routes(&coordinator).await;
    routes.push(("OPTIONS".to_owned(), "/v1/models".to_owned()));
    routes.push(("GET".to_owned(), "/nothing/here".to_owned()));
    for (method, path) in &routes {
        for (header, value, expected) in [
            ("host", rebound.as_str(), "bad_host"),
            ("host", "127.0.0.1.page.example", "bad_host"),
            ("origin", "http://page.example", "foreign_page"),
            ("origin", "http://localhost:3000", "foreign_page"),
            ("origin", "null", "foreign_page"),
            ("sec-fetch-site", "cross-site", "foreign_page"),
            ("sec-fetch-site", "same-site", "foreign_page"),
        ] {
            let mut headers = vec![(header, value), typed, length];
            if header != "host" {
                headers.push(("host", own));
            }
            let (status, body) = raw(base, method, path, &headers, b"{}").await;
            let got = (status, code(&body));
            assert_eq!(got, (403, expected), "{method} {path} {header}: {value}");
        }
        let (status, _) = raw(base, method, path, &[typed, length], b"{}").await;
        assert!(
            matches!(status, 400 | 403),
            "{method} {path} without a host: {status}"
        );
        for kind in [
            None,
            Some("text/plain"),
            Some("text/plain; application/json"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
        ] {
            let mut headers = vec![("host", own), length];
            headers.extend(kind.map(|kind| ("content-type", kind)));
            let (status, body) = raw(base, method, path, &headers, b"{}").await;
            let got = (status, code(&body));
            assert_eq!(got, (415, "bad_content_type"), "{method} {path}: {kind:?}");
            let chunked = ("transfer-encoding", "chunked");
            headers.retain(|header| *header != length);
            headers.push(chunked);
            let (status, _) = raw(base, method, path, &headers, b"2\r\n{}\r\n0\r\n\r\n").await;
            assert_eq!(status, 415, "{method} {path}: {kind:?}, chunked");
        }
    }
    // Nothing of all that was done.
    for (path, list) in [
        ("/v1/models", "models"),
        ("/v1/access", "logins"),
        ("/v1/audit", "audit"),
        ("/v1/holdouts", "holdouts"),
    ] {
        let answer = coordinator.get(path).await;
        assert_eq!(answer[list], Value::Array(Vec::new()), "{path}");
    }
    // The same requests from a program, and from the address bar of a browser, get as far as their routes.
    for (method, path) in &routes[..routes.len() - 2] {
        let site = ("sec-fetch-site", "none");
        let headers = [("host", own), typed, length, site];
        let (status, body) = raw(base, method, path, &headers, b"{}").await;
        let refused = ["bad_host", "foreign_page", "bad_content_type"];
        assert!(!refused.contains(&code(&body)), "{method} {path}: {body}");
        assert!(status != 403 && status != 415, "{method} {path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_given_is_answered_to() {
    let coordinator = Coordinator::start_with(&["--http-name", "fleet.local"]).await;
    for (host, expected) in [
        ("fleet.local", 200),
        ("Fleet.Local:7380", 200),
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:7380", 200),
        ("other.local", 403),
        ("192.168.7.7", 403),
    ] {
        let (status, body) =
            raw(&coordinator.http, "GET", "/healthz", &[("host", host)], b"").await;
        assert_eq!(status, expected, "{host}: {body}");
        if expected == 403 {
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains("--http-name"), "{message}");
        }
    }
}
