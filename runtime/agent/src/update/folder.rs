//! The two slots as files: the storage behind `sanderling_slots` on Linux.
//!
//! ```text
//! FOLDER/record.0, record.1   the state, written in turn
//! FOLDER/a.model, b.model     the slots
//! FOLDER/journal              which chunks of the download are there
//! ```
//!
//! The records have their full size from the start and are written in place, so that a disk that is full later cannot
//! keep the robot from falling back.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sanderling_slots::{JOURNAL_HEADER_BYTES, MARK, MARK_BYTES, Medium, Place, RECORD_BYTES, Slot};
use sha2::{Digest, Sha256};

use crate::durable;

/// A folder with two slots.
#[derive(Debug)]
pub struct Folder {
    records: [File; 2],
    slots: [PathBuf; 2],
    journal: PathBuf,
    /// The slot that is being filled, so that it is not opened for every chunk.
    writing: Option<(Slot, File)>,
}

impl Folder {
    /// Opens the slots in `folder` and makes what is missing.
    pub fn open(folder: &Path) -> io::Result<Folder> {
        durable::private_folder(folder)?;
        let record = |name: &str| -> io::Result<File> {
            let path = folder.join(name);
            if !path.exists() {
                durable::replace(&path, &[0; RECORD_BYTES])?;
            }
            OpenOptions::new().read(true).write(true).open(&path)
        };
        Ok(Folder {
            records: [record("record.0")?, record("record.1")?],
            slots: [folder.join("a.model"), folder.join("b.model")],
            journal: folder.join("journal"),
            writing: None,
        })
    }

    /// The file behind a slot.
    pub fn path(&self, slot: Slot) -> &Path {
        &self.slots[slot.index()]
    }

    fn slot_file(&mut self, slot: Slot) -> io::Result<&File> {
        if self.writing.as_ref().is_none_or(|(open, _)| *open != slot) {
            let file = OpenOptions::new()
                .write(true)
                .open(&self.slots[slot.index()])?;
            self.writing = Some((slot, file));
        }
        match &self.writing {
            Some((_, file)) => Ok(file),
            None => Err(io::Error::other("no slot is open")),
        }
    }
}

fn write_zeros(file: &File, size: usize) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut done = 0;
    while done < size {
        let part = (size - done).min(zeros.len());
        file.write_all_at(&zeros[..part], done as u64)?;
        done += part;
    }
    Ok(())
}

/// Fills `into` from the start of a file; what is missing reads as zeros.
fn read_padded(file: &File, into: &mut [u8]) -> io::Result<()> {
    into.fill(0);
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], done as u64) {
            Ok(0) => break,
            Ok(more) => done += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Medium for Folder {
    type Error = io::Error;

    fn read_record(&mut self, place: Place, into: &mut [u8; RECORD_BYTES]) -> io::Result<()> {
        read_padded(&self.records[place.index()], into)
    }

    fn write_record(&mut self, place: Place, bytes: &[u8; RECORD_BYTES]) -> io::Result<()> {
        let file = &self.records[place.index()];
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    }

    fn prepare(&mut self, slot: Slot, size: u32) -> io::Result<()> {
        self.writing = None;
        let path = &self.slots[slot.index()];
        // Zeros are written, so that a disk without room says so now.
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(path)?;
        if let Err(error) = write_zeros(&file, size as usize) {
            // What a full disk did give is given back: the results need it.
            let _ = file.set_len(0);
            return Err(error);
        }
        file.sync_all()?;
        durable::sync_folder_of(path)
    }

    fn write(&mut self, slot: Slot, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let file = self.slot_file(slot)?;
        file.write_all_at(bytes, u64::from(offset))?;
        file.sync_data()
    }

    fn start_journal(
        &mut self,
        header: &[u8; JOURNAL_HEADER_BYTES],
        chunks: u32,
    ) -> io::Result<()> {
        let mut bytes = vec![0xFF; JOURNAL_HEADER_BYTES + MARK_BYTES * chunks as usize];
        bytes[..JOURNAL_HEADER_BYTES].copy_from_slice(header);
        durable::replace(&self.journal, &bytes)
    }

    fn read_journal(&mut self, into: &mut [u8; JOURNAL_HEADER_BYTES]) -> io::Result<()> {
        match File::open(&self.journal) {
            Ok(file) => read_padded(&file, into),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                into.fill(0);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn set_mark(&mut self, chunk: u32) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.journal)?;
        file.write_all_at(&MARK, mark_at(chunk))?;
        file.sync_data()
    }

    fn is_marked(&mut self, chunk: u32) -> io::Result<bool> {
        let mut mark = [0xFF; MARK_BYTES];
        let read = File::open(&self.journal)?.read_at(&mut mark, mark_at(chunk))?;
        Ok(read == MARK_BYTES && mark == MARK)
    }
}

fn mark_at(chunk: u32) -> u64 {
    JOURNAL_HEADER_BYTES as u64 + MARK_BYTES as u64 * u64::from(chunk)
}

/// The first `size` bytes of a slot's file and their SHA-256.
pub fn read_slot(path: &Path, size: u32) -> io::Result<(Vec<u8>, [u8; 32])> {
    let mut bytes = Vec::with_capacity(size as usize);
    File::open(path)?
        .take(u64::from(size))
        .read_to_end(&mut bytes)?;
    let digest = Sha256::digest(&bytes).into();
    Ok((bytes, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sanderling_slots::{Download, DownloadError, JournalHeader, State, load, save};

    fn header() -> JournalHeader {
        JournalHeader {
            slot: Slot::B,
            digest: [3; 32],
            size: 700,
            chunk_size: 300,
            round: 0,
        }
    }

    #[test]
    fn a_state_and_a_download_survive_a_new_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        {
            let mut medium = Folder::open(folder.path()).expect("writable");
            let mut stored = load(&mut medium).expect("readable");
            assert_eq!((stored.state, stored.lost), (State::default(), false));
            save(
                &mut medium,
                &mut stored,
                &State {
                    serial: 7,
                    ..State::default()
                },
            )
            .expect("writable");
            let download =
                Download::open(&mut medium, header(), |_| panic!("nothing is held")).expect("room");
            download.put(&mut medium, 2, &[9; 100]).expect("room");
            let short = download.put(&mut medium, 0, &[9; 100]);
            assert!(matches!(short, Err(DownloadError::WrongLength)));
        }
        let mut medium = Folder::open(folder.path()).expect("writable");
        assert_eq!(load(&mut medium).expect("readable").state.serial, 7);
        let mut held = Vec::new();
        Download::open(&mut medium, header(), |chunk| held.push(chunk)).expect("readable");
        assert_eq!(held, [2]);
        let (bytes, _) = read_slot(medium.path(Slot::B), 700).expect("readable");
        assert_eq!((bytes.len(), &bytes[600..]), (700, &[9; 100][..]));
    }

    #[test]
    fn a_journal_of_any_bytes_is_read_or_ignored() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut medium = Folder::open(folder.path()).expect("writable");
        for junk in [
            vec![],
            vec![0; 3],
            vec![0xFF; 500],
            header().encode()[..63].to_vec(),
            header().encode().to_vec(),
        ] {
            std::fs::write(folder.path().join("journal"), junk).expect("writable");
            let mut held = 0;
            Download::open(&mut medium, header(), |_| held += 1).expect("readable");
            assert_eq!(held, 0);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_stands_in_the_files_a_robot_starts(
            journal in prop::collection::vec(any::<u8>(), 0..200),
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 2),
            marks in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..40),
        ) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path();
            std::fs::write(path.join("record.0"), &records[0]).expect("writable");
            std::fs::write(path.join("record.1"), &records[1]).expect("writable");
            let mut medium = Folder::open(path).expect("writable");
            prop_assert_eq!(load(&mut medium).expect("readable").state, State::default());
            // Nonsense, and a right header with marks that were torn anywhere.
            for bytes in [journal, [&header().encode()[..], &marks].concat()] {
                std::fs::write(path.join("journal"), bytes).expect("writable");
                let mut held = Vec::new();
                Download::open(&mut medium, header(), |chunk| held.push(chunk)).expect("readable");
                let whole = |chunk: &u32| {
                    let at = *chunk as usize * MARK_BYTES;
                    marks.get(at..at + MARK_BYTES) == Some(&MARK[..])
                };
                prop_assert!(held.iter().all(whole), "{:?} of {:?}", held, marks);
            }
        }
    }
}
