//! Holdouts and stages as a user meets them: what is promoted, and what is refused with the table.

use crate::fleet::Coordinator;
use crate::holdout::holdout;
use crate::plan::classifier;
use crate::process::Finished;
use sanderling_plan::Target;
use serde_json::Value;

fn shows(finished: &Finished, parts: &[&str]) {
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    for part in parts {
        assert!(
            finished.stdout.contains(part),
            "no {part:?} in {}",
            finished.stdout
        );
    }
}

#[test]
fn whoever_gives_a_robot_a_login_or_takes_it_away_is_written_down() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    let folder = fleet.scratch.path("robot-1");
    fleet
        .sanderling(&["enroll", "robot-1", "--output", &folder, "--json"])
        .json();
    fleet
        .sanderling(&["enroll", "robot-1", "--revoke", "--json"])
        .json();
    let history = fleet.sanderling(&["rollout", "history", "--json"]).json();
    let lines = history["audit"].as_array().expect("is a list");
    let acts: Vec<&Value> = lines.iter().map(|line| &line["act"]).collect();
    assert_eq!(acts, ["enrolled", "revoked"]);
    assert!(lines.iter().all(|line| line["by"] != "api"), "{history}");
}

#[test]
fn a_version_that_is_worse_on_one_slice_is_refused_with_the_table() {
    let Some(fleet) = Coordinator::start() else {
        return;
    };
    shows(
        &fleet.sanderling(&["holdouts"]),
        &["no holdouts", "holdouts add"],
    );
    let bad = fleet.scratch.put("frames.csv", b"1,2,3\n");
    fleet
        .sanderling(&["holdouts", "add", "house", &bad])
        .fails(1, &["frames.csv", "neither .npy nor .npz", "numpy.savez"]);
    let slices = [("carpet", 10, 40), ("night", 30, 100), ("tiles", 20, 40)];
    let file = fleet.scratch.put("frames.npz", &holdout(&slices));
    let added = fleet.sanderling(&["holdouts", "add", "house", &file, "--as", "anna"]);
    shows(
        &added,
        &["180 frames in 3 slices", "carpet 40, night 100, tiles 40"],
    );
    let policy = fleet.sanderling(&["models", "policy", "floor", "--require", "house"]);
    shows(&policy, &["on house", "30 frames", "more than 1 "]);
    shows(
        &fleet.sanderling(&["holdouts"]),
        &["house", "input i8 4", "i64", "floor"],
    );
    fleet
        .sanderling(&["models", "policy", "floor", "--require", "home"])
        .fails(1, &["no holdout home", "sanderling holdouts"]);

    for (version, heard) in [("1", &[10][..]), ("2", &[10, 20]), ("3", &[10, 30])] {
        let plan = classifier(Target::Generic, heard);
        let plan = fleet.scratch.put(&format!("v{version}.plan"), &plan);
        let register = [
            "register",
            &plan,
            "--name",
            "floor",
            "--version",
            version,
            "--json",
        ];
        assert_eq!(
            fleet.sanderling(&register).json()["model"]["stage"],
            "staging"
        );
    }
    let promote = |version: &str, more: &[&str]| {
        let promote = [
            "models",
            "promote",
            "floor",
            "--version",
            version,
            "--as",
            "bert",
        ];
        fleet.sanderling(&[&promote, more].concat())
    };
    shows(
        &promote("1", &[]),
        &["no version was in production", "floor v1 is in production"],
    );
    let second = promote("2", &["--to", "production"]);
    shows(
        &second,
        &[
            "v2 beside v1",
            "25.00 %",
            "100.00 %",
            "+75.00",
            "v1 is archived",
        ],
    );

    let refused = promote("3", &[]);
    let parts = [
        "slice `tiles` of house",
        "--allow-worse",
        "-75.00",
        "worse than allowed",
        "+25.00",
    ];
    refused.fails(1, &parts);
    let refused = promote("3", &["--json"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let json: Value = serde_json::from_str(&refused.stdout).expect("is one JSON object");
    assert_eq!(json["error"]["code"], "worse");
    assert_eq!(json["error"]["checks"][0]["rows"][3]["slice"], "tiles");
    promote("3", &["--holdout", "none"]).fails(1, &["no holdout none"]);

    let table = fleet
        .sanderling(&["models", "--name", "floor", "--json"])
        .json();
    let stage = |n: usize| {
        table["models"][n]["stage"]
            .as_str()
            .expect("is there")
            .to_owned()
    };
    assert_eq!([0, 1, 2].map(stage), ["archived", "production", "staging"]);
    let evaluate = [
        "models",
        "evaluate",
        "floor",
        "--version",
        "3",
        "--holdout",
        "house",
    ];
    shows(
        &fleet.sanderling(&evaluate),
        &["accuracy", "(all frames)", "the plan for generic"],
    );
    fleet
        .sanderling(&["push", "floor", "--version", "1"])
        .fails(1, &["floor v1 is archived", "--to staging"]);
    let start = ["rollout", "start", "floor", "--version", "1"];
    fleet.sanderling(&start).fails(1, &["floor v1 is archived"]);
    let register = [
        "register",
        &fleet.scratch.path("v3.plan"),
        "--name",
        "floor",
    ];
    fleet
        .sanderling(&[&register[..], &["--stage", "production"]].concat())
        .fails(1, &["asks for checks on house", "models promote"]);

    shows(
        &promote("1", &["--to", "staging"]),
        &["floor v1 is in staging"],
    );
    let archive = ["models", "archive", "floor", "--version", "1", "--json"];
    assert_eq!(fleet.sanderling(&archive).json()["stage"], "archived");
    shows(
        &promote("3", &["--allow-worse", "80"]),
        &["v3 is in production", "v2 is archived"],
    );
    let history = fleet.sanderling(&["rollout", "history", "--model", "floor"]);
    let parts = [
        "bert",
        "refused",
        "promoted",
        "policy",
        "evaluated",
        "allowed this once",
    ];
    shows(&history, &parts);

    fleet
        .sanderling(&["holdouts", "remove", "house"])
        .fails(1, &["required by floor", "--require-nothing"]);
    fleet
        .sanderling(&["models", "policy", "floor", "--require-nothing", "--json"])
        .json();
    shows(
        &fleet.sanderling(&["holdouts", "remove", "house"]),
        &["house is removed"],
    );
}
