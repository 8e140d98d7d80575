//! Each measure against sums done by hand.

use super::*;
use sanderling_frames::{Element, Header};

fn integers(shape: &[usize], values: &[i64]) -> Array {
    let header = Header {
        name: "label".to_owned(),
        element: Element::I64,
        shape: shape.to_vec(),
    };
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Array::new(header, bytes).unwrap()
}

fn output(dtype: Dtype, shape: &[usize]) -> Output {
    Output {
        name: "y".to_owned(),
        dtype,
        shape: shape.to_vec(),
        scale: 0.5,
        zero_point: 3,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn accuracy_is_the_share_of_frames_whose_highest_score_is_the_label_s() {
    let label = integers(&[4], &[0, 2, 1, 1]);
    let mut judge = Judge::new(&label, output(Dtype::I8, &[1, 3]), 2).unwrap();
    // The third answer is a tie, which the first wins; the last is right.
    let answers: [[u8; 3]; 4] = [[9, 1, 2], [1, 255, 5], [7, 7, 0], [0, 1, 255]];
    for (frame, (answer, slice)) in answers.iter().zip([0, 0, 1, 1]).enumerate() {
        judge.take(frame, slice, answer).unwrap();
    }
    let scores = judge.scores(&names(&["a", "b"]));
    assert_eq!(scores.measure, Measure::Accuracy);
    assert_eq!((scores.all.frames, scores.all.value), (4, 0.75));
    let slices: Vec<f64> = scores.slices.iter().map(|s| s.value).collect();
    assert_eq!(slices, [1.0, 0.5]);
}

#[test]
fn a_label_beyond_the_classes_is_an_error_that_names_the_frame() {
    let label = integers(&[2], &[0, 3]);
    let mut judge = Judge::new(&label, output(Dtype::I8, &[1, 3]), 1).unwrap();
    judge.take(0, 0, &[0, 0, 0]).unwrap();
    let error = judge.take(1, 0, &[0, 0, 0]).unwrap_err().to_string();
    assert!(
        error.contains("frame 1 has class 3") && error.contains("0 to 2"),
        "{error}"
    );
}

#[test]
fn class_numbers_and_no_numbers_are_answers_too() {
    let label = integers(&[2], &[5, 5]);
    let mut judge = Judge::new(&label, output(Dtype::I32, &[1]), 1).unwrap();
    judge.take(0, 0, &5i32.to_le_bytes()).unwrap();
    judge.take(1, 0, &(-1i32).to_le_bytes()).unwrap();
    assert_eq!(judge.scores(&names(&["all"])).all.value, 0.5);

    let label = integers(&[1], &[0]);
    let mut judge = Judge::new(&label, output(Dtype::F32, &[2]), 1).unwrap();
    let answer = [f32::NAN, f32::NAN].map(f32::to_le_bytes).concat();
    judge.take(0, 0, &answer).unwrap();
    assert_eq!(judge.scores(&names(&["all"])).all.value, 0.0);
}

#[test]
fn maps_are_measured_by_intersection_over_union_with_classes_first_or_last() {
    // Truth: 0 0 1 and one cell that counts nothing. Answer: 0 1 1 1.
    let label = integers(&[1, 2, 2], &[0, 0, 1, -1]);
    let first = [9, 0, 0, 0, 0, 9, 9, 9];
    let last = [9, 0, 0, 9, 0, 9, 0, 9];
    {
        let (shape, answer) = ([1, 2, 2, 2], first);
        let mut judge = Judge::new(&label, output(Dtype::U8, &shape), 1).unwrap();
        judge.take(0, 0, &answer).unwrap();
        let scores = judge.scores(&names(&["all"]));
        assert_eq!(scores.measure, Measure::MeanIou);
        // Class 0: 1 of 2. Class 1: 1 of 2.
        assert_eq!(scores.all.value, 0.5);
    }
    let label = integers(&[1, 4], &[0, 0, 1, -1]);
    let mut judge = Judge::new(&label, output(Dtype::U8, &[1, 4, 2]), 1).unwrap();
    judge.take(0, 0, &last).unwrap();
    assert_eq!(judge.scores(&names(&["all"])).all.value, 0.5);
    let mut judge = Judge::new(&label, output(Dtype::I32, &[1, 4]), 1).unwrap();
    let answer = [0i32, 1, 1, 1].map(i32::to_le_bytes).concat();
    judge.take(0, 0, &answer).unwrap();
    assert_eq!(judge.scores(&names(&["all"])).all.value, 0.5);
}

#[test]
fn values_are_compared_in_real_units() {
    let label = integers(&[2, 2], &[0, 1, 2, 3]);
    let mut judge = Judge::new(&label, output(Dtype::I8, &[1, 2]), 2).unwrap();
    // Real: (3 - 3) / 2 = 0, (7 - 3) / 2 = 2; then 2 and 3.
    judge.take(0, 0, &[3, 7]).unwrap();
    judge.take(1, 1, &[7, 9]).unwrap();
    let scores = judge.scores(&names(&["a", "b"]));
    assert_eq!(scores.measure, Measure::MeanAbsoluteError);
    assert_eq!((scores.slices[0].value, scores.slices[1].value), (0.5, 0.0));
    assert_eq!(scores.all.value, 0.25);
}

#[test]
fn labels_that_have_nothing_to_do_with_the_output_are_refused_with_both_shapes() {
    let label = integers(&[1, 5], &[0, 1, 2, 3, 4]);
    let error = Judge::new(&label, output(Dtype::I8, &[1, 3]), 1).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("shape 5") && text.contains("shape 1×3"),
        "{text}"
    );
}
