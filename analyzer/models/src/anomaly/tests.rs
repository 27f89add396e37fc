use proptest::prelude::*;

use super::*;

fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                sum += (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            }
            sum
        })
        .collect()
}

/// Daily wave of 144 steps around 100 with noise of about 0.6.
fn daily(n: usize) -> Vec<f64> {
    let noise = noise(7, n);
    (0..n).map(|t| 100.0 + 30.0 * (t as f64 / 144.0 * std::f64::consts::TAU).sin() + noise[t]).collect()
}

fn last_score(values: &[f64], season: Option<usize>) -> f64 {
    anomaly_score(values, season).expect("enough data").score
}

#[test]
fn noise_is_normal_and_a_spike_is_not() {
    let mut values = noise(3, 400);
    let scores = anomaly_scores(&values, None);
    let high = scores.iter().flatten().filter(|s| s.score >= ANOMALY_THRESHOLD).count();
    assert!(high <= 4, "{high} false alarms in 400 values of noise");
    values.push(8.0);
    assert!(last_score(&values, None) > 8.0);
}

#[test]
fn the_same_climb_as_every_day_is_normal() {
    let values = daily(144 * 5);
    let high =
        anomaly_scores(&values, Some(144))[144 * 3..].iter().flatten().filter(|s| s.score >= ANOMALY_THRESHOLD).count();
    assert!(high <= 3, "{high} false alarms in two normal days");
}

#[test]
fn a_climb_that_does_not_come_is_unusual() {
    let mut values = daily(144 * 5);
    let at = 144 * 4 + 20;
    for value in &mut values[at - 8..=at] {
        *value = 100.0;
    }
    assert!(last_score(&values[..=at], Some(144)) >= ANOMALY_THRESHOLD);
    // Without the season the flat line is as normal as can be seen.
    let flat: Vec<f64> = vec![100.0; 80];
    assert_eq!(last_score(&flat, None), 0.0);
}

#[test]
fn a_new_level_is_an_event_at_its_beginning() {
    let mut values = daily(144 * 6);
    for value in &mut values[144 * 5..] {
        *value += 25.0;
    }
    assert!(last_score(&values[..=144 * 5], Some(144)) >= ANOMALY_THRESHOLD);
    assert!(last_score(&values, Some(144)) < ANOMALY_THRESHOLD);
}

#[test]
fn a_constant_has_a_floor_and_the_unknown_is_none() {
    let mut values = vec![5.0; 50];
    values.push(5.04);
    assert!(last_score(&values, None) < 1.0);
    values.push(7.0);
    assert!(last_score(&values, None) > ANOMALY_THRESHOLD);
    assert_eq!(anomaly_score(&[1.0; 12], None), None);
    assert_eq!(anomaly_score(&[], None), None);
    values.push(f64::NAN);
    assert_eq!(anomaly_score(&values, None), None);
    let mut zeros = vec![0.0; 30];
    zeros.push(0.0);
    assert_eq!(last_score(&zeros, None), 0.0);
}

proptest! {
    #[test]
    fn a_score_is_always_finite_and_never_looks_ahead(
        values in prop::collection::vec(prop_oneof![8 => -1e300..1e300f64, 4 => -10.0..10.0f64, 1 => Just(f64::NAN), 1 => Just(0.0)], 0..200),
        season in prop::option::of(0usize..60),
    ) {
        let all = anomaly_scores(&values, season);
        for score in all.iter().flatten() {
            prop_assert!((0.0..=SCORE_MAX).contains(&score.score), "{score:?}");
            prop_assert!(score.expected.is_finite() && score.spread > 0.0 && score.spread.is_finite(), "{score:?}");
        }
        let half = values.len() / 2;
        prop_assert_eq!(&anomaly_scores(&values[..half], season)[..], &all[..half]);
    }
}
