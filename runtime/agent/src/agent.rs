//! One agent: its threads, how they are joined, and how they end.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc as async_mpsc, watch};

use crate::config::{Config, Password};
use crate::gateway::edge;
use crate::infer::{self, Stage};
use crate::keeper::{self, SharedOutbox};
use crate::link::{Address, Learned};
use crate::outbox::Outbox;
use crate::queue::FrameQueue;
use crate::runs::Runs;
use crate::shared::Shared;
use crate::system::System;
use crate::update::{self, Driver, Input, Setup};
use crate::{boot, error, info, local, session, source, tls, warn};

/// Answers that may wait for the outbox's thread: some seconds of a slow disk.
const ANSWERS: usize = 4096;

/// Runs an agent until a signal ends it or, where that was asked, its source does.
pub fn run(config: Config, system: System) -> Result<()> {
    let config = Arc::new(config);
    let state_dir = &config.state_dir;
    std::fs::create_dir_all(state_dir).with_context(|| {
        format!(
            "cannot make the folder {}; choose another --state-dir",
            state_dir.display()
        )
    })?;
    let _lock = only_one(state_dir)?;
    let boot = boot::next(&state_dir.join("boot"))
        .with_context(|| format!("cannot keep the boot counter in {}", state_dir.display()))?;
    let of_url = config.broker.login.as_ref();
    let password = match of_url.and_then(|(_, password)| password.clone()) {
        Some(Password(password)) => password,
        None => password(config.password_file.as_deref())?,
    };
    let tls = config.broker.ca.as_deref().map(tls::trusting).transpose()?;
    let microcontroller = microcontroller(&config, tls.clone())?;
    let source = source::open(&config.source).with_context(|| {
        format!(
            "cannot use the source {}",
            config
                .source
                .path
                .as_deref()
                .unwrap_or(Path::new(""))
                .display()
        )
    })?;
    if config.lock_memory
        && let Err(error) = (system.lock_memory)()
    {
        warn!("real time", "{error}");
    }

    let shared = Arc::new(Shared::new(boot.number));
    let queue = Arc::new(FrameQueue::new(config.queue, config.queue_policy));
    let stage = Arc::new(Stage::default());
    let (outbox, repair) = Outbox::open(&state_dir.join("outbox"), config.outbox)
        .with_context(|| format!("cannot open the outbox in {}", state_dir.display()))?;
    info!(
        "agent",
        "{} of fleet {} (group {}), start {}, state in {}",
        config.device,
        config.fleet,
        config.group,
        boot.number,
        state_dir.display()
    );
    if repair.cut_bytes > 0 {
        warn!(
            "outbox",
            "{} bytes of half-written results were cut off after a crash", repair.cut_bytes
        );
    }
    if repair.waiting > 0 {
        info!(
            "outbox",
            "{} results of earlier starts wait for the fleet", repair.waiting
        );
    }
    let outbox = SharedOutbox::new(outbox);
    let (runs, unstored) = Runs::open(&state_dir.join("runs"), boot.number, &repair.boots);
    if let Some(error) = unstored {
        warn!(
            "agent",
            "the identity of this start cannot be stored in {} ({error}), and it goes by its number alone; free some space",
            state_dir.display()
        );
    }

    let (line, inputs) = mpsc::channel();
    let (outgoing, outgoing_out) = async_mpsc::unbounded_channel();
    let seed =
        (u64::from(boot.number) << 32) ^ sanderling_slots::crc32(config.device.as_bytes()) as u64;
    let driver = Driver::open(Setup {
        config: config.update.clone(),
        device: config.device.clone(),
        group: config.group.clone(),
        root: config.root.clone(),
        folder: state_dir.join("slots"),
        trust: state_dir.join("trust"),
        answer: config.answer,
        local: config.model.clone(),
        shared: shared.clone(),
        queue: queue.clone(),
        stage: stage.clone(),
        outgoing,
        line: line.clone(),
        seed,
    })
    .with_context(|| match &config.model {
        Some(model) => format!(
            "cannot open {} or the model slots in {}",
            model.display(),
            state_dir.display()
        ),
        None => format!("cannot open the model slots in {}", state_dir.display()),
    })?;

    let (answers, answers_out) = mpsc::sync_channel(ANSWERS);
    let (kept, kept_out) = watch::channel(false);
    let (stop, stopping) = watch::channel(false);

    let keeper = {
        let (outbox, shared, config) = (outbox.clone(), shared.clone(), config.clone());
        named("outbox", move || {
            keeper::run(
                &answers_out,
                &outbox,
                &shared,
                config.results,
                config.outbox_sync,
            );
            let _ = kept.send(true);
        })?
    };
    let inference = Arc::new(Mutex::new(None));
    let start_inference = {
        let (queue, stage, shared, config, line) = (
            queue.clone(),
            stage.clone(),
            shared.clone(),
            config.clone(),
            line.clone(),
        );
        let inference = inference.clone();
        move || -> Result<()> {
            let (queue, stage, shared) = (queue.clone(), stage.clone(), shared.clone());
            let (config, line, answers) = (config.clone(), line.clone(), answers.clone());
            let thread = named("inference", move || {
                prepare_thread(&config, system);
                let generation = shared.generation.get();
                let swapped = |swapped| drop(line.send(Input::Swapped(swapped)));
                let calls = system.allocator_calls;
                infer::run(&queue, &stage, &shared, &answers, calls, swapped);
                if shared.generation.get() == generation {
                    shared.inference_ended.set(true);
                }
            })?;
            // A thread before this one is stuck, and nobody waits for it.
            *lock(&inference) = Some(thread);
            Ok(())
        }
    };
    start_inference()?;
    stage.set_restart(Box::new(move || {
        if let Err(error) = start_inference() {
            error!("agent", "{error:#}");
        }
    }));
    shared
        .shadow
        .configure(config.shadow_percent, config.shadow_tolerance);
    shared.evidence().set_threshold(config.low_confidence);
    {
        let shared = shared.clone();
        // Not joined at the end: a candidate may be inside an inference, and nothing waits for it.
        named("shadow", move || shared.shadow.run(|| shared.is_stopping()))?;
    }
    local::listen(&state_dir.join("agent.sock"), shared.clone(), line.clone());
    let updating = named("update", move || update::run(driver, &inputs))?;
    if let Some(source) = source {
        let (queue, shared, period) = (queue.clone(), shared.clone(), config.source.period);
        // Not joined at the end: it may be inside a read of standard input.
        named("source", move || {
            source::run(source, period, &queue, &shared)
        })?;
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let parts = session::Parts {
            config: config.clone(),
            password,
            tls: tls.clone(),
            shared: shared.clone(),
            boot_before: boot.before,
            runs,
            outbox,
            queue: queue.clone(),
            updates: line.clone(),
            outgoing: outgoing_out,
            stopping: stopping.clone(),
            stop: stop.clone(),
            kept: kept_out,
        };
        let ending = stopping.clone();
        let end = end_of_everything(stop.clone(), stopping, shared.clone(), queue.clone());
        if let Some(setup) = microcontroller {
            // Not waited for at the end: it is blocked where the line is silent, and its connection's will says the rest.
            tokio::spawn(edge::run(setup, ending));
        }
        tokio::join!(session::run(parts, seed), end).1
    })?;

    let _ = line.send(Input::Quit);
    let inference = lock(&inference).take();
    for thread in inference.into_iter().chain([keeper, updating]) {
        if thread.join().is_err() {
            bail!("a thread panicked; the lines above say where");
        }
    }
    info!(
        "agent",
        "ended; {} frames answered, {} dropped",
        shared.frames_out.get(),
        queue.dropped()
    );
    Ok(())
}

fn password(file: Option<&Path>) -> Result<String> {
    let Some(path) = file else {
        return Ok(String::new());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the password in {}", path.display()))?;
    let mode = std::fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        warn!(
            "agent",
            "OPEN SECRET: others can read {path} (mode {mode:o}); chmod 600 {path}"
        );
    }
    Ok(text.trim_end().to_owned())
}

/// The line to a microcontroller, where there is one.
fn microcontroller(
    config: &Config,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> Result<Option<edge::Setup>> {
    let Some(serial) = &config.serial else {
        return Ok(None);
    };
    Ok(Some(edge::Setup {
        device: serial.device.clone(),
        speed: serial.speed,
        fleet: config.fleet.clone(),
        address: Address {
            host: config.broker.host.clone(),
            port: config.broker.port,
            // Both become the name that the microcontroller says.
            client: String::new(),
            user: String::new(),
            password: password(serial.password_file.as_deref())?,
            tls,
            learned: Learned::default(),
        },
    }))
}

/// Waits for a signal or another wish to stop, and tells the threads. A second signal ends the process at once.
async fn end_of_everything(
    stop: watch::Sender<bool>,
    mut stopping: watch::Receiver<bool>,
    shared: Arc<Shared>,
    queue: Arc<FrameQueue>,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => info!("agent", "SIGTERM: finishing"),
        _ = interrupt.recv() => info!("agent", "SIGINT: finishing"),
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    shared.stop();
    queue.close();
    queue.nudge();
    let _ = stop.send(true);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .with_context(|| format!("cannot start the thread {name}"))
}

/// Asks for what the inference thread was promised; what is refused is said once.
fn prepare_thread(config: &Config, system: System) {
    if !config.cpus.is_empty()
        && let Err(error) = (system.bind_thread)(&config.cpus)
    {
        warn!("real time", "{error}");
    }
    if let Some(priority) = config.priority
        && let Err(error) = (system.raise_thread)(priority)
    {
        warn!("real time", "{error}");
    }
}

/// Locks the state folder: two agents in one would mix up their results.
fn only_one(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.with_context(|| {
        format!(
            "cannot write {}; choose another --state-dir",
            path.display()
        )
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!(
                "another agent uses {}; stop it, or give this one another --state-dir",
                folder.display()
            )
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
