//! The HTTP API: what it refuses, and that each refusal says what to do.

use std::time::Duration;

use crate::support::frames::holdout;
use crate::support::plan::{classifier, plan};
use crate::support::process::{Coordinator, command};
use crate::support::robot::{Robot, Setup};
use crate::support::within;
use sanderling_plan::Target;
use serde_json::Value;

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

fn text(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whole_sound_plans_are_registered() {
    let coordinator = Coordinator::start_with(&["--max-model-bytes", "20000"]).await;
    let post = async |query: &str, body: &[u8]| {
        coordinator
            .request("POST", &format!("/v1/models?{query}"), body)
            .await
    };
    let good = plan(Target::Generic, 64, 1000, 1);

    let (status, body) = post("name=m", b"\x08\x08\x12\x07pytorch").await;
    assert_eq!((status, code(&body)), (400, "not_a_plan"));
    assert!(text(&body).contains("sanderling compile"), "{body}");
    let (status, body) = post("name=m", &good[..good.len() - 1]).await;
    assert_eq!((status, code(&body)), (400, "not_a_plan"));
    assert!(text(&body).contains("truncated"), "{body}");
    let (status, body) = post("name=m", &[good.as_slice(), b"x"].concat()).await;
    assert_eq!((status, code(&body)), (400, "not_a_plan"));
    let (status, body) = post("name=m", &plan(Target::Generic, 64, 30_000, 1)).await;
    assert_eq!((status, code(&body)), (413, "too_large"));
    for (query, expected) in [
        ("", "bad_query"),
        ("name=a/b", "bad_name"),
        ("name=m&colour=red", "bad_query"),
        ("name=m&version=0", "bad_version"),
        ("name=m&stage=ready", "bad_stage"),
        ("name=m&labels=%5B%5D", "bad_json"),
    ] {
        let (status, body) = post(query, &good).await;
        assert_eq!((status, code(&body)), (400, expected), "{query}: {body}");
    }
    assert_eq!(
        coordinator.get("/v1/models").await["models"]
            .as_array()
            .unwrap()
            .len(),
        0
    );

    let (status, body) = post(
        "name=m&labels=%7B%22site%22%3A%22lab%22%7D&metrics=%7B%22top1%22%3A0.97%7D",
        &good,
    )
    .await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["model"]["version"], 1);
    assert_eq!(body["model"]["labels"]["site"], "lab");
    assert_eq!(body["model"]["metrics"]["top1"], 0.97);
    assert_eq!(body["artifact"]["target"], "generic");
    assert_eq!(body["artifact"]["arena"], 64);
    assert_eq!(body["artifact"]["size"], good.len());
    // The same again changes nothing; another file for the same name is refused.
    let (status, body) = post("name=m&version=1&stage=production", &good).await;
    assert_eq!((status, &body["created"]), (200, &false.into()));
    assert_eq!(body["model"]["stage"], "production");
    assert_eq!(body["model"]["labels"]["site"], "lab");
    let other = plan(Target::Generic, 64, 1000, 2);
    let (status, body) = post("name=m&version=1", &other).await;
    assert_eq!((status, code(&body)), (409, "version_taken"));
    let (status, body) = post("name=m", &other).await;
    assert_eq!((status, &body["model"]["version"]), (201, &2.into()));
    // A second target of a version.
    let (status, body) = post("name=m&version=2", &plan(Target::CortexM4, 64, 1000, 2)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["model"]["artifacts"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_does_not_fit_is_refused_before_a_byte_is_sent() {
    let coordinator = Coordinator::start().await;
    coordinator
        .register("small", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    coordinator
        .register("arena", 1, &plan(Target::Generic, 20_000, 1000, 2))
        .await;
    coordinator
        .register("flash", 1, &plan(Target::Generic, 64, 50_000, 3))
        .await;
    coordinator
        .register("board", 1, &plan(Target::CortexM55, 64, 1000, 4))
        .await;
    let setup = Setup {
        flash: 40_000,
        targets: &["cortex-m4", "generic"],
        ..Setup::new("robot")
    };
    let mut robot = Robot::connect(&coordinator.mqtt, setup).await;
    coordinator
        .until_device("robot", |d| d["phase"] == "empty")
        .await;

    let push = async |body: &str| {
        coordinator
            .request("PUT", "/v1/groups/all/desired", body.as_bytes())
            .await
    };
    for (model, reason) in [
        (
            "arena",
            "needs an arena of 20000 bytes, and the robot has 10000",
        ),
        ("flash", "a slot of the robot holds 40000"),
        ("board", "compile it with --target cortex-m4"),
    ] {
        let (status, body) = push(&format!(r#"{{"model":"{model}","version":1}}"#)).await;
        assert_eq!((status, code(&body)), (409, "does_not_fit"), "{body}");
        assert_eq!(body["error"]["devices"][0]["device"], "robot");
        assert!(text(&body).contains(reason), "{body}");
    }
    assert_eq!(
        coordinator.get("/v1/groups").await["groups"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    for (body, expected) in [
        (r#"{"model":"none","version":1}"#, (404, "model_not_found")),
        (r#"{"model":"small","version":9}"#, (404, "model_not_found")),
        (
            r#"{"model":"small","version":1,"chunk_size":7}"#,
            (400, "bad_chunk_size"),
        ),
        (r#"{"model":"small"}"#, (400, "bad_body")),
        ("{", (400, "bad_body")),
    ] {
        let (status, answer) = push(body).await;
        assert_eq!((status, code(&answer)), expected, "{body}: {answer}");
    }
    let (status, answer) = push(r#"{"model":"small","version":1}"#).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["devices"][0]["standing"], "behind");
    robot.until("it runs", |r| r.running.is_some()).await;

    // A device that joins later and cannot run it is seen, and is sent nothing.
    let setup = Setup {
        targets: &["cortex-m55"],
        ..Setup::new("stranger")
    };
    let mut stranger = Robot::connect(&coordinator.mqtt, setup).await;
    let device = coordinator
        .until_device("stranger", |d| d["standing"] == "cannot_run")
        .await;
    assert!(
        device["standing_text"]
            .as_str()
            .unwrap()
            .contains("--target cortex-m55")
    );
    stranger.live(Duration::from_millis(50)).await;
    assert_eq!(stranger.chunks, 0);
    let standings = &coordinator.get("/v1/groups").await["groups"][0]["standings"];
    assert_eq!(standings["cannot_run"], 1, "{standings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_answers_is_said_in_json() {
    let coordinator = Coordinator::start().await;
    let (status, body) = coordinator.request("GET", "/v2/models", b"").await;
    assert_eq!((status, code(&body)), (404, "no_such_route"));
    let (status, body) = coordinator.request("DELETE", "/v1/models", b"").await;
    assert_eq!((status, code(&body)), (405, "no_such_method"));
    let (status, body) = coordinator.request("GET", "/v1/devices/nobody", b"").await;
    assert_eq!((status, code(&body)), (404, "device_not_found"));
    let (status, body) = coordinator.request("GET", "/v1/devices/%23", b"").await;
    assert_eq!((status, code(&body)), (400, "bad_name"));
    let health = coordinator.get("/healthz").await;
    assert_eq!(
        (&health["status"], &health["fleet"]),
        (&"ok".into(), &"main".into())
    );
}

/// Every object that the API answers with has exactly the fields that the document gives it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_of_the_document() {
    let coordinator = Coordinator::start().await;
    let document = coordinator.get("/openapi.json").await;
    coordinator
        .register("m", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    coordinator.push("all", "m", 1).await;
    let held_out = holdout(&[("s", 1, 4)]);
    coordinator
        .request("PUT", "/v1/holdouts/h", &held_out)
        .await;
    coordinator
        .register("c", 1, &classifier(Target::Generic, &[1]))
        .await;
    let body = br#"{"holdout":"h","wait_s":20}"#;
    let path = "/v1/models/c/1/evaluations";
    let (status, answer) = coordinator.request("POST", path, body).await;
    assert_eq!(status, 200, "{answer}");
    let mut robot = Robot::connect(&coordinator.mqtt, Setup::new("robot")).await;
    robot.until("it runs", |r| r.running.is_some()).await;
    robot.result(1, Some(1), 10).await;
    robot.until("a receipt", |r| r.outbox.is_empty()).await;
    coordinator
        .until_device("robot", |d| d["standing"] == "in_step")
        .await;
    for (path, schema) in [
        ("/v1/models", "Models"),
        ("/v1/devices", "Devices"),
        ("/v1/devices/robot", "Device"),
        ("/v1/groups", "Groups"),
        ("/v1/holdouts", "Holdouts"),
        ("/v1/models/m/policy", "Policy"),
        ("/v1/evaluations", "Evaluations"),
        ("/v1/audit", "Lines"),
        ("/v1/results/summary", "Summary"),
        ("/v1/events", "Events"),
        ("/healthz", "Healthz"),
    ] {
        let answer = coordinator.get(path).await;
        let schema = &document["components"]["schemas"][schema];
        has_shape(path, &answer, schema, &document);
    }
}

/// A null stands for any schema: the document marks those fields as nullable.
fn has_shape(at: &str, value: &Value, schema: &Value, document: &Value) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return has_shape(
            at,
            value,
            &document["components"]["schemas"][name],
            document,
        );
    }
    if value.is_null() {
        return;
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let real = one_of.iter().find(|s| s["type"] != "null").unwrap();
        return has_shape(at, value, real, document);
    }
    if let Some(all_of) = schema["allOf"].as_array() {
        // Flattened parts: the fields of all of them together.
        let mut properties = serde_json::Map::new();
        for part in all_of {
            let mut part = part;
            if let Some(reference) = part["$ref"].as_str() {
                part = &document["components"]["schemas"][reference.rsplit('/').next().unwrap()];
            }
            properties.extend(part["properties"].as_object().unwrap().clone());
        }
        let whole = serde_json::json!({"type": "object", "properties": properties});
        return has_shape(at, value, &whole, document);
    }
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                has_shape(&format!("{at}[{i}]"), item, &schema["items"], document);
            }
        }
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            let mut said: Vec<_> = fields.keys().collect();
            let mut documented: Vec<_> = properties.keys().collect();
            said.sort();
            documented.sort();
            assert_eq!(said, documented, "{at}");
            for (name, field) in fields {
                has_shape(&format!("{at}.{name}"), field, &properties[name], document);
            }
        }
        _ => {
            let kind = match value {
                Value::Bool(_) => "boolean",
                Value::String(_) => "string",
                Value::Number(n) if n.is_f64() => "number",
                _ => "integer",
            };
            let types = &schema["type"];
            let fits = types == kind
                || types.as_array().is_some_and(|t| t.contains(&kind.into()))
                // A whole number stands for a number too.
                || (kind == "integer" && types.to_string().contains("number"));
            assert!(fits, "{at} is {kind}, and the document says {types}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_request_is_answered_when_something_happens() {
    let coordinator = Coordinator::start().await;
    let waiting = coordinator.get("/v1/events?wait_s=30");
    let acting = async {
        // Whether the request or the event is first does not matter to the next one.
        coordinator
            .register("m", 1, &plan(Target::Generic, 64, 1000, 1))
            .await;
        let all = coordinator.get("/v1/events?after=0&wait_s=30").await;
        assert_eq!(all["events"][0]["kind"], "registered");
        // Events go on until the waiting request has seen one.
        let after = all["next"].as_i64().unwrap();
        loop {
            coordinator.push("all", "m", 1).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let events = coordinator.get(&format!("/v1/events?after={after}")).await;
            assert_eq!(events["events"][0]["kind"], "desired");
        }
    };
    let answer = within("the request is answered", async {
        tokio::select! {
            answer = waiting => answer,
            () = acting => unreachable!("it goes on for ever"),
        }
    })
    .await;
    assert!(!answer["events"].as_array().unwrap().is_empty());
    // Nothing happens, but for a push that was on its way: an empty answer when the time is over.
    let mut next = 0;
    for _ in 0..4 {
        let answer = coordinator
            .get(&format!("/v1/events?after={next}&wait_s=1"))
            .await;
        let quiet = answer["events"].as_array().unwrap().is_empty();
        let newest = answer["next"].as_i64().unwrap();
        assert_eq!(quiet, newest == next);
        if quiet {
            return;
        }
        next = newest;
    }
    panic!("events go on, and nobody pushes");
}

/// Starts the program with something in its way, and gives its last words.
async fn last_words(dir: &std::path::Path, args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    let mut command = command(dir, &args);
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let output = within("it ends", child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let line = text.lines().last().unwrap().to_owned();
    assert!(line.starts_with("sanderling-coordinator: "), "{text}");
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_start_is_one_clear_line() {
    let coordinator = Coordinator::start().await;
    let dir = tempfile::tempdir().unwrap();
    let taken = coordinator.http.strip_prefix("http://").unwrap();
    let line = last_words(dir.path(), &["--http", taken]).await;
    assert!(
        line.contains("choose another address with --http"),
        "{line}"
    );

    let data = coordinator.data_dir();
    let line = last_words(dir.path(), &["--data-dir", data.to_str().unwrap()]).await;
    assert!(line.contains("another coordinator uses"), "{line}");

    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let line = last_words(dir.path(), &["--data-dir", file.to_str().unwrap()]).await;
    assert!(line.contains("choose another with --data-dir"), "{line}");

    let line = last_words(dir.path(), &["--broker-url", "http://host"]).await;
    assert!(line.contains("mqtt://HOST:PORT"), "{line}");

    let config = dir.path().join("c.toml");
    std::fs::write(&config, "fleet = \"a b\"\n").unwrap();
    let line = last_words(dir.path(), &["--config", config.to_str().unwrap()]).await;
    assert!(line.contains("use letters, digits"), "{line}");

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let junk = "this is no database. ".repeat(500);
    std::fs::write(data.join("registry.sqlite"), junk).unwrap();
    let line = last_words(dir.path(), &[]).await;
    assert!(line.contains("restore a backup"), "{line}");
    assert_eq!(line.matches("not a database").count(), 1, "{line}");
}
