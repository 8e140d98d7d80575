//! Evaluations: a version's plan over a holdout, in the engine, one at a time and beside everything else.
//!
//! ```text
//! a request ─▶ a task, its turn ─▶ files read ─▶ a thread: frames through the engine ─▶ one transaction: scores, audit
//!      └────── watches its progress ──────────────────────┘
//! ```
//!
//! What is under way is in memory only: killed in the middle, nothing happened, and the next request begins anew.

mod measure;
mod run;

pub use measure::{Measure, Score, Scores};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sanderling_plan::Target;
use sanderling_wire::{Digest, Name};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use utoipa::ToSchema;

use crate::clock::now_ms;
use crate::files::{FileError, Files, sha256};
use crate::holdout::{self, HoldoutError};
use crate::store::audit::{self, Entry};
use crate::store::events::{self, Note};
use crate::store::models::{Model, Plan};
use crate::store::{Store, StoreError, evaluations, holdouts};

/// How long a failure is remembered for those who ask whether it is done.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How many frames pass between two reports of progress.
const REPORT: usize = 16;

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
enum EvaluationError {
    /// See there.
    #[error(transparent)]
    Run(#[from] run::Failure),
    /// See there.
    #[error(transparent)]
    Holdout(#[from] HoldoutError),
    /// See there.
    #[error(transparent)]
    Files(#[from] FileError),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread ended without an answer.
    #[error("the evaluation's thread ended: {0}; this is a fault of the program")]
    Thread(tokio::task::JoinError),
}

/// Why no plan of a version can speak for all of them.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// None runs on this processor.
    #[error(
        "{name} v{version} has plans for {have}, and this coordinator runs {runs}; add one with `sanderling register MODEL.onnx --name {name} --version {version} --targets generic`"
    )]
    Foreign {
        /// The model.
        name: String,
        /// Its version.
        version: u32,
        /// Targets that it has plans for.
        have: String,
        /// Targets that run here.
        runs: String,
    },
    /// They are of different models.
    #[error(
        "the plans of {name} v{version} were compiled from different ONNX files, so that one says nothing of the others; register all of them from one file, as the next version"
    )]
    Mixed {
        /// The model.
        name: String,
        /// Its version.
        version: u32,
    },
}

/// An evaluation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Measuring {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// The holdout.
    pub holdout: String,
    /// Frames done.
    pub done: u64,
    /// Frames in all.
    pub frames: u64,
}

/// Where an evaluation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Under way, or waiting for its turn.
    Running(u64),
    /// Its scores are stored.
    Done,
    /// It failed, for this reason.
    Failed(String),
}

/// What is to be evaluated.
#[derive(Clone, Debug)]
pub struct Task {
    /// The model.
    pub model: Name,
    /// Its version.
    pub version: u32,
    /// Its plan that runs here.
    pub plan: Plan,
    /// On what.
    pub holdout: holdouts::Holdout,
    /// Who asks.
    pub by: String,
}

/// An evaluation that was asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// What.
    pub task: Task,
    /// Where it stands.
    pub state: watch::Receiver<State>,
    failed: Arc<Mutex<Option<Instant>>>,
}

impl Job {
    /// Where it stands, for people.
    pub fn progress(&self) -> Measuring {
        let frames = self.task.holdout.contents.frames;
        Measuring {
            model: self.task.model.to_string(),
            version: self.task.version,
            holdout: self.task.holdout.name.clone(),
            done: match *self.state.borrow() {
                State::Running(done) => done,
                State::Done | State::Failed(_) => frames,
            },
            frames,
        }
    }
}

/// What evaluations need.
#[derive(Debug)]
pub struct Evaluator {
    /// Where scores are written down.
    store: Store,
    /// Plans and holdouts.
    files: Files,
    /// How long one may take.
    limit: Duration,
    /// The most bytes of a holdout, unpacked.
    pub unpacked: u64,
    /// Told the newest event's number after each commit.
    news: watch::Sender<i64>,
    /// True once the process is stopping.
    stopping: watch::Receiver<bool>,
    /// One at a time: frames take memory, and the processor has other work.
    turn: Semaphore,
    /// By plan and holdout.
    jobs: Mutex<HashMap<(String, String), Job>>,
}

/// The fastest plan of a version that this processor runs. The others give the same bits, if they were compiled from the same file.
pub fn choose(model: &Model) -> Result<&Plan, NoPlan> {
    let mut sources = model.artifacts.iter().map(|plan| &plan.source);
    if let Some(first) = sources.next()
        && sources.any(|source| source != first)
    {
        return Err(NoPlan::Mixed {
            name: model.name.clone(),
            version: model.version,
        });
    }
    let mut runs = sanderling_engine::targets();
    runs.find_map(|target| {
        model
            .artifacts
            .iter()
            .find(|plan| plan.target == target.name())
    })
    .ok_or_else(|| NoPlan::Foreign {
        name: model.name.clone(),
        version: model.version,
        have: listed(model.artifacts.iter().map(|plan| plan.target.as_str())),
        runs: listed(sanderling_engine::targets().map(Target::name)),
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn open<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is whole between any two statements.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Evaluator {
    /// `bounds`: how long one may take, and the most bytes of a holdout, unpacked.
    pub fn new(
        store: &Store,
        files: &Files,
        bounds: (Duration, u64),
        news: &watch::Sender<i64>,
        stopping: &watch::Receiver<bool>,
    ) -> Evaluator {
        Evaluator {
            store: store.clone(),
            files: files.clone(),
            limit: bounds.0,
            unpacked: bounds.1,
            news: news.clone(),
            stopping: stopping.clone(),
            turn: Semaphore::new(1),
            jobs: Mutex::default(),
        }
    }

    /// Begins an evaluation, or finds the one that is under way. One that failed is found for a while, so that whoever
    /// comes back for it is told why, and no longer than that.
    pub fn ask(self: &Arc<Self>, task: Task) -> Job {
        let key = (task.plan.digest.clone(), task.holdout.digest.clone());
        let mut jobs = open(&self.jobs);
        jobs.retain(|_, job| open(&job.failed).is_none_or(|at| at.elapsed() < REMEMBERED));
        if let Some(job) = jobs.get(&key) {
            return job.clone();
        }
        let (say, state) = watch::channel(State::Running(0));
        let failed = Arc::default();
        let job = Job {
            task,
            state,
            failed: Arc::clone(&failed),
        };
        jobs.insert(key.clone(), job.clone());
        drop(jobs);
        let (evaluator, task) = (Arc::clone(self), job.task.clone());
        tokio::spawn(async move {
            let ended = match evaluator.work(&task, &say).await {
                Ok(()) => State::Done,
                Err(error) => {
                    tracing::warn!(
                        "{} v{} cannot be evaluated on {}: {error}",
                        task.model,
                        task.version,
                        task.holdout.name
                    );
                    *open(&failed) = Some(Instant::now());
                    State::Failed(error.to_string())
                }
            };
            if ended == State::Done {
                open(&evaluator.jobs).remove(&key);
            }
            say.send_replace(ended);
        });
        job
    }

    /// Somebody was told why it failed: the next one who asks begins anew.
    pub fn told(&self, job: &Job) {
        let key = (
            job.task.plan.digest.clone(),
            job.task.holdout.digest.clone(),
        );
        let mut jobs = open(&self.jobs);
        if jobs
            .get(&key)
            .is_some_and(|now| Arc::ptr_eq(&now.failed, &job.failed))
        {
            jobs.remove(&key);
        }
    }

    /// What is under way.
    pub fn under_way(&self) -> Vec<Measuring> {
        let jobs = open(&self.jobs);
        let running = jobs
            .values()
            .filter(|job| matches!(*job.state.borrow(), State::Running(_)));
        let mut running: Vec<Measuring> = running.map(Job::progress).collect();
        running.sort_by(|a, b| (&a.model, a.version).cmp(&(&b.model, b.version)));
        running
    }

    async fn work(&self, task: &Task, say: &watch::Sender<State>) -> Result<(), EvaluationError> {
        // Never closed.
        let _turn = self.turn.acquire().await;
        let start = Instant::now();
        let plan: Digest = task.plan.digest.parse().map_err(StoreError::corrupt)?;
        let plan = self.whole(&plan, task.plan.size).await?;
        let frames = self
            .whole(&task.holdout.digest()?, task.holdout.size)
            .await?;
        let (limit, unpacked) = (self.limit, self.unpacked);
        let (say, stopping) = (say.clone(), self.stopping.clone());
        let scores = tokio::task::spawn_blocking(move || {
            let holdout = holdout::read(&frames, unpacked)?;
            drop(frames);
            let bounds = run::Bounds {
                limit,
                stopping: &|| *stopping.borrow(),
                progress: &|done| {
                    if done % REPORT == 0 {
                        say.send_replace(State::Running(done as u64));
                    }
                },
            };
            Ok::<_, EvaluationError>(run::run(&plan, &holdout, &bounds)?)
        })
        .await
        .map_err(EvaluationError::Thread)??;
        self.write_down(task, scores, start.elapsed()).await?;
        Ok(())
    }

    /// A whole file, checked.
    async fn whole(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, FileError> {
        let bytes = self.files.read(digest, 0..size).await?;
        let got = sha256(&bytes);
        match got == *digest {
            true => Ok(bytes),
            false => Err(FileError::Damaged {
                digest: *digest,
                got,
            }),
        }
    }

    async fn write_down(
        &self,
        task: &Task,
        scores: Scores,
        took: Duration,
    ) -> Result<(), StoreError> {
        let text = format!(
            "{} v{} on {}: {} {:.4} on {} frames",
            task.model,
            task.version,
            task.holdout.name,
            scores.measure.word(),
            scores.all.value,
            scores.all.frames
        );
        tracing::info!("evaluated {text}");
        let at_ms = now_ms();
        let done = evaluations::Evaluation {
            model: task.model.to_string(),
            version: task.version,
            holdout: task.holdout.digest.clone(),
            names: Vec::new(),
            target: task.plan.target.clone(),
            plan: task.plan.digest.clone(),
            scores,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            at_ms,
            by: task.by.clone(),
        };
        let mut tx = self.store.write().await?;
        evaluations::set(&mut tx, &done).await?;
        let entry = Entry {
            at_ms,
            by: &task.by,
            act: "evaluated",
            rollout: None,
            group: None,
            model: Some((task.model.as_str(), Some(task.version))),
            text: &text,
        };
        audit::add(&mut tx, &entry).await?;
        let note = Note {
            kind: "evaluated",
            device: None,
            group: None,
            text: &text,
        };
        events::add(&mut tx, note).await?;
        let newest = events::newest(&mut tx).await?;
        tx.commit().await?;
        self.news
            .send_if_modified(|known| std::mem::replace(known, newest) != newest);
        Ok(())
    }
}
