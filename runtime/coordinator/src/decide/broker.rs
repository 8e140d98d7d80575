//! What the broker takes, as its CONNACK and its refusals say: which messages fit, how large a chunk may be, and what
//! Sanderling cannot do without. Pure.

use sanderling_wire::{MAX_CHUNK, MIN_CHUNK};

/// Bytes of a PUBLISH packet beside topic and payload: the fixed header, the lengths, the packet id, and a short property.
const AROUND: usize = 96;
/// Bytes of a chunk's message beside its data: the envelope, the digest, the offset, the length.
const IN_CHUNK: usize = 64;

/// How large a message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet, from the CONNACK.
    pub packet: usize,
    /// The largest payload, learned from refusals: a limit on messages (Mosquitto's `message_size_limit`) is announced
    /// nowhere.
    pub payload: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            packet: usize::MAX,
            payload: usize::MAX,
        }
    }
}

impl Limits {
    /// Whether a message fits.
    pub fn takes(&self, topic: usize, payload: usize) -> bool {
        payload <= self.payload && topic + payload + AROUND <= self.packet
    }

    /// The largest size of chunks that fit: a power of two, so that it suits flash and journals everywhere. None where
    /// not even the smallest chunk fits.
    pub fn chunk(&self, topic: usize) -> Option<u32> {
        let room = self.packet.saturating_sub(topic + AROUND).min(self.payload);
        let data = u32::try_from(room.saturating_sub(IN_CHUNK)).unwrap_or(u32::MAX);
        let fits = data.checked_ilog2().map(|bits| 1 << bits)?;
        (fits >= MIN_CHUNK).then(|| MAX_CHUNK.min(fits))
    }

    /// A payload of so many bytes was among those of which one was refused for its size. True where that is news.
    pub fn refused(&mut self, largest: usize) -> bool {
        let limit = largest.saturating_sub(1);
        let news = limit < self.payload;
        self.payload = self.payload.min(limit);
        news
    }
}

/// What the broker does not do and Sanderling needs, in words that say what to change; from its CONNACK.
pub fn lacks(retain_available: Option<u8>, max_qos: Option<u8>) -> Option<&'static str> {
    if retain_available == Some(0) {
        return Some(NO_RETAIN);
    }
    (max_qos == Some(0)).then_some(NO_QOS)
}

/// The broker keeps no retained messages.
pub const NO_RETAIN: &str = "it keeps no retained messages, by which robots that connect later learn what to run; \
     allow them (Mosquitto: retain_available true)";
/// The broker acknowledges nothing.
pub const NO_QOS: &str = "it takes messages at QoS 0 only, which it may lose without a word; allow QoS 1 (Mosquitto: \
     max_qos 1)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fit_what_the_connack_allows() {
        let chunk = |packet| {
            let limits = Limits {
                packet,
                ..Limits::default()
            };
            let chunk = limits.chunk(40);
            if let Some(chunk) = chunk {
                assert!(limits.takes(40, chunk as usize + IN_CHUNK), "{packet}");
            }
            chunk
        };
        assert_eq!(chunk(usize::MAX), Some(MAX_CHUNK));
        assert_eq!(chunk(20_000), Some(16_384));
        assert_eq!(chunk(2000), Some(1024));
        assert_eq!(chunk(456), Some(256));
        assert_eq!(chunk(455), None);
        assert_eq!(chunk(0), None);
    }

    #[test]
    fn refusals_lead_to_a_size_that_fits_and_no_further() {
        let mut limits = Limits::default();
        let mut chunk = 32_768;
        let mut refusals = 0;
        // A broker that takes messages of 8,000 bytes.
        while chunk as usize + 45 > 8000 {
            assert!(limits.refused(chunk as usize + 45));
            chunk = limits.chunk(40).unwrap();
            refusals += 1;
        }
        assert_eq!((chunk, refusals), (4096, 3));
        assert!(!limits.refused(40_000), "a larger one is no news");
    }

    #[test]
    fn what_is_needed_is_named() {
        assert_eq!(lacks(None, None), None);
        assert_eq!(lacks(Some(1), Some(1)), None);
        assert!(lacks(Some(0), None).unwrap().contains("retain_available"));
        assert!(lacks(None, Some(0)).unwrap().contains("max_qos 1"));
    }
}
