//! Every function against what slices do, at all alignments and short lengths; ends with
//! status 0 where they agree. `cross/xtask` runs it under QEMU.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board {
    use core::hint::black_box;
    use cortex_m as _;
    use sanderling_memory as _;
    use semihosting::process;

    // SAFETY: C's functions and those of the Arm run-time ABI.
    unsafe extern "C" {
        fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8;
        fn __aeabi_memset(to: *mut u8, len: usize, value: i32);
        fn __aeabi_memclr(to: *mut u8, len: usize);
        fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32;
    }

    /// Lengths that are tried, and bytes of what they are tried in.
    const LENGTHS: usize = 71;
    const ROOM: usize = 160;

    type Room = [u8; ROOM];

    fn room() -> Room {
        let mut room = [0; ROOM];
        for (at, byte) in room.iter_mut().enumerate() {
            *byte = (at * 37 + 11) as u8;
        }
        room
    }

    /// The loops of the functions under test are not used for what they should give.
    fn same(got: &Room, expected: impl Fn(usize) -> u8) {
        for (at, &byte) in got.iter().enumerate() {
            assert!(byte == black_box(expected(at)));
        }
    }

    fn copies(len: usize, to: usize, from: usize) {
        let (source, mut got) = (room(), room());
        let from = 90 - from;
        let (start, place) = (
            source[from..][..len].as_ptr(),
            got[to..][..len].as_mut_ptr(),
        );
        // SAFETY: both slices have `len` bytes.
        let at = unsafe { memcpy(place, start, black_box(len)) };
        assert!(at == place);
        let inside = |at: usize| (to..to + len).contains(&at);
        same(&got, |at| match inside(at) {
            true => source[at - to + from],
            false => source[at],
        });
    }

    fn moves(len: usize, to: usize, from: usize) {
        let (source, mut got) = (room(), room());
        let start = got.as_mut_ptr();
        assert!(to + len <= ROOM && from + len <= ROOM);
        // SAFETY: both lie in the room.
        let (place, start) = unsafe { (start.add(to), start.add(from)) };
        // SAFETY: as above, `len` bytes of each.
        let at = unsafe { memmove(place, start, black_box(len)) };
        assert!(at == place);
        let inside = |at: usize| (to..to + len).contains(&at);
        same(&got, |at| match inside(at) {
            true => source[at - to + from],
            false => source[at],
        });
    }

    fn fills(len: usize, to: usize, which: usize) {
        let (source, mut got) = (room(), room());
        let value = if which == 0 { 0 } else { 0x1f5 + which as i32 };
        let place = got[to..][..len].as_mut_ptr();
        // SAFETY: the slice has `len` bytes.
        unsafe {
            match which {
                0 => __aeabi_memclr(place, black_box(len)),
                1..4 => __aeabi_memset(place, black_box(len), black_box(value)),
                _ => assert!(memset(place, black_box(value), black_box(len)) == place),
            }
        }
        let inside = |at: usize| (to..to + len).contains(&at);
        same(&got, |at| match inside(at) {
            true => value as u8,
            false => source[at],
        });
    }

    fn compares(len: usize, at: usize, change: usize) {
        let (a, mut b) = (room(), room());
        let place = at + len * change / 8;
        b[place] = b[place].wrapping_add(change as u8 * 31);
        let differs = place < at + len && change > 0;
        let (x, y) = (a[at..][..len].as_ptr(), b[at..][..len].as_ptr());
        // SAFETY: both slices have `len` bytes.
        let order = unsafe { memcmp(black_box(x), black_box(y), black_box(len)) };
        assert!(
            order.signum()
                == if differs {
                    a[place].cmp(&b[place]) as i32
                } else {
                    0
                }
        );
    }

    #[cortex_m_rt::entry]
    fn main() -> ! {
        for len in 0..LENGTHS {
            for to in 0..8 {
                for from in 0..8 {
                    copies(len, to, from);
                    fills(len, to, from);
                    compares(len, to, from);
                }
            }
            for to in 0..88 {
                moves(len, to, 44);
            }
        }
        process::exit(0)
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        process::exit(101)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("runs on a board: --target thumbv7em-none-eabihf");
}
