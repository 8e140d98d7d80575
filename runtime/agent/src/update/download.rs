//! The driver's downloading: chunks into the spare slot, from the fleet or from a file of this robot.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sanderling_slots::{Download, DownloadError, Event, Phase, Update};
use sanderling_wire::{
    self as wire, Chunk, Digest, FailureCode, Kind, MIN_CHUNK, Misfit, Need, Refusal,
};

use super::backoff;
use super::bulk::Bulk;
use super::driver::{AREA, Driver, TRY_AGAIN, header};
use super::fetch::{Fetch, Pulled, Way};
use super::fit::Wish;
use super::pull::{Arrival, Pull};
use super::report::Failure;
use crate::{info, warn};

/// Requests without an answer after which an address is given up.
const IN_VAIN: u32 = 3;
/// The longest wait before a download that was put off begins again.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(600);

impl Driver {
    /// Begins or goes on with the download that the machine is in, once it is known how to ask for it.
    pub(super) fn fetch_if_known(&mut self) {
        let Some(update) = self
            .stored
            .state
            .update
            .filter(|update| update.phase == Phase::Downloading)
        else {
            return;
        };
        if self.fetch.is_some() {
            return;
        }
        let digest = update.image.digest;
        if let Some(local) = self
            .local
            .as_ref()
            .filter(|local| local.wish.image.digest == digest)
        {
            let (path, chunk_size) = (local.path.clone(), local.wish.chunk_size);
            let copied = self.copy_local(&path, &update, chunk_size);
            match copied {
                Ok(()) => self.event(Event::Downloaded(digest)),
                Err(why) => self.put_off(FailureCode::Storage, digest, why),
            }
            return;
        }
        let wishes = [&self.wish, &self.shadow].into_iter().flatten();
        let wish = wishes.into_iter().find(|wish| wish.image.digest == digest);
        let Some(wish) = wish.cloned() else {
            return;
        };
        if self.pulled.release != digest {
            self.pulled = Pulled {
                release: digest,
                size: u64::from(update.image.size),
                ..Pulled::default()
            };
        }
        match self.delta_for(&update, &wish) {
            Some(delta) => self.fetch_by_delta(delta, &update, &wish),
            None => self.fetch_whole(&update, &wish),
        }
    }

    fn fetch_whole(&mut self, update: &Update, wish: &Wish) {
        let digest = update.image.digest;
        if update.round > 0 && self.pulled.base.is_some() {
            let wrong = || "what it made has another digest".to_owned();
            self.pulled.without.get_or_insert_with(wrong);
        }
        // What a delta made of it, or an earlier request in other chunks brought, counts, unless they are too large now.
        let limit = self.chunk_of(wish);
        let journaled = self.journaled_chunk(update);
        let by_http = wish.url.is_some() && self.setup.config.http;
        let journaled = journaled.filter(|&chunk| by_http || chunk <= self.largest_chunk());
        let chunk_size = journaled.unwrap_or(limit);
        let config = &self.setup.config;
        let size = u64::from(update.image.size);
        let mut pull = match Pull::new(
            Digest(digest),
            size,
            chunk_size,
            config.credit,
            config.stall,
        ) {
            Ok(pull) => pull,
            Err(error) => {
                self.put_off(FailureCode::Transfer, digest, error.to_string());
                return;
            }
        };
        let header = header(update, chunk_size);
        match Download::open(&mut self.folder, header, |chunk| pull.hold(chunk)) {
            Ok(download) => {
                let (held, size) = pull.progress();
                if held > 0 {
                    info!(AREA, "{held} of {size} bytes are here already");
                }
                let complete = pull.is_complete();
                let bulk = wish.url.as_deref().and_then(|url| self.bulk(url, &pull));
                if complete {
                    return self.downloaded(digest);
                }
                self.fetch = Some(Fetch {
                    way: Way::Whole(download),
                    pull,
                    bulk,
                });
            }
            Err(error) => self.put_off(FailureCode::Storage, digest, self.storage(error)),
        }
    }

    /// The largest chunk that gets here, in bytes.
    fn largest_chunk(&self) -> u32 {
        self.broker_chunk.min(self.fleet_chunk)
    }

    /// The size of the chunks to ask for: what the fleet proposes, if it gets here.
    pub(super) fn chunk_of(&self, wish: &Wish) -> u32 {
        wish.chunk_size.min(self.largest_chunk())
    }

    /// Begins a download anew whose chunks do not get here, with smaller ones.
    pub(super) fn cut_smaller(&mut self) {
        let Some(fetch) = &self.fetch else { return };
        let update = self.stored.state.update.map(|update| update.image.digest);
        let wishes = [&self.wish, &self.shadow].into_iter().flatten();
        let limit = wishes
            .into_iter()
            .find(|wish| Some(wish.image.digest) == update)
            .map(|wish| self.chunk_of(wish));
        let Some(limit) = limit else { return };
        let (old, size) = (fetch.pull.chunk_size(), fetch.pull.layout().size());
        // A file that is smaller than a chunk is one chunk of its own size.
        if fetch.bulk.is_some() || size.min(u64::from(old)) <= u64::from(limit) {
            return;
        }
        info!(
            AREA,
            "chunks of {old} bytes are too large for the broker; asking for {limit}"
        );
        self.fetch = None;
        self.fetch_if_known();
    }

    pub(super) fn bulk(&mut self, url: &str, pull: &Pull) -> Option<Bulk> {
        if !self.setup.config.http {
            return None;
        }
        info!(AREA, "pulling from {url}");
        match Bulk::start(url, pull.release(), pull.layout(), self.setup.line.clone()) {
            Ok(bulk) => Some(bulk),
            Err(error) => {
                self.hush.warn(
                    AREA,
                    "bulk",
                    format_args!("no thread can be started ({error})"),
                );
                None
            }
        }
    }

    /// The address in the manifest does not give the bytes: they come over MQTT.
    pub(super) fn no_bulk(&mut self, release: Digest, why: &str) {
        let Some(fetch) = self
            .fetch
            .as_mut()
            .filter(|fetch| fetch.pull.release() == release && fetch.bulk.is_some())
        else {
            return;
        };
        fetch.bulk = None;
        fetch.pull.start_over();
        warn!(AREA, "{why}; the rest is pulled over MQTT");
    }

    pub(super) fn copy_local(
        &mut self,
        path: &Path,
        update: &Update,
        chunk_size: u32,
    ) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let header = header(update, chunk_size);
        let mut held = vec![false; header.chunks() as usize];
        let note = |chunk: u32| {
            if let Some(held) = held.get_mut(chunk as usize) {
                *held = true;
            }
        };
        let download =
            Download::open(&mut self.folder, header, note).map_err(|error| self.storage(error))?;
        for (chunk, _) in (0..).zip(held).filter(|(_, held)| !held) {
            let place = header
                .place(chunk)
                .map(|(offset, length)| (offset as usize, length as usize));
            let piece = place.and_then(|(offset, length)| bytes.get(offset..offset + length));
            let piece =
                piece.ok_or_else(|| format!("{} changed while it was read", path.display()))?;
            download
                .put(&mut self.folder, chunk, piece)
                .map_err(|error| self.storage(error))?;
        }
        Ok(())
    }

    pub(super) fn storage(&self, error: DownloadError<io::Error>) -> String {
        let folder = self.setup.folder.display();
        match error {
            DownloadError::Medium(error) => {
                format!("{folder} cannot be written ({error}); free some space")
            }
            other => format!("the model does not fit its slot ({other:?}); register it again"),
        }
    }

    pub(super) fn chunk(&mut self, bytes: &[u8], now: Instant) {
        let Some(fetch) = &mut self.fetch else { return };
        let chunk = match wire::decode::<Chunk<'_>>(bytes) {
            Ok(chunk) => chunk,
            Err(error) => {
                return self.hush.warn(
                    AREA,
                    "chunk",
                    format_args!("a chunk cannot be read: {error}"),
                );
            }
        };
        let place: Result<Arrival, Misfit> =
            fetch
                .pull
                .place(chunk.release, chunk.offset, chunk.data.len());
        let index = match place {
            Ok(Arrival::New(index)) => index,
            Ok(Arrival::Again | Arrival::Foreign) => return,
            Err(misfit) => return self.hush.warn(AREA, "misfit", format_args!("{misfit}")),
        };
        let length = chunk.data.len() as u64;
        self.pulled.bytes += length;
        self.setup.shared.pulled_bytes.add(length);
        let download = match &fetch.way {
            Way::Whole(download) => download,
            Way::Delta(..) => return self.delta_chunk(index, chunk.data),
        };
        let digest = fetch.pull.release().0;
        if let Err(error) = download.put(&mut self.folder, index, chunk.data) {
            let why = self.storage(error);
            return self.put_off(FailureCode::Storage, digest, why);
        }
        fetch.pull.stored(index, now);
        if fetch.pull.is_complete() {
            self.fetch = None;
            self.downloaded(digest);
        }
    }

    pub(super) fn refused(&mut self, release: Digest, refusal: Refusal, now: Instant) {
        let Some(fetch) = self
            .fetch
            .as_mut()
            .filter(|fetch| fetch.pull.release() == release)
        else {
            return;
        };
        if refusal == Refusal::BadRange && fetch.bulk.is_none() {
            let (chunk, size) = (fetch.pull.chunk_size(), fetch.pull.layout().size());
            let smaller = size.min(u64::from(chunk)) / 2;
            if smaller >= u64::from(MIN_CHUNK) {
                let smaller = u32::try_from(smaller).unwrap_or(chunk / 2);
                self.fleet_chunk = 1 << smaller.ilog2();
                return self.cut_smaller();
            }
        }
        if let Way::Delta(..) = fetch.way {
            let why = match refusal {
                Refusal::Unknown => "the fleet does not have it",
                Refusal::Storage | Refusal::BadRange => "the fleet cannot send it",
            };
            return self.without_delta(release, why);
        }
        let why = match refusal {
            Refusal::Storage => {
                let wait = backoff::wait(
                    fetch.pull.fruitless(),
                    TRY_AGAIN,
                    TRY_AGAIN_MAX,
                    self.dice.roll(),
                );
                fetch.pull.put_off(now, wait);
                return self.hush.warn(
                    AREA,
                    "fleet's storage",
                    format_args!(
                        "the fleet cannot read the model now; asking again in {} s",
                        wait.as_secs()
                    ),
                );
            }
            Refusal::Unknown => "the fleet has no such model any more; push one that it has",
            Refusal::BadRange => {
                "the fleet refuses the chunk size; set --chunk to its default, and see the coordinator's log"
            }
        };
        self.put_off(FailureCode::Transfer, release.0, why.into());
    }

    /// Ends a download that cannot go on now, and plans another try. What is here already stays.
    pub(super) fn put_off(&mut self, code: FailureCode, digest: [u8; 32], why: String) {
        let wait = backoff::wait(self.in_vain, TRY_AGAIN, TRY_AGAIN_MAX, self.dice.roll());
        self.in_vain = self.in_vain.saturating_add(1);
        self.again = Some(self.now + wait);
        self.hush.warn(
            AREA,
            &why,
            format_args!("the download is put off: {why}; trying again later"),
        );
        self.failure = Some(Failure {
            release: Some(digest),
            code,
            text: why,
        });
        self.event(Event::GaveUp(digest));
    }

    pub(super) fn watch_download(&mut self, now: Instant) {
        self.go_on_by_delta();
        let Some(session) = self.session else { return };
        // What is here is used before more is asked for.
        if self.held.is_some() || self.fetch.as_ref().is_some_and(Fetch::is_ready) {
            return;
        }
        let Some(fetch) = &mut self.fetch else { return };
        let Some(ranges) = fetch.pull.ask(now, &mut self.dice) else {
            return;
        };
        if fetch.pull.fruitless() == 1 {
            let stall = self.setup.config.stall.as_secs_f64();
            self.hush.warn(
                AREA,
                "stall",
                format_args!("no chunk came for {stall} s; asking again"),
            );
        }
        if let Some(bulk) = &fetch.bulk {
            if fetch.pull.fruitless() < IN_VAIN {
                bulk.ask(ranges.to_vec());
                return;
            }
            fetch.bulk = None;
            warn!(
                AREA,
                "the address in the manifest sends nothing; the rest is pulled over MQTT"
            );
        }
        let need = Need {
            session,
            release: fetch.pull.release(),
            chunk_size: fetch.pull.chunk_size(),
            credit: fetch.pull.credit(),
            ranges,
        };
        self.send(Kind::Need, &need);
    }
}
