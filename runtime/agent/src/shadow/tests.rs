//! What a candidate may and may not do to the robot that it runs on.

use super::*;

fn raw(dtype: Dtype, data: &[u8]) -> Said {
    Said::Raw {
        dtype,
        shape: vec![data.len() as u32],
        data: data.to_vec(),
    }
}

fn offered(said: &Said) -> Offer {
    let mut offer = Offer::default();
    (offer.class, offer.dtype) = match said {
        Said::Class { top, .. } => (Some(*top), None),
        Said::Raw { dtype, data, .. } => {
            offer.raw.extend_from_slice(data);
            (None, Some(*dtype))
        }
    };
    offer
}

#[test]
fn classes_agree_by_their_index_and_tensors_within_the_tolerance() {
    let class = |top, confidence| Said::Class { top, confidence };
    assert!(agrees(&class(3, 0.1), &offered(&class(3, 0.9)), 0.0));
    assert!(!agrees(&class(3, 0.9), &offered(&class(4, 0.9)), 9.0));
    let (one, other) = (raw(Dtype::I8, &[0, 0xFF]), raw(Dtype::I8, &[2, 1]));
    assert!(agrees(&one, &offered(&other), 2.0));
    assert!(!agrees(&one, &offered(&other), 1.0));
    // As unsigned numbers the same bytes are far apart, and other types are no match at all.
    assert!(!agrees(
        &raw(Dtype::U8, &[0, 0xFF]),
        &offered(&raw(Dtype::U8, &[2, 1])),
        2.0
    ));
    assert!(!agrees(&one, &offered(&raw(Dtype::U8, &[0, 0xFF])), 9.0));
    assert!(!agrees(&one, &offered(&class(0, 0.0)), 9.0));
    let float = |x: f32| raw(Dtype::F32, &x.to_le_bytes());
    assert!(agrees(&float(1.0), &offered(&float(1.25)), 0.25));
    assert!(!agrees(&float(1.0), &offered(&float(f32::NAN)), 9.0));
}

#[test]
fn an_offer_to_nobody_and_to_a_busy_candidate_costs_nothing() {
    let shadow = Shadow::default();
    let said = Said::Class {
        top: 1,
        confidence: 1.0,
    };
    shadow.offer(&[1, 2], &said, false);
    assert_eq!(shadow.summary(), None);
    // No thread runs: the first frame waits for ever, and every other one is skipped at once.
    shadow.lock().seen.candidate = Some([1; 32]);
    shadow.wanted.store(true, Ordering::Release);
    for _ in 0..100 {
        shadow.offer(&[1, 2], &said, false);
    }
    assert_eq!(shadow.summary().map(|seen| seen.skipped), Some(99));
    assert_eq!(shadow.lock().offer.frame, [1, 2]);
    // Not even a lock that is held keeps the inference thread.
    let held = shadow.lock();
    shadow.offer(&[3], &said, false);
    assert_eq!(held.offer.frame, [1, 2]);
}

#[test]
fn frames_that_wait_for_the_active_model_keep_the_candidate_out() {
    let shadow = Shadow::default();
    shadow.lock().seen.candidate = Some([1; 32]);
    shadow.wanted.store(true, Ordering::Release);
    let said = Said::Class {
        top: 1,
        confidence: 1.0,
    };
    shadow.offer(&[1], &said, true);
    assert!(!shadow.lock().waiting);
    assert_eq!(shadow.summary().map(|seen| seen.skipped), Some(1));
}

#[test]
fn sums_count_what_both_answered() {
    let mut seen = Seen::default();
    let time = Duration::from_micros(10);
    for outcome in [
        Outcome::Agreed,
        Outcome::Disagreed,
        Outcome::Failed,
        Outcome::Agreed,
    ] {
        seen.note(outcome, time);
    }
    assert_eq!((seen.compared, seen.disagreed, seen.failures), (3, 1, 1));
    assert_eq!(between(&[], &seen.times.counts()).count, 3);
}
