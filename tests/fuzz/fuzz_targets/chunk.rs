//! A stream of chunks of any bytes: each is refused or lands in the spare slot at its place, and nothing else changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sanderling_slots::{
    Download, JOURNAL_HEADER_BYTES, JournalHeader, Medium, Place, RECORD_BYTES, Slot,
};
use sanderling_wire::{Chunk, Digest, Layout, Misfit, VERSION, decode};

/// Both slots and a journal in memory; the active slot refuses to be written.
struct Robot {
    spare: Vec<u8>,
    journal: Vec<u8>,
}

impl Medium for Robot {
    type Error = core::convert::Infallible;

    fn read_record(&mut self, _: Place, _: &mut [u8; RECORD_BYTES]) -> Result<(), Self::Error> {
        unreachable!("a chunk reads no record")
    }

    fn write_record(&mut self, _: Place, _: &[u8; RECORD_BYTES]) -> Result<(), Self::Error> {
        unreachable!("a chunk writes no record")
    }

    fn prepare(&mut self, slot: Slot, size: u32) -> Result<(), Self::Error> {
        assert_eq!(slot, Slot::B);
        self.spare = vec![0xFF; size as usize];
        Ok(())
    }

    fn write(&mut self, slot: Slot, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        assert_eq!(slot, Slot::B, "the active slot is written");
        self.spare[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn start_journal(
        &mut self,
        header: &[u8; JOURNAL_HEADER_BYTES],
        chunks: u32,
    ) -> Result<(), Self::Error> {
        self.journal = header.to_vec();
        self.journal
            .resize(JOURNAL_HEADER_BYTES + chunks as usize, 0);
        Ok(())
    }

    fn read_journal(&mut self, into: &mut [u8; JOURNAL_HEADER_BYTES]) -> Result<(), Self::Error> {
        if let Some(header) = self.journal.first_chunk() {
            *into = *header;
        }
        Ok(())
    }

    fn set_mark(&mut self, chunk: u32) -> Result<(), Self::Error> {
        self.journal[JOURNAL_HEADER_BYTES + chunk as usize] = 1;
        Ok(())
    }

    fn is_marked(&mut self, chunk: u32) -> Result<bool, Self::Error> {
        Ok(self.journal[JOURNAL_HEADER_BYTES + chunk as usize] == 1)
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[low, middle, chunk, ..], stream)) = data.split_first_chunk::<4>() else {
        return;
    };
    let size = 1 + u32::from(low) + 256 * u32::from(middle);
    let chunk_size = 256 << (chunk % 4);
    let layout = Layout::new(size.into(), chunk_size).expect("a small file");
    let release = Digest([7; 32]);
    let header = JournalHeader {
        slot: Slot::B,
        digest: release.0,
        size,
        chunk_size,
        round: 0,
    };
    let mut robot = Robot {
        spare: Vec::new(),
        journal: Vec::new(),
    };
    let download = Download::open(&mut robot, header, |_| panic!("nothing is held yet"))
        .expect("memory never fails");
    let mut expected = robot.spare.clone();

    // Each message: its length, and how far it is bent into one for this release.
    let mut rest = stream;
    while let Some((&[long, length, bend], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(length) + 256 * usize::from(long % 5);
        let Some((body, after)) = after.split_at_checked(length) else {
            break;
        };
        rest = after;
        let bytes = [&[VERSION], body].concat();
        let offset = u64::from(bend) * 256;
        let chunk = match (decode::<Chunk<'_>>(&bytes), bend % 2) {
            (Ok(chunk), 0) => chunk,
            (Ok(chunk), _) => Chunk { release, ..chunk },
            // What cannot be read serves as the data of a message that can be.
            (Err(_), _) => Chunk {
                release,
                offset,
                data: body,
            },
        };
        if chunk.release != release {
            continue;
        }
        match layout.place(chunk.offset, chunk.data.len()) {
            Ok(index) => {
                let at = layout.range(index).expect("a chunk of the file");
                expected[at.start as usize..at.end as usize].copy_from_slice(chunk.data);
                download
                    .put(&mut robot, index, chunk.data)
                    .expect("wire and slots agree on places");
            }
            Err(Misfit::Offset | Misfit::Length) => {}
        }
        assert!(robot.spare == expected);
    }
});
