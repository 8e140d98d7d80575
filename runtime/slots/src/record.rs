//! The stored record: [`State`] in a fixed number of bytes, with a sequence number and a CRC.
//!
//! ```text
//!    0  magic "SLOT"
//!    4  format, 1                      8  sequence number, u32
//!   12  serial, u64
//!   20  active:  slot (0 none, 1 A, 2 B), image
//!  113  spare:   1 where there is one, image
//!  206  update:  phase (0 none; + 128 where it is to run beside the active model), slot, round, starts, image
//!  302  bad:     4 × { fault (0 none), version u64, digest }
//!  466  zeros
//!  508  CRC-32 of all before
//!
//!  image: digest 32, size u32, version u64, name 48 (zero-padded)
//! ```
//!
//! Little-endian. Two copies are kept and written in turn: the newer whole one counts ([`crate::load`]), so a write
//! that power cuts short costs the step it was for and nothing else.

use crate::crc::crc32;
use crate::image::{Digest, Image, LABEL_BYTES, Label, Slot};
use crate::state::{Active, BadDigest, BadList, Fault, MAX_BAD, Phase, State, Update};

/// The size of a stored record, in bytes: a multiple of every flash's word.
pub const RECORD_BYTES: usize = 512;

const MAGIC: [u8; 4] = *b"SLOT";
const FORMAT: u8 = 1;
const AT_FORMAT: usize = 4;
const AT_SEQUENCE: usize = 8;
const AT_SERIAL: usize = 12;
const AT_ACTIVE: usize = 20;
const IMAGE_BYTES: usize = 32 + 4 + 8 + LABEL_BYTES;
const AT_SPARE: usize = AT_ACTIVE + 1 + IMAGE_BYTES;
const AT_UPDATE: usize = AT_SPARE + 1 + IMAGE_BYTES;
const AT_BAD: usize = AT_UPDATE + 4 + IMAGE_BYTES;
/// In the update's phase: it is only to run beside the active model.
const BESIDE: u8 = 0x80;
const BAD_BYTES: usize = 1 + 8 + 32;
const AT_CRC: usize = RECORD_BYTES - 4;

const _: () = assert!(AT_BAD + MAX_BAD * BAD_BYTES <= AT_CRC);

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// All bytes are equal: storage that was never written, or was erased.
    Blank,
    /// The magic or the CRC is wrong: a torn write, or something else's bytes.
    Torn,
    /// Whole, but written by a program with another format.
    Format(u8),
    /// Whole, but it contradicts itself.
    Unsound,
}

/// Writes `state` with its sequence number.
pub fn encode(state: &State, sequence: u32) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..AT_FORMAT].copy_from_slice(&MAGIC);
    bytes[AT_FORMAT] = FORMAT;
    put(&mut bytes, AT_SEQUENCE, &sequence.to_le_bytes());
    put(&mut bytes, AT_SERIAL, &state.serial.to_le_bytes());
    if let Some(active) = &state.active {
        bytes[AT_ACTIVE] = slot_code(active.slot);
        put_image(&mut bytes, AT_ACTIVE + 1, &active.image);
    }
    if let Some(spare) = &state.spare {
        bytes[AT_SPARE] = 1;
        put_image(&mut bytes, AT_SPARE + 1, spare);
    }
    if let Some(update) = &state.update {
        bytes[AT_UPDATE] = phase_code(update.phase) | if update.beside { BESIDE } else { 0 };
        bytes[AT_UPDATE + 1] = slot_code(update.slot);
        bytes[AT_UPDATE + 2] = update.round;
        bytes[AT_UPDATE + 3] = update.starts;
        put_image(&mut bytes, AT_UPDATE + 4, &update.image);
    }
    for (i, bad) in state.bad.iter().enumerate() {
        let at = AT_BAD + i * BAD_BYTES;
        bytes[at] = fault_code(bad.fault);
        put(&mut bytes, at + 1, &bad.version.to_le_bytes());
        put(&mut bytes, at + 9, &bad.digest);
    }
    let crc = crc32(&bytes[..AT_CRC]);
    put(&mut bytes, AT_CRC, &crc.to_le_bytes());
    bytes
}

/// Reads a record: the state and its sequence number. Returns for any bytes.
pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Result<(State, u32), RecordError> {
    if bytes.iter().all(|&byte| byte == bytes[0]) {
        return Err(RecordError::Blank);
    }
    if bytes[..AT_FORMAT] != MAGIC || crc32(&bytes[..AT_CRC]).to_le_bytes() != bytes[AT_CRC..] {
        return Err(RecordError::Torn);
    }
    if bytes[AT_FORMAT] != FORMAT {
        return Err(RecordError::Format(bytes[AT_FORMAT]));
    }
    let state = read_state(bytes).ok_or(RecordError::Unsound)?;
    Ok((state, u32::from_le_bytes(take(bytes, AT_SEQUENCE))))
}

fn read_state(bytes: &[u8; RECORD_BYTES]) -> Option<State> {
    let active = match bytes[AT_ACTIVE] {
        0 => None,
        code => Some(Active {
            slot: read_slot(code)?,
            image: read_image(bytes, AT_ACTIVE + 1),
        }),
    };
    let spare = match bytes[AT_SPARE] {
        0 => None,
        1 => Some(read_image(bytes, AT_SPARE + 1)),
        _ => return None,
    };
    let update = match bytes[AT_UPDATE] {
        0 => None,
        code => Some(Update {
            phase: read_phase(code & !BESIDE)?,
            beside: code & BESIDE != 0,
            slot: read_slot(bytes[AT_UPDATE + 1])?,
            round: bytes[AT_UPDATE + 2],
            starts: bytes[AT_UPDATE + 3],
            image: read_image(bytes, AT_UPDATE + 4),
        }),
    };
    let mut bad = [None; MAX_BAD];
    for (i, entry) in bad.iter_mut().enumerate() {
        let at = AT_BAD + i * BAD_BYTES;
        if bytes[at] != 0 {
            *entry = Some(BadDigest {
                fault: read_fault(bytes[at])?,
                version: u64::from_le_bytes(take(bytes, at + 1)),
                digest: take::<32>(bytes, at + 9) as Digest,
            });
        }
    }
    // What the machine holds for ever must hold for what it reads.
    let writes_the_active_slot =
        matches!((active, update), (Some(active), Some(update)) if active.slot == update.slot);
    let spare_without_place = spare.is_some() && (active.is_none() || update.is_some());
    let beside_to_run = update.is_some_and(|update| {
        (update.phase == Phase::Beside && !update.beside)
            || (update.phase == Phase::Trial && update.beside)
    });
    if writes_the_active_slot || spare_without_place || beside_to_run {
        return None;
    }
    let serial = u64::from_le_bytes(take(bytes, AT_SERIAL));
    Some(State {
        serial,
        active,
        spare,
        update,
        bad: BadList::from_entries(bad),
    })
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// The `N` bytes at `at`; every caller's place is a constant inside the record.
fn take<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn put_image(bytes: &mut [u8], at: usize, image: &Image) {
    put(bytes, at, &image.digest);
    put(bytes, at + 32, &image.size.to_le_bytes());
    put(bytes, at + 36, &image.version.to_le_bytes());
    put(bytes, at + 44, image.name.as_bytes());
}

fn read_image(bytes: &[u8; RECORD_BYTES], at: usize) -> Image {
    Image {
        digest: take(bytes, at),
        size: u32::from_le_bytes(take(bytes, at + 32)),
        version: u64::from_le_bytes(take(bytes, at + 36)),
        name: Label::from_bytes(take(bytes, at + 44)),
    }
}

fn slot_code(slot: Slot) -> u8 {
    slot.index() as u8 + 1
}

fn read_slot(code: u8) -> Option<Slot> {
    match code {
        1 => Some(Slot::A),
        2 => Some(Slot::B),
        _ => None,
    }
}

fn phase_code(phase: Phase) -> u8 {
    match phase {
        Phase::Downloading => 1,
        Phase::Verifying => 2,
        Phase::SelfTesting => 3,
        Phase::Trial => 4,
        Phase::Beside => 5,
    }
}

fn read_phase(code: u8) -> Option<Phase> {
    match code {
        1 => Some(Phase::Downloading),
        2 => Some(Phase::Verifying),
        3 => Some(Phase::SelfTesting),
        4 => Some(Phase::Trial),
        5 => Some(Phase::Beside),
        _ => None,
    }
}

fn fault_code(fault: Fault) -> u8 {
    match fault {
        Fault::WrongDigest => 1,
        Fault::Unloadable => 2,
        Fault::SelfTest => 3,
        Fault::Trial => 4,
        Fault::Crashed => 5,
        Fault::TimedOut => 6,
    }
}

fn read_fault(code: u8) -> Option<Fault> {
    match code {
        1 => Some(Fault::WrongDigest),
        2 => Some(Fault::Unloadable),
        3 => Some(Fault::SelfTest),
        4 => Some(Fault::Trial),
        5 => Some(Fault::Crashed),
        6 => Some(Fault::TimedOut),
        _ => None,
    }
}
