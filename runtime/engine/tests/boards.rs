//! The kernels of microcontrollers against the generic ones: random steps on emulated
//! boards, in the program that instructions are counted with.

#[path = "kernels/case.rs"]
mod case;
#[path = "operators/single.rs"]
#[allow(dead_code, reason = "only the numbers are drawn from it")]
mod single;

use case::{Along, Case, conv_case, fully_connected_case, winograd_case};
use sanderling_plan::Target;
use single::Draw;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Random steps of each kind.
const CASES: u64 = 8;
/// Seconds that building the program may take, and one run of it.
const DEADLINES: [&str; 2] = ["900", "60"];

/// A board, and what it is built for.
struct Board {
    machine: &'static str,
    triple: &'static str,
    flags: &'static str,
    target: Target,
    /// Where `firmware/count` expects the plan.
    plan_at: u32,
}

const CORTEX_M4: Board = Board {
    machine: "mps2-an386",
    triple: "thumbv7em-none-eabihf",
    flags: "-C target-cpu=cortex-m4",
    target: Target::CortexM4,
    plan_at: 0x0020_0000,
};

const CORTEX_M55: Board = Board {
    machine: "mps3-an547",
    triple: "thumbv8m.main-none-eabihf",
    flags: "-C target-cpu=cortex-m55",
    target: Target::CortexM55,
    plan_at: 0x3800_0000,
};

impl Board {
    /// Builds the program; `None` where the emulator or the compiler's target is missing.
    fn program(&self) -> Option<PathBuf> {
        let says = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok()?;
            String::from_utf8(output.stdout).ok()
        };
        let libraries = says(
            "rustc",
            &["--print", "target-libdir", "--target", self.triple],
        )?;
        if says("qemu-system-arm", &["--version"]).is_none()
            || !Path::new(libraries.trim()).is_dir()
        {
            eprintln!("{}: no emulator, or no such target", self.machine);
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.machine);
        let status = Command::new("timeout")
            .args([DEADLINES[0], "cargo", "build", "-q", "--release", "-p"])
            .args(["count", "--features", "sanderling-engine/every-operator"])
            .args(["--target", self.triple])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware"))
            .env("CARGO_TARGET_DIR", &folder)
            .env("RUSTFLAGS", self.flags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo");
        assert!(
            status.success(),
            "{}: the program is not built",
            self.machine
        );
        Some(folder.join(self.triple).join("release/count"))
    }

    /// The output of a step.
    fn run(&self, program: &Path, case: &Case) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.machine);
        let write = |name, bytes: &[u8]| fs::write(folder.join(name), bytes).expect(name);
        write("count.plan", &case.plan(self.target).bytes);
        write("count.in", bytemuck::cast_slice(&case.x));
        write("count.out", &[]);
        let output = Command::new("timeout")
            .args([DEADLINES[1], "qemu-system-arm", "-M", self.machine])
            .args(["-display", "none", "-monitor", "none", "-serial", "null"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .arg("-device")
            .arg(format!(
                "loader,file=count.plan,addr={:#x},force-raw=on",
                self.plan_at
            ))
            .arg("-kernel")
            .arg(program)
            .current_dir(&folder)
            .output()
            .expect("qemu-system-arm");
        assert!(
            output.status.success(),
            "{}: {:?}\n{}\n{case:?}",
            self.machine,
            output.status.code(),
            String::from_utf8_lossy(&output.stderr),
        );
        fs::read(folder.join("count.out")).expect("count.out")
    }

    /// Random steps of each kind.
    fn agrees(&self) {
        let Some(program) = self.program() else {
            return;
        };
        for seed in 0..CASES {
            for (kind, case) in steps(seed).into_iter().chain([by_tiles(seed)]).enumerate() {
                let expected = case.run(Target::Generic);
                let got = self.run(&program, &case);
                let got: &[i8] = bytemuck::cast_slice(&got);
                assert_eq!(
                    got, expected,
                    "{}, seed {seed}, kind {kind}: {:?}\n{:?} -> {:?}, in place: {}",
                    self.machine, case.operator, case.input, case.output, case.in_place
                );
            }
        }
    }
}

/// One step of each kind.
fn steps(seed: u64) -> Vec<Case> {
    let draw = &mut Draw::new(seed);
    let mut steps = Vec::new();
    for depthwise in [false, true] {
        let axes = [Along::draw(draw, 9, 5), Along::draw(draw, 14, 5)];
        let line = [Along::new([1, 1, 1, 1, 0]), Along::draw(draw, 40, 20)];
        for axes in [axes, line] {
            let batch = draw.range(1, 2) as u32;
            let channels = draw.range(1, 40) as u32;
            steps.push(match depthwise {
                true => {
                    let times = if draw.bits().is_multiple_of(4) { 3 } else { 1 };
                    conv_case(draw, axes, batch, channels, [1, times], true)
                }
                false => {
                    // Runs of whole vectors have paths of their own.
                    let group_in = if draw.bits() & 1 == 0 { 16 } else { channels };
                    let outputs = draw.range(1, 40) as u32;
                    conv_case(draw, axes, batch, 1, [group_in, outputs], false)
                }
            });
        }
    }
    let axes = [Along::draw(draw, 6, 3), Along::draw(draw, 6, 3)];
    let channels = [draw.range(1, 20) as u32, draw.range(1, 17) as u32];
    steps.push(conv_case(draw, axes, 1, 3, channels, false));
    let axes = [draw.range(1, 8), draw.range(1, 13)]
        .map(|size| Along::new([size as u32, 1, draw.range(1, 2) as u32, 1, 0]));
    let channels = [draw.range(1, 130) as u32, draw.range(1, 70) as u32];
    steps.push(conv_case(draw, axes, 1, 1, channels, false));
    let (rows, k) = (draw.range(1, 5) as u32, draw.range(1, 300) as u32);
    let outputs = draw.range(1, 70) as u32;
    steps.push(fully_connected_case(draw, rows, k, outputs));
    steps
}

/// A convolution by Winograd's algorithm where the board has it.
fn by_tiles(seed: u64) -> Case {
    let draw = &mut Draw::new(seed);
    let size = [draw.range(1, 9), draw.range(1, 12)].map(|n| n as u32);
    let inputs = if seed == 0 { 128 } else { draw.range(1, 40) };
    let (batch, outputs) = (draw.range(1, 2) as u32, draw.range(1, 9) as u32);
    winograd_case(draw, size, batch, [inputs as u32, outputs])
}

#[test]
fn cortex_m4_agrees() {
    CORTEX_M4.agrees();
}

#[test]
fn cortex_m55_agrees() {
    CORTEX_M55.agrees();
}
