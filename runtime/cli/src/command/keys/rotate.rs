//! `sanderling keys rotate`: new keys for one role, and a root that names them.

use super::RoleName;
use crate::answer::Answer;
use crate::signing::{chain, key, release};
use crate::write;
use anyhow::{Context, bail};
use clap::Args;
use sanderling_trust::{Role, SigningKey};
use sanderling_wire::{RoleKeys, Root};
use serde_json::json;
use std::path::PathBuf;

/// Replace the keys of one role by new ones
#[derive(Debug, Args)]
pub struct Rotate {
    /// Whose keys
    role: RoleName,
    /// The directory with `root` and the root keys
    #[arg(long, default_value = "keys")]
    dir: PathBuf,
    /// Another directory with root keys; may be given several times
    #[arg(long, value_name = "DIR")]
    with: Vec<PathBuf>,
    /// Days after which nothing is installed any longer until a newer root is published [default: never]
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<u64>,
}

impl Rotate {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let role = Role::from(self.role);
        let path = self.dir.join("root");
        let (old_chain, trust) = chain::read(&path)?;
        let old = trust.root();
        let mut at_hand = key::in_folder(&self.dir)?;
        for folder in &self.with {
            at_hand.extend(key::in_folder(folder)?);
        }
        let mut signers: Vec<SigningKey> = Vec::new();
        for (_, file) in &at_hand {
            let named = keys_of(old, Role::Root).any(|public| *public == file.key.public());
            let twice = signers.iter().any(|s| s.public() == file.key.public());
            if file.role == Role::Root && named && !twice {
                signers.push(file.key.clone());
            }
        }
        let threshold = usize::from(old.root.threshold);
        if signers.len() < threshold {
            bail!(
                "{} of the root keys are here, and {threshold} must sign a new root; name their directories with --with",
                signers.len()
            );
        }
        signers.truncate(threshold);
        let version = old.version.checked_add(1).context("no version is left")?;
        let count = role.keys_in(old).keys.len();
        let mut new = Vec::new();
        for number in 1..=count {
            let name = match count {
                1 => format!("{role}-v{version}.key"),
                _ => format!("{role}-v{version}-{number}.key"),
            };
            new.push((self.dir.join(name), key::new(role)?));
        }
        let mut next = Root {
            version,
            epoch: old.epoch + u32::from(role == Role::Fleet),
            expires_s: self.expires_days.map(release::in_days),
            keys: heapless::Vec::new(),
            root: old.root.clone(),
            release: old.release.clone(),
            fleet: old.fleet.clone(),
        };
        for which in Role::ALL {
            let fresh = new.iter().map(|(_, file)| file.key.public());
            let public: Vec<[u8; 32]> = if which == role {
                fresh.collect()
            } else {
                keys_of(old, which).copied().collect()
            };
            let named = name_all(&mut next, &public, which.keys_in(old).threshold)?;
            match which {
                Role::Root => next.root = named,
                Role::Release => next.release = named,
                Role::Fleet => next.fleet = named,
            }
        }
        if role == Role::Root {
            // The new root must be signed by its own threshold too.
            let fresh = new.iter().map(|(_, file)| file.key.clone());
            signers.extend(fresh.take(threshold));
        }
        let bytes = chain::append(Some(&old_chain), &chain::link(&next, &signers)?)?;
        for (path, file) in &new {
            key::write(path, file)?;
        }
        write::replace(&path, &bytes)?;
        let mut text = format!(
            "{}: root {version} (epoch {}), which `sanderling keys publish` gives to the fleet\n",
            path.display(),
            next.epoch
        );
        for (path, file) in &new {
            text.push_str(&format!(
                "{}: new {role} key {}\n",
                path.display(),
                key::id(&file.key.public())
            ));
        }
        if role == Role::Fleet {
            text.push_str(
                "copy the new fleet key to the coordinator's --keys before you publish\n",
            );
        }
        let json = json!({
            "root": path,
            "version": version,
            "epoch": next.epoch,
            "keys": new.iter().map(|(path, file)| json!({
                "file": path, "role": role.as_str(), "id": key::id(&file.key.public()),
            })).collect::<Vec<_>>(),
        });
        Ok(Answer::new(text, json))
    }
}

fn keys_of(root: &Root, role: Role) -> impl Iterator<Item = &[u8; 32]> {
    let keys = role.keys_in(root).keys.iter();
    keys.filter_map(|&index| root.keys.get(usize::from(index)))
}

/// Puts keys into the root's list where they are not in it, and names them for a role.
fn name_all(root: &mut Root, public: &[[u8; 32]], threshold: u8) -> anyhow::Result<RoleKeys> {
    let mut keys = heapless::Vec::new();
    for key in public {
        let index = match root.keys.iter().position(|k| k == key) {
            Some(index) => index,
            None => {
                let full = root.keys.push(*key).is_err();
                anyhow::ensure!(!full, "a root holds 12 keys");
                root.keys.len() - 1
            }
        };
        anyhow::ensure!(keys.push(index as u8).is_ok(), "a role has 4 keys");
    }
    Ok(RoleKeys { threshold, keys })
}
