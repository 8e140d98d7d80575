//! One segment file of the outbox: records behind one another, each with its length and a CRC.
//!
//! ```text
//! segment:  magic "SOBX" format 1, zeros to 8 | record | record | ...
//! record:   length u32 | CRC-32 u32 over what follows | boot u32 | seq u64 | payload
//! ```
//!
//! Little-endian; the length counts everything behind the CRC. A segment is only ever appended to. What a crash left
//! half-written at its end does not have a right CRC, is cut off at the next start, and was never acknowledged to
//! anybody.

use sanderling_slots::crc32;
use sanderling_wire::FrameId;

/// The first bytes of every segment.
pub const HEADER: [u8; 8] = *b"SOBX\x01\0\0\0";
/// Bytes of a record in front of its payload.
pub const RECORD_HEADER_BYTES: usize = 8 + FRAME_BYTES;
/// No payload is longer; a length above it is damage, not a record.
pub const MAX_PAYLOAD: usize = 256 * 1024;

const FRAME_BYTES: usize = 12;

/// One record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The frame that the result belongs to.
    pub frame: FrameId,
    /// The message as it will be published.
    pub payload: &'a [u8],
    /// Where the record behind this one begins, counted from the start of what was read.
    pub end: usize,
}

/// Appends a record to `out`.
pub fn append(out: &mut Vec<u8>, frame: FrameId, payload: &[u8]) {
    let start = out.len();
    let length = u32::try_from(FRAME_BYTES + payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&frame.boot.to_le_bytes());
    out.extend_from_slice(&frame.seq.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The record that begins at `at`, if a whole one does. Returns for any bytes and any place.
pub fn record(bytes: &[u8], at: usize) -> Option<Record<'_>> {
    let rest = bytes.get(at..)?;
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    if !(FRAME_BYTES..=FRAME_BYTES + MAX_PAYLOAD).contains(&length) {
        return None;
    }
    let crc = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?);
    let body = rest.get(8..8 + length)?;
    if crc32(body) != crc {
        return None;
    }
    let boot = u32::from_le_bytes(*body.first_chunk()?);
    let seq = u64::from_le_bytes(*body.get(4..)?.first_chunk()?);
    let payload = body.get(FRAME_BYTES..)?;
    Some(Record {
        frame: FrameId { boot, seq },
        payload,
        end: at + 8 + length,
    })
}

/// Every whole record from the beginning of a segment's bytes.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut at = if bytes.starts_with(&HEADER) {
        HEADER.len()
    } else {
        bytes.len()
    };
    std::iter::from_fn(move || {
        let record = record(bytes, at)?;
        at = record.end;
        Some(record)
    })
}

/// How many bytes of a segment are whole; what follows is a torn tail. 0 where even the header is not there.
pub fn whole(bytes: &[u8]) -> usize {
    let header = if bytes.starts_with(&HEADER) {
        HEADER.len()
    } else {
        0
    };
    records(bytes).last().map_or(header, |record| record.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for (seq, payload) in payloads.iter().enumerate() {
            append(
                &mut bytes,
                FrameId {
                    boot: 7,
                    seq: seq as u64,
                },
                payload,
            );
        }
        bytes
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12)
    }

    proptest! {
        #[test]
        fn what_was_appended_is_read(payloads in payloads()) {
            let bytes = segment(&payloads);
            let read: Vec<_> = records(&bytes).map(|record| (record.frame.seq, record.payload.to_vec())).collect();
            let written: Vec<_> = (0..).zip(payloads).collect();
            prop_assert_eq!(read, written);
            prop_assert_eq!(whole(&bytes), bytes.len());
        }

        #[test]
        fn any_bytes_give_records_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), at: usize) {
            let mut headed = HEADER.to_vec();
            headed.extend(&bytes);
            prop_assert!(whole(&bytes) <= bytes.len());
            prop_assert!(whole(&headed) <= headed.len());
            let _ = record(&bytes, at);
        }

        #[test]
        fn a_torn_tail_costs_only_the_record_it_tears(payloads in payloads(), cut: prop::sample::Index) {
            let bytes = segment(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let torn = &bytes[..cut];
            let before: Vec<_> = records(&bytes).take_while(|record| record.end <= cut).collect();
            prop_assert_eq!(records(torn).collect::<Vec<_>>(), before);
            prop_assert!(whole(torn) <= cut);
        }

        #[test]
        fn a_flipped_bit_never_gives_a_false_record(payloads in payloads(), at: prop::sample::Index, bit in 0u8..8) {
            let good = segment(&payloads);
            let mut bad = good.clone();
            let at = at.index(bad.len());
            bad[at] ^= 1 << bit;
            for (read, wrote) in records(&bad).zip(records(&good)) {
                prop_assert_eq!(read, wrote);
            }
            prop_assert!(records(&bad).count() <= payloads.len());
        }
    }
}
