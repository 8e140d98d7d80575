//! The segment files of an outbox: appending, reading in order, deleting what is confirmed.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sanderling_slots::crc32;
use sanderling_wire::FrameId;

use super::segment::{self, HEADER};
use crate::durable;

/// A segment is closed at this size, or at an eighth of the outbox's bound where that is less.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// How much is read from a segment at once.
const READ_BYTES: usize = 256 * 1024;

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// The offset in its file.
    pub offset: u64,
}

/// What had to be mended when an outbox was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Results that wait from earlier runs.
    pub waiting: u64,
    /// The starts that they are of.
    pub boots: BTreeSet<u32>,
    /// Bytes of torn records that were cut off.
    pub cut_bytes: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    /// Records that were not read yet.
    unread: u64,
}

/// The files of an outbox.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    /// The last segment's file, open for appending; none before the first append.
    writer: Option<File>,
    /// The segment that is being read, from `read.offset` on.
    reader: Option<(u64, Vec<u8>, u64)>,
    read: Position,
    confirmed: Position,
    noted: Position,
    unsynced: bool,
}

impl Store {
    pub fn open(folder: &Path, bytes: u64) -> io::Result<(Store, Repair)> {
        durable::private_folder(folder)?;
        let mut numbers: Vec<u64> = fs::read_dir(folder)?
            .filter_map(|entry| number_of(&entry.ok()?.path()))
            .collect();
        numbers.sort_unstable();
        let noted = fs::read(folder.join("cursor"))
            .ok()
            .and_then(|bytes| parse_cursor(&bytes));
        // Without a cursor everything that is there waits. A cursor whose segment is gone still says which numbers
        // were used: using one again would let an old cursor vouch for new records.
        let start = |number| Position {
            segment: number,
            offset: HEADER.len() as u64,
        };
        let cursor = noted.unwrap_or(start(numbers.first().copied().unwrap_or(0)));
        let mut repair = Repair::default();
        let mut segments = VecDeque::new();
        for &number in &numbers {
            if number < cursor.segment {
                fs::remove_file(path_of(folder, number))?;
                continue;
            }
            let skip = if number == cursor.segment {
                cursor.offset
            } else {
                0
            };
            let segment = Store::scan(folder, number, skip, &mut repair)?;
            segments.push_back(segment);
        }
        repair.waiting = segments.iter().map(|segment| segment.unread).sum();
        let store = Store {
            folder: folder.to_path_buf(),
            segment_bytes: SEGMENT_BYTES.min(bytes / 8).max(4096),
            segments,
            writer: None,
            reader: None,
            read: cursor,
            confirmed: cursor,
            noted: cursor,
            unsynced: false,
        };
        Ok((store, repair))
    }

    /// Counts a segment's records from `skip` on, and cuts off what is torn.
    fn scan(folder: &Path, number: u64, skip: u64, repair: &mut Repair) -> io::Result<Segment> {
        let path = path_of(folder, number);
        let bytes = fs::read(&path)?;
        let whole = segment::whole(&bytes);
        if whole < bytes.len() {
            repair.cut_bytes += (bytes.len() - whole) as u64;
            OpenOptions::new()
                .write(true)
                .open(&path)?
                .set_len(whole as u64)?;
        }
        let mut unread = 0;
        for record in segment::records(&bytes).filter(|record| record.end as u64 > skip) {
            repair.boots.insert(record.frame.boot);
            unread += 1;
        }
        Ok(Segment {
            number,
            bytes: whole as u64,
            unread,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub fn unread(&self) -> u64 {
        self.segments.iter().map(|segment| segment.unread).sum()
    }

    /// True where nothing lies between what was read and what will be appended next.
    pub fn everything_is_read(&self) -> bool {
        self.unread() == 0
    }

    /// Appends a record and gives the place behind it. After an error the segment is as it was.
    pub fn append(&mut self, frame: FrameId, payload: &[u8]) -> io::Result<Position> {
        let full = self
            .segments
            .back()
            .is_none_or(|last| last.bytes >= self.segment_bytes);
        if full || self.writer.is_none() {
            self.begin_segment()?;
        }
        let (Some(file), Some(last)) = (self.writer.as_mut(), self.segments.back_mut()) else {
            return Err(io::Error::other("the outbox has no open segment"));
        };
        let mut record = Vec::with_capacity(segment::RECORD_HEADER_BYTES + payload.len());
        segment::append(&mut record, frame, payload);
        if let Err(error) = file.write_all(&record) {
            // What a full disk took of the record goes again; where even that fails, the segment is left as it
            // is (readers stop at the torn record) and the next append begins another.
            if file.set_len(last.bytes).is_err() {
                self.writer = None;
            }
            return Err(error);
        }
        last.bytes += record.len() as u64;
        last.unread += 1;
        self.unsynced = true;
        Ok(Position {
            segment: last.number,
            offset: last.bytes,
        })
    }

    /// Closes the last segment and begins a new one. A restart always begins one: what a crash left is never written to.
    fn begin_segment(&mut self) -> io::Result<()> {
        if let Some(file) = self.writer.take() {
            file.sync_data()?;
        }
        let last = self.segments.back().map_or(0, |last| last.number);
        let number = last.max(self.confirmed.segment) + 1;
        let path = path_of(&self.folder, number);
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.set_len(0)?;
        if let Err(error) = file.write_all(&HEADER) {
            // An empty segment is of no use; where it cannot be removed, the next start does.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let _ = durable::sync_folder_of(&path);
        if self.everything_is_read() && self.segments.is_empty() {
            self.read = Position {
                segment: number,
                offset: HEADER.len() as u64,
            };
            self.confirmed = self.read;
        }
        self.segments.push_back(Segment {
            number,
            bytes: HEADER.len() as u64,
            unread: 0,
        });
        self.writer = Some(file);
        Ok(())
    }

    /// The next record that was not read, with the place behind it.
    pub fn read_next(&mut self) -> Option<(FrameId, Vec<u8>, Position)> {
        while self.unread() > 0 {
            let index = self
                .segments
                .iter()
                .position(|segment| segment.number >= self.read.segment)?;
            let (number, bytes, unread) = {
                let segment = &self.segments[index];
                (segment.number, segment.bytes, segment.unread)
            };
            if number > self.read.segment {
                self.read = Position {
                    segment: number,
                    offset: HEADER.len() as u64,
                };
            }
            if unread > 0
                && let Some((frame, payload, length)) = self.read_at(self.read)
            {
                self.read.offset += length;
                self.segments[index].unread -= 1;
                return Some((frame, payload, self.read));
            }
            // Nothing more in this segment: all was read, or the file was damaged behind our back.
            self.segments[index].unread = 0;
            if index + 1 == self.segments.len() {
                self.read.offset = bytes;
                return None;
            }
            self.read = Position {
                segment: number + 1,
                offset: HEADER.len() as u64,
            };
        }
        None
    }

    /// Reads the record at a place; gives its length too.
    fn read_at(&mut self, at: Position) -> Option<(FrameId, Vec<u8>, u64)> {
        for fresh in [false, true] {
            if fresh
                || self
                    .reader
                    .as_ref()
                    .is_none_or(|(number, ..)| *number != at.segment)
            {
                let file = File::open(path_of(&self.folder, at.segment)).ok()?;
                let mut bytes = vec![0; READ_BYTES.max(segment::MAX_PAYLOAD + 1024)];
                let mut length = 0;
                while let Ok(more @ 1..) =
                    file.read_at(&mut bytes[length..], at.offset + length as u64)
                {
                    length += more;
                }
                bytes.truncate(length);
                self.reader = Some((at.segment, bytes, at.offset));
            }
            let (_, bytes, start) = self.reader.as_ref()?;
            let inside = at
                .offset
                .checked_sub(*start)
                .and_then(|inside| usize::try_from(inside).ok());
            if let Some(inside) = inside
                && let Some(record) = segment::record(bytes, inside)
            {
                let length = (record.end - inside) as u64;
                return Some((record.frame, record.payload.to_vec(), length));
            }
        }
        None
    }

    /// Says that everything before `end` was handed over without being read from the file.
    pub fn skip_to(&mut self, end: Position) {
        self.read = end;
        if let Some(last) = self.segments.back_mut() {
            last.unread = 0;
        }
    }

    /// Says that everything before `end` is confirmed, and deletes the segments that are.
    pub fn advance(&mut self, end: Position) {
        self.confirmed = self.confirmed.max(end);
        while let Some(first) = self.segments.front() {
            let done = first.number < self.confirmed.segment;
            // The segment that is written to is deleted too once it is full and confirmed to its end.
            let full = self.segments.len() == 1
                && first.bytes >= self.segment_bytes
                && self.confirmed.offset >= first.bytes
                && self.confirmed.segment == first.number;
            if !done && !full {
                return;
            }
            let path = path_of(&self.folder, first.number);
            if full {
                self.writer = None;
            }
            // A file that cannot be removed now is removed at the next start: the cursor is behind it.
            let _ = fs::remove_file(path);
            self.segments.pop_front();
        }
    }

    /// Deletes the oldest segment to make room; gives its number and how many records in it were not read. The
    /// segment that is written to is closed first where it is the only one.
    pub fn drop_oldest(&mut self) -> Option<(u64, u64)> {
        let first = self.segments.pop_front()?;
        if self.segments.is_empty() {
            self.writer = None;
        }
        let _ = fs::remove_file(path_of(&self.folder, first.number));
        let next = Position {
            segment: first.number + 1,
            offset: HEADER.len() as u64,
        };
        self.confirmed = self.confirmed.max(next);
        self.read = self.read.max(next);
        Some((first.number, first.unread))
    }

    /// The file with what was appended since the last call, if anything was.
    pub fn begin_sync(&mut self) -> io::Result<Option<File>> {
        match self
            .writer
            .as_ref()
            .filter(|_| std::mem::take(&mut self.unsynced))
        {
            Some(file) => file.try_clone().map(Some),
            None => Ok(None),
        }
    }

    pub fn note_cursor(&mut self) -> io::Result<()> {
        if self.noted != self.confirmed {
            durable::replace_unsynced(&self.folder.join("cursor"), &format_cursor(self.confirmed))?;
            self.noted = self.confirmed;
        }
        Ok(())
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.seg"))
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    u64::from_str_radix(name, 16)
        .ok()
        .filter(|_| name.len() == 16)
}

fn format_cursor(cursor: Position) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&cursor.segment.to_le_bytes());
    bytes[8..16].copy_from_slice(&cursor.offset.to_le_bytes());
    let crc = crc32(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn parse_cursor(bytes: &[u8]) -> Option<Position> {
    let segment = u64::from_le_bytes(*bytes.first_chunk()?);
    let offset = u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?);
    let cursor = Position { segment, offset };
    (bytes == format_cursor(cursor) && offset >= HEADER.len() as u64).then_some(cursor)
}
