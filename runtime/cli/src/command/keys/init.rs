//! `sanderling keys init`: a fleet's first keys.

use crate::answer::Answer;
use crate::signing::{chain, key, release};
use crate::write;
use anyhow::{Context, bail};
use clap::Args;
use sanderling_trust::{KeyFile, Role};
use sanderling_wire::{MAX_ROLE_KEYS, RoleKeys, Root};
use serde_json::json;
use std::path::PathBuf;

/// Make a fleet's keys and its first root
#[derive(Debug, Args)]
pub struct Init {
    /// Where they go; nothing there is overwritten
    #[arg(long, default_value = "keys")]
    dir: PathBuf,
    /// How many root keys to make
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    root_keys: u8,
    /// How many of them must sign a new root
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    root_threshold: u8,
    /// How many release keys to make
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    release_keys: u8,
    /// How many of them must sign a release
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    release_threshold: u8,
    /// Days after which nothing is installed any longer until a newer root is published [default: never]
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u64>,
}

impl Init {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let counts = [
            (Role::Root, self.root_keys, self.root_threshold),
            (Role::Release, self.release_keys, self.release_threshold),
            (Role::Fleet, 1, 1),
        ];
        for (role, keys, threshold) in counts {
            if threshold == 0 || threshold > keys || usize::from(keys) > MAX_ROLE_KEYS {
                bail!(
                    "{role}: {threshold} of {keys} keys; make 1 to {MAX_ROLE_KEYS} keys and ask for 1 to all of them"
                );
            }
        }
        let path = self.dir.join("root");
        if path.exists() {
            bail!(
                "{} exists; this fleet has keys: `sanderling keys rotate` replaces them one role at a time",
                path.display()
            );
        }
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("cannot make {}", self.dir.display()))?;
        let mut public = heapless::Vec::new();
        let mut files: Vec<(PathBuf, KeyFile)> = Vec::new();
        let mut make = |(role, count, threshold): (Role, u8, u8)| -> anyhow::Result<RoleKeys> {
            let mut keys = heapless::Vec::new();
            for number in 1..=count {
                let key = key::new(role)?;
                // Three roles of at most MAX_ROLE_KEYS keys: there is room.
                let _ = keys.push(public.len() as u8);
                let _ = public.push(key.key.public());
                let name = match count {
                    1 => format!("{role}.key"),
                    _ => format!("{role}-{number}.key"),
                };
                files.push((self.dir.join(name), key));
            }
            Ok(RoleKeys { threshold, keys })
        };
        let [root, release, fleet] = [make(counts[0])?, make(counts[1])?, make(counts[2])?];
        let root = Root {
            version: 1,
            epoch: 1,
            expires_s: self.expires_days.map(release::in_days),
            keys: public,
            root,
            release,
            fleet,
        };
        let signers: Vec<_> = files
            .iter()
            .filter(|(_, file)| file.role == Role::Root)
            .map(|(_, file)| file.key.clone())
            .collect();
        let bytes = chain::append(None, &chain::link(&root, &signers)?)?;
        for (path, file) in &files {
            key::write(path, file)?;
        }
        write::replace(&path, &bytes)?;
        let mut text = String::new();
        for (path, file) in &files {
            text.push_str(&format!(
                "{}: {} key {}, {}\n",
                path.display(),
                file.role,
                key::id(&file.key.public()),
                match file.role {
                    Role::Root => "keep it offline: it names all other keys",
                    Role::Release => "keep it offline: it signs releases",
                    Role::Fleet => "give it to the coordinator",
                }
            ));
        }
        text.push_str(&format!(
            "{}: root 1, give it to the coordinator and to each robot\n",
            path.display()
        ));
        let json = json!({
            "root": path,
            "version": 1,
            "epoch": 1,
            "keys": files.iter().map(|(path, file)| json!({
                "file": path, "role": file.role.as_str(), "id": key::id(&file.key.public()),
            })).collect::<Vec<_>>(),
        });
        Ok(Answer::new(text, json))
    }
}
