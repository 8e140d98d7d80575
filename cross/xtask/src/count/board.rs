//! The boards on which instructions are counted, and how QEMU stands in for each.

use anyhow::Context;

/// How a board is emulated.
#[derive(Clone, Copy, Debug)]
pub enum Emulator {
    /// A whole machine; the plan is put at an address of its flash.
    Machine {
        /// Where `firmware/count` expects the plan.
        plan_at: u64,
    },
    /// Linux programs on a processor called so; the plan is read into a static.
    Processor(&'static str),
}

/// A board that instructions are counted on.
#[derive(Debug)]
pub struct Board {
    /// What the user calls it.
    pub name: &'static str,
    /// What the processor is called in tables.
    pub processor: &'static str,
    /// Rust's target.
    pub triple: &'static str,
    /// What the compiler packs plans for.
    pub packing: &'static str,
    /// Compiler flags beside those of `.cargo/config.toml`, which they replace.
    pub flags: &'static str,
    /// How it is emulated.
    pub emulator: Emulator,
    /// Most multiply-accumulates of 8-bit operands that one instruction makes.
    pub macs_per_instruction: u32,
}

/// Every board.
pub const BOARDS: [Board; 4] = [
    Board {
        name: "mps2-an386",
        processor: "Cortex-M4",
        triple: "thumbv7em-none-eabihf",
        packing: "cortex-m4",
        flags: "-C target-cpu=cortex-m4",
        emulator: Emulator::Machine {
            plan_at: 0x0020_0000,
        },
        // SMLAD: two products of 16 bits.
        macs_per_instruction: 2,
    },
    Board {
        name: "mps3-an547",
        processor: "Cortex-M55",
        triple: "thumbv8m.main-none-eabihf",
        packing: "cortex-m55",
        flags: "-C target-cpu=cortex-m55",
        emulator: Emulator::Machine {
            plan_at: 0x3800_0000,
        },
        // VMLADAVA.S8: sixteen lanes.
        macs_per_instruction: 16,
    },
    Board {
        name: "a72",
        processor: "Cortex-A72",
        triple: "aarch64-unknown-linux-musl",
        packing: "aarch64",
        // A place of its own for every symbol, known before the program runs.
        flags: "-C relocation-model=static",
        emulator: Emulator::Processor("cortex-a72"),
        // SMLAL: eight lanes.
        macs_per_instruction: 8,
    },
    Board {
        name: "a76",
        processor: "Cortex-A76",
        triple: "aarch64-unknown-linux-musl",
        packing: "aarch64-dotprod",
        flags: "-C relocation-model=static",
        emulator: Emulator::Processor("cortex-a76"),
        // SDOT: four lanes of four products.
        macs_per_instruction: 16,
    },
];

impl Board {
    /// Whether the program runs on the bare machine.
    pub fn is_microcontroller(&self) -> bool {
        matches!(self.emulator, Emulator::Machine { .. })
    }

    /// The board called `name`.
    pub fn named(name: &str) -> anyhow::Result<&'static Board> {
        BOARDS.iter().find(|b| b.name == name).with_context(|| {
            format!(
                "instructions are not counted on {name}; there are {}",
                BOARDS.map(|b| b.name).join(", ")
            )
        })
    }
}
