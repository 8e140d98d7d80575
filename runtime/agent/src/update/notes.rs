//! What the driver remembers of a step, and says about it to people.

use sanderling_slots::{self as slots, Fault, Note, Phase};

use sanderling_wire::MAX_CHUNK;

use super::driver::{AREA, Driver, show};
use super::report::{self, Failure};
use crate::{error, info, warn};

impl Driver {
    /// Remembers and says what a step means for people.
    pub(super) fn note(&mut self, note: Note, before: &slots::State) {
        let update = before.update.map(|update| update.image);
        match note {
            Note::Nothing | Note::Deferred | Note::Promoted => {}
            Note::Stale => self.hush.warn(
                AREA,
                "stale",
                format_args!("a wish older than one that was accepted is ignored"),
            ),
            Note::UpToDate => self.failure = None,
            Note::Began => {
                self.fleet_chunk = MAX_CHUNK;
                self.failure = None;
                self.detail = None;
                if let Some(update) = self.stored.state.update {
                    let how = match update.phase {
                        Phase::Downloading => "pulling it",
                        _ => "it is still in the other slot",
                    };
                    info!(
                        AREA,
                        "{} is wanted ({} bytes): {how}",
                        show(&update.image),
                        update.image.size
                    );
                }
            }
            Note::Dropped => {
                self.failure = None;
                if let Some(image) = update {
                    info!(AREA, "{} is no longer wanted", show(&image));
                }
            }
            Note::Refused(fault) => {
                let Some(wish) = self
                    .wish
                    .as_ref()
                    .or(self.local.as_ref().map(|local| &local.wish))
                else {
                    return;
                };
                let (digest, image) = (wish.image.digest, show(&wish.image));
                let text = format!(
                    "{image} failed here before: {}; push a newer version, or order a retry",
                    report::words(fault)
                );
                self.hush.warn(AREA, &text, format_args!("{text}"));
                if self
                    .failure
                    .as_ref()
                    .is_none_or(|failure| failure.release != Some(digest))
                {
                    self.failure = Some(Failure {
                        release: Some(digest),
                        code: report::code(fault),
                        text,
                    });
                }
            }
            Note::DownloadAgain => {
                let why = self
                    .detail
                    .take()
                    .unwrap_or_else(|| report::words(Fault::WrongDigest).into());
                warn!(AREA, "the download is wrong: {why}; pulling it once more");
            }
            Note::Activated => {
                self.hand.clear();
                self.failure = None;
                self.in_vain = 0;
                if let Some(active) = self.stored.state.active {
                    info!(
                        AREA,
                        "{} passed its trial and is active",
                        show(&active.image)
                    );
                }
                self.settle_floor();
                self.again = Some(self.now);
            }
            Note::FellBack(fault) => {
                let Some(image) = update else { return };
                let why = self
                    .detail
                    .take()
                    .unwrap_or_else(|| report::words(fault).into());
                let runs = self
                    .stored
                    .state
                    .runs()
                    .map_or("no model runs".into(), |(_, image)| {
                        format!("{} runs on", show(&image))
                    });
                let text = format!("{} was given up: {why}; {runs}", show(&image));
                error!(AREA, "{text}");
                self.failure = Some(Failure {
                    release: Some(image.digest),
                    code: report::code(fault),
                    text,
                });
                // Another wish may have waited for this one's end; the same one would only be refused.
                if self
                    .wish
                    .as_ref()
                    .is_some_and(|wish| wish.image.digest != image.digest)
                {
                    self.again = Some(self.now);
                }
            }
            Note::Recovered => error!(
                AREA,
                "the active model's file was damaged; the model before it runs: push the newer one again"
            ),
            Note::NothingLeft => {
                error!(
                    AREA,
                    "the active model's file was damaged and there is no other; the fleet's model will be pulled"
                );
                self.again = Some(self.now);
            }
        }
    }
}
