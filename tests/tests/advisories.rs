//! The advisories that `.cargo/deny.toml` ignores are ignored for a reason, and the reason is true:
//! the affected crates are linked for one dependency's sake, and nothing reaches the code that they warn of.

use sanderling_tests::root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each ignored advisory: the crate, and the beginning of the versions that it affects.
const IGNORED: &[(&str, &str, &str)] = &[
    ("RUSTSEC-2025-0134", "rustls-pemfile", ""),
    ("RUSTSEC-2026-0049", "rustls-webpki", "0.102."),
    ("RUSTSEC-2026-0098", "rustls-webpki", "0.102."),
    ("RUSTSEC-2026-0099", "rustls-webpki", "0.102."),
    ("RUSTSEC-2026-0104", "rustls-webpki", "0.102."),
];

/// The only crate that may link them, in the version whose sources were read.
const LINKED_BY: (&str, &str) = ("rumqttc", "0.25.1");

/// What the crate's sources may say of them, by file: a type of error, and certificates read for
/// `TlsConfiguration::Simple`. Anything else is a use that nobody has looked at.
const KNOWN_USES: &[(&str, &str)] = &[
    ("src/tls.rs", "use rustls_pemfile::Item;"),
    ("src/tls.rs", "WebPki(#[from] webpki::Error),"),
    (
        "src/tls.rs",
        "let certs = rustls_pemfile::certs(&mut BufReader::new(Cursor::new(ca)))",
    ),
    (
        "src/tls.rs",
        "rustls_pemfile::certs(&mut BufReader::new(Cursor::new(client.0.clone())))",
    ),
    (
        "src/tls.rs",
        "let item = rustls_pemfile::read_one(&mut key_buffer)?;",
    ),
];

/// What our own sources may not say: each would read certificates with the ignored crates.
const WAYS_THERE: &[&str] = &[
    "TlsConfiguration::Simple",
    "TlsConfiguration as",
    "TlsConfiguration::*",
    "Transport::tls(",
    "Transport::wss(",
    "Transport as",
    "rustls_pemfile",
    "rustls_webpki",
    " webpki::",
];

#[test]
fn each_ignored_advisory_is_known_here_and_no_other_is_ignored() {
    let text = std::fs::read_to_string(root().join(".cargo/deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let ignored = deny["advisories"]["ignore"].as_array().unwrap();
    let mut ignored: Vec<&str> = (ignored.iter())
        .map(|entry| {
            entry
                .get("id")
                .and_then(|id| id.as_str())
                .unwrap_or_default()
        })
        .collect();
    let mut known: Vec<&str> = IGNORED.iter().map(|(id, ..)| *id).collect();
    ignored.sort_unstable();
    known.sort_unstable();
    assert_eq!(
        ignored, known,
        ".cargo/deny.toml ignores other advisories than this test knows; say here which crate each is about, and what keeps its code out of reach"
    );
}

#[test]
fn the_affected_crates_are_linked_by_one_crate_alone() {
    let mut linked: BTreeMap<&str, usize> = BTreeMap::new();
    for lock in locks() {
        let table: toml::Table = (std::fs::read_to_string(&lock).unwrap()).parse().unwrap();
        let packages = table["package"].as_array().unwrap();
        for (_, name, versions) in IGNORED {
            let affected: Vec<&str> = (packages.iter())
                .filter(|package| package["name"].as_str() == Some(name))
                .filter_map(|package| package["version"].as_str())
                .filter(|version| version.starts_with(versions))
                .collect();
            for package in packages {
                let uses = package
                    .get("dependencies")
                    .and_then(|list| list.as_array())
                    .is_some_and(|list| list.iter().any(|used| means(used, name, &affected)));
                if !uses {
                    continue;
                }
                let by = (
                    package["name"].as_str().unwrap(),
                    package["version"].as_str().unwrap(),
                );
                assert_eq!(
                    by,
                    LINKED_BY,
                    "{} links {name} {}: read how, then write it here or lift the advisory's ignore",
                    lock.display(),
                    affected.join(", ")
                );
                *linked.entry(*name).or_default() += 1;
            }
        }
    }
    for (id, name, _) in IGNORED {
        assert!(
            linked.contains_key(name),
            "nothing links {name} any more: take {id} out of .cargo/deny.toml"
        );
    }
}

/// Whether a line of a lock's dependencies names one of the `affected` versions. The version stands
/// there only where the lock has several.
fn means(used: &toml::Value, name: &str, affected: &[&str]) -> bool {
    let mut words = used.as_str().unwrap_or_default().split(' ');
    words.next() == Some(name)
        && !affected.is_empty()
        && words
            .next()
            .is_none_or(|version| affected.contains(&version))
}

/// Whether `line` has `way` as a name of its own: the embedded broker's `BrokerTransport` is none of rumqttc's.
fn names(line: &str, way: &str) -> bool {
    line.match_indices(way).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[test]
fn nothing_of_ours_takes_the_ways_that_lead_to_them() {
    let mut offenders = Vec::new();
    for path in tracked() {
        let is_manifest = path.file_name().is_some_and(|name| name == "Cargo.toml");
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if path.ends_with("tests/tests/advisories.rs") || !(is_manifest || is_source) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let taken = match is_manifest {
                true => IGNORED.iter().any(|(_, name, _)| line.contains(name)),
                false => WAYS_THERE.iter().any(|way| names(line, way)),
            };
            if taken {
                offenders.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(
        offenders.is_empty(),
        "these lead to code with a known advisory; hand rumqttc a finished rustls configuration (TlsConfiguration::Rustls):\n{}",
        offenders.join("\n")
    );
}

/// The crate's own sources, as cargo downloaded them.
#[test]
fn the_crate_that_links_them_uses_them_where_it_did() {
    let metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&metadata.stderr);
    assert!(metadata.status.success(), "{errors}");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let (name, version) = LINKED_BY;
    let manifest = (metadata["packages"].as_array().unwrap().iter())
        .find(|package| package["name"] == name && package["version"] == version)
        .unwrap_or_else(|| panic!("{name} {version} is not in the workspace any more"));
    let folder = Path::new(manifest["manifest_path"].as_str().unwrap())
        .parent()
        .unwrap();
    let mut found = Vec::new();
    for file in sources(&folder.join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(folder).unwrap().to_str().unwrap();
        for line in text.lines().map(str::trim) {
            let code = line.split("//").next().unwrap_or_default();
            if ["webpki::", "rustls_pemfile", "use webpki"]
                .iter()
                .any(|word| code.contains(word))
            {
                found.push((place.to_owned(), line.to_owned()));
            }
        }
    }
    assert!(
        !found.is_empty(),
        "{} holds no sources that name them",
        folder.display()
    );
    for (place, line) in &found {
        assert!(
            KNOWN_USES
                .iter()
                .any(|(file, text)| file == place && text == line),
            "{name} {version} uses an affected crate in a place that nobody has looked at: {place}: {line}"
        );
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("ls-files")
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| root().join(line))
        .filter(|path| path.is_file())
        .collect()
}

fn locks() -> Vec<PathBuf> {
    let locks: Vec<PathBuf> = (tracked().into_iter())
        .filter(|path| path.file_name().is_some_and(|name| name == "Cargo.lock"))
        .collect();
    assert!(!locks.is_empty(), "no Cargo.lock is tracked");
    locks
}
