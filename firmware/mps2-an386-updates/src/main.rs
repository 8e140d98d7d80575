//! Firmware for QEMU's `mps2-an386`, a Cortex-M4F, that gets its models over the UART: two slots in memory that
//! stands for a NOR flash, an engine, and nothing that waits.
//!
//! The loop hears what arrived, says what is due, and does one piece of work: an inference with the model that runs,
//! a few KiB of a checksum, or a golden vector. The model's input is its own golden one, for the board has no sensor.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod clock;
mod flash;
mod link;
mod serve;
mod uart;

use cortex_m_rt::entry;
use sanderling_app as _;
use sanderling_slots::nor::{Flash, Regions};
use sanderling_updates::{Belief, CHUNK, Identity, Node, TrialLength};
use sanderling_wire::Name;
use static_cell::{ConstStaticCell, StaticCell};

use flash::{ERASE, Psram};
use link::Link;

include!(concat!(env!("OUT_DIR"), "/root.rs"));

/// Bytes of a slot.
const SLOT: u32 = 512 * 1024;
/// Bytes of the arena.
const ARENA: usize = 512 * 1024;
/// Where the slots lie behind the block that counts starts.
const REGIONS: Option<Regions> = Regions::lay_out(ERASE as u32, ERASE as u32, SLOT, SLOT / CHUNK);

#[repr(C, align(16))]
struct Aligned([u8; ARENA]);

static ARENA_BYTES: ConstStaticCell<Aligned> = ConstStaticCell::new(Aligned([0; ARENA]));
static NODE: StaticCell<Node<Psram>> = StaticCell::new();
static LINK: ConstStaticCell<Link> = ConstStaticCell::new(Link::new());

#[entry]
fn main() -> ! {
    clock::start();
    let mut psram = Psram::take().expect("taken once");
    let boot = psram.count_start();
    let regions = REGIONS.expect("they fit into 32 bits");
    let flash = Flash::new(psram, regions).expect("they fit the flash");
    let belief = match ROOT {
        Some(chain) => Belief::rooted(chain).expect("the root that was built in is sound"),
        None => Belief::unsigned(),
    };
    let name = |text| Name::new(text).expect("a name");
    let identity = Identity {
        device: name("mcu-1"),
        group: name("arms"),
        board: "mps2-an386",
        software: concat!("mps2-an386-updates ", env!("CARGO_PKG_VERSION")),
        targets: ["cortex-m4"].into_iter().map(name).collect(),
        arena_bytes: ARENA as u32,
        part_bytes: 1024,
        boot,
    };
    let length = TrialLength {
        inferences: 10,
        millis: 30_000,
    };
    let node = Node::start(identity, belief, length, flash, clock::now_ms())
        .expect("the flash can be read");
    serve::forever(
        NODE.init(node),
        &regions,
        LINK.take(),
        &mut ARENA_BYTES.take().0,
    )
}
