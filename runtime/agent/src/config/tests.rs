//! What is a configuration, and what is refused with its key.

use super::*;

fn config(settings: Settings) -> Result<Config, ConfigError> {
    check(&complete(settings, "robot-1"))
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = config(Settings::default()).expect("the defaults are sound");
    assert_eq!(config.device.as_str(), "robot-1");
    assert_eq!(config.user, "robot-1");
    assert_eq!(
        config.broker,
        Broker {
            host: "127.0.0.1".into(),
            port: 1883,
            ca: None,
            login: None
        }
    );
    assert_eq!(config.source.period, Duration::from_millis(20));
    assert!(
        config
            .update
            .targets
            .iter()
            .any(|target| target.as_str() == "generic")
    );
}

#[test]
fn brokers() {
    let port = |url: &str| broker(url, None).map(|broker| (broker.host, broker.port));
    assert_eq!(port("mqtt://h:1"), Ok(("h".into(), 1)));
    assert_eq!(port("h"), Ok(("h".into(), 1883)));
    assert_eq!(port("mqtt://[::1]:99/"), Ok(("::1".into(), 99)));
    for wrong in [
        "mqtts://h",
        "http://h",
        "mqtt://",
        "mqtt://h:port",
        "mqtt://a:b@",
    ] {
        assert!(broker(wrong, None).is_err(), "{wrong}");
    }
    let ca = Path::new("ca.pem");
    let secure = broker("mqtts://h", Some(ca)).expect("sound");
    assert_eq!((secure.port, secure.ca.as_deref()), (8883, Some(ca)));
    assert!(broker("mqtt://h", Some(ca)).is_err());
}

#[test]
fn a_login_in_the_brokers_url_is_decoded_and_shown_to_nobody() {
    let at = |url: &str| Settings {
        broker: Some(url.into()),
        ..Settings::default()
    };
    let of = |url: &str| {
        let config = config(at(url)).expect("sound");
        let password = config.broker.login.and_then(|(_, password)| password);
        (
            config.user,
            password.map(|Password(text)| text),
            config.broker.host,
        )
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        of("mqtt://anna:s@h:1"),
        ("anna".into(), text("s"), "h".into())
    );
    assert_eq!(
        of("mqtt://a%40b:p%3A%2f%25@h"),
        ("a@b".into(), text("p:/%"), "h".into())
    );
    assert_eq!(
        of("mqtt://anna:se@cret@[::1]:1"),
        ("anna".into(), text("se@cret"), "::1".into())
    );
    assert_eq!(of("mqtt://anna@h"), ("anna".into(), None, "h".into()));
    assert_eq!(of("mqtt://h"), ("robot-1".into(), None, "h".into()));

    let secret = "mqtt://anna:hunter2@h";
    let shown = [
        format!("{:?}", config(at(secret)).expect("sound")),
        toml::to_string(&presentable(&complete(at(secret), "robot-1"))).expect("is TOML"),
        config(at("mqtt://anna:hunter2@h:port"))
            .expect_err("no port")
            .to_string(),
        config(at("http://anna:hunter2@h"))
            .expect_err("no MQTT")
            .to_string(),
        config(Settings {
            user: Some("bert".into()),
            ..at(secret)
        })
        .expect_err("two users")
        .to_string(),
        config(Settings {
            password_file: Some("file".into()),
            ..at(secret)
        })
        .expect_err("two passwords")
        .to_string(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn nonsense_is_refused_with_its_key() {
    let wrong = [
        (
            Settings {
                rate: Some(f64::NAN),
                ..Settings::default()
            },
            "rate",
        ),
        (
            Settings {
                queue: Some(0),
                ..Settings::default()
            },
            "queue",
        ),
        (
            Settings {
                stall_seconds: Some(-1.0),
                ..Settings::default()
            },
            "stall-seconds",
        ),
        (
            Settings {
                chunk: Some(1),
                ..Settings::default()
            },
            "chunk",
        ),
        (
            Settings {
                device: Some("a/b".into()),
                ..Settings::default()
            },
            "device",
        ),
        (
            Settings {
                priority: Some(100),
                ..Settings::default()
            },
            "priority",
        ),
        (
            Settings {
                outbox_bytes: Some(5),
                ..Settings::default()
            },
            "outbox-bytes",
        ),
    ];
    for (settings, key) in wrong {
        let error = config(settings).expect_err(key).to_string();
        assert!(error.starts_with(key), "{error}");
    }
}

#[test]
fn any_hostname_gives_a_name() {
    for (hostname, name) in [
        ("pi4", "pi4"),
        ("-böt 1", "bt1"),
        ("", "robot"),
        ("..", "robot"),
    ] {
        assert_eq!(as_name(hostname), name);
    }
}
