//! A robot on such a flash: it drives the machine until nothing is left to do or power fails.

use std::cell::RefCell;

use sanderling_delta::{Applier, Base, Delta, make};
use sanderling_slots::nor::{Flash, FlashError, Regions};
use sanderling_slots::{
    Action, Download, DownloadError, Event, Fault, Image, JournalHeader, Label, Policy, Slot,
    State, Stored, load, save, step,
};
use sha2::{Digest as _, Sha256};

use crate::nor::{Nor, PowerCut};

/// A model, and how the fleet sends it.
pub struct Model {
    pub image: Image,
    pub bytes: Vec<u8>,
    /// From the model before it, in blocks as large as chunks.
    pub delta: Option<Vec<u8>>,
    /// Its golden vectors come out wrong.
    pub broken: bool,
    /// Its bytes are wrong in the first round.
    pub damaged_once: bool,
}

pub fn model(seed: u32, size: usize, version: u64) -> Model {
    let byte = |i: usize| ((i as u32).wrapping_mul(2_654_435_761).rotate_left(seed) >> 13) as u8;
    with_bytes((0..size).map(byte).collect(), version)
}

/// A model with the weights of `base` moved a little, pulled as a delta in blocks of `chunk`.
pub fn retrained(base: &Model, version: u64, chunk: u32) -> Model {
    let moved = |(i, byte): (usize, &u8)| byte.wrapping_add(u8::from(i % 7 == 0));
    let mut bytes: Vec<u8> = base.bytes.iter().enumerate().map(moved).collect();
    bytes.extend([9; 300]);
    let delta = make(&base.bytes, &bytes, chunk).expect("a delta");
    Model {
        delta: Some(delta),
        ..with_bytes(bytes, version)
    }
}

fn with_bytes(bytes: Vec<u8>, version: u64) -> Model {
    let image = Image {
        digest: Sha256::digest(&bytes).into(),
        size: bytes.len() as u32,
        version,
        name: Label::cut("map"),
    };
    Model {
        image,
        bytes,
        delta: None,
        broken: false,
        damaged_once: false,
    }
}

pub struct Robot<const W: usize, const E: usize> {
    pub flash: Flash<Nor<W, E>>,
    chunk: u32,
}

type Cut = FlashError<PowerCut>;

impl<const W: usize, const E: usize> Robot<W, E> {
    pub fn new(
        mut nor: Nor<W, E>,
        slot: u32,
        chunk: u32,
        left: usize,
        tear: crate::nor::Tear,
    ) -> Robot<W, E> {
        nor.left = left;
        nor.tear = tear;
        let regions = Regions::lay_out(0, E as u32, slot, slot.div_ceil(chunk)).expect("it fits");
        let flash = Flash::new(nor, regions).expect("regions that fit");
        Robot { flash, chunk }
    }

    /// Power comes back and stays.
    pub fn restarted(self) -> Robot<W, E> {
        let regions = *self.flash.regions();
        let mut nor = self.flash.into_inner();
        nor.left = usize::MAX;
        let flash = Flash::new(nor, regions).expect("regions that fit");
        Robot { flash, ..self }
    }

    pub fn drive(&mut self, models: &[Model]) -> Result<State, Cut> {
        let mut stored = load(&mut self.flash)?;
        let mut events = vec![Event::Started];
        for (serial, model) in models.iter().enumerate() {
            events.push(Event::Wanted {
                image: model.image,
                serial: serial as u64 + 1,
            });
            while !events.is_empty() {
                let next = step(&stored.state, events.remove(0), Policy::default());
                if next.state != stored.state {
                    save(&mut self.flash, &mut stored, &next.state)?;
                }
                for action in next.actions.iter() {
                    events.extend(self.act(&stored, models, action)?);
                }
            }
        }
        Ok(stored.state)
    }

    fn act(
        &mut self,
        stored: &Stored,
        models: &[Model],
        action: Action,
    ) -> Result<Option<Event>, Cut> {
        let Some(update) = stored.state.update else {
            return Ok(None);
        };
        let digest = update.image.digest;
        let model = models
            .iter()
            .find(|m| m.image.digest == digest)
            .expect("a known model");
        let event = match action {
            Action::Fetch(slot) => {
                self.fetch(stored, model, slot)
                    .map_err(|error| match error {
                        DownloadError::Medium(error) => error,
                        other => panic!("the simulated fleet sends right chunks: {other:?}"),
                    })?;
                Event::Downloaded(digest)
            }
            Action::Verify(slot) => match self.is_whole(slot, &update.image) {
                true => Event::Verified(digest),
                false => Event::WrongDigest(digest),
            },
            Action::SelfTest(_) if model.broken => Event::Failed(digest, Fault::SelfTest),
            Action::SelfTest(_) => Event::SelfTested(digest),
            Action::Run(slot) if slot == update.slot => Event::TrialPassed(digest),
            Action::Run(_) | Action::Stop | Action::Shadow(_) => return Ok(None),
        };
        Ok(Some(event))
    }

    fn fetch(
        &mut self,
        stored: &Stored,
        model: &Model,
        slot: Slot,
    ) -> Result<(), DownloadError<Cut>> {
        let update = stored.state.update.expect("an update is on its way");
        let header = JournalHeader {
            slot,
            digest: update.image.digest,
            size: update.image.size,
            chunk_size: self.chunk,
            round: update.round,
        };
        let mut held = vec![false; header.chunks() as usize];
        let download =
            Download::open(&mut self.flash, header, |chunk| held[chunk as usize] = true)?;
        for chunk in (0..header.chunks()).filter(|&chunk| !held[chunk as usize]) {
            match (&model.delta, stored.state.active) {
                (Some(delta), Some(active)) => self.apply(&download, chunk, delta, active.slot)?,
                _ => {
                    let (offset, length) = header.place(chunk).expect("below the count");
                    let mut bytes = model.bytes[offset as usize..][..length as usize].to_vec();
                    if model.damaged_once && update.round == 0 && chunk == 1 {
                        bytes[0] ^= 1;
                    }
                    download.put(&mut self.flash, chunk, &bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Makes one chunk out of the active slot and a block of the delta, in parts.
    fn apply(
        &mut self,
        download: &Download,
        index: u32,
        bytes: &[u8],
        active: Slot,
    ) -> Result<(), DownloadError<Cut>> {
        let delta = Delta::open(bytes.first_chunk().expect("a head")).expect("a delta");
        let part = |range: std::ops::Range<u32>| &bytes[range.start as usize..range.end as usize];
        let entries = part(delta.entry_place(index).expect("a block"));
        let block = delta.block_at(index, entries).expect("a block");
        let flash = RefCell::new(&mut self.flash);
        let mut base = Active(&flash, active);
        let sink = |at: u32, piece: &[u8]| {
            download.part(*flash.borrow_mut(), index, at - block.offset, piece)
        };
        Applier::new()
            .block(&delta, &block, part(block.bytes.clone()), &mut base, sink)
            .map_err(|error| match error {
                sanderling_delta::ApplyError::Sink(error) => error,
                other => panic!("the delta is right: {other:?}"),
            })?;
        download.finish(&mut self.flash, index)
    }

    fn is_whole(&mut self, slot: Slot, image: &Image) -> bool {
        let mut bytes = vec![0; image.size as usize];
        self.flash
            .read_slot(slot, 0, &mut bytes)
            .expect("reading cannot fail here");
        image.digest == Into::<[u8; 32]>::into(Sha256::digest(&bytes))
    }

    /// What must hold whenever power comes back: what the record says is runnable is whole.
    pub fn assert_runnable(&mut self, had_model: bool) {
        let state = load(&mut self.flash)
            .expect("reading cannot fail here")
            .state;
        assert!(
            state.active.is_some() || !had_model,
            "the model that worked was lost"
        );
        if let Some(active) = state.active {
            assert!(
                self.is_whole(active.slot, &active.image),
                "the active slot was damaged"
            );
            if let Some(spare) = state.spare {
                assert!(
                    self.is_whole(active.slot.other(), &spare),
                    "the model before was damaged"
                );
            }
        }
        if let Some((slot, image)) = state.runs() {
            assert!(self.is_whole(slot, &image), "a damaged slot would run");
        }
    }
}

struct Active<'a, 'f, const W: usize, const E: usize>(&'a RefCell<&'f mut Flash<Nor<W, E>>>, Slot);

impl<const W: usize, const E: usize> Base for Active<'_, '_, W, E> {
    type Error = Cut;

    fn read(&mut self, offset: u32, into: &mut [u8]) -> Result<(), Cut> {
        self.0.borrow_mut().read_slot(self.1, offset, into)
    }
}
