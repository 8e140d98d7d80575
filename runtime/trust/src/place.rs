//! A robot's place among the robots of its group.

use sha2::{Digest as _, Sha256};

/// The first 4 bytes, little-endian, of SHA-256(salt || device name). Every robot, coordinator and
/// simulator computes the same, and another salt begins with other robots.
pub fn place(salt: &[u8], device: &str) -> u32 {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(device.as_bytes())
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    u32::from_le_bytes([a, b, c, d])
}
