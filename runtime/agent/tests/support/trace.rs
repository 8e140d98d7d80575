//! A process that is killed at a chosen call to the file system, and what a power cut would have left of its last
//! writes: `strace` kills it, and its record says which bytes had not been synced.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every call by which a program reads or changes files here.
pub const CALLS: &str = "openat,open,creat,close,read,pread64,write,pwrite64,fsync,fdatasync,rename,renameat,\
renameat2,unlink,unlinkat,ftruncate,mkdir,mkdirat,statx,newfstatat,fstat,lseek,fallocate";

/// The program, or a line that says why the test is skipped.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/bin".into()])
        .map(|folder| folder.join("strace"))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: strace is not installed (apt-get install strace)");
    }
    found
}

/// A call of one thread: its name, and the how manieth of this name it is in that thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub call: String,
    pub nth: usize,
}

/// A command whose process is killed as one of its threads begins the call at `site`; never, where there is none.
/// `log` takes the record.
pub fn killed_at(strace: &Path, site: Option<&Site>, log: &Path) -> Command {
    let mut command = Command::new(strace);
    command
        // Not with --seccomp-bpf: with it version 6.1 injects nothing.
        .args(["-f", "-qq", "-y", "-s", "0"])
        .arg("-o")
        .arg(log)
        .args(["-e", &format!("trace={CALLS}")]);
    if let Some(Site { call, nth }) = site {
        command.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// One recorded call.
struct Call<'t> {
    name: &'t str,
    rest: &'t str,
}

impl<'t> Call<'t> {
    fn of(line: &'t str) -> Option<(u32, Call<'t>)> {
        let (thread, rest) = line.split_once(char::is_whitespace)?;
        let (name, rest) = rest.trim_start().split_once('(')?;
        Some((thread.parse().ok()?, Call { name, rest }))
    }

    /// The path behind the first descriptor: `5</path>, ...`.
    fn path(&self) -> Option<&'t str> {
        let (_, rest) = self.rest.split_once('<')?;
        Some(rest.split_once('>')?.0)
    }

    /// The quoted paths.
    fn quoted(&self) -> impl Iterator<Item = &'t str> {
        self.rest.split('"').skip(1).step_by(2)
    }

    /// The numbers at the end of the arguments, last first.
    fn numbers(&self) -> Vec<u64> {
        let arguments = self.rest.split(" <unfinished").next().unwrap_or_default();
        let arguments = match arguments.rsplit_once(" = ") {
            Some((arguments, _)) => arguments,
            None => arguments,
        };
        let arguments = arguments.trim_end().trim_end_matches(')');
        arguments
            .rsplit(", ")
            .map_while(|word| word.trim().parse().ok())
            .collect()
    }
}

/// The calls that a thread made after it had looked at `marker`.
pub fn sites(log: &str, marker: &str) -> Vec<Site> {
    let mut counts: HashMap<(u32, &str), usize> = HashMap::new();
    let mut marked = None;
    let mut sites = Vec::new();
    for (thread, call) in log.lines().filter_map(Call::of) {
        let nth = counts.entry((thread, call.name)).or_default();
        *nth += 1;
        if marked == Some(thread) {
            sites.push(Site {
                call: call.name.to_owned(),
                nth: *nth,
            });
        } else if call.quoted().any(|path| path == marker) {
            marked = Some(thread);
        }
    }
    sites
}

/// What had not reached the medium when the process was killed.
#[derive(Debug, Default)]
pub struct Unsynced {
    /// Written bytes of files that were not synced since: path, offset, length.
    pub writes: Vec<(PathBuf, u64, u64)>,
    /// Names that were given or taken while the folder was not synced since.
    pub names: Vec<PathBuf>,
}

impl Unsynced {
    /// Reads it from a record; only what lies below `folder` counts.
    pub fn of(log: &str, folder: &Path) -> Unsynced {
        let mut seen = Unsynced::default();
        let mut ends: HashMap<PathBuf, u64> = HashMap::new();
        for (_, call) in log.lines().filter_map(Call::of) {
            let named = |path: &str| Some(PathBuf::from(path)).filter(|p| p.starts_with(folder));
            match call.name {
                "pwrite64" | "write" => {
                    let Some(path) = call.path().and_then(named) else {
                        continue;
                    };
                    let (offset, length) = match (call.name, call.numbers()[..].as_ref()) {
                        ("pwrite64", [offset, length, ..]) => (*offset, *length),
                        ("write", [length, ..]) => {
                            (ends.get(&path).copied().unwrap_or_default(), *length)
                        }
                        _ => continue,
                    };
                    ends.insert(path.clone(), offset + length);
                    seen.writes.push((path, offset, length));
                }
                "fsync" | "fdatasync" => {
                    // A sync that was cut did nothing.
                    if let Some(path) = call
                        .path()
                        .and_then(named)
                        .filter(|_| call.rest.ends_with("= 0"))
                    {
                        seen.writes.retain(|(written, ..)| *written != path);
                        seen.names.retain(|name| name.parent() != Some(&path));
                    }
                }
                "openat" | "open" if call.rest.contains("O_CREAT") => {
                    if let Some(path) = call.quoted().next().and_then(named) {
                        ends.remove(&path);
                        seen.names.push(path);
                    }
                }
                "rename" | "renameat" | "renameat2" if call.rest.ends_with("= 0") => {
                    let paths: Vec<PathBuf> = call.quoted().filter_map(named).collect();
                    if let [from, to] = &paths[..] {
                        seen.names.retain(|name| name != from);
                        seen.names.push(to.clone());
                        for (path, ..) in &mut seen.writes {
                            if path == from {
                                path.clone_from(to);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        seen
    }

    /// Leaves the files as a medium might that lost power: each write that was not synced is there, or is not, or is
    /// partly something else; each name that was not synced is as it was in `before`, or as it is. `roll` gives numbers.
    pub fn tear(&self, folder: &Path, before: &Path, mut roll: impl FnMut() -> u64) -> usize {
        let mut torn = 0;
        for (path, offset, length) in &self.writes {
            let Ok(file) = OpenOptions::new().write(true).open(path) else {
                continue;
            };
            let (from, fill) = (roll() % (length + 1), roll());
            let garbage: Vec<u8> = match fill % 4 {
                0 => continue,
                1 => vec![0; (length - from) as usize],
                2 => vec![0xFF; (length - from) as usize],
                _ => (from..*length).map(|_| roll() as u8).collect(),
            };
            file.write_all_at(&garbage, offset + from)
                .expect("the test owns the file");
            torn += 1;
        }
        for path in &self.names {
            if roll().is_multiple_of(2) {
                continue;
            }
            torn += 1;
            let below = path.strip_prefix(folder).expect("only those were noted");
            let _ = match fs::read(before.join(below)) {
                Ok(old) => fs::write(path, old),
                Err(_) => fs::remove_file(path),
            };
        }
        torn
    }
}
