//! Replays of small traces.

use super::*;
use crate::policy::{Target, TargetKind};

fn policy() -> Policy {
    let mut policy = Policy::untuned("shop <1>", Target::demand(TargetKind::Rps, 100.0));
    policy.max = 60;
    policy
}

/// Two days with a wave.
fn wave() -> Trace {
    let lines = (0..2 * 1440).map(|minute| {
        let turn = f64::from(minute) / 1440.0 * std::f64::consts::TAU;
        format!("{},{:.1}\n", minute * 60, 2000.0 - 1500.0 * turn.cos())
    });
    Trace::parse(&std::iter::once("seconds,rps\n".to_owned()).chain(lines).collect::<String>()).expect("right")
}

#[test]
fn a_policy_beside_others() {
    let outcomes = replay(&policy(), &wave()).expect("right");
    let [ours, hpa, fixed] = outcomes.as_slice() else { panic!("three") };
    assert!(ours.replica_hours < hpa.replica_hours && hpa.replica_hours < fixed.replica_hours, "{}", table(&outcomes));
    assert!(ours.bad_share < 0.002 && fixed.bad_share < 1e-6, "{}", table(&outcomes));
    assert_eq!((fixed.actions, fixed.wanted[0]), (0, 44));
    assert!(ours.wanted.iter().all(|w| (1..=60).contains(w)));
    let text = table(&outcomes);
    assert_eq!(text.lines().count(), 4);
    let page = html("Replay of shop <1>", &outcomes);
    assert!(page.contains("shop &lt;1&gt;") && page.matches("<polyline").count() == 4, "{page:.500}");
}

#[test]
fn wrong_traces_are_named() {
    let check = |text: &str, expect: &str| {
        let error = Trace::parse(text).and_then(|t| replay(&policy(), &t)).expect_err(text);
        assert!(error.contains(expect), "{error}");
    };
    check("", "at least two lines");
    check("t,v\n1,2\nx,3\n", "line 3: want seconds,value");
    check("1,2\n1,3\n", "line 2: times must increase");
    check("0,2\n30,3\n", "spans 30 s");
}
