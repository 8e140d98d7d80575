//! Who asks: the name that goes into the audit log.

use clap::Args;
use std::os::unix::fs::MetadataExt;

/// The asker's name.
#[derive(Debug, Args)]
pub struct Who {
    /// The name for the audit log [default: the user of this process]
    #[arg(long = "as", value_name = "NAME", env = "SANDERLING_AS")]
    asker: Option<String>,
}

impl Who {
    /// The name given, or the one that this process runs under.
    pub fn name(&self) -> String {
        self.asker.clone().unwrap_or_else(user)
    }
}

/// The asker of commands that have no option for it, in characters that a header holds.
pub fn asker() -> String {
    let named = std::env::var("SANDERLING_AS").ok();
    let named = named.filter(|name| !name.is_empty()).unwrap_or_else(user);
    let plain = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    named.chars().map(plain).collect()
}

/// The system's word for whom this process belongs to; variables of the environment say what one likes.
fn user() -> String {
    let Ok(process) = std::fs::metadata("/proc/self") else {
        return std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    };
    let uid = process.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}
