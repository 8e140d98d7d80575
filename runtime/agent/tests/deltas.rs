//! Updates by delta: what is pulled of them, and what happens where they are damaged, missing, lies, or cut.

mod support;

use std::path::Path;
use std::time::Duration;

use sanderling_agent::update::Pulled;
use support::life::{Life, settings};
use support::models::{self, Model, delta, retrained, smallest};

/// Bytes of the models here, most of them.
const LONG: usize = 100_000;

/// A robot that rests with `base`, and a fleet that has `new` too and refuses what it has not.
fn robot(folder: &Path, base: &Model, new: &Model) -> Life {
    let config = settings(|settings| settings.credit = Some(8));
    let mut life = Life::begin(folder, &config, &[base.clone(), new.clone()]);
    life.refuses = true;
    life.want(base, 1, 1);
    life.until("the first model", |life| life.rests_with(base));
    life
}

fn pulled(life: &Life) -> Pulled {
    life.shared.standing().pulled.expect("something was")
}

/// The delta with some bits changed, served as if they were right.
fn damaged(delta: &Model, at: usize) -> Model {
    let mut damaged = delta.clone();
    damaged.bytes[at] ^= 0x55;
    damaged
}

#[test]
fn a_robot_that_holds_the_base_pulls_what_differs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &delta);
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    assert_eq!(life.sent(&new), 0);
    assert_eq!(
        life.sent(&delta),
        delta.bytes.len() as u64,
        "each byte once"
    );
    assert!(
        delta.bytes.len() * 7 < new.bytes.len(),
        "{}",
        delta.bytes.len()
    );
    let pulled = pulled(&life);
    assert_eq!(pulled.bytes, delta.bytes.len() as u64);
    assert_eq!((pulled.base, pulled.without), (Some(base.digest), None));
    let whole = life.shared.pulled_bytes.get();
    assert_eq!(whole, (base.bytes.len() + delta.bytes.len()) as u64);
}

#[test]
fn a_robot_without_the_base_pulls_the_full_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &models::largest(), &new);
    life.offer(&base, &delta);
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    assert_eq!(
        (life.sent(&delta), life.sent(&new)),
        (0, new.bytes.len() as u64)
    );
    assert_eq!(pulled(&life).base, None);
}

#[test]
fn a_damaged_delta_leads_to_the_full_file_for_what_lacks() {
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let full = new.bytes.len() as u64;
    // In the head, in the table, in the middle of the blocks, in the last one.
    let at = [30, 100, delta.bytes.len() / 2, delta.bytes.len() - 20];
    let sent: Vec<u64> = at
        .iter()
        .map(|&at| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let mut life = robot(folder.path(), &base, &new);
            life.offer(&base, &damaged(&delta, at));
            life.want(&new, 2, 2);
            life.until("the second model", |life| life.rests_with(&new));
            assert!(pulled(&life).without.is_some(), "byte {at}");
            life.sent(&new)
        })
        .collect();
    assert_eq!(sent[0], full);
    let rest =
        |sent: u64, least: u64, most: u64| (full * least..=full * most).contains(&(sent * 100));
    assert!(rest(sent[2], 40, 60), "{} of {full}", sent[2]);
    assert!(sent[3] <= 4096, "{} of {full}", sent[3]);
}

#[test]
fn a_delta_that_the_fleet_lacks_leads_to_the_full_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &delta);
    life.offers[0].digest.0[0] ^= 1;
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    assert_eq!(life.sent(&new), new.bytes.len() as u64);
    let why = pulled(&life).without.expect("it says why");
    assert!(why.contains("does not have it"), "{why}");
}

#[test]
fn a_delta_that_makes_another_model_is_found_by_the_digest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let mut other = new.clone();
    other.bytes[LONG / 2] ^= 1;
    // Sound in itself: every block has its checksum. Only the name of the result is another's.
    let mut lie = delta(&base, &other).bytes;
    lie[52..84].copy_from_slice(&new.digest);
    let crc = crc32(&lie[..84]);
    lie[84..88].copy_from_slice(&crc.to_le_bytes());
    let lie = Model::of(lie);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &lie);
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    assert_eq!(life.sent(&lie), lie.bytes.len() as u64);
    assert_eq!(life.sent(&new), new.bytes.len() as u64, "then all of it");
    let why = pulled(&life).without.expect("it says why");
    assert!(why.contains("another digest"), "{why}");
}

#[test]
fn an_agent_that_ends_on_the_way_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &delta);
    life.want(&new, 2, 2);
    let all = delta.bytes.len() as u64;
    life.until("half of it", |life| life.sent(&delta) > all / 2);
    let before = life.sent(&delta);
    drop(life);
    let config = settings(|settings| settings.credit = Some(8));
    let mut life = Life::begin(folder.path(), &config, &[base.clone(), new.clone()]);
    life.refuses = true;
    life.offer(&base, &delta);
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    assert_eq!(life.sent(&new), 0);
    let after = life.sent(&delta);
    // Its head, its table, and what had come and was not in a block yet.
    assert!(
        before + after < all + 8 * 256 + 2048,
        "{before} and {after} of {all}"
    );
    assert!(after < all, "{after} of {all} after the start");
}

#[test]
fn where_it_ended_without_the_base_the_blocks_that_were_made_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &damaged(&delta, delta.bytes.len() / 2));
    life.have(&new);
    life.want(&new, 2, 2);
    life.until("the full file's turn", |life| life.sent(&new) > 0);
    drop(life);
    // Now the manifest names no delta at all.
    let config = settings(|_| {});
    let mut life = Life::begin(folder.path(), &config, &[base, new.clone()]);
    life.want(&new, 2, 2);
    life.until("the second model", |life| life.rests_with(&new));
    let (sent, full) = (life.sent(&new), new.bytes.len() as u64);
    assert!(sent * 10 < full * 6, "{sent} of {full}");
}

#[test]
fn the_model_before_the_active_one_is_a_base_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    let between = models::largest();
    life.have(&between);
    life.want(&between, 2, 2);
    life.until("a model in between", |life| life.rests_with(&between));
    life.offer(&base, &delta);
    life.want(&new, 3, 3);
    life.until("the third model", |life| life.rests_with(&new));
    assert_eq!(life.sent(&new), 0);
    assert_eq!(life.sent(&delta), delta.bytes.len() as u64);
    assert_eq!(pulled(&life).base, Some(base.digest));
}

#[test]
fn a_candidate_that_runs_beside_comes_by_delta_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (base, new) = (smallest(LONG), retrained(LONG));
    let delta = delta(&base, &new);
    let mut life = robot(folder.path(), &base, &new);
    life.offer(&base, &delta);
    life.want_beside(&new, 2, 2);
    life.until("two models", |life| {
        life.shared.shadow.candidate() == Some(new.digest)
    });
    assert_eq!(life.sent(&new), 0);
    life.turn(Duration::from_secs(1));
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
