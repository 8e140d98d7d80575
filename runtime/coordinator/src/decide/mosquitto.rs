//! The files that make Mosquitto keep the same rules as the embedded broker.

use std::fmt::Write;

use sanderling_wire::{Kind, Name};
use sha2::{Digest as _, Sha512};

use super::access::{CONDITION, HEARS, SAYS};

/// Rounds of the password's digest. One is enough for 256 random bits, which nobody guesses; this is
/// what Mosquitto's own tool takes.
const ROUNDS: u32 = 101;

/// A password's digest as Mosquitto's password file holds it: `$7$ROUNDS$SALT$DIGEST`.
pub fn digest(password: &str, salt: &[u8; 12]) -> String {
    let key = pbkdf2(password.as_bytes(), salt, ROUNDS);
    format!("$7${ROUNDS}${}${}", base64(salt), base64(&key))
}

/// The password file: each user with the password's digest.
pub fn password_file<'c>(users: impl IntoIterator<Item = (&'c Name, &'c str)>) -> String {
    users
        .into_iter()
        .fold(String::new(), |mut file, (user, digest)| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(file, "{user}:{digest}");
            file
        })
}

/// The file of access rules. `robots`: each with its group; `coordinators`: users that may do anything in
/// the fleet.
pub fn acl_file<'c>(
    fleet: &Name,
    robots: impl IntoIterator<Item = (&'c Name, &'c Name)>,
    coordinators: impl IntoIterator<Item = &'c Name>,
) -> String {
    let mut file = String::from("# Every robot: its own topics (%u is the user name).\n");
    let line = |file: &mut String, verb: &str, last: &str| {
        let _ = writeln!(file, "pattern {verb} sanderling/1/{fleet}/d/%u/{last}");
    };
    for kind in SAYS {
        line(&mut file, "write", kind.as_str());
    }
    line(
        &mut file,
        "write",
        &format!("{}/json", Kind::Result.as_str()),
    );
    for kind in HEARS {
        line(&mut file, "read", kind.as_str());
    }
    line(&mut file, "readwrite", CONDITION);
    for user in coordinators {
        let _ = write!(
            file,
            "\nuser {user}\ntopic readwrite sanderling/1/{fleet}/#\n"
        );
    }
    for (robot, group) in robots {
        let _ = write!(
            file,
            "\nuser {robot}\ntopic read sanderling/1/{fleet}/g/{group}/desired\ntopic read sanderling/1/{fleet}/g/{group}/root\n"
        );
    }
    file
}

/// The configuration that uses both, where the files stand in `folder`.
pub fn configuration(folder: &str, port: u16) -> String {
    format!(
        "# Mosquitto's user must be able to read the files: chown -R mosquitto {folder}\n\
         per_listener_settings false\n\
         allow_anonymous false\n\
         password_file {folder}/passwords\n\
         acl_file {folder}/acl\n\
         listener {port}\n\
         # A client is its user, so nobody takes over another one's connection. It counts for the listener above.\n\
         use_username_as_clientid true\n\
         cafile {folder}/ca.pem\n\
         certfile {folder}/server.pem\n\
         keyfile {folder}/server.key\n"
    )
}

/// PBKDF2 with HMAC-SHA-512, one block of 64 bytes (RFC 8018, 5.2).
fn pbkdf2(password: &[u8], salt: &[u8], rounds: u32) -> [u8; 64] {
    let mut round = hmac(password, &[salt, &1u32.to_be_bytes()]);
    let mut sum = round;
    for _ in 1..rounds {
        round = hmac(password, &[&round]);
        for (a, b) in sum.iter_mut().zip(&round) {
            *a ^= b;
        }
    }
    sum
}

/// HMAC-SHA-512 (RFC 2104) with a key of at most 128 bytes.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let pad = |byte: u8| {
        let mut block = [byte; 128];
        for (b, k) in block.iter_mut().zip(key) {
            *b ^= k;
        }
        block
    };
    let inner = parts
        .iter()
        .fold(Sha512::new().chain_update(pad(0x36)), |hash, part| {
            hash.chain_update(part)
        })
        .finalize();
    let outer = Sha512::new().chain_update(pad(0x5c)).chain_update(inner);
    outer.finalize().into()
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let whole = chunk
            .iter()
            .zip([16, 8, 0])
            .fold(0u32, |sum, (byte, shift)| sum | u32::from(*byte) << shift);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(whole >> shift & 63) as usize];
            text.push(if i <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        // RFC 4231, test case 2.
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..4], [0x16, 0x4b, 0x7a, 0x7b]);
        assert_eq!(mac[60..], [0x38, 0xbc, 0xe7, 0x37]);
        // Two rounds differ from one, and the salt counts.
        assert_ne!(pbkdf2(b"p", b"s", 1), pbkdf2(b"p", b"s", 2));
        assert_ne!(pbkdf2(b"p", b"s", 1), pbkdf2(b"p", b"t", 1));
    }
}
