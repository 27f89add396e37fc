//! Who is odd, and what is done about it.

use super::*;

fn window(errors: &[f64], latency_ms: &[f64]) -> Vec<Sample> {
    let sample = |(index, (errors, latency)): (usize, (&f64, &f64))| Sample {
        replica: format!("web-{index}"),
        errors: Some(*errors),
        latency: Some(*latency / 1000.0),
    };
    errors.iter().zip(latency_ms).enumerate().map(sample).collect()
}

/// Verdicts of windows in a row.
fn run(windows: &[Vec<Sample>], settled: bool) -> Vec<Verdict> {
    let mut state = OddState::default();
    let mut verdicts = Vec::new();
    for samples in windows {
        let (next, verdict) = judge(&state, samples, settled);
        state = next;
        verdicts.push(verdict);
    }
    verdicts
}

const FINE: [f64; 6] = [0.0, 0.001, 0.0, 0.002, 0.001, 0.0];
const EQUAL: [f64; 6] = [20.0, 22.0, 19.0, 21.0, 20.0, 20.0];

#[test]
fn property_09_three_windows_make_a_case_and_one_goes_at_a_time() {
    let bad = window(&[0.3, 0.001, 0.0, 0.002, 0.001, 0.0], &EQUAL);
    let verdicts = run(&vec![bad.clone(); 3], true);
    assert!(verdicts[..2].iter().all(|v| *v == Verdict::default()), "{verdicts:?}");
    let expect = Some(("web-0".to_owned(), "30 % of its answers are errors, 0.1 % of its siblings'".to_owned()));
    assert_eq!(verdicts[2].replace, expect);
    // A window in between in which it was fine begins anew.
    let fine = window(&FINE, &EQUAL);
    assert!(run(&[bad.clone(), bad.clone(), fine, bad.clone(), bad.clone()], true).iter().all(|v| v.replace.is_none()));
    // Not while scaling in, or while others start.
    assert!(run(&vec![bad; 9], false).iter().all(|v| v.replace.is_none() && v.alarm.is_none()));
    let slow = window(&FINE, &[20.0, 22.0, 400.0, 21.0, 20.0, 20.0]);
    let reason = run(&vec![slow; 3], true)[2].replace.clone().map(|r| r.1);
    assert_eq!(reason.as_deref(), Some("its answers take 400 ms, its siblings' 20 ms"));
    let two = window(&[0.3, 0.2, 0.0, 0.002, 0.001, 0.0], &EQUAL);
    assert!(run(&vec![two; 3], true)[2].replace.is_some(), "one of both");
}

#[test]
fn property_09_after_three_replacements_there_is_only_an_alarm() {
    // Whoever takes the place becomes odd as well.
    let mut state = OddState::default();
    let (mut replaced, mut alarms) = (0, 0);
    for round in 0..60 {
        let mut samples = window(&[0.3, 0.001, 0.0, 0.002, 0.001, 0.0], &EQUAL);
        samples[0].replica = format!("web-new-{replaced}");
        let (next, verdict) = judge(&state, &samples, true);
        state = next;
        replaced += usize::from(verdict.replace.is_some());
        alarms += usize::from(verdict.alarm.is_some());
        assert!(alarms == 0 || replaced == 3, "{round}");
    }
    assert!(alarms > 0 && replaced == 3);
    // Calm for long enough, the tries are forgotten.
    for _ in 0..CALM {
        state = judge(&state, &window(&FINE, &EQUAL), true).0;
    }
    assert_eq!(state.tries, 0);
    assert!(judge(&state, &window(&FINE, &EQUAL), true).1.calm);
}

#[test]
fn property_09_nobody_is_odd_among_few_or_among_the_ill() {
    let same = |errors: &[f64]| run(&vec![window(errors, &EQUAL[..errors.len()]); 4], true);
    assert!(same(&[0.5, 0.0, 0.0]).iter().all(|v| *v == Verdict::default()), "two siblings are too few");
    assert!(same(&[0.01, 0.0, 0.0, 0.0, 0.0, 0.0]).iter().all(|v| v.replace.is_none()), "one percent is not worth it");
    let ill = same(&[0.5, 0.4, 0.45, 0.001, 0.002, 0.5]);
    assert!(ill.iter().all(|v| v.replace.is_none()), "{ill:?}");
    let unknown = Sample { replica: "x".into(), errors: Some(f64::NAN), latency: None };
    assert!(run(&vec![vec![unknown; 5]; 4], true).iter().all(|v| *v == Verdict::default()));
}
