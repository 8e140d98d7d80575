//! Power is cut at every write of two updates, torn in every way, and the robot must run a whole model afterwards
//! and finish the update.
//!
//! The medium is modelled as a flash would behave: a write that is cut leaves a prefix of the new bytes, a word of
//! garbage where it stopped, and erased bytes (or the old ones) behind it.

use proptest::prelude::*;
use sanderling_slots::{
    Action, Download, Event, Image, JOURNAL_HEADER_BYTES, JournalHeader, Label, MARK, MARK_BYTES,
    Medium, Note, Place, Policy, RECORD_BYTES, Slot, State, Stored, load, save, step,
};
use sha2::{Digest as _, Sha256};

const CHUNK: u32 = 64;

/// How a write that power cuts short leaves the bytes behind its end.
#[derive(Clone, Copy, Debug)]
enum Tear {
    Old,
    Erased,
    Garbage,
}

#[derive(Clone)]
struct Simulated {
    records: [[u8; RECORD_BYTES]; 2],
    slots: [Vec<u8>; 2],
    journal: Vec<u8>,
    /// Writes, counted in units of one byte, after which power fails.
    left: usize,
    tear: Tear,
}

#[derive(Debug, PartialEq)]
struct PowerCut;

impl Simulated {
    fn new() -> Simulated {
        Simulated {
            records: [[0xFF; RECORD_BYTES]; 2],
            slots: [Vec::new(), Vec::new()],
            journal: vec![0xFF; JOURNAL_HEADER_BYTES],
            left: usize::MAX,
            tear: Tear::Old,
        }
    }

    fn spend(
        left: &mut usize,
        tear: Tear,
        target: &mut [u8],
        bytes: &[u8],
    ) -> Result<(), PowerCut> {
        if *left >= bytes.len() {
            *left -= bytes.len();
            target.copy_from_slice(bytes);
            return Ok(());
        }
        let done = *left;
        *left = 0;
        target[..done].copy_from_slice(&bytes[..done]);
        let end = (done + 4).min(target.len());
        match tear {
            Tear::Old => {}
            Tear::Erased => target[done..].fill(0xFF),
            Tear::Garbage => target[done..end].fill(0x5A),
        }
        Err(PowerCut)
    }
}

impl Medium for Simulated {
    type Error = PowerCut;

    fn read_record(&mut self, place: Place, into: &mut [u8; RECORD_BYTES]) -> Result<(), PowerCut> {
        *into = self.records[place.index()];
        Ok(())
    }

    fn write_record(&mut self, place: Place, bytes: &[u8; RECORD_BYTES]) -> Result<(), PowerCut> {
        Self::spend(
            &mut self.left,
            self.tear,
            &mut self.records[place.index()],
            bytes,
        )
    }

    fn prepare(&mut self, slot: Slot, size: u32) -> Result<(), PowerCut> {
        let blank = vec![0xFF; size as usize];
        let target = &mut self.slots[slot.index()];
        target.resize(size as usize, 0xFF);
        Self::spend(&mut self.left, self.tear, target, &blank)
    }

    fn write(&mut self, slot: Slot, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        let target = &mut self.slots[slot.index()][offset as usize..][..bytes.len()];
        Self::spend(&mut self.left, self.tear, target, bytes)
    }

    fn start_journal(
        &mut self,
        header: &[u8; JOURNAL_HEADER_BYTES],
        chunks: u32,
    ) -> Result<(), PowerCut> {
        // Erasing the header first, then the marks, then writing the header: as a flash driver would.
        let erased = vec![0xFF; JOURNAL_HEADER_BYTES + MARK_BYTES * chunks as usize];
        self.journal.resize(erased.len(), 0xFF);
        Self::spend(&mut self.left, self.tear, &mut self.journal, &erased)?;
        Self::spend(
            &mut self.left,
            self.tear,
            &mut self.journal[..JOURNAL_HEADER_BYTES],
            header,
        )
    }

    fn read_journal(&mut self, into: &mut [u8; JOURNAL_HEADER_BYTES]) -> Result<(), PowerCut> {
        into.copy_from_slice(&self.journal[..JOURNAL_HEADER_BYTES]);
        Ok(())
    }

    fn set_mark(&mut self, chunk: u32) -> Result<(), PowerCut> {
        let at = JOURNAL_HEADER_BYTES + MARK_BYTES * chunk as usize;
        Self::spend(
            &mut self.left,
            self.tear,
            &mut self.journal[at..at + MARK_BYTES],
            &MARK,
        )
    }

    fn is_marked(&mut self, chunk: u32) -> Result<bool, PowerCut> {
        let at = JOURNAL_HEADER_BYTES + MARK_BYTES * chunk as usize;
        Ok(self.journal[at..at + MARK_BYTES] == MARK)
    }
}

/// A model and the bytes that the fleet would send for it.
struct Model {
    image: Image,
    bytes: Vec<u8>,
}

fn model(seed: u8, size: usize, version: u64) -> Model {
    let bytes: Vec<u8> = (0..size)
        .map(|i| (i as u8).wrapping_mul(31) ^ seed)
        .collect();
    let image = Image {
        digest: Sha256::digest(&bytes).into(),
        size: size as u32,
        version,
        name: Label::cut("map"),
    };
    Model { image, bytes }
}

/// Drives the machine as a robot does, until nothing is left to do or power fails.
fn drive(medium: &mut Simulated, models: &[Model]) -> Result<State, PowerCut> {
    let mut stored = load(medium)?;
    let mut events = vec![Event::Started];
    for (serial, model) in models.iter().enumerate() {
        events.push(Event::Wanted {
            image: model.image,
            serial: serial as u64 + 1,
        });
        while let Some(event) = (!events.is_empty()).then(|| events.remove(0)) {
            let next = step(&stored.state, event, Policy::default());
            if next.state != stored.state {
                save(medium, &mut stored, &next.state)?;
            }
            for action in next.actions.iter() {
                events.extend(act(medium, &stored, models, action)?);
            }
        }
    }
    Ok(stored.state)
}

fn act(
    medium: &mut Simulated,
    stored: &Stored,
    models: &[Model],
    action: Action,
) -> Result<Option<Event>, PowerCut> {
    let Some(update) = stored.state.update else {
        return Ok(None);
    };
    let digest = update.image.digest;
    let event = match action {
        Action::Fetch(slot) => {
            let header = JournalHeader {
                slot,
                digest,
                size: update.image.size,
                chunk_size: CHUNK,
                round: update.round,
            };
            let mut held = vec![false; header.chunks() as usize];
            let cut = |error| match error {
                sanderling_slots::DownloadError::Medium(PowerCut) => PowerCut,
                other => panic!("the simulated fleet sends right chunks: {other:?}"),
            };
            let download =
                Download::open(medium, header, |chunk| held[chunk as usize] = true).map_err(cut)?;
            let model = models
                .iter()
                .find(|m| m.image.digest == digest)
                .expect("a known model");
            for chunk in (0..header.chunks()).filter(|&chunk| !held[chunk as usize]) {
                let (offset, length) = header.place(chunk).expect("below the count");
                let bytes = &model.bytes[offset as usize..][..length as usize];
                download.put(medium, chunk, bytes).map_err(cut)?;
            }
            Event::Downloaded(digest)
        }
        Action::Verify(slot) => match whole(medium, slot, &update.image) {
            true => Event::Verified(digest),
            false => Event::WrongDigest(digest),
        },
        Action::SelfTest(_) => Event::SelfTested(digest),
        // A trial that passes at once: what a cut inside it does is a matter of `starts`.
        Action::Run(slot) if slot == update.slot => Event::TrialPassed(digest),
        Action::Run(_) | Action::Stop | Action::Shadow(_) => return Ok(None),
    };
    Ok(Some(event))
}

fn whole(medium: &Simulated, slot: Slot, image: &Image) -> bool {
    let bytes = &medium.slots[slot.index()];
    bytes.len() >= image.size as usize
        && image.digest == Into::<[u8; 32]>::into(Sha256::digest(&bytes[..image.size as usize]))
}

/// What must hold whenever power comes back: what the record says is runnable is whole.
fn assert_runnable(medium: &mut Simulated, had_model: bool) {
    let stored = load(medium).expect("reading cannot fail here");
    if had_model {
        assert!(
            stored.state.active.is_some(),
            "the model that worked was lost"
        );
    }
    if let Some(active) = stored.state.active {
        assert!(
            whole(medium, active.slot, &active.image),
            "the active slot was damaged"
        );
    }
    if let Some((slot, image)) = stored.state.runs() {
        assert!(whole(medium, slot, &image), "a damaged slot would run");
    }
    if let (Some(spare), Some(active)) = (stored.state.spare, stored.state.active) {
        assert!(
            whole(medium, active.slot.other(), &spare),
            "the model before was damaged"
        );
    }
}

fn finish(mut medium: Simulated, models: &[Model], had_model: bool) {
    medium.left = usize::MAX;
    assert_runnable(&mut medium, had_model);
    let state = drive(&mut medium, models).expect("power stays on");
    let last = models.last().expect("there is a model").image.digest;
    assert_eq!(
        state.active.map(|active| active.image.digest),
        Some(last),
        "the update did not finish"
    );
    assert_runnable(&mut medium, true);
}

#[test]
fn power_cut_at_every_byte_of_two_updates() {
    let models = [model(1, 150, 1), model(2, 200, 2)];
    let mut whole_run = Simulated::new();
    drive(&mut whole_run, &models).expect("power stays on");
    let total = usize::MAX - whole_run.left;
    let first = {
        let mut medium = Simulated::new();
        drive(&mut medium, &models[..1]).expect("power stays on");
        usize::MAX - medium.left
    };
    let mut cuts = 0;
    for tear in [Tear::Old, Tear::Erased, Tear::Garbage] {
        for left in 0..total {
            let mut medium = Simulated {
                left,
                tear,
                ..Simulated::new()
            };
            assert_eq!(drive(&mut medium, &models), Err(PowerCut));
            finish(medium, &models, left >= first);
            cuts += 1;
        }
    }
    assert!(cuts > 2000, "only {cuts} cut points");
    println!("{cuts} cut points, {total} bytes written in a whole run");
}

#[test]
fn a_slot_damaged_behind_the_journals_back_is_pulled_again() {
    let models = [model(1, 150, 1), model(2, 200, 2)];
    let mut medium = Simulated::new();
    drive(&mut medium, &models[..1]).expect("power stays on");
    let mut stored = load(&mut medium).expect("readable");
    let wanted = Event::Wanted {
        image: models[1].image,
        serial: 2,
    };
    let next = step(&stored.state, wanted, Policy::default());
    save(&mut medium, &mut stored, &next.state).expect("power stays on");
    let fetch = next.actions.iter().next().expect("a fetch");
    let done = act(&mut medium, &stored, &models, fetch).expect("power stays on");
    assert_eq!(done, Some(Event::Downloaded(models[1].image.digest)));
    // Every chunk is marked; now one of them rots.
    let slot = stored.state.update.expect("an update is on its way").slot;
    medium.slots[slot.index()][70] ^= 1;
    finish(medium, &models, true);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn several_cuts_in_a_row(
        cuts in prop::collection::vec(0usize..3000, 1..6),
        sizes in (1usize..400, 1usize..400),
        tears in prop::collection::vec(prop_oneof![Just(Tear::Old), Just(Tear::Erased), Just(Tear::Garbage)], 6),
    ) {
        let models = [model(1, sizes.0, 1), model(2, sizes.1, 2)];
        let mut medium = Simulated::new();
        let mut had_model = false;
        for (cut, tear) in cuts.iter().zip(tears) {
            medium.left = *cut;
            medium.tear = tear;
            let _ = drive(&mut medium, &models);
            medium.left = usize::MAX;
            assert_runnable(&mut medium, had_model);
            had_model |= load(&mut medium).expect("readable").state.active.is_some();
        }
        finish(medium, &models, had_model);
    }

    #[test]
    fn record_of_the_step_that_was_cut_is_the_old_one(left in 0usize..RECORD_BYTES) {
        let mut medium = Simulated::new();
        let mut stored = load(&mut medium).expect("readable");
        let image = model(1, 10, 1).image;
        let one = step(&stored.state, Event::Wanted { image, serial: 1 }, Policy::default());
        prop_assert_eq!(one.note, Note::Began);
        save(&mut medium, &mut stored, &one.state).expect("power stays on");
        let two = step(&stored.state, Event::Downloaded(image.digest), Policy::default());
        medium.left = left;
        prop_assert!(save(&mut medium, &mut stored, &two.state).is_err());
        prop_assert_eq!(load(&mut medium).expect("readable").state, one.state);
    }
}
