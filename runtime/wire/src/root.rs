//! Whom a robot believes: the keys of a fleet and what each may sign. The statement that root keys sign.
//!
//! ```text
//! root keys (offline) ──sign──▶ Root ──names──▶ release keys (offline) ──sign──▶ Manifest
//!                                      ──names──▶ fleet key  (online)  ──signs─▶ Desired
//! ```

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::envelope::{MAX_SMALL_MESSAGE, Message, decode};
use crate::inference::as_bytes;
use crate::signed::Signed;

/// The most keys of one root.
pub const MAX_KEYS: usize = 12;
/// The most keys of one role.
pub const MAX_ROLE_KEYS: usize = 4;
/// The most signatures on a root: the threshold of the old one and that of the new one.
pub const MAX_ROOT_SIGNATURES: usize = 2 * MAX_ROLE_KEYS;
/// The longest root without signatures, in bytes.
pub const MAX_ROOT: usize = 512;
/// The largest epoch: it shares 64 bits with a serial of 40.
pub const MAX_EPOCH: u32 = (1 << 24) - 1;

/// Who may sign for one role, and how many of them must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// How many different keys must sign.
    pub threshold: u8,
    /// The keys, by their index in [`Root::keys`].
    pub keys: Vec<u8, MAX_ROLE_KEYS>,
}

/// The keys of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// From 1; each new root has one more than the root before it.
    pub version: u32,
    /// From 1; grows whenever the fleet key changes. Serials of an older epoch count as older than
    /// any of a newer one, so a stolen fleet key cannot have used up the numbers.
    pub epoch: u32,
    /// When nothing signed under this root is to be installed any longer, in seconds since 1970;
    /// none: never.
    pub expires_s: Option<u64>,
    /// Public keys, ed25519.
    pub keys: Vec<[u8; 32], MAX_KEYS>,
    /// May sign the next root.
    pub root: RoleKeys,
    /// May sign manifests.
    pub release: RoleKeys,
    /// May sign desired states.
    pub fleet: RoleKeys,
}

impl Message<'_> for Root {
    const MAX_LEN: usize = MAX_ROOT;

    fn is_sound(&self) -> bool {
        let different = |i: usize, key: &[u8; 32]| self.keys.iter().skip(i + 1).all(|k| k != key);
        let role = |role: &RoleKeys| {
            let distinct = role.keys.iter().enumerate().all(|(i, key)| {
                usize::from(*key) < self.keys.len()
                    && !role.keys.iter().skip(i + 1).any(|k| k == key)
            });
            role.threshold > 0 && usize::from(role.threshold) <= role.keys.len() && distinct
        };
        self.version > 0
            && (1..=MAX_EPOCH).contains(&self.epoch)
            && self.keys.iter().enumerate().all(|(i, k)| different(i, k))
            && role(&self.root)
            && role(&self.release)
            && role(&self.fleet)
    }
}

/// What stands on a group's `root` topic: signed roots one after another, oldest first, so that a
/// robot that missed some can follow the chain.
///
/// ```text
/// bytes: | length, u16 little-endian | Signed root in its envelope | length | … |
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots<'a> {
    /// The chain, as drawn above.
    #[serde(borrow, serialize_with = "as_bytes")]
    pub chain: &'a [u8],
}

impl<'a> Roots<'a> {
    /// Each signed root's bytes in its envelope, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.chain;
        core::iter::from_fn(move || {
            let (link, after) = split(rest)?;
            rest = after;
            Some(link)
        })
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

impl<'a> Message<'a> for Roots<'a> {
    const MAX_LEN: usize = MAX_SMALL_MESSAGE;

    fn is_sound(&self) -> bool {
        let mut rest = self.chain;
        while let Some((link, after)) = split(rest) {
            if decode::<Signed<'_, MAX_ROOT_SIGNATURES>>(link).is_err() {
                return false;
            }
            rest = after;
        }
        rest.is_empty() && !self.chain.is_empty()
    }
}
