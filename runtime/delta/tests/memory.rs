//! What applying takes: exactly the buffers that a microcontroller gives it, and no more.

use core::mem::size_of;

use sanderling_delta::{Applier, Block, Delta, ENTRY_BYTES, HEADER_BYTES, make};

/// All RAM that an application may take, its input's buffer included.
const LIMIT: usize = 8 * 1024;
const BLOCK: usize = 4096;

/// What a robot without a heap keeps while it applies a delta.
struct Memory {
    applier: Applier,
    head: [u8; HEADER_BYTES],
    delta: Option<Delta>,
    entries: [u8; 2 * ENTRY_BYTES],
    block: Option<Block>,
    input: [u8; BLOCK],
}

#[test]
fn a_delta_is_applied_in_8_kib_with_its_input() {
    let base: Vec<u8> = (0..40_000u32).map(|i| ((i * i) >> 7) as u8).collect();
    let mut new = base.clone();
    for (i, byte) in new.iter_mut().enumerate().filter(|(i, _)| i % 5 == 0) {
        *byte = byte.wrapping_add((i % 3) as u8);
    }
    new[20_000..20_500].fill(7);
    let bytes = make(&base, &new, BLOCK as u32).unwrap();
    assert!(
        size_of::<Memory>() <= LIMIT,
        "{} bytes",
        size_of::<Memory>()
    );
    println!(
        "{} bytes in all, {} of them the input, {} the applier",
        size_of::<Memory>(),
        BLOCK,
        size_of::<Applier>()
    );

    let mut memory = Memory {
        applier: Applier::new(),
        head: [0; HEADER_BYTES],
        delta: None,
        entries: [0; 2 * ENTRY_BYTES],
        block: None,
        input: [0; BLOCK],
    };
    let mut flash = vec![0xFF; new.len()];
    memory.head.copy_from_slice(&bytes[..HEADER_BYTES]);
    let delta = *memory.delta.insert(Delta::open(&memory.head).unwrap());
    for index in 0..delta.blocks() {
        let place = delta.entry_place(index).unwrap();
        let entries = &mut memory.entries[..place.len()];
        entries.copy_from_slice(&bytes[place.start as usize..place.end as usize]);
        let block = memory.block.insert(delta.block_at(index, entries).unwrap());
        let input = &mut memory.input[..block.bytes.len()];
        input.copy_from_slice(&bytes[block.bytes.start as usize..block.bytes.end as usize]);
        let mut sink = |at: u32, piece: &[u8]| {
            flash[at as usize..][..piece.len()].copy_from_slice(piece);
            Ok::<(), ()>(())
        };
        memory
            .applier
            .block(&delta, block, input, &mut &base[..], &mut sink)
            .unwrap();
    }
    assert_eq!(flash, new);
}
