//! What a coordinator leaves open, and says: files, passwords, doors; and what strangers make it write into its log.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http::raw;
use crate::support::plan::plan;
use crate::support::process::Coordinator;
use crate::support::robot::{Robot, Setup};
use crate::support::within;
use sanderling_plan::Target;

fn mode(path: &Path) -> u32 {
    let about = std::fs::symlink_metadata(path).unwrap();
    about.permissions().mode() & 0o777
}

/// Every file and folder below `folder`.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn others_read_neither_registry_nor_models_and_what_was_open_is_closed() {
    let mut coordinator = Coordinator::start_under("umask 022", &["--tls", "127.0.0.1:0"]).await;
    let data = coordinator.data_dir();
    coordinator
        .register("m", 1, &plan(Target::Generic, 64, 1000, 1))
        .await;
    let (status, _) = coordinator
        .request("POST", "/v1/access/mosquitto", b"")
        .await;
    assert_eq!(status, 200);
    for path in below(&data) {
        // Mosquitto, as another user, reads its configuration and the certificates.
        let public = ["mosquitto", "mosquitto.conf", "ca.pem", "server.pem"];
        let name = path.file_name().unwrap().to_str().unwrap();
        if !public.contains(&name) {
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
    }
    assert_eq!(mode(&data) & 0o066, 0, "nobody lists it");

    // As an earlier version left it.
    coordinator.terminate().await;
    let open = |path: &str, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(data.join(path), mode).unwrap();
    };
    open("registry.sqlite", 0o644);
    open("objects", 0o755);
    coordinator.restart().await;
    assert_eq!(mode(&data.join("registry.sqlite")), 0o600);
    assert_eq!(mode(&data.join("objects")), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_doors_and_open_secrets_are_said_loudly() {
    let quiet = Coordinator::start().await;
    assert!(!quiet.log().contains("OPEN"), "{}", quiet.log());

    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "secret-of-the-broker\n").unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = password.to_str().unwrap();
    // Nobody listens there; the API answers all the same.
    let url = "mqtt://fleet:in-the-list@127.0.0.1:9";
    let args = [
        "--broker-url",
        url,
        "--broker-password-file",
        file,
        "--http",
        "0.0.0.0:0",
    ];
    let open = Coordinator::start_with(&args).await;
    let log = open.log();
    let lines = |word: &str| log.lines().filter(|line| line.contains(word)).count();
    assert_eq!(lines("OPEN API"), 1, "{log}");
    assert_eq!(lines("stands in the list of processes"), 1, "{log}");
    assert_eq!(
        lines(&format!("others can read {file} (mode 644)")),
        1,
        "{log}"
    );
    assert!(
        !log.contains("in-the-list") && !log.contains("secret-of-the-broker"),
        "{log}"
    );

    for (args, word) in [
        (
            ["--mqtt", "0.0.0.0:0", "--log", "info"].as_slice(),
            "OPEN BROKER",
        ),
        (&["--mqtt", "0.0.0.0:0", "--logins"], "OPEN PASSWORDS"),
    ] {
        let open = Coordinator::start_with(args).await;
        let log = open.log();
        assert_eq!(log.matches(word).count(), 1, "{log}");
    }
}

/// A CONNECT of MQTT 5 with a login; gives the reason code of the answer, or none where the connection ends.
async fn connect(url: &str, client: &str, user: &str, password: &str) -> Option<u8> {
    let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    let mut body = [text("MQTT"), vec![5, 0b1100_0010, 0, 30, 0]].concat();
    for part in [client, user, password] {
        body.extend(text(part));
    }
    let packet = [vec![0x10, u8::try_from(body.len()).unwrap()], body].concat();
    let mut stream = TcpStream::connect(url.strip_prefix("mqtt://").unwrap())
        .await
        .unwrap();
    stream.write_all(&packet).await.unwrap();
    let mut answer = [0; 4];
    let read = within("an answer", stream.read_exact(&mut answer)).await;
    read.ok().map(|_| answer[3])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_say_reaches_the_log_as_text() {
    let coordinator = Coordinator::start_with(&["--logins"]).await;
    for user in [
        "\u{1b}[31mred",
        "\u{9b}2J",
        "two\nlines",
        "\u{202e}sdrawkcab",
    ] {
        connect(&coordinator.mqtt, "c", user, "x").await;
    }
    let log = coordinator.log();
    let unprintable = log
        .chars()
        .find(|c| *c != '\n' && sanderling_wire::is_unprintable(*c));
    assert_eq!(unprintable, None, "{log:?}");
    assert!(log.contains("\\u{202e}sdrawkcab"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_a_few_lines() {
    let coordinator = Coordinator::start_with(&["--logins"]).await;
    for _ in 0..1000 {
        let code = connect(&coordinator.mqtt, "c", "nobody", "x").await;
        assert!(code.is_none_or(|code| code >= 0x80), "{code:?}");
    }
    let refusals = coordinator.log().matches("the broker refuses").count();
    assert!((1..=100).contains(&refusals), "{refusals} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_coordinator_s_place_at_the_broker() {
    let own = "sanderling-coordinator-main";
    let open = Coordinator::start().await;
    for _ in 0..5 {
        let code = connect(&open.mqtt, own, "anybody", "x").await;
        assert!(code.is_none_or(|code| code >= 0x80), "{code:?}");
    }
    assert_eq!(connect(&open.mqtt, "a-tool", "anybody", "x").await, Some(0));
    let health = open.get("/healthz").await;
    assert_eq!(health["broker_connected"], true, "{health}");
    assert!(!open.log().contains("no connection to the broker"));
    // It still hears robots, over the connection that it has had all the time.
    let _robot = Robot::connect(&open.mqtt, Setup::new("robot")).await;
    open.until_device("robot", |d| d["online"] == true).await;
    let path = format!("/v1/devices/{own}/credentials");
    let headers = [
        ("host", "127.0.0.1"),
        ("content-type", "application/json"),
        ("content-length", "2"),
    ];
    let (status, body) = raw(&open.http, "POST", &path, &headers, b"{}").await;
    assert_eq!((status, &body["error"]["code"]), (400, &"bad_name".into()));
}
