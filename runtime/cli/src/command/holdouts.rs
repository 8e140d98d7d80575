//! `sanderling holdouts`: recorded frames with the right answers, by which versions are compared.

use super::who::Who;
use crate::answer::Answer;
use crate::coordinator::{At, Coordinator, field, segment};
use crate::table::{Align, Table};
use crate::text;
use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Deserialize;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  sanderling holdouts add husky-held-out frames.npz
  sanderling holdouts
  sanderling holdouts remove husky-held-out

A holdout is a .npz of numpy:
  input   the frames, as `sanderling run --input` takes them, their count as the first axis;
          where a model has several inputs, one array under each input's name
  label   the right answer to each frame: a class number; a map of class numbers (negative:
          does not count); or values in the shape of the model's output
  slice   optional: the slice that each frame belongs to, text or integers

  numpy.savez('frames.npz', input=x, label=y, slice=floor)

Classes are measured by accuracy, maps by mean IoU, values by mean absolute error.";

/// List, add and remove holdouts: frames with the right answers, by which versions are compared
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Holdouts {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    Add(Add),
    Remove(Remove),
}

/// Give a holdout to the coordinator
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// What to call it
    name: String,
    /// A .npz with `input`, `label`, and `slice`
    file: PathBuf,
    /// Put it in the place of another file with that name; versions are then measured anew
    #[arg(long)]
    replace: bool,
}

/// Remove a holdout; what was measured with it stays
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    who: Who,
    /// Its name
    name: String,
}

#[derive(Deserialize)]
struct Holdout {
    name: String,
    digest: String,
    size: u64,
    contents: Contents,
    #[serde(default)]
    asked_for_by: Vec<String>,
}

#[derive(Deserialize)]
struct Contents {
    frames: u64,
    inputs: Vec<Field>,
    label: Field,
    slices: Vec<Slice>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    element: String,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Slice {
    name: String,
    frames: u64,
}

impl Holdouts {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<Answer> {
        match &self.what {
            None => list(&self.at),
            Some(What::Add(add)) => add.run(),
            Some(What::Remove(remove)) => remove.run(),
        }
    }
}

fn list(at: &At) -> anyhow::Result<Answer> {
    let answer = Coordinator::at(at)?.get("/v1/holdouts", &[])?;
    let holdouts: Vec<Holdout> = field(&answer, "holdouts")?;
    if holdouts.is_empty() {
        let text = "no holdouts; `sanderling holdouts add NAME FRAMES.npz` adds one";
        return Ok(Answer::new(text, answer));
    }
    let mut table = Table::new(&[
        ("holdout", Align::Left),
        ("frames", Align::Right),
        ("inputs", Align::Left),
        ("label", Align::Left),
        ("size", Align::Right),
        ("digest", Align::Left),
        ("required by", Align::Left),
        ("slices", Align::Left),
    ]);
    for holdout in &holdouts {
        let contents = &holdout.contents;
        let inputs: Vec<String> = contents.inputs.iter().map(Field::text).collect();
        table.row([
            holdout.name.clone(),
            text::count(contents.frames),
            inputs.join(", "),
            contents.label.kind(),
            format!("{} B", text::count(holdout.size)),
            holdout.digest.chars().take(12).collect(),
            holdout.asked_for_by.join(", "),
            text::shortened(&slices(contents), 60),
        ]);
    }
    Ok(Answer::new(table.render(), answer))
}

impl Add {
    fn run(&self) -> anyhow::Result<Answer> {
        let shown = self.file.display();
        let file = std::fs::read(&self.file).with_context(|| format!("cannot read {shown}"))?;
        let path = format!(
            "/v1/holdouts/{}?replace={}&by={}",
            segment(&self.name),
            self.replace,
            segment(&self.who.name())
        );
        let answer = Coordinator::at(&self.at)?
            .put_file(&path, &file)
            .with_context(|| format!("{shown} is not taken"))?;
        let holdout: Holdout = field(&answer, "holdout")?;
        let created: bool = field(&answer, "created")?;
        let text = format!(
            "holdout {} {}: {} frames in {} slices: {}",
            holdout.name,
            match created {
                true => "is added",
                false => "was there before",
            },
            text::count(holdout.contents.frames),
            holdout.contents.slices.len(),
            slices(&holdout.contents)
        );
        Ok(Answer::new(text, answer))
    }
}

impl Remove {
    fn run(&self) -> anyhow::Result<Answer> {
        let path = format!(
            "/v1/holdouts/{}?by={}",
            segment(&self.name),
            segment(&self.who.name())
        );
        let answer = Coordinator::at(&self.at)?.delete(&path)?;
        Ok(Answer::new(
            format!("holdout {} is removed", self.name),
            answer,
        ))
    }
}

impl Field {
    fn kind(&self) -> String {
        match self.shape.as_slice() {
            [] => self.element.clone(),
            shape => format!("{} {}", self.element, text::shape(shape)),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.name, self.kind())
    }
}

fn slices(contents: &Contents) -> String {
    let slice = |slice: &Slice| format!("{} {}", slice.name, text::count(slice.frames));
    contents
        .slices
        .iter()
        .map(slice)
        .collect::<Vec<_>>()
        .join(", ")
}
