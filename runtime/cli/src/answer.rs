//! What a subcommand has to say, in both forms.

use anyhow::Context;
use serde_json::Value;
use std::io::{self, Write};

/// The result of a subcommand.
pub struct Answer {
    text: String,
    json: Value,
}

impl Answer {
    /// `text` for people, `json`, an object, for programs.
    pub fn new(text: impl Into<String>, json: Value) -> Self {
        Answer {
            text: text.into(),
            json,
        }
    }

    /// For a subcommand that has written all it has to say.
    pub fn silent() -> Self {
        Answer {
            text: String::new(),
            json: Value::Null,
        }
    }

    /// Writes one of the two to standard output.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut text = match (json, &self.json) {
            (_, Value::Null) => self.text.clone(),
            (true, value) => value.to_string(),
            (false, _) => self.text.clone(),
        };
        if text.is_empty() {
            return Ok(());
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        print(&text)
    }
}

/// Writes to standard output. A reader that went away, as `head` does, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("cannot write to standard output"),
    }
}
