//! Updates a board under QEMU through its UART, kills it in the middle, and shows that it goes on:
//! `cargo run -p sanderling-updates --example qemu -- IMAGE SMALL.plan LARGE.plan`, for an image with the root that
//! `--root FILE` writes, or for one without a root and `--unsigned`.
//!
//! The flash is a file that QEMU maps as the board's PSRAM, so it outlives QEMU as a flash outlives power.

#[path = "../../tests/gateway/mod.rs"]
mod gateway;
mod retrain;

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway::{Gateway, Owner, Release, digest};
use retrain::retrained;
use sanderling_delta::make;
use sanderling_updates::CHUNK;
use sanderling_wire::{FailureCode, Phase, State};

/// The key of the fleet's owner in this demonstration.
const SEED: u8 = 1;
/// How long any wait may take.
const DEADLINE: Duration = Duration::from_secs(120);
/// Where the slots lie in the flash: behind the starts' block are two records, the journal and the slots.
const FLASH_BYTES: u64 = 16 << 20;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A board under QEMU. It is killed when this is dropped.
struct Board {
    qemu: Child,
    line: UnixStream,
}

impl Board {
    fn start(image: &Path, folder: &Path) -> Outcome<Board> {
        let socket = folder.join("uart");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        let flash = folder.join("flash");
        let mut qemu = Command::new("qemu-system-arm")
            .arg("-object")
            .arg(format!(
                "memory-backend-file,id=flash,size={FLASH_BYTES},share=on,mem-path={}",
                flash.display()
            ))
            .args([
                "-M",
                "mps2-an386,memory-backend=flash",
                "-display",
                "none",
                "-monitor",
                "none",
            ])
            .arg("-serial")
            .arg(format!("unix:{}", socket.display()))
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(image)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let until = Instant::now() + DEADLINE;
        loop {
            match listener.accept() {
                Ok((line, _)) => {
                    line.set_read_timeout(Some(Duration::from_millis(20)))?;
                    return Ok(Board { qemu, line });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => {
                    let _ = qemu.kill();
                    return Err(error.into());
                }
            }
        }
    }

    /// Carries bytes both ways until `done`, or it takes too long.
    fn carry(
        &mut self,
        gateway: &mut Gateway,
        what: &str,
        mut done: impl FnMut(&Gateway) -> bool,
    ) -> Outcome<()> {
        let until = Instant::now() + DEADLINE;
        let mut bytes = [0; 4096];
        while !done(gateway) {
            if Instant::now() > until {
                return Err(format!(
                    "{what}: not within {DEADLINE:?}; the last state: {:?}",
                    gateway.state
                )
                .into());
            }
            match self.line.read(&mut bytes) {
                Ok(0) => {
                    return Err(format!("{what}: QEMU ended with {:?}", self.qemu.wait()?).into());
                }
                Ok(count) => {
                    for &byte in &bytes[..count] {
                        let answer = gateway.hear(byte);
                        self.line.write_all(&answer)?;
                        if done(gateway) {
                            return Ok(());
                        }
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // As when power fails: QEMU has no chance to tidy up.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn runs(gateway: &Gateway, plan: &[u8]) -> bool {
    gateway.state.as_ref().is_some_and(|state| {
        state.phase == Phase::Active
            && state
                .running
                .as_ref()
                .is_some_and(|running| running.digest == digest(plan))
    })
}

fn failed(gateway: &Gateway, code: FailureCode) -> bool {
    let failure = gateway
        .state
        .as_ref()
        .and_then(|state| state.failure.as_ref());
    failure.is_some_and(|failure| failure.code == code)
}

fn held(state: &Option<State>) -> Option<u64> {
    let progress = state.as_ref()?.progress.as_ref()?;
    Some(progress.held)
}

struct Demonstration {
    image: PathBuf,
    folder: PathBuf,
    gateway: Gateway,
}

impl Demonstration {
    fn board(&self) -> Outcome<Board> {
        Board::start(&self.image, &self.folder)
    }

    fn update(&mut self, board: &mut Board, release: &Release, how: &str) -> Outcome<()> {
        let began = Instant::now();
        self.gateway.sent = 0;
        let frames = self.gateway.want(release);
        board.line.write_all(&frames)?;
        board.carry(&mut self.gateway, how, |gateway| {
            runs(gateway, &release.plan)
        })?;
        println!(
            "{how}: version {} of {} bytes runs after {} bytes of parts, {:.1} s",
            release.version,
            release.plan.len(),
            self.gateway.sent,
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Pulls a part, loses power, and goes on; `times` times.
    fn update_with_cuts(&mut self, release: &Release, times: u32, how: &str) -> Outcome<()> {
        let mut sum = 0;
        self.gateway.want(release);
        let delta = release
            .bases
            .first()
            .and_then(|base| make(base, &release.plan, CHUNK).ok());
        let whole = delta.map_or(release.plan.len(), |delta| delta.len()) as u64;
        for cut in 0..times {
            let mut board = self.board()?;
            self.gateway.sent = 0;
            self.gateway.state = None;
            // A part of what a whole file takes, or of what a delta does.
            let most = whole / u64::from(times + 1);
            board.carry(&mut self.gateway, how, |gateway| gateway.sent >= most)?;
            sum += self.gateway.sent;
            println!(
                "{how}: power cut {} after {} bytes of parts",
                cut + 1,
                self.gateway.sent
            );
        }
        let mut board = self.board()?;
        self.gateway.sent = 0;
        self.gateway.state = None;
        let mut first = None;
        board.carry(&mut self.gateway, how, |gateway| {
            first = first.or(held(&gateway.state));
            runs(gateway, &release.plan)
        })?;
        println!("{how}: goes on with {} bytes held", first.unwrap_or(0));
        sum += self.gateway.sent;
        println!(
            "{how}: version {} runs; {sum} bytes of parts for {} bytes",
            release.version,
            release.plan.len()
        );
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = words.as_slice()
        && flag == "--root"
    {
        std::fs::write(file, Owner::new(SEED).chain())?;
        return Ok(());
    }
    let unsigned = words
        .iter()
        .position(|word| word == "--unsigned")
        .map(|at| words.remove(at))
        .is_some();
    let [image, small, large] = words.as_slice() else {
        return Err("give an image and two plans for its board".into());
    };
    let (small, large) = (std::fs::read(small)?, std::fs::read(large)?);
    let release = |version, plan: &Vec<u8>, base: Option<&Vec<u8>>| Release {
        version,
        plan: plan.clone(),
        bases: base.into_iter().cloned().collect(),
        arena: 1000,
    };
    let folder = std::env::temp_dir().join(format!("sanderling-updates-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    // Flash as it comes: all ones.
    std::fs::write(folder.join("flash"), vec![0xFF; FLASH_BYTES as usize])?;
    let owner = (!unsigned).then(|| Owner::new(SEED));
    let mut all = Demonstration {
        image: image.into(),
        folder: folder.clone(),
        gateway: Gateway::new(owner, "cortex-m4"),
    };

    let mut board = all.board()?;
    all.update(&mut board, &release(1, &small, None), "first model")?;
    all.update(&mut board, &release(2, &large, None), "whole file")?;
    let head = retrained(&large, true);
    all.update(
        &mut board,
        &release(3, &head, Some(&large)),
        "delta, last layer",
    )?;
    let drifted = retrained(&head, false);
    all.update(
        &mut board,
        &release(4, &drifted, Some(&head)),
        "delta, all layers",
    )?;

    if !unsigned {
        let mut thief = Gateway::new(None, "cortex-m4");
        for version in 10..20 {
            thief.want(&release(version, &small, None));
        }
        all.gateway.sent = 0;
        let frames = all.gateway.replace_desired(&thief);
        board.line.write_all(&frames)?;
        board.carry(&mut all.gateway, "unsigned", |gateway| {
            failed(gateway, FailureCode::Refused)
        })?;
        let text = all
            .gateway
            .state
            .as_ref()
            .and_then(|state| state.failure.as_ref())
            .map(|f| f.text.to_string());
        println!(
            "unsigned: refused, {} bytes of parts; {}",
            all.gateway.sent,
            text.unwrap_or_default()
        );
    }
    drop(board);

    let other = retrained(&retrained(&drifted, false), false);
    all.update_with_cuts(&release(5, &other, None), 4, "whole file, power cut")?;
    let last = retrained(&other, false);
    all.update_with_cuts(&release(6, &last, Some(&other)), 3, "delta, power cut")?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
