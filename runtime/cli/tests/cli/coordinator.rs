//! Commands that need a coordinator, where there is none or something else.

use crate::onnx_file;
use crate::process::{Scratch, sanderling};
use std::io::{Read, Write};
use std::net::TcpListener;

/// Answers one connection with that status and body and goes away; its URL.
fn answers_once(status: &str, body: &str) -> (String, std::thread::JoinHandle<()>) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("someone connects");
        // The request's first bytes; the answer does not depend on them.
        let _ = stream.read(&mut [0; 4096]).expect("reads");
        stream.write_all(answer.as_bytes()).expect("writes");
    });
    (url, server)
}

#[test]
fn no_coordinator_is_one_line_that_names_the_url() {
    // A port that was free a moment ago, so that nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    drop(listener);
    for command in ["devices", "models", "watch"] {
        sanderling(&[command, "--coordinator", &url]).fails(
            1,
            &[
                "no answer from the coordinator",
                &url,
                "SANDERLING_COORDINATOR",
            ],
        );
    }
    sanderling(&["push", "m", "--version", "1", "--coordinator", &url]).fails(1, &[&url]);
}

#[test]
fn something_else_at_the_url_is_not_taken_for_a_coordinator() {
    let (url, server) = answers_once("200 OK", "hello");
    sanderling(&["devices", "--coordinator", &url]).fails(1, &["is it a coordinator?"]);
    server.join().expect("answered");
    let (url, server) = answers_once("404 Not Found", "");
    sanderling(&["models", "--coordinator", &url]).fails(1, &["404", "is it a coordinator?"]);
    server.join().expect("answered");
    sanderling(&["models", "--coordinator", "ftp://robot"]).fails(1, &["http://"]);
}

#[test]
fn an_error_of_the_api_is_shown_with_its_devices() {
    let (url, server) = answers_once(
        "409 Conflict",
        r#"{"error": {"code": "does_not_fit", "message": "m v1 does not fit 2 of 2 devices",
            "devices": [{"device": "r1", "reason": "too big"}, {"device": "r2", "reason": "no arena"}]}}"#,
    );
    let done = sanderling(&["push", "m", "--version", "1", "--coordinator", &url]);
    done.fails(
        1,
        &[
            "m v1 does not fit 2 of 2 devices",
            "\n  r1: too big",
            "\n  r2: no arena",
        ],
    );
    server.join().expect("answered");
}

#[test]
fn a_model_that_does_not_compile_is_not_sent() {
    let scratch = Scratch::new();
    let model = scratch.put("f.onnx", &onnx_file::float_model());
    // Nobody listens at port 9: the refusal comes before the connection.
    let args = [
        "register",
        &model,
        "--name",
        "m",
        "--coordinator",
        "http://127.0.0.1:9",
    ];
    sanderling(&args).fails(1, &["product (MatMul)"]);
}
