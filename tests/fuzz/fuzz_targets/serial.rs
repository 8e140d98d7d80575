//! Bytes off a serial line: the decoder returns on all of them, and what it gives can be sent again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sanderling_wire::serial::{Assembly, Decoder, Link, MAX_FRAME, MAX_WIRE, encode_frame};

/// Puts a right checksum into what lies between zeros, so that what it says is looked at.
fn vouched(body: &[u8]) -> Vec<u8> {
    let mut plain = vec![1];
    plain.extend(body);
    let bit = |c: u32, _| {
        if c & 1 == 1 {
            c >> 1 ^ 0xEDB8_8320
        } else {
            c >> 1
        }
    };
    let crc = plain
        .iter()
        .fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), bit));
    plain.extend((!crc).to_le_bytes());
    let mut frame = vec![0];
    for run in plain.split(|&byte| byte == 0) {
        for part in run.chunks(254) {
            frame.push(part.len() as u8 + 1);
            frame.extend(part);
        }
        if run.len() % 254 == 0 {
            frame.push(1);
        }
    }
    frame.push(0);
    frame
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let mut small = Decoder::<48>::new();
    let mut assembly = Assembly::<2048>::new();
    let frames = data.split(|&byte| byte == 0xFF).flat_map(vouched);
    for byte in data.iter().copied().chain(frames) {
        let _ = small.push(byte);
        let Some(Ok(link)) = decoder.push(byte) else {
            continue;
        };
        let mut buffer = [0; MAX_WIRE];
        let again = encode_frame(&link, &mut buffer).expect("what was read can be sent");
        let mut other = Decoder::<MAX_FRAME>::new();
        let reread = again
            .iter()
            .filter(|&&byte| other.push(byte).is_some_and(|r| r.is_ok()))
            .count();
        assert_eq!(reread, 1);
        if let Link::Piece(piece) = &link {
            let _ = assembly.push(piece);
        }
    }
});
