//! The driver's part of a delta: when one is taken, its blocks into the spare slot, and the way back to the full file.

use std::fs::File;

use sanderling_slots::{Download, Event, Image, JOURNAL_HEADER_BYTES, Medium, Update};
use sanderling_wire::{Digest, FailureCode, Held, Layout};

use super::{ByDelta, Old};
use crate::update::driver::{AREA, Driver, header, show};
use crate::update::fetch::{Fetch, Filled, Way};
use crate::update::fit::Wish;
use crate::update::pull::Pull;
use crate::{info, warn};

/// Blocks that are made in one go, so that the driver looks at everything else in between.
const AT_ONCE: usize = 8;

impl Driver {
    /// The delta by which this update can be pulled, with the model to start from.
    pub(in crate::update) fn delta_for(&self, update: &Update, wish: &Wish) -> Option<ByDelta> {
        // Bytes that turned out wrong are pulled as they are.
        if update.round > 0 {
            return None;
        }
        let active = self.stored.state.active;
        let size = u64::from(update.image.size);
        let from = |digest: [u8; 32]| {
            wish.deltas.iter().find(|delta| {
                delta.base.0 == digest
                    && delta.size < size
                    && !self.useless.contains(&delta.digest.0)
            })
        };
        let from_active = active.and_then(|active| {
            let delta = from(active.image.digest)?;
            let file = File::open(self.folder.path(active.slot)).ok()?;
            Some((delta, Old::Active(file)))
        });
        let (delta, old) = from_active.or_else(|| {
            let spare: Image = self.spare_before?;
            let delta = from(spare.digest)?;
            let file = File::open(self.folder.path(update.slot)).ok()?;
            Some((delta, Old::Spare(file)))
        })?;
        let new = (update.image.digest, update.image.size);
        Some(ByDelta::new(delta.clone(), new, old))
    }

    /// Begins to pull a delta.
    pub(in crate::update) fn fetch_by_delta(
        &mut self,
        delta: ByDelta,
        update: &Update,
        wish: &Wish,
    ) {
        let stall = self.setup.config.stall;
        let size = delta.size();
        // Its head says how much of it is needed: until that is here, one chunk at a time.
        let pull = match Pull::new(delta.digest(), size, self.chunk_of(wish), 1, stall) {
            Ok(pull) => pull,
            Err(error) => return self.without_delta(delta.digest(), &error.to_string()),
        };
        info!(
            AREA,
            "pulling the {size} bytes that make {} of {}",
            show(&update.image),
            delta.base().short()
        );
        self.pulled.base = Some(delta.base().0);
        let bulk = wish.url.as_deref().and_then(|url| self.bulk(url, &pull));
        self.fetch = Some(Fetch {
            way: Way::Delta(Box::new(delta), None),
            pull,
            bulk,
        });
    }

    /// Takes a chunk of a delta that was not held yet.
    pub(in crate::update) fn delta_chunk(&mut self, index: u32, data: &[u8]) {
        if let Some(Fetch {
            way: Way::Delta(delta, _),
            pull,
            ..
        }) = &mut self.fetch
        {
            delta.keep(index, data);
            pull.stored(index, self.now);
            self.go_on_by_delta();
        }
    }

    /// Makes what can be made of what is here, a few blocks at a time.
    pub(in crate::update) fn go_on_by_delta(&mut self) {
        let Some(Fetch {
            way: Way::Delta(delta, _),
            ..
        }) = &self.fetch
        else {
            return;
        };
        let digest = delta.digest();
        match self.some_blocks() {
            Ok(true) => {
                self.fetch = None;
                if let Some(update) = self.stored.state.update {
                    self.downloaded(update.image.digest);
                }
            }
            Ok(false) => {}
            Err(Trouble::Delta(why)) => self.without_delta(digest, &why),
            Err(Trouble::Storage(why)) => {
                if let Some(update) = self.stored.state.update {
                    self.put_off(FailureCode::Storage, update.image.digest, why);
                }
            }
        }
    }

    /// True where the slot lacks nothing any more.
    fn some_blocks(&mut self) -> Result<bool, Trouble> {
        let Some(update) = self.stored.state.update else {
            return Ok(false);
        };
        let Some(Fetch {
            way: Way::Delta(delta, filled),
            pull,
            ..
        }) = &mut self.fetch
        else {
            return Ok(false);
        };
        let Some(head) = delta.head(pull).map_err(Trouble::Delta)? else {
            return Ok(false);
        };
        let filled = match filled {
            Some(filled) => filled,
            None => {
                let size = u64::from(update.image.size);
                let odd = |_| Trouble::Delta("its blocks cannot be counted".into());
                let layout = Layout::new(size, head.block()).map_err(|_| odd(()))?;
                let bits = vec![0; Held::bytes_for(&layout)];
                let mut held = Held::new(bits, &layout).map_err(|_| odd(()))?;
                let header = header(&update, head.block());
                let hold = |block| {
                    held.insert(block);
                };
                let opened = Download::open(&mut self.folder, header, hold);
                let download = match opened {
                    Ok(download) => download,
                    Err(error) => return Err(Trouble::Storage(self.storage(error))),
                };
                filled.insert(Filled {
                    download,
                    held,
                    layout,
                })
            }
        };
        if !delta.is_planned() {
            delta
                .plan(pull, |block| filled.held.has(block))
                .map_err(Trouble::Delta)?;
            if !delta.is_planned() {
                return Ok(false);
            }
            pull.widen(self.setup.config.credit);
            let held = filled.held.held_bytes(&filled.layout);
            if held > 0 {
                info!(
                    AREA,
                    "{held} of {} bytes are here already", update.image.size
                );
            }
        }
        for _ in 0..AT_ONCE {
            let Some(block) = delta.next(pull).map_err(Trouble::Delta)? else {
                break;
            };
            let put = filled
                .download
                .put(&mut self.folder, block.index, &block.bytes);
            filled.held.insert(block.index);
            if let Err(error) = put {
                return Err(Trouble::Storage(self.storage(error)));
            }
        }
        if filled.held.is_complete() {
            return Ok(true);
        }
        if pull.is_complete() && !delta.is_ready(pull) {
            return Err(Trouble::Delta("all of it came, and blocks lack".into()));
        }
        Ok(false)
    }

    /// A delta is of no use: what lacks is pulled as it is. Blocks that were made stay.
    pub(in crate::update) fn without_delta(&mut self, digest: Digest, why: &str) {
        warn!(
            AREA,
            "the delta {} is of no use: {why}; pulling the full file",
            digest.short()
        );
        // As many as one manifest names, and a few of the one before.
        self.useless.truncate(15);
        self.useless.insert(0, digest.0);
        self.pulled.without = Some(why.to_owned());
        self.fetch = None;
        self.fetch_if_known();
    }

    /// The size of a chunk in which the slot is being filled already, where a journal of this very update says so.
    pub(in crate::update) fn journaled_chunk(&mut self, update: &Update) -> Option<u32> {
        let mut found = [0; JOURNAL_HEADER_BYTES];
        self.folder.read_journal(&mut found).ok()?;
        let chunk = sanderling_slots::JournalHeader::chunk_size_of(&found);
        let is_sound = Layout::new(u64::from(update.image.size), chunk).is_ok();
        (is_sound && header(update, chunk).is_at(&found)).then_some(chunk)
    }

    /// The whole model is in its slot.
    pub(in crate::update) fn downloaded(&mut self, digest: [u8; 32]) {
        if let Some(update) = self.stored.state.update {
            let (bytes, size) = (self.pulled.bytes, update.image.size);
            let way = match self.pulled.base {
                Some(base) if self.pulled.without.is_none() => {
                    format!("as a delta from {}", Digest(base).short())
                }
                _ => "as the full file".to_owned(),
            };
            info!(
                AREA,
                "{} is here: {bytes} of its {size} bytes were pulled, {way}",
                show(&update.image)
            );
        }
        self.event(Event::Downloaded(digest));
    }
}

/// What keeps a delta from going on.
enum Trouble {
    Delta(String),
    Storage(String),
}
