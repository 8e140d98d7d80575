//! Models over HTTP range requests, from servers that serve them and from servers that do not.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sanderling_wire::Digest;
use support::life::{Life, settings};
use support::models::{self, Model};

/// How a server behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// As it should.
    Right,
    /// It knows no ranges.
    Whole,
    /// It ends in the middle of the third answer, and refuses everything after it.
    Breaks,
    /// It damages the first byte that it sends.
    Lies,
}

/// Serves one model; gives its address and the count of its answers.
fn server(model: &Model, manner: Manner) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let url = format!("http://{}/models/", listener.local_addr().expect("bound"));
    let path = format!("GET /models/{} ", Digest(model.digest));
    let (answers, bytes) = (Arc::new(AtomicUsize::new(0)), model.bytes.clone());
    let count = answers.clone();
    // It ends with the process: it holds nothing but a port.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            loop {
                let (mut first, mut range) = (String::new(), None);
                if reader.read_line(&mut first).unwrap_or(0) == 0 {
                    break;
                }
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    let lower = line.to_lowercase();
                    if let Some(text) = lower.strip_prefix("range: bytes=") {
                        let (from, to) = text.trim().split_once('-').expect("a range");
                        let of = |text: &str| text.parse::<usize>().expect("a number");
                        range = Some((of(from), of(to)));
                    }
                    line.clear();
                }
                assert!(first.starts_with(&path), "{first}");
                let (from, to) = range.expect("agents ask for ranges");
                let number = count.fetch_add(1, Ordering::Relaxed);
                let mut body = bytes[from..=to].to_vec();
                let mut to_stream = &stream;
                let total = bytes.len();
                let _ = match manner {
                    Manner::Whole => write!(
                        to_stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"
                    )
                    .and_then(|()| to_stream.write_all(&bytes)),
                    Manner::Breaks if number > 2 => {
                        write!(to_stream, "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")
                    }
                    _ => {
                        if matches!(manner, Manner::Lies) && number == 0 {
                            body[0] ^= 1;
                        }
                        let length = body.len();
                        if matches!(manner, Manner::Breaks) && number == 2 {
                            body.truncate(length / 2);
                        }
                        write!(
                            to_stream,
                            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{to}/{total}\r\n\r\n"
                        )
                        .and_then(|()| to_stream.write_all(&body))
                    }
                };
                if matches!(manner, Manner::Breaks) && number == 2 {
                    break;
                }
            }
        }
    });
    (url, answers)
}

/// Updates a robot from a server; gives requests over MQTT, and answers of the server.
fn update_from(manner: Manner) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = settings(|settings| settings.credit = Some(32));
    let (first, second) = (models::largest(), models::smallest(100_000));
    let mut life = Life::begin(folder.path(), &config, &[first.clone(), second.clone()]);
    life.want(&first, 1, 1);
    life.until("first model", |life| life.rests_with(&first));
    let needs = life.needs;
    let (url, answers) = server(&second, manner);
    life.url = Some(url);
    life.want(&second, 2, 2);
    life.until("second model", |life| life.rests_with(&second));
    (life.needs - needs, answers.load(Ordering::Relaxed))
}

#[test]
fn a_model_is_pulled_in_ranges_without_a_request_over_mqtt() {
    let (needs, answers) = update_from(Manner::Right);
    assert_eq!(needs, 0);
    // 394 chunks of 256 bytes, 32 for each request.
    assert!((13..=20).contains(&answers), "{answers} answers");
}

/// Updates a robot by delta from a server that has the delta; gives requests over MQTT, and answers of the server.
fn delta_from(manner: Manner) -> (usize, usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = settings(|settings| settings.credit = Some(32));
    let (first, second) = (models::smallest(100_000), models::retrained(100_000));
    let delta = models::delta(&first, &second);
    let mut life = Life::begin(folder.path(), &config, &[first.clone(), second.clone()]);
    life.want(&first, 1, 1);
    life.until("first model", |life| life.rests_with(&first));
    let needs = life.needs;
    let (url, answers) = server(&delta, manner);
    life.url = Some(url);
    life.offer(&first, &delta);
    life.want(&second, 2, 2);
    life.until("second model", |life| life.rests_with(&second));
    assert_eq!(life.sent(&second), 0, "the delta was of no use");
    (life.needs - needs, answers.load(Ordering::Relaxed))
}

#[test]
fn a_delta_is_pulled_in_ranges_too() {
    let (needs, answers) = delta_from(Manner::Right);
    assert_eq!(needs, 0);
    assert!(answers > 2, "{answers} answers");
    let (needs, answers) = delta_from(Manner::Whole);
    assert!(needs > 2, "{needs} requests over MQTT");
    assert_eq!(answers, 1);
}

#[test]
fn a_server_without_ranges_is_left_for_mqtt() {
    let (needs, answers) = update_from(Manner::Whole);
    assert!(needs > 10, "{needs} requests over MQTT");
    assert_eq!(answers, 1);
}

#[test]
fn a_server_that_breaks_off_costs_nothing_that_had_come() {
    let (needs, answers) = update_from(Manner::Breaks);
    // Two windows and a half came by HTTP.
    assert!((8..=12).contains(&needs), "{needs} requests over MQTT");
    assert!(answers <= 4, "{answers} answers");
}

#[test]
fn what_a_server_damages_is_found_by_the_digest_and_pulled_again() {
    let (_, answers) = update_from(Manner::Lies);
    assert!(answers >= 26, "{answers} answers");
}
