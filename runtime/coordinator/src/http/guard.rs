//! What stands before every route: a request that a web page could have made is refused.
//!
//! The API has no accounts, so whoever can send it a request may push a model. A page in the browser of somebody who can
//! reach the API is such a sender: under an origin of its own, or, where its name was made to resolve to this machine,
//! under the same one. A browser says in `Host` which name it asked for, in `Origin` and `Sec-Fetch-Site` who asks, and
//! it asks beforehand for leave to send a body of any type that forms do not have, which nobody gives here. So:
//!
//! | header | must be |
//! |---|---|
//! | `Host` | an address that this process listens on, `localhost`, or one of `--http-name` |
//! | `Origin` | absent, or the host that was asked |
//! | `Sec-Fetch-Site` | absent, `same-origin`, or `none` (typed into the address bar) |
//! | `Content-Type` | of a request with a body: `application/json` or `application/octet-stream` |

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;

use super::error::ApiError;

/// The types that a body may have. No form sends either, so that a browser asks before it sends one for a foreign page.
const TYPES: [&str; 2] = ["application/json", "application/octet-stream"];

/// The names under which the API answers.
#[derive(Clone, Debug)]
pub struct Hosts {
    listens: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// Those of an API that listens there and is called by these names too.
    pub fn new(listens: SocketAddr, names: &[String]) -> Hosts {
        Hosts {
            listens: listens.ip(),
            names: names.iter().map(|name| plain(name)).collect(),
        }
    }

    /// Whether `authority` (`host`, or `host:port`) is one of them. The port does not count: it may be forwarded.
    fn allows(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = plain(authority.host());
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            // A name can be made to resolve to this machine; an address cannot be made to mean another one.
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback() || self.listens.is_unspecified() || address == self.listens
            }
            Err(_) => host == "localhost" || self.names.contains(&host),
        }
    }
}

/// A host name as it is compared.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Lets a request through, or says why not.
pub async fn guard(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let mut response = match judge(&hosts, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    // Answers are no scripts and no pictures of anybody's page.
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn judge(hosts: &Hosts, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    let host = only(headers, &header::HOST).map_err(|()| bad_host("several hosts"))?;
    let host = host.ok_or_else(|| bad_host("a request without a Host header"))?;
    let asked = request.uri().authority().map(Authority::as_str);
    for host in [Some(host), asked].into_iter().flatten() {
        if !hosts.allows(host) {
            return Err(bad_host(host));
        }
    }
    let origin = only(headers, &header::ORIGIN).map_err(|()| foreign("several origins"))?;
    if let Some(origin) = origin
        && origin.strip_prefix("http://") != Some(host)
    {
        return Err(foreign(origin));
    }
    let site = HeaderName::from_static("sec-fetch-site");
    match only(headers, &site) {
        Ok(None | Some("same-origin" | "none")) => {}
        _ => return Err(foreign("another site")),
    }
    if request.body().is_end_stream() {
        return Ok(());
    }
    let said = only(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let essence = said.and_then(|said| said.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    if TYPES.contains(&essence.as_str()) {
        return Ok(());
    }
    let message = format!(
        "a body needs the header content-type: application/json, or application/octet-stream where it is a file; \
         this one has {}",
        match said {
            Some(said) => format!("{said:?}"),
            None => "none".to_owned(),
        }
    );
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "bad_content_type",
        message,
    ))
}

/// The value of a header that may be there once; what is no text stands for nothing that is allowed.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.to_str().unwrap_or("?"));
    match values.next() {
        Some(_) => Err(()),
        None => Ok(first),
    }
}

fn bad_host(host: &str) -> ApiError {
    let message = format!(
        "this coordinator does not answer to {host:?}; use its address, or start it with --http-name NAME for the name \
         by which it is called"
    );
    ApiError::new(StatusCode::FORBIDDEN, "bad_host", message)
}

fn foreign(who: &str) -> ApiError {
    let message = format!(
        "web pages may not use this API, and this request comes from {who:?}; use the command `sanderling`, or a program \
         that sends no Origin and no Sec-Fetch-Site header"
    );
    ApiError::new(StatusCode::FORBIDDEN, "foreign_page", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_anybody_may_own_are_no_hosts() {
        let hosts = |listens: &str| {
            let listens = listens.parse().unwrap();
            Hosts::new(listens, &["fleet.local".to_owned()])
        };
        let home = hosts("127.0.0.1:7380");
        for good in [
            "127.0.0.1:7380",
            "127.0.0.1",
            "127.0.0.9:1",
            "localhost:7380",
            "LOCALHOST",
            "localhost.:80",
            "[::1]:7380",
            "fleet.local:7380",
            "Fleet.Local",
        ] {
            assert!(home.allows(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:7380",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@127.0.0.1",
            "127.0.0.1:7380@evil.example",
            "192.168.1.5:7380",
            "a b",
            "[::1",
        ] {
            assert!(!home.allows(bad), "{bad}");
        }
        assert!(hosts("192.168.1.5:7380").allows("192.168.1.5:7380"));
        assert!(!hosts("192.168.1.5:7380").allows("192.168.1.6:7380"));
        assert!(hosts("0.0.0.0:7380").allows("192.168.1.5:7380"));
        assert!(!hosts("0.0.0.0:7380").allows("evil.example"));
    }
}
