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

/// A trace of so many days from a load by the minute.
pub(super) fn by_minute(days: i64, load: impl Fn(i64) -> f64) -> Trace {
    let lines = (0..days * 1440).map(|minute| format!("{},{:.3}\n", minute * 60, load(minute)));
    Trace::parse(&lines.collect::<String>()).expect("right")
}

/// A number from 0 to 1 that looks random and is the same for the same place.
fn hashed(place: i64) -> f64 {
    let mut bits = (place as u32).wrapping_mul(2_654_435_761);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(2_246_822_519);
    bits ^= bits >> 13;
    f64::from(bits) / 4_294_967_296.0
}

/// What replicas and bad requests cost together, a bad request a hundred times the capacity to serve it.
fn cost(outcome: &Outcome) -> f64 {
    let hours = outcome.loads.iter().sum::<f64>() * TICK.as_secs_f64() / 3600.0;
    outcome.replica_hours + 100.0 * outcome.bad_share * hours / 100.0
}

#[test]
fn the_planner_is_cheaper_than_a_reactive_scaler_on_every_kind_of_load() {
    let day = |minute: i64| -(minute as f64 / 1440.0 * std::f64::consts::TAU).cos();
    let noise = |minute: i64| 0.97 + 0.06 * hashed(minute);
    let wave = by_minute(3, |m| (2000.0 + 1400.0 * day(m)) * noise(m));
    let surges = by_minute(4, |m| {
        let comes = (31..41).contains(&(m % 120)) && hashed(m / 120 + 7) > 0.2;
        (800.0 + 200.0 * day(m)) * noise(m) * if comes { 4.0 } else { 1.0 }
    });
    let ramps = by_minute(3, |m| (30.0 + 5.0 * (47 - (m % 94 - 47).abs()) as f64) * noise(m));
    let on_off = by_minute(4, |m| noise(m) * if m >= 2880 && m % 120 < 50 { 1500.0 } else { 30.0 });
    // Each with the most of its cost against the reactive scaler's, and of reversals a day; start-up takes two minutes.
    let check = |name: &str, trace: &Trace, dearest: f64, reversals: f64| {
        let mut policy = policy();
        (policy.max, policy.startup) = (400, Duration::from_secs(120));
        let outcomes = replay(&policy, trace).expect("right");
        let days = outcomes[0].wanted.len() as f64 / 5760.0;
        let share = cost(&outcomes[0]) / cost(&outcomes[1]);
        let turned = outcomes[0].reversals as f64 / days;
        assert!(share <= dearest, "{name}: {share:.3} of the reactive scaler's cost\n{}", table(&outcomes));
        assert!(turned <= reversals, "{name}: {turned:.1} reversals a day\n{}", table(&outcomes));
    };
    check("wave", &wave, 0.89, 6.0);
    check("surges", &surges, 0.64, 60.0);
    check("ramps", &ramps, 0.93, 4.0);
    check("on and off", &on_off, 1.0, 14.0);
}
