//! The slots on a flash that tears words: power is cut at every operation of whole updates, and the robot must run
//! a whole model afterwards and finish.

mod nor;
mod robot;

use nor::{Nor, TEARS, Tear};
use robot::{Model, Robot, model, retrained};
use sanderling_slots::nor::{Flash, FlashError, Region, Regions, RegionsError};
use sanderling_slots::{Medium, Slot};

const SEED: u64 = 0xF1A5;

/// Cuts power at every operation of the update through all `models`, in every way; gives the number of cuts.
fn sweep<const W: usize, const E: usize>(name: &str, models: &[Model], chunk: u32) -> usize {
    let largest = models.iter().map(|m| m.image.size).max().expect("a model");
    let size = 1 << 16;
    let robot = |left, tear| {
        Robot::<W, E>::new(
            Nor::new(size, SEED ^ left as u64),
            largest,
            chunk,
            left,
            tear,
        )
    };
    let operations = |models: &[Model]| {
        let mut robot = robot(usize::MAX, Tear::Before);
        robot.drive(models).expect("power stays on");
        usize::MAX - robot.flash.into_inner().left
    };
    let (total, first) = (operations(models), operations(&models[..1]));
    let wanted = models
        .iter()
        .rfind(|m| !m.broken)
        .expect("a good model")
        .image
        .digest;
    let mut cuts = 0;
    for tear in TEARS {
        for left in 0..total {
            let mut robot = robot(left, tear);
            assert_eq!(robot.drive(models), Err(FlashError::Flash(nor::PowerCut)));
            let mut robot = robot.restarted();
            robot.assert_runnable(left >= first);
            let state = robot.drive(models).expect("power stays on");
            let active = state.active.map(|active| active.image.digest);
            assert_eq!(
                active,
                Some(wanted),
                "{name}: cut {tear:?} operation {left}, seed {SEED:#x}"
            );
            robot.assert_runnable(true);
            cuts += 1;
        }
    }
    println!("{name}: {cuts} cut points, words of {W}, erase blocks of {E}, seed {SEED:#x}");
    cuts
}

#[test]
fn power_cut_at_every_word_and_erase_of_whole_updates() {
    let two = [model(3, 1500, 1), model(5, 2100, 2)];
    let fallback = {
        let mut list = [model(3, 900, 1), model(5, 1100, 2), model(7, 1000, 3)];
        list[1].broken = true;
        list
    };
    let damaged = {
        let mut list = [model(3, 900, 1), model(5, 1300, 2)];
        list[1].damaged_once = true;
        list
    };
    let by_delta = |chunk| {
        let base = model(3, 1900, 1);
        let second = retrained(&base, 2, chunk);
        let third = retrained(&second, 3, chunk);
        [base, second, third]
    };
    let cuts = [
        sweep::<4, 256>("two updates", &two, 512),
        sweep::<8, 512>("fallback, then another update", &fallback, 512),
        sweep::<8, 256>("wrong bytes once", &damaged, 256),
        sweep::<8, 512>("deltas into the spare slot", &by_delta(512), 512),
        sweep::<4, 256>("deltas, two erase blocks a chunk", &by_delta(512), 512),
        sweep::<32, 1024>("large words", &two, 1024),
    ];
    let sum: usize = cuts.iter().sum();
    println!("{sum} cut points in all");
    assert!(sum > 10_000, "only {sum} cut points");
}

#[test]
fn several_cuts_in_a_row_end_in_the_wanted_model() {
    let base = model(3, 1900, 1);
    let models = [retrained(&base, 2, 512), base];
    let models = {
        let [b, a] = models;
        [a, b]
    };
    let mut random = SEED;
    for round in 0..300 {
        let mut robot = Robot::<8, 512>::new(Nor::new(1 << 16, round), 4096, 512, 0, Tear::Before);
        for _ in 0..6 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut nor = robot.restarted().flash.into_inner();
            nor.left = (random >> 33) as usize % 700;
            let (left, tear) = (nor.left, TEARS[(random >> 20) as usize % 3]);
            robot = Robot::new(nor, 4096, 512, left, tear);
            let _ = robot.drive(&models);
        }
        let mut robot = robot.restarted();
        robot.assert_runnable(false);
        let state = robot.drive(&models).expect("power stays on");
        let active = state.active.map(|active| active.image.digest);
        assert_eq!(
            active,
            Some(models[1].image.digest),
            "round {round}, seed {SEED:#x}"
        );
    }
}

fn small() -> Flash<Nor<8, 512>> {
    let regions = Regions::lay_out(0, 512, 4096, 8).expect("it fits");
    Flash::new(Nor::new(1 << 14, 1), regions).expect("regions that fit")
}

#[test]
fn what_does_not_fit_is_named_before_anything_is_written() {
    let mut flash = small();
    assert_eq!(flash.prepare(Slot::A, 4097), Err(FlashError::TooLarge));
    assert_eq!(
        flash.start_journal(&[0; 64], 1000),
        Err(FlashError::TooLarge)
    );
    assert_eq!(
        flash.write(Slot::A, 4090, &[0; 8]),
        Err(FlashError::Misplaced)
    );
    assert_eq!(flash.write(Slot::A, 4, &[0; 8]), Err(FlashError::Misplaced));
    assert!(Flash::<Nor<8, 512>>::fits(4096) && !Flash::<Nor<8, 512>>::fits(768));
}

#[test]
fn a_part_goes_on_where_the_one_before_ended() {
    let mut flash = small();
    flash.write(Slot::B, 0, &[1; 256]).expect("erased first");
    flash
        .write(Slot::B, 256, &[2; 512])
        .expect("erased with the first, and the next block now");
    assert_eq!(
        flash.write(Slot::B, 256, &[3; 8]),
        Err(FlashError::NotErased)
    );
    flash.write(Slot::B, 0, &[4; 5]).expect("begun anew");
    let mut read = [0; 9];
    flash.read_slot(Slot::B, 1, &mut read).expect("readable");
    assert_eq!(read, [4, 4, 4, 4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn regions_that_share_erase_blocks_are_refused() {
    let good = Regions::lay_out(0, 512, 4096, 8).expect("it fits");
    let flash = |regions| Flash::new(Nor::<8, 512>::new(1 << 14, 1), regions).err();
    assert_eq!(flash(good), None);
    let slot = Region {
        start: good.slots[0].start + 512,
        ..good.slots[1]
    };
    let overlapping = Regions {
        slots: [good.slots[0], slot],
        ..good
    };
    assert_eq!(
        flash(overlapping),
        Some(RegionsError::Overlap(good.slots[0], slot))
    );
    let slot = Region {
        start: good.slots[1].start + 8,
        ..good.slots[1]
    };
    assert_eq!(
        flash(Regions {
            slots: [good.slots[0], slot],
            ..good
        }),
        Some(RegionsError::Unaligned(slot))
    );
    let slot = Region {
        length: 1 << 20,
        ..good.slots[1]
    };
    assert_eq!(
        flash(Regions {
            slots: [good.slots[0], slot],
            ..good
        }),
        Some(RegionsError::Outside(slot))
    );
    let journal = Region {
        length: 0,
        ..good.journal
    };
    assert_eq!(
        flash(Regions { journal, ..good }),
        Some(RegionsError::TooSmall(journal))
    );
    assert_eq!(Regions::lay_out(u32::MAX - 512, 512, 4096, 8), None);
}
