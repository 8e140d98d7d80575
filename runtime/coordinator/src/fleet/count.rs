//! Counting results once each, and confirming none that is not counted.

use sanderling_wire::{FrameId, FrameRange, Name};
use sqlx::AnyConnection;

use super::{After, Fleet, Heard, about};
use crate::store::events::add as note;
use crate::store::{StoreError, results, runs};

impl Fleet {
    /// Counts a frame; true when it was not counted before. Either way the robot gets a receipt.
    pub(super) async fn count(
        &mut self,
        tx: &mut AnyConnection,
        after: &mut After,
        device: &Name,
        frame: FrameId,
        heard: Heard<'_>,
    ) -> Result<bool, StoreError> {
        let number = self.number(tx, device, frame, heard).await?;
        self.load(tx, device, number).await?;
        let key = (device.clone(), number);
        let frames = self.memory.frames.entry(key.clone()).or_default();
        let new = frames.insert(frame.seq);
        after.counted.insert(key);
        if let Some((first, last)) = frames.covering(frame.seq) {
            let of = (device.clone(), heard.run);
            let receipts = after.receipts.entry(of).or_default();
            // Within a batch a range only grows, so the newest one replaces those inside it.
            receipts.retain(|r| r.boot != frame.boot || r.first < first || r.last > last);
            receipts.push(FrameRange {
                boot: frame.boot,
                first,
                last,
            });
        }
        if new && heard.run.is_none() && runs::is_marked(frame.seq) {
            let mark = runs::mark(heard.payload);
            runs::set_mark(tx, device, number, frame.seq, mark).await?;
        }
        Ok(new)
    }

    /// Under which number the frame's start is kept.
    async fn number(
        &mut self,
        tx: &mut AnyConnection,
        device: &Name,
        frame: FrameId,
        heard: Heard<'_>,
    ) -> Result<i64, StoreError> {
        let of = (device.clone(), heard.run, frame.boot);
        let number = match self.memory.numbers.get(&of).copied() {
            Some(number) => number,
            None => {
                let number = runs::number(tx, device, heard.run, frame.boot).await?;
                self.memory.numbers.insert(of.clone(), number);
                number
            }
        };
        if heard.run.is_some() || !runs::is_marked(frame.seq) {
            return Ok(number);
        }
        self.load(tx, device, number).await?;
        let frames = self.memory.frames.get(&(device.clone(), number));
        if frames.is_none_or(|frames| frames.covering(frame.seq).is_none()) {
            return Ok(number);
        }
        let held = runs::marked(tx, device, number, frame.seq).await?;
        if held.is_none_or(|held| held == runs::mark(heard.payload)) {
            return Ok(number);
        }
        let number = runs::begin(tx, device, None, frame.boot).await?;
        self.memory.numbers.insert(of, number);
        let text = format!(
            "numbers other results as it did before (start {}): its storage was wiped while its clock stood still, or \
             two robots have this name; both are counted. Update its agent, which draws a number of its own",
            frame.boot
        );
        tracing::warn!("{device} {text}");
        note(tx, about("renumbered", device, &text)).await?;
        Ok(number)
    }

    /// Reads the frames of a start that were counted, where they are not at hand.
    async fn load(
        &mut self,
        tx: &mut AnyConnection,
        device: &Name,
        number: i64,
    ) -> Result<(), StoreError> {
        let key = (device.clone(), number);
        if let std::collections::hash_map::Entry::Vacant(entry) = self.memory.frames.entry(key) {
            entry.insert(results::frames(tx, device, number).await?);
        }
        Ok(())
    }
}
