//! A robot that tries: it has a login of its own and reaches for everything else. On the embedded broker
//! and on Mosquitto, each over TLS; each attempt is refused, and what its victim had said stands.

mod http;
mod mosquitto;
mod robot;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sanderling_coordinator::config::Options;
use sanderling_coordinator::run::Coordinator;
use sanderling_coordinator::tls::{Authority, client};
use serde_json::{Value, json};

use robot::{Robot, Seen, Tls, within};

/// What the victim had said, and what the fleet had.
const SAID: &[u8] = b"what the victim said";
const VICTIM: &str = "sanderling/1/main/d/victim";
const GROUP: &str = "sanderling/1/main/g";

/// A broker that keeps the rules, and the logins that it knows.
struct Place {
    port: u16,
    tls: Tls,
    victim: String,
    intruder: String,
    fleet: String,
}

impl Place {
    async fn enter(&self, user: &str, password: &str, topics: &[&str]) -> Robot {
        let will = format!("sanderling/1/main/d/{user}/birth");
        Robot::connect(
            self.port,
            Some(&self.tls),
            user,
            (user, password),
            &will,
            topics,
        )
        .await
    }
}

async fn coordinator(folder: &Path, change: impl FnOnce(&mut Options)) -> Coordinator {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = Options {
        data_dir: Some(folder.join("data")),
        http: Some(any),
        ..Options::default()
    };
    change(&mut options);
    let config = options.complete().expect("a sound configuration");
    within("the coordinator starts", Coordinator::start(config))
        .await
        .expect("it starts")
}

/// Enrolls the two, and the fleet's own login.
async fn enroll(coordinator: &Coordinator) -> (String, String, String) {
    let http = &coordinator.ready().http;
    let mut passwords = Vec::new();
    for device in ["victim", "intruder"] {
        let path = format!("/v1/devices/{device}/credentials");
        let made = http::json(http, "POST", &path, &json!({ "group": "all" })).await;
        passwords.push(made["password"].as_str().expect("a password").to_owned());
    }
    let written = http::json(http, "POST", "/v1/access/mosquitto", &Value::Null).await;
    let folder = Path::new(written["folder"].as_str().expect("a folder"));
    let fleet = std::fs::read_to_string(folder.join("coordinator.password")).expect("written");
    let [victim, intruder] = [passwords.remove(0), passwords.remove(0)];
    (victim, intruder, fleet.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_broker() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let coordinator = coordinator(folder.path(), |options| options.tls = Some(any)).await;
    let ready = coordinator.ready().clone();
    let port = ready.mqtt.rsplit(':').next().expect("a port");
    assert!(ready.mqtt.starts_with("mqtts://"), "{}", ready.mqtt);
    let (victim, intruder, fleet) = enroll(&coordinator).await;
    let ca = std::fs::read(folder.path().join("data/tls/ca.pem")).expect("made");
    let place = Place {
        port: port.parse().expect("a port"),
        tls: client(&ca).expect("a certificate"),
        victim,
        intruder,
        fleet,
    };
    tries(&place, folder.path()).await;
    // A login that is renewed, moved, or taken away is over for the connections that came in with it, though they say
    // nothing; and the fleet hears that they are gone.
    let birth = "sanderling/1/main/d/intruder/birth";
    let desired = format!("{GROUP}/all/desired");
    let own = "sanderling/1/main/d/intruder/state";
    let path = "/v1/devices/intruder/credentials";
    let mut fleet = place
        .enter("sanderling-coordinator", &place.fleet, &[birth])
        .await;
    assert_eq!(fleet.next().await, Seen::Up);
    let mut password = place.intruder.clone();
    for (what, method, body) in [
        ("renewed", "POST", json!({ "group": "all", "renew": true })),
        ("moved", "POST", json!({ "group": "others", "renew": true })),
        ("taken away", "DELETE", Value::Null),
    ] {
        let group = [desired.as_str()];
        let hears: &[&str] = if what == "taken away" { &[] } else { &group };
        let mut robot = place.enter("intruder", &password, hears).await;
        assert_eq!(robot.next().await, Seen::Up, "{what}");
        assert_eq!(robot.say(own, b"here").await, Seen::Acked, "{what}");
        assert_eq!(robot.say(birth, b"here").await, Seen::Acked, "{what}");
        fleet.heard(birth, b"here").await;
        let made = http::json(&ready.http, method, path, &body).await;
        assert_eq!(robot.next().await, Seen::Down, "{what}");
        fleet.heard(birth, b"forged will").await;
        let mut again = place.enter("intruder", &password, &[]).await;
        assert_eq!(again.next().await, Seen::Down, "{what}");
        password = made["password"].as_str().unwrap_or_default().to_owned();
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mosquitto() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let first = coordinator(folder.path(), |options| options.mqtt = Some(any)).await;
    let (victim, intruder, fleet) = enroll(&first).await;
    first.stop().await;
    let files = folder.path().join("data/mosquitto");
    let Some(broker) = mosquitto::start(&files).await else {
        return;
    };
    let ca = std::fs::read(files.join("ca.pem")).expect("written");
    let place = Place {
        port: broker.port,
        tls: client(&ca).expect("a certificate"),
        victim,
        intruder,
        fleet,
    };
    tries(&place, folder.path()).await;
    // The coordinator itself comes over the same door.
    let url = format!("mqtts://sanderling-coordinator@127.0.0.1:{}", broker.port);
    let second = coordinator(folder.path(), |options| {
        options.broker_url = Some(url);
        options.broker_ca = Some(files.join("ca.pem"));
        options.broker_password_file = Some(files.join("coordinator.password"));
    })
    .await;
    let health = http::json(&second.ready().http, "GET", "/healthz", &Value::Null).await;
    assert_eq!(health["broker_connected"], true, "{health}");
    // Once it has read the files again, which follow each change, the connections of a login that was taken away end.
    let mut robot = place.enter("intruder", &place.intruder, &[]).await;
    assert_eq!(robot.next().await, Seen::Up);
    let path = "/v1/devices/intruder/credentials";
    http::json(&second.ready().http, "DELETE", path, &Value::Null).await;
    broker.read_again();
    assert_eq!(robot.next().await, Seen::Down);
    second.stop().await;
}

/// Everything that the intruder tries.
async fn tries(place: &Place, folder: &Path) {
    let (state, birth) = (format!("{VICTIM}/state"), format!("{VICTIM}/birth"));
    let desired = format!("{GROUP}/all/desired");
    let mut fleet = place
        .enter(
            "sanderling-coordinator",
            &place.fleet,
            &["sanderling/1/main/#"],
        )
        .await;
    assert_eq!(fleet.next().await, Seen::Up);
    assert_eq!(fleet.say(&desired, SAID).await, Seen::Acked);
    let mut victim = place.enter("victim", &place.victim, &[&desired]).await;
    assert_eq!(victim.next().await, Seen::Up);
    for topic in [&state, &birth] {
        assert_eq!(victim.say(topic, SAID).await, Seen::Acked);
    }

    // What it may: its own topics.
    let own = "sanderling/1/main/d/intruder";
    let mut intruder = place
        .enter(
            "intruder",
            &place.intruder,
            &[&format!("{own}/cmd"), &desired],
        )
        .await;
    assert_eq!(intruder.next().await, Seen::Up);
    assert_eq!(
        intruder.say(&format!("{own}/state"), b"mine").await,
        Seen::Acked
    );
    // What it may not: another robot's, the group's, another fleet's, and the fleet's part of its own.
    for topic in [
        &state,
        &birth,
        &format!("{VICTIM}/cmd"),
        &format!("{VICTIM}/chunk"),
        &format!("{VICTIM}/need"),
        &format!("{VICTIM}/condition"),
        &format!("{VICTIM}/result"),
        &desired,
        &format!("{GROUP}/all/root"),
        &format!("{GROUP}/others/desired"),
        &format!("{own}/cmd"),
        &format!("{own}/chunk"),
        &format!("{own}x/state"),
        "sanderling/1/other/d/intruder/state",
        "elsewhere",
    ] {
        let seen = intruder.say(topic, b"forged").await;
        assert!(seen.is_refusal(), "{topic}: {seen:?}");
    }
    drop(intruder);

    // Listening: nothing that is not its own comes, whether the broker refuses the subscription or
    // only keeps silent.
    for filter in [
        state.as_str(),
        &format!("{VICTIM}/cmd"),
        &format!("{GROUP}/others/desired"),
        "sanderling/1/main/d/+/state",
        "sanderling/1/main/#",
        "#",
        &format!("$share/x/{VICTIM}/cmd"),
    ] {
        let mut listener = place
            .enter(
                "intruder",
                &place.intruder,
                &[filter, &format!("{own}/cmd")],
            )
            .await;
        let first = listener.next().await;
        if first == Seen::Up {
            fleet.say(&format!("{VICTIM}/cmd"), b"for the victim").await;
            fleet
                .say(&format!("{GROUP}/others/desired"), b"for others")
                .await;
            fleet.say(&format!("{own}/cmd"), b"for the intruder").await;
            let heard = listener.heard_until(&format!("{own}/cmd")).await;
            let allowed = |topic: &String| topic.starts_with(own) || *topic == desired;
            assert!(heard.iter().all(allowed), "{filter}: {heard:?}");
        } else {
            assert_eq!(first, Seen::Down, "{filter}");
        }
    }

    // Other doors: a wrong password, somebody else's, none, no TLS, and a server of another authority.
    let other = Authority::open(&folder.join("other")).expect("made");
    let other = client(other.certificate().as_bytes()).expect("a certificate");
    let attempts = [
        ("wrong password", Some(&place.tls), ("victim", "wrong")),
        (
            "its own password",
            Some(&place.tls),
            ("victim", place.intruder.as_str()),
        ),
        ("no password", Some(&place.tls), ("victim", "")),
        (
            "an unknown name",
            Some(&place.tls),
            ("nobody", place.intruder.as_str()),
        ),
        (
            "the fleet's name",
            Some(&place.tls),
            ("sanderling-coordinator", place.intruder.as_str()),
        ),
        ("no TLS", None, ("intruder", place.intruder.as_str())),
        (
            "another authority",
            Some(&other),
            ("intruder", place.intruder.as_str()),
        ),
    ];
    for (what, tls, login) in attempts {
        let will = format!("sanderling/1/main/d/{}/birth", login.0);
        let mut robot = Robot::connect(place.port, tls, login.0, login, &will, &[]).await;
        assert_eq!(robot.next().await, Seen::Down, "{what}");
    }

    // A will on the victim's topics, published when the connection breaks.
    let login = ("intruder", place.intruder.as_str());
    let mut dying =
        Robot::connect(place.port, Some(&place.tls), "intruder", login, &birth, &[]).await;
    let _ = dying.next().await;
    drop(dying);
    // The victim's client id: who connects with it would take over its connection.
    let will = format!("{own}/birth");
    let mut double =
        Robot::connect(place.port, Some(&place.tls), "victim", login, &will, &[]).await;
    let _ = double.next().await;
    drop(double);

    // The victim is still connected and hears its group; what it said, and what the fleet said, stands.
    assert_eq!(fleet.say(&desired, SAID).await, Seen::Acked);
    let heard = victim.heard_until(&desired).await;
    assert!(
        !heard.is_empty() && heard.iter().all(|topic| *topic == desired),
        "{heard:?}"
    );
    assert_eq!(victim.say(&state, SAID).await, Seen::Acked);
    drop(fleet);
    let mut late = place
        .enter(
            "sanderling-coordinator",
            &place.fleet,
            &[&state, &birth, &desired],
        )
        .await;
    assert_eq!(late.next().await, Seen::Up);
    for (topic, payload) in late.messages(3, Duration::from_secs(10)).await {
        assert_eq!(payload, SAID, "{topic}");
    }
}
