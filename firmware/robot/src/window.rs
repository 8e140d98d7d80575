//! The last `SAMPLES` samples of `CHANNELS` channels.

use heapless::HistoryBuf;

/// A ring of samples that is written out in the order models take: all samples of the
/// first channel, oldest first, then all of the second one.
#[derive(Debug)]
pub struct Window<const CHANNELS: usize, const SAMPLES: usize> {
    ring: HistoryBuf<[f32; CHANNELS], SAMPLES>,
    since: usize,
}

impl<const CHANNELS: usize, const SAMPLES: usize> Window<CHANNELS, SAMPLES> {
    /// Bytes of a whole window as a model's input.
    pub const BYTES: usize = 4 * CHANNELS * SAMPLES;

    /// An empty window.
    pub const fn new() -> Self {
        Window {
            ring: HistoryBuf::new(),
            since: 0,
        }
    }

    /// Adds a sample; the oldest one goes when the window is full.
    pub fn push(&mut self, sample: [f32; CHANNELS]) {
        self.ring.write(sample);
        self.since = self.since.saturating_add(1);
    }

    /// Forgets every sample, as after a pause: samples of a window must be neighbours.
    pub fn clear(&mut self) {
        self.ring.clear();
        self.since = 0;
    }

    /// Whether the window is full and `stride` samples came since one was last taken.
    pub fn is_due(&self, stride: usize) -> bool {
        self.ring.is_full() && self.since >= stride
    }

    /// Writes the window to `input` as little-endian single precision, shape
    /// `CHANNELS × SAMPLES`. `false`, and nothing written, when the window is not full or
    /// `input` has another length than [`BYTES`](Self::BYTES).
    pub fn take(&mut self, input: &mut [u8]) -> bool {
        if !self.ring.is_full() || input.len() != Self::BYTES {
            return false;
        }
        for (channel, row) in input.chunks_exact_mut(4 * SAMPLES).enumerate() {
            for (sample, bytes) in self.ring.oldest_ordered().zip(row.as_chunks_mut::<4>().0) {
                *bytes = sample
                    .get(channel)
                    .copied()
                    .unwrap_or_default()
                    .to_le_bytes();
            }
        }
        self.since = 0;
        true
    }
}

impl<const CHANNELS: usize, const SAMPLES: usize> Default for Window<CHANNELS, SAMPLES> {
    fn default() -> Self {
        Self::new()
    }
}
