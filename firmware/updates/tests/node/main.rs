//! Nodes and their agent in one process: a line that harms bytes, power that fails, files that are not there, and
//! statements that nobody signed.

#[path = "../gateway/mod.rs"]
mod gateway;
mod nor;

use gateway::{Gateway, Owner, Release, digest, name};
use nor::Nor;
use sanderling_slots::nor::{Flash, Regions};
use sanderling_slots::{Fault, Slot};
use sanderling_updates::{Belief, CHUNK, Identity, Node, Task, TrialLength};
use sanderling_wire::serial::{Decoder, MAX_FRAME};
use sanderling_wire::{FailureCode, Phase};

const SLOT: u32 = 64 * 1024;
/// Turns of the loop after which whatever is tested must have come to rest.
const DEADLINE: u64 = 200_000;

fn flash(nor: Nor) -> Flash<Nor> {
    let regions = Regions::lay_out(0, 4096, SLOT, SLOT / CHUNK).expect("it fits");
    Flash::new(nor, regions).expect("regions that fit")
}

struct Board {
    node: Node<Nor>,
    decoder: Decoder<MAX_FRAME>,
    now_ms: u64,
    /// One byte in so many is lost on the way, each way; 0: none.
    lossy: u64,
    random: u64,
    ran: Option<Slot>,
}

fn belief(owner: Option<&Owner>) -> Belief {
    match owner {
        Some(owner) => Belief::rooted(&owner.chain()).expect("a root"),
        None => Belief::unsigned(),
    }
}

impl Board {
    fn start(flash: Flash<Nor>, owner: Option<&Owner>, boot: u32) -> Option<Board> {
        let identity = Identity {
            device: name("arm-1"),
            group: name("arms"),
            board: "test",
            software: "test 0.1.0",
            targets: [name("cortex-m4")].into_iter().collect(),
            arena_bytes: 1 << 20,
            part_bytes: 1024,
            boot,
        };
        let length = TrialLength {
            inferences: 20,
            millis: 60_000,
        };
        let node = Node::start(identity, belief(owner), length, flash, 0).ok()?;
        Some(Board {
            node,
            decoder: Decoder::new(),
            now_ms: 0,
            lossy: 0,
            random: u64::from(boot) * 2 + 1,
            ran: None,
        })
    }

    fn is_lost(&mut self) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.lossy > 0 && self.random.is_multiple_of(self.lossy)
    }

    fn receive(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if !self.is_lost()
                && let Some(Ok(link)) = self.decoder.push(byte)
            {
                self.node.hear(&link, self.now_ms);
            }
        }
    }

    /// One turn of a board's loop.
    fn turn(&mut self, gateway: &mut Gateway) {
        self.now_ms += 5;
        let mut buffer = [0; 1200];
        if let Some(frame) = self.node.say(self.now_ms, &mut buffer) {
            let frame = frame.to_vec();
            for byte in frame {
                if !self.is_lost() {
                    let answer = gateway.hear(byte);
                    self.receive(&answer);
                }
            }
        }
        match self.node.work(self.now_ms) {
            Task::Idle => self.ran = None,
            Task::Run(slot, image) => {
                self.ran = Some(slot);
                self.node.ran(&image, true, self.now_ms);
            }
            Task::SelfTest(_, image) => {
                let outcome = if image.version == 666 {
                    Err(Fault::SelfTest)
                } else {
                    Ok(())
                };
                self.node.tested(&image, outcome, self.now_ms);
            }
        }
    }

    fn turns_until(&mut self, gateway: &mut Gateway, mut done: impl FnMut(&Gateway) -> bool) {
        for _ in 0..DEADLINE {
            if done(gateway) {
                return;
            }
            self.turn(gateway);
        }
        panic!("it does not come to rest: {:?}", gateway.state);
    }
}

fn plan(seed: u32, size: usize) -> Vec<u8> {
    (0..size)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761).rotate_left(seed) >> 11) as u8)
        .collect()
}

fn release(version: u32, plan: Vec<u8>, bases: &[&Vec<u8>]) -> Release {
    Release {
        version,
        plan,
        bases: bases.iter().map(|base| base.to_vec()).collect(),
        arena: 1000,
    }
}

fn retrained(base: &[u8]) -> Vec<u8> {
    base.iter()
        .enumerate()
        .map(|(i, byte)| byte.wrapping_add(u8::from(i % 9 == 0)))
        .collect()
}

fn runs(gateway: &Gateway, release: &Release) -> bool {
    gateway.state.as_ref().is_some_and(|state| {
        state.phase == Phase::Active
            && state
                .running
                .as_ref()
                .is_some_and(|running| running.digest == digest(&release.plan))
    })
}

fn fresh(owner: Option<&Owner>) -> Board {
    Board::start(flash(Nor::new(usize::MAX)), owner, 1).expect("a whole flash")
}

#[test]
fn a_model_then_a_delta_then_a_full_one() {
    let owner = Owner::new(1);
    let mut board = fresh(Some(&owner));
    let mut gateway = Gateway::new(Some(owner), "cortex-m4");
    let first = release(1, plan(3, 30_000), &[]);
    let second = release(2, retrained(&first.plan), &[&first.plan]);
    let third = release(3, plan(5, 20_001), &[]);
    for (release, most) in [(&first, 30_000), (&second, 12_000), (&third, 20_001)] {
        gateway.sent = 0;
        let frames = gateway.want(release);
        board.receive(&frames);
        board.turns_until(&mut gateway, |gateway| runs(gateway, release));
        assert!(
            gateway.sent <= most,
            "{} bytes for version {}",
            gateway.sent,
            release.version
        );
    }
    let state = gateway.state.expect("a state");
    assert_eq!(state.root.map(|root| root.version), Some(1));
    assert_eq!((state.serial, state.failure), (1 << 40 | 3, None));
    assert!(board.ran.is_some());
}

#[test]
fn a_line_that_loses_bytes_costs_time_alone() {
    for lossy in [20_000, 3_000, 900] {
        let mut board = fresh(None);
        board.lossy = lossy;
        let mut gateway = Gateway::new(None, "cortex-m4");
        let first = release(1, plan(3, 30_000), &[]);
        let second = release(2, retrained(&first.plan), &[&first.plan]);
        for release in [&first, &second] {
            let frames = gateway.want(release);
            board.receive(&frames);
            // What was wanted may be lost on the way, too: an agent says it again.
            let mut turns = 0;
            board.turns_until(&mut gateway, |gateway| {
                turns += 1;
                runs(gateway, release) || turns % 4000 == 0
            });
            while !runs(&gateway, release) {
                let frames = gateway.want(release);
                board.receive(&frames);
                for _ in 0..4000 {
                    board.turn(&mut gateway);
                }
                assert!(board.now_ms < 5 * DEADLINE, "one byte in {lossy} lost");
            }
        }
        println!(
            "one byte in {lossy} lost: {} ms, {} frames dropped by the agent",
            board.now_ms, gateway.dropped
        );
    }
}

#[test]
fn power_fails_again_and_again_and_the_update_completes() {
    let owner = Owner::new(1);
    let chain = Owner::new(1);
    let mut gateway = Gateway::new(Some(owner), "cortex-m4");
    let first = release(1, plan(3, 30_000), &[]);
    let second = release(2, retrained(&first.plan), &[&first.plan]);
    let mut board = fresh(Some(&chain));
    gateway.want(&first);
    board.turns_until(&mut gateway, |gateway| runs(gateway, &first));
    let mut flash_now = board.node.into_flash();
    gateway.want(&second);
    let (mut starts, mut sent) = (1, 0);
    loop {
        starts += 1;
        assert!(starts < 200, "the update does not complete");
        // Power lasts for some hundred words.
        flash_now = flash(flash_now.into_inner().powered(700));
        gateway.state = None;
        gateway.sent = 0;
        let Some(mut board) = Board::start(flash_now, Some(&chain), starts) else {
            panic!("the slots cannot be read");
        };
        for _ in 0..3000 {
            board.turn(&mut gateway);
            assert!(board.node.state().active.is_some());
        }
        sent += gateway.sent;
        let done = board.node.state().active.map(|active| active.image.digest)
            == Some(digest(&second.plan).0);
        flash_now = board.node.into_flash();
        if done {
            break;
        }
    }
    println!("{starts} starts, {sent} bytes sent");
    assert!(starts > 5);
}

#[test]
fn a_delta_that_is_missing_or_wrong_is_left_for_the_whole_file() {
    let first = release(1, plan(3, 30_000), &[]);
    let second = release(2, retrained(&first.plan), &[&first.plan]);
    let delta = sanderling_delta::make(&first.plan, &second.plan, CHUNK).expect("a delta");
    for wrong in [
        None,
        Some(vec![7; delta.len()]),
        Some({
            let mut bytes = delta.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            bytes
        }),
    ] {
        let mut board = fresh(None);
        let mut gateway = Gateway::new(None, "cortex-m4");
        gateway.want(&first);
        board.turns_until(&mut gateway, |gateway| runs(gateway, &first));
        let frames = gateway.want(&second);
        let right = match wrong {
            None => gateway.files.remove(&digest(&delta)),
            Some(bytes) => gateway.files.insert(digest(&delta), bytes),
        };
        assert_eq!(right, Some(delta.clone()));
        board.receive(&frames);
        board.turns_until(&mut gateway, |gateway| runs(gateway, &second));
    }
}

#[test]
fn what_nobody_signed_is_refused_where_a_root_is_built_in() {
    let mut board = fresh(Some(&Owner::new(1)));
    let good = release(1, plan(3, 9_000), &[]);
    let evil = release(9, plan(4, 9_000), &[]);
    let mut gateway = Gateway::new(Some(Owner::new(1)), "cortex-m4");
    gateway.want(&good);
    board.turns_until(&mut gateway, |gateway| runs(gateway, &good));
    for thief in [None, Some(Owner::new(77))] {
        let mut other = Gateway::new(thief, "cortex-m4");
        for _ in 0..5 {
            other.want(&evil);
        }
        let frames = gateway.replace_desired(&other);
        gateway.sent = 0;
        board.receive(&frames);
        board.turns_until(&mut gateway, |gateway| {
            let failure = gateway
                .state
                .as_ref()
                .and_then(|state| state.failure.as_ref());
            failure.is_some_and(|failure| failure.code == FailureCode::Refused)
        });
        for _ in 0..500 {
            board.turn(&mut gateway);
        }
        assert_eq!(gateway.sent, 0, "nothing is pulled for it");
        let running = gateway
            .state
            .as_ref()
            .and_then(|state| state.running.clone())
            .expect("it runs on");
        assert_eq!(running.digest, digest(&good.plan));
    }
}

#[test]
fn a_model_that_fails_its_golden_vectors_is_given_up_and_the_old_one_runs() {
    let mut board = fresh(None);
    let mut gateway = Gateway::new(None, "cortex-m4");
    let good = release(1, plan(3, 9_000), &[]);
    gateway.want(&good);
    board.turns_until(&mut gateway, |gateway| runs(gateway, &good));
    let frames = gateway.want(&release(666, plan(4, 9_000), &[]));
    board.receive(&frames);
    board.turns_until(&mut gateway, |gateway| {
        gateway
            .state
            .as_ref()
            .is_some_and(|state| state.phase == Phase::FellBack)
    });
    let state = gateway.state.clone().expect("a state");
    assert_eq!(
        state.failure.map(|failure| failure.code),
        Some(FailureCode::SelfTest)
    );
    assert_eq!(
        state.running.map(|running| running.digest),
        Some(digest(&good.plan))
    );
    // And a good one after it is taken.
    let next = release(667, plan(6, 9_000), &[]);
    let frames = gateway.want(&next);
    board.receive(&frames);
    board.turns_until(&mut gateway, |gateway| runs(gateway, &next));
}

#[test]
fn what_does_not_fit_is_told_and_not_pulled() {
    let mut gateway = Gateway::new(None, "cortex-m55");
    let mut board = fresh(None);
    gateway.want(&release(1, plan(3, 9_000), &[]));
    board.turns_until(&mut gateway, |gateway| {
        let failure = gateway
            .state
            .as_ref()
            .and_then(|state| state.failure.as_ref());
        failure.is_some_and(|failure| failure.code == FailureCode::Target)
    });
    let mut gateway = Gateway::new(None, "cortex-m4");
    let mut board = fresh(None);
    gateway.want(&release(1, plan(3, SLOT as usize + 1), &[]));
    board.turns_until(&mut gateway, |gateway| {
        let failure = gateway
            .state
            .as_ref()
            .and_then(|state| state.failure.as_ref());
        failure.is_some_and(|failure| failure.code == FailureCode::TooLarge)
    });
    assert_eq!(gateway.sent, 0);
}
