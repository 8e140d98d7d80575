//! `sanderling keys show`: what a root says, and which private keys are at hand.

use crate::answer::Answer;
use crate::signing::{chain, key};
use clap::Args;
use sanderling_trust::Role;
use sanderling_wire::Digest;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show the newest root and the private keys beside it
#[derive(Debug, Args)]
pub struct Show {
    /// The directory with `root`
    #[arg(long, default_value = "keys")]
    dir: PathBuf,
}

impl Show {
    pub fn run(&self) -> anyhow::Result<Answer> {
        let path = self.dir.join("root");
        let (_, trust) = chain::read(&path)?;
        let root = trust.root();
        let files = key::in_folder(&self.dir)?;
        let expires = root.expires_s.map_or("never expires".to_owned(), |s| {
            format!("expires at {s} (seconds since 1970)")
        });
        let mut text = format!(
            "{}: root {}, epoch {}, {expires}\n",
            path.display(),
            root.version,
            root.epoch
        );
        let mut roles = Vec::new();
        for role in Role::ALL {
            let wanted = role.keys_in(root);
            text.push_str(&format!(
                "{role}: {} of {} keys must sign\n",
                wanted.threshold,
                wanted.keys.len()
            ));
            let mut keys: Vec<Value> = Vec::new();
            for &index in &wanted.keys {
                let Some(public) = root.keys.get(usize::from(index)) else {
                    continue;
                };
                let file = files
                    .iter()
                    .find(|(_, file)| file.role == role && file.key.public() == *public)
                    .map(|(path, _)| path.display().to_string());
                text.push_str(&format!(
                    "  {}  {}\n",
                    key::id(public),
                    file.as_deref().unwrap_or("(not here)")
                ));
                keys.push(json!({
                    "id": key::id(public), "public": Digest(*public).to_string(), "file": file,
                }));
            }
            roles.push(json!({
                "role": role.as_str(), "threshold": wanted.threshold, "keys": keys,
            }));
        }
        let json = json!({
            "root": path,
            "version": root.version,
            "epoch": root.epoch,
            "expires_s": root.expires_s,
            "roles": roles,
        });
        Ok(Answer::new(text, json))
    }
}
