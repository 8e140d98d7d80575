//! What a subcommand has to say, in both forms.

use anyhow::Context;
use sanderling_wire::{Printable, is_unprintable};
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
        if json && !self.json.is_null() {
            return print_json(&self.json);
        }
        if self.text.is_empty() {
            return Ok(());
        }
        match self.text.ends_with('\n') {
            true => print(&self.text),
            false => print(&format!("{}\n", self.text)),
        }
    }
}

/// Writes text to standard output, line by line as it may be shown.
pub fn print(text: &str) -> anyhow::Result<()> {
    draw(&shown(text))
}

/// Writes a line of JSON to standard output.
pub fn print_json(value: &Value) -> anyhow::Result<()> {
    // What a terminal would obey and JSON lets stand as it is can only be inside a string.
    let line = value
        .to_string()
        .chars()
        .fold(String::new(), |mut line, c| {
            match is_unprintable(c) {
                true => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        line.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                false => line.push(c),
            }
            line
        });
    draw(&(line + "\n"))
}

/// Text as a terminal may show it: names and messages from files, robots, and people hold what they like.
pub fn shown(text: &str) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| Printable(line).to_string())
        .collect();
    lines.join("\n")
}

/// Writes to standard output what may hold orders to the terminal. A reader that went away, as `head` does, is no error.
pub fn draw(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("cannot write to standard output"),
    }
}
