//! Holdouts, evaluations and stages: what comes to production, and what is refused with which slice.

use crate::support::frames::holdout;
use crate::support::plan::{classifier, plan};
use crate::support::postgres::Postgres;
use crate::support::process::Coordinator;
use sanderling_plan::Target;
use serde_json::{Value, json};

const SLICES: [(&str, u8, usize); 4] = [
    ("carpet", 10, 40),
    ("tiles", 20, 40),
    ("night", 30, 100),
    ("rug", 40, 12),
];

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

fn text(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap_or_default()
}

async fn post(coordinator: &Coordinator, path: &str, body: &Value) -> (u16, Value) {
    coordinator
        .request("POST", path, body.to_string().as_bytes())
        .await
}

/// Asks for a stage until it is decided, the first time without waiting.
async fn stage(coordinator: &Coordinator, version: u32, mut body: Value) -> (u16, Value) {
    loop {
        let path = format!("/v1/models/floor/{version}/stage");
        let answer = post(coordinator, &path, &body).await;
        if answer.0 != 202 {
            return answer;
        }
        let job = &answer.1["under_way"][0];
        assert!(job["done"].as_u64() <= job["frames"].as_u64(), "{job}");
        assert_eq!(
            (&answer.1["changed"], &job["model"]),
            (&false.into(), &"floor".into())
        );
        body["wait_s"] = 20.into();
    }
}

async fn stages(coordinator: &Coordinator) -> Vec<String> {
    let models = coordinator.get("/v1/models?name=floor").await;
    let models = models["models"].as_array().unwrap();
    let stage = |model: &Value| model["stage"].as_str().unwrap().to_owned();
    models.iter().map(stage).collect()
}

async fn acts(coordinator: &Coordinator) -> Vec<(String, String)> {
    let audit = coordinator.get("/v1/audit?limit=1000").await;
    let lines = audit["audit"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    lines
        .iter()
        .map(|l| (word(&l["act"]), word(&l["by"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_slice_of_a_version_in_production_gets_worse() {
    promotions(Coordinator::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_slice_gets_worse_where_coordinators_share_a_database() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    promotions(Coordinator::start_with(&["--database", &postgres.url()]).await).await;
}

async fn promotions(mut coordinator: Coordinator) {
    let put = async |coordinator: &Coordinator, path: &str, body: &[u8]| {
        coordinator.request("PUT", path, body).await
    };
    let file = holdout(&SLICES);
    let (status, body) = put(&coordinator, "/v1/holdouts/house?by=anna", &file).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["holdout"]["contents"]["frames"], 192);
    let slices = &body["holdout"]["contents"]["slices"];
    assert_eq!(slices[0], json!({"name": "carpet", "frames": 40}));
    let (status, body) = put(&coordinator, "/v1/holdouts/house", &file).await;
    assert_eq!((status, &body["created"]), (200, &false.into()));
    let policy = json!({"holdouts": ["house"], "by": "anna"}).to_string();
    let (status, body) = put(&coordinator, "/v1/models/floor/policy", policy.as_bytes()).await;
    assert_eq!((status, &body["allow_worse"]), (200, &1.0.into()), "{body}");

    // v2 is as good as v1 or better everywhere; v3 is better than v2 on average, and worse on tiles; v4 is v2 again,
    // with a plan for this processor.
    for (version, heard) in [
        (1, &[10][..]),
        (2, &[10, 20]),
        (3, &[10, 30, 40]),
        (4, &[10, 20]),
    ] {
        let target = if version == 4 {
            Target::X86_64
        } else {
            Target::Generic
        };
        let generic = classifier(Target::Generic, heard);
        coordinator.register("floor", version, &generic).await;
        if cfg!(target_arch = "x86_64") && target == Target::X86_64 {
            coordinator
                .register("floor", version, &classifier(target, heard))
                .await;
        }
    }
    let production = |by: &str| json!({"stage": "production", "by": by});
    let (status, first) = stage(&coordinator, 1, production("anna")).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(first["checks"][0]["rows"][0]["verdict"], "first");
    let (status, better) = stage(&coordinator, 2, production("bert")).await;
    assert_eq!(
        (status, &better["archived"]),
        (200, &json!([1])),
        "{better}"
    );
    let rows = better["checks"][0]["rows"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["slice"] == name).unwrap();
    assert_eq!(
        (&of("tiles")["base"], &of("tiles")["value"]),
        (&0.25.into(), &1.0.into())
    );
    assert_eq!(of("rug")["verdict"], "too_few");
    assert_eq!(
        stages(&coordinator).await,
        ["archived", "production", "staging", "staging"]
    );

    let (status, refused) = stage(&coordinator, 3, production("bert")).await;
    assert_eq!((status, code(&refused)), (409, "worse"), "{refused}");
    assert!(
        text(&refused).contains("slice `tiles` of house"),
        "{refused}"
    );
    assert!(text(&refused).contains("0.2500 after 1.0000"), "{refused}");
    let rows = refused["error"]["checks"][0]["rows"].as_array().unwrap();
    let verdicts: Vec<&str> = rows
        .iter()
        .map(|r| r["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["kept", "kept", "kept", "too_few", "worse"]);
    let all = &rows[0];
    assert!(
        all["gain"].as_f64() > Some(20.0),
        "better on average: {all}"
    );
    assert_eq!(stages(&coordinator).await[2], "staging");

    // Killed: everything is still there, and nothing is measured again.
    let before = coordinator.get("/v1/evaluations?model=floor").await;
    assert_eq!(before["evaluations"].as_array().unwrap().len(), 3);
    coordinator.kill().await;
    coordinator.restart().await;
    assert_eq!(coordinator.get("/v1/evaluations?model=floor").await, before);
    let (status, again) = stage(&coordinator, 3, production("carl")).await;
    assert_eq!(
        (status, &again["error"]["checks"]),
        (409, &refused["error"]["checks"])
    );
    let (status, _) = stage(&coordinator, 4, production("carl")).await;
    assert_eq!(status, 200);
    let after = coordinator.get("/v1/evaluations?model=floor").await;
    if cfg!(target_arch = "x86_64") {
        assert_eq!(after["evaluations"][3]["target"], "x86-64");
    }
    assert_eq!(
        after["evaluations"][3]["scores"],
        after["evaluations"][1]["scores"]
    );

    // Whoever insists is written down.
    let insisting = json!({"stage": "production", "by": "dora", "allow_worse": 80});
    let (status, body) = stage(&coordinator, 3, insisting).await;
    assert_eq!((status, &body["archived"]), (200, &json!([4])), "{body}");
    let log = acts(&coordinator).await;
    let count = |act: &str, by: &str| {
        log.iter()
            .filter(|l| *l == &(act.into(), by.into()))
            .count()
    };
    assert_eq!(count("holdout", "anna"), 1);
    assert_eq!(count("policy", "anna"), 1);
    assert_eq!(
        count("registered", "api"),
        if cfg!(target_arch = "x86_64") { 5 } else { 4 }
    );
    assert_eq!(
        (count("evaluated", "anna"), count("evaluated", "bert")),
        (1, 2)
    );
    assert_eq!((count("refused", "bert"), count("refused", "carl")), (1, 1));
    let promoted = ["anna", "bert", "carl", "dora"].map(|by| count("promoted", by));
    assert_eq!(promoted, [1, 1, 1, 1]);
    assert_eq!(count("archived", "dora"), 1);

    // A required holdout stays; one that is not goes, and its file with it.
    let (status, body) = coordinator
        .request("DELETE", "/v1/holdouts/house", b"")
        .await;
    assert_eq!((status, code(&body)), (409, "holdout_required"), "{body}");
    let (status, body) = put(
        &coordinator,
        "/v1/models/floor/policy",
        br#"{"holdouts":[]}"#,
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = coordinator
        .request("DELETE", "/v1/holdouts/house", b"")
        .await;
    let digest = body["digest"].as_str().unwrap();
    let file = format!("objects/sha256/{}/{}", &digest[..2], &digest[2..]);
    assert_eq!(status, 200);
    assert!(!coordinator.data_dir().join(file).exists());
    let left = coordinator.get("/v1/evaluations").await;
    assert_eq!(
        left["evaluations"][0]["names"],
        json!([]),
        "what was measured stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_refused_with_the_reason() {
    let coordinator = Coordinator::start_with(&["--max-holdout-bytes", "100000"]).await;
    let put = async |path: &str, body: &[u8]| coordinator.request("PUT", path, body).await;
    let (status, body) = put("/v1/holdouts/h", b"no arrays").await;
    assert_eq!((status, code(&body)), (400, "not_a_holdout"), "{body}");
    let (status, body) = put("/v1/holdouts/h", &holdout(&[("s", 1, 2000)])).await;
    assert_eq!((status, code(&body)), (413, "too_large"), "{body}");
    let (status, body) = put("/v1/holdouts/no%20name", b"").await;
    assert_eq!((status, code(&body)), (400, "bad_name"), "{body}");
    let small = holdout(&[("s", 10, 20)]);
    assert_eq!(put("/v1/holdouts/h", &small).await.0, 201);
    let (status, body) = put("/v1/holdouts/h", &holdout(&[("s", 10, 40)])).await;
    assert_eq!((status, code(&body)), (409, "holdout_taken"), "{body}");
    assert!(text(&body).contains("--replace"), "{body}");
    let (status, body) = put("/v1/models/floor/policy", br#"{"holdouts":["h"]}"#).await;
    assert_eq!((status, code(&body)), (409, "too_few_frames"), "{body}");
    let (status, body) = put("/v1/models/floor/policy", br#"{"allow_worse":-1}"#).await;
    assert_eq!((status, code(&body)), (400, "bad_policy"), "{body}");
    let replaced = put("/v1/holdouts/h?replace=true", &holdout(&[("s", 10, 40)])).await;
    assert_eq!(replaced.0, 201, "{}", replaced.1);
    let (status, body) = put("/v1/models/floor/policy", br#"{"holdouts":["h","i"]}"#).await;
    assert_eq!((status, code(&body)), (404, "holdout_not_found"), "{body}");
    assert_eq!(
        put("/v1/models/floor/policy", br#"{"holdouts":["h"]}"#)
            .await
            .0,
        200
    );

    // Another input, and no plan that runs here.
    coordinator
        .register("floor", 1, &plan(Target::Generic, 64, 100, 1))
        .await;
    coordinator
        .register("floor", 2, &plan(Target::CortexM55, 64, 100, 1))
        .await;
    let (status, body) = stage(&coordinator, 1, json!({"stage": "production"})).await;
    assert_eq!((status, code(&body)), (409, "evaluation_failed"), "{body}");
    assert!(
        text(&body).contains("frames of 4") && text(&body).contains("i8 1×16"),
        "{body}"
    );
    let (status, body) = stage(&coordinator, 2, json!({"stage": "production"})).await;
    assert_eq!((status, code(&body)), (409, "no_plan_runs_here"), "{body}");
    assert!(text(&body).contains("cortex-m55") && text(&body).contains("--targets generic"));
    assert_eq!(stages(&coordinator).await, ["staging", "staging"]);

    let log = acts(&coordinator).await;
    let refused = ("refused".to_owned(), "api".to_owned());
    assert_eq!(log.iter().filter(|line| **line == refused).count(), 2);

    // Straight to production leads no way around the checks.
    let path = "/v1/models?name=floor&version=3&stage=production";
    let good = classifier(Target::Generic, &[10]);
    let (status, body) = coordinator.request("POST", path, &good).await;
    assert_eq!((status, code(&body)), (409, "checks_required"), "{body}");
    assert_eq!(
        stages(&coordinator).await.len(),
        2,
        "nothing of it was kept"
    );
    coordinator.register("floor", 3, &good).await;
    let evaluate = json!({"holdout": "h", "by": "anna", "wait_s": 20});
    let (status, body) = post(&coordinator, "/v1/models/floor/3/evaluations", &evaluate).await;
    assert_eq!(
        (status, &body["evaluation"]["scores"]["all"]["value"]),
        (200, &1.0.into())
    );
    assert_eq!(body["evaluation"]["scores"]["measure"], "accuracy");
    assert_eq!(body["evaluation"]["names"], json!(["h"]));
    // A plan of another model is no plan of a version that passed.
    let production = json!({"stage": "production"});
    assert_eq!(stage(&coordinator, 3, production.clone()).await.0, 200);
    let other = plan(Target::CortexM4, 64, 100, 1);
    let path = "/v1/models?name=floor&version=3";
    let (status, body) = coordinator.request("POST", path, &other).await;
    assert_eq!((status, code(&body)), (409, "checks_required"), "{body}");
    coordinator.register("floor", 4, &good).await;
    coordinator.register("floor", 4, &other).await;
    let (status, body) = stage(&coordinator, 4, production).await;
    assert_eq!((status, code(&body)), (409, "no_plan_runs_here"), "{body}");
    assert!(text(&body).contains("different ONNX files"), "{body}");
    for (path, body, expected) in [
        (
            "floor/9/stage",
            json!({"stage": "production"}),
            (404, "model_not_found"),
        ),
        (
            "floor/3/stage",
            json!({"stage": "ready"}),
            (400, "bad_body"),
        ),
        (
            "floor/4/stage",
            json!({"stage": "production", "holdouts": ["x"]}),
            (404, "holdout_not_found"),
        ),
        (
            "floor/3/stage",
            json!({"stage": "production", "allow_worse": 101}),
            (400, "bad_policy"),
        ),
        (
            "floor/3/evaluations",
            json!({"holdout": "x"}),
            (404, "holdout_not_found"),
        ),
    ] {
        let (status, answer) = post(&coordinator, &format!("/v1/models/{path}"), &body).await;
        assert_eq!((status, code(&answer)), expected, "{path} {body}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_has_a_limit_and_a_coordinator_that_stops_does_not_wait_for_it() {
    let mut coordinator = Coordinator::start_with(&["--evaluation-seconds", "0"]).await;
    let file = holdout(&[("s", 10, 100)]);
    assert_eq!(
        coordinator.request("PUT", "/v1/holdouts/h", &file).await.0,
        201
    );
    coordinator
        .register("floor", 1, &classifier(Target::Generic, &[10]))
        .await;
    let production = json!({"stage": "production", "holdouts": ["h"]});
    let (status, body) = stage(&coordinator, 1, production).await;
    assert_eq!((status, code(&body)), (409, "evaluation_failed"), "{body}");
    assert!(text(&body).contains("of 100 frames") && text(&body).contains("--evaluation-seconds"));
    assert!(coordinator.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_run_where_is_decided_by_the_stage() {
    let coordinator = Coordinator::start_with(&["--only-production", "fleet"]).await;
    for version in [1, 2] {
        let plan = plan(Target::Generic, 64, 1000, version as u8);
        coordinator.register("floor", version, &plan).await;
    }
    let push = async |group: &str, version: u32| {
        let body = json!({"model": "floor", "version": version, "by": "anna"}).to_string();
        let path = format!("/v1/groups/{group}/desired");
        coordinator.request("PUT", &path, body.as_bytes()).await
    };
    assert_eq!(
        push("test", 1).await.0,
        200,
        "a test group tries what is in staging"
    );
    let (status, body) = push("fleet", 1).await;
    assert_eq!((status, code(&body)), (409, "not_in_production"), "{body}");
    assert!(text(&body).contains("promote floor --version 1"), "{body}");
    let rollout = |group: &str| json!({"group": group, "model": "floor", "version": 1, "policy": {"strategy": "all-at-once"}});
    let (status, body) = post(&coordinator, "/v1/rollouts", &rollout("fleet")).await;
    assert_eq!((status, code(&body)), (409, "not_in_production"), "{body}");
    for version in [1, 2] {
        let (status, body) = stage(&coordinator, version, json!({"stage": "production"})).await;
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(stages(&coordinator).await, ["archived", "production"]);
    assert_eq!(push("fleet", 2).await.0, 200);
    for group in ["test", "fleet"] {
        let (status, body) = push(group, 1).await;
        assert_eq!((status, code(&body)), (409, "archived"), "{body}");
        let (status, body) = post(&coordinator, "/v1/rollouts", &rollout(group)).await;
        assert_eq!((status, code(&body)), (409, "archived"), "{body}");
    }
    let (status, _) = stage(&coordinator, 1, json!({"stage": "staging"})).await;
    assert_eq!(status, 200);
    assert_eq!(push("test", 1).await.0, 200);
    let audit = coordinator.get("/v1/audit?group=test").await;
    let first = &audit["audit"][0];
    assert_eq!(
        (&first["act"], &first["by"]),
        (&"pushed".into(), &"anna".into())
    );

    // A rollout's version is not archived under its hands.
    let policy = json!({"strategy": "waves", "waves": [1], "soak_s": 1000});
    let start = json!({"group": "third", "model": "floor", "version": 1, "policy": policy});
    let (status, body) = post(&coordinator, "/v1/rollouts", &start).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = stage(&coordinator, 1, json!({"stage": "archived"})).await;
    assert_eq!((status, code(&body)), (409, "rollout_under_way"), "{body}");
}
