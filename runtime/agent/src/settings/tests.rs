//! Flags, a file, and what comes of both.

use super::*;

#[test]
fn a_file_and_flags_come_together_and_flags_win() {
    let file =
        Settings::parse("device = \"r1\"\nrate = 10.0\nloop = true\nqueue-policy = \"block\"")
            .expect("valid");
    let flags = Settings {
        rate: Some(50.0),
        ..Settings::default()
    };
    let both = flags.or(file);
    assert_eq!(
        (both.device.as_deref(), both.rate, both.repeat),
        (Some("r1"), Some(50.0), Some(true))
    );
    assert_eq!(both.queue_policy, Some(queue::Policy::Block));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = Settings::parse("device = \"r1\"\nrats = 10").expect_err("there is no such key");
    assert!(
        error.contains("rats") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn what_is_printed_is_read_back() {
    let settings = Settings {
        device: Some("r1".into()),
        cpus: Some(vec![1, 2]),
        outbox_policy: Some(outbox::Policy::DropNewest),
        ..Settings::default()
    };
    let text = toml::to_string(&settings).expect("plain values");
    assert_eq!(Settings::parse(&text), Ok(settings));
}
