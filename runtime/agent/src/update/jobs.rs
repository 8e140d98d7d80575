//! The slow parts of an update, each on a thread of its own, so that nothing waits for them without a limit.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use sanderling_executor::{Choice, Model, ModelError};
use sanderling_slots::{Fault, Image};

use super::folder::read_slot;
use crate::answer::Form;
use crate::infer::Candidate;
use crate::settings::Answer;

/// What is to be done with a slot's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compute its digest.
    Verify,
    /// Load it and run its golden vectors.
    SelfTest,
    /// Load it to serve.
    Load,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is to be done.
    pub kind: Kind,
    /// The slot's file.
    pub path: PathBuf,
    /// What should be in it.
    pub image: Image,
    /// The form of answers that is wanted.
    pub answer: Answer,
    /// The largest arena, in bytes.
    pub arena_limit: u64,
}

/// What came of a job.
#[derive(Debug)]
pub enum Done {
    /// The digest is right.
    Right,
    /// The bytes are others than promised, or cannot be read.
    Wrong(String),
    /// The model is loaded (and tested where that was asked).
    Ready(Box<Candidate>),
    /// The model is no good here.
    Unfit(Fault, String),
}

/// Starts a job; `done` is called on the job's thread.
pub fn start(job: Job, done: impl FnOnce(Done) + Send + 'static) -> io::Result<()> {
    let name = match job.kind {
        Kind::Verify => "verify",
        Kind::SelfTest => "self-test",
        Kind::Load => "load",
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(move || done(run(&job)))
        .map(drop)
}

fn run(job: &Job) -> Done {
    let bytes = match read_whole(&job.path, &job.image) {
        Ok(bytes) => bytes,
        Err(why) => return Done::Wrong(why),
    };
    if job.kind == Kind::Verify {
        return Done::Right;
    }
    let name = format!("{} {}", job.image.name.as_str(), job.image.version);
    match load(&name, bytes, job) {
        Ok(candidate) => Done::Ready(Box::new(candidate)),
        Err((fault, why)) => Done::Unfit(fault, why),
    }
}

/// The bytes of a slot's file, if they are the image's.
pub fn read_whole(path: &Path, image: &Image) -> Result<Vec<u8>, String> {
    match read_slot(path, image.size) {
        Ok((bytes, digest)) if digest == image.digest => Ok(bytes),
        Ok((bytes, digest)) => Err(format!(
            "its {} bytes have SHA-256 {}, and {} was promised",
            bytes.len(),
            sanderling_wire::Digest(digest).short(),
            sanderling_wire::Digest(image.digest).short(),
        )),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn load(name: &str, bytes: Vec<u8>, job: &Job) -> Result<Candidate, (Fault, String)> {
    let unloadable = |why: String| (Fault::Unloadable, why);
    let mut model = Model::from_bytes(name, bytes, Choice::Auto)
        .map_err(|error| unloadable(error.to_string()))?;
    let (inputs, outputs) = (model.inputs().len(), model.outputs().len());
    if inputs != 1 || outputs == 0 {
        return Err(unloadable(format!(
            "{name} has {inputs} inputs and {outputs} outputs, and the agent feeds one input; use a model with one"
        )));
    }
    let arena = model.plan().map_or(0, |plan| plan.arena_bytes() as u64);
    if arena > job.arena_limit {
        return Err(unloadable(format!(
            "{name} needs an arena of {arena} bytes, and this robot gives {}; raise --arena-limit",
            job.arena_limit
        )));
    }
    let form = Form::of(&model.outputs()[0], job.answer).map_err(unloadable)?;
    if job.kind == Kind::SelfTest {
        model.self_test().map_err(|error| match error {
            ModelError::SelfTest { .. } => (Fault::SelfTest, error.to_string()),
            other => (Fault::Unloadable, other.to_string()),
        })?;
    }
    Ok(Candidate {
        image: job.image,
        model,
        form,
    })
}
