//! A Linux board under QEMU's user mode: the plan in a static array, files as they are.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;
use std::{process, ptr};

use static_cell::ConstStaticCell;

use crate::inference::{self, Ending};
use crate::timing;

/// The longest plan and the largest arena, in bytes.
const ROOM: usize = 64 << 20;

/// Memory that starts at a multiple of 64, as a cache line does.
#[repr(C, align(64))]
struct Memory([u8; ROOM]);

/// Where the plan goes. Its address is how the step records are found.
#[expect(
    unsafe_code,
    reason = "a symbol that keeps its name can clash with another one"
)]
// SAFETY: no other symbol of the program has this name.
#[unsafe(no_mangle)]
static COUNT_PLAN: ConstStaticCell<Memory> = ConstStaticCell::new(Memory([0; ROOM]));

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory([0; ROOM]));

/// Runs the plan in the file `count.plan` on the files.
pub fn inference() -> Ending {
    let room = &mut COUNT_PLAN.take().0;
    let Some(plan) = fs::read("count.plan").ok().and_then(|bytes| {
        let plan = room.get_mut(..bytes.len())?;
        plan.copy_from_slice(&bytes);
        Some(plan)
    }) else {
        return Ending::Plan;
    };
    // Whoever watches the step records reckons from the symbol.
    if plan.as_ptr().addr() != ptr::from_ref(&COUNT_PLAN).addr() {
        return Ending::Place;
    }
    // `count SECONDS` times inferences, for comparisons on the machine itself.
    if let Some(seconds) = env::args().nth(1).and_then(|word| word.parse().ok()) {
        let Ok(input) = fs::read("count.in") else {
            return Ending::Input;
        };
        let span = Duration::from_secs_f64(seconds);
        return timing::run(black_box(plan), &mut MEMORY.take().0, &input, span);
    }
    let (Ok(mut input), Ok(mut output)) = (File::open("count.in"), File::create("count.out"))
    else {
        return Ending::Input;
    };
    inference::run(
        black_box(plan),
        &mut MEMORY.take().0,
        |bytes| input.read_exact(bytes).is_ok(),
        |bytes| output.write_all(bytes).is_ok(),
    )
}

/// Ends the program.
pub fn exit(ending: Ending) -> ! {
    process::exit(ending as i32)
}
