use std::time::Duration;

use proptest::prelude::*;
use vocab::scaling::SeenMetric;

use super::*;
use crate::policy::{Target, TargetKind};
use crate::step::demand_seen;

fn policy(adds: Adds, repeat: bool) -> Policy {
    let mut policy = Policy::untuned("web", Target::demand(TargetKind::Rps, 100.0));
    (policy.max, policy.scrape_interval) = (200, Duration::from_secs(5));
    let step = Step { name: "peak".into(), query: "q".into(), above: 0.5, below: 0.4, adds, repeat };
    policy.steps = vec![step];
    policy
}

/// What the step asks for, 0 for nothing.
fn ask(policy: &Policy, state: &mut State, value: Option<f64>, wanted: u32, ready: u32, now: i64) -> u32 {
    let mut seen = demand_seen(Some(0.0), wanted, ready);
    let note = String::new();
    seen.steps = vec![SeenMetric { name: "step peak".into(), value, age_ms: None, query: "q".into(), note }];
    let counts = ReplicaCounts { wanted, ready, total: wanted, version: 1 };
    let (asked, unknown) = candidates(policy, state, &seen, counts, now);
    assert_eq!(unknown.len(), usize::from(value.is_none_or(|v| !v.is_finite() || v < 0.0)));
    asked.first().map_or(0, |c| c.replicas.expect("a step asks for a number"))
}

#[test]
fn a_step_on_a_table() {
    for (name, adds, value, wanted, ready, expect) in [
        ("doubled", Adds::Factor(2.0), 0.51, 5, 5, 10),
        ("one and a half", Adds::Factor(1.5), 0.51, 5, 5, 8),
        ("not above", Adds::Factor(2.0), 0.5, 5, 5, 0),
        ("those that start are not doubled again", Adds::Factor(2.0), 0.9, 8, 5, 10),
        ("those that start are enough", Adds::Factor(2.0), 0.9, 12, 5, 12),
        ("a hundred more at once", Adds::More(100), 0.9, 20, 20, 120),
        ("up to the maximum", Adds::More(1000), 0.9, 20, 20, 200),
        ("so many in all", Adds::To(30), 0.9, 20, 20, 30),
        ("more than that runs", Adds::To(30), 0.9, 40, 40, 40),
        ("from nothing", Adds::Factor(2.0), 0.9, 0, 0, 2),
    ] {
        let mut state = State::new();
        assert_eq!(ask(&policy(adds, false), &mut state, Some(value), wanted, ready, 0), expect, "{name}");
    }
}

#[test]
fn it_holds_until_it_is_over_and_unknown_holds_too() {
    let (policy, mut state) = (policy(Adds::More(100), false), State::new());
    assert_eq!(ask(&policy, &mut state, None, 20, 20, 0), 0);
    assert_eq!(ask(&policy, &mut state, Some(0.6), 20, 20, 0), 120);
    for (value, expect) in [(Some(0.9), 120), (Some(0.45), 120), (None, 120), (Some(f64::NAN), 120), (Some(0.39), 0)] {
        assert_eq!(ask(&policy, &mut state, value, 120, 120, 3_600_000), expect, "{value:?}");
    }
}

#[test]
fn it_is_taken_again_when_all_are_ready_and_the_metric_had_time_to_follow() {
    let (policy, mut state) = (policy(Adds::Factor(2.0), true), State::new());
    for (wanted, ready, seconds, expect) in
        [(4, 4, 0, 8), (8, 4, 10, 8), (8, 7, 60, 8), (8, 8, 65, 8), (8, 8, 89, 8), (8, 8, 90, 16), (16, 8, 95, 16)]
    {
        assert_eq!(ask(&policy, &mut state, Some(0.8), wanted, ready, seconds * 1000), expect, "at {seconds} s");
    }
}

proptest! {
    #[test]
    fn it_only_adds_and_keeps_the_maximum(
        rounds in prop::collection::vec((prop::option::of(0.0f64..1.0), 0u32..200, 0u32..200, 0i64..60_000), 1..60),
        factor in 1.1f64..10.0, repeat in any::<bool>()
    ) {
        let (policy, mut state, mut now) = (policy(Adds::Factor(factor), repeat), State::new(), 0);
        for (value, wanted, ready, gap) in rounds {
            now += gap;
            let before = state.steps.first().copied().flatten();
            let asked = ask(&policy, &mut state, value, wanted, ready, now);
            prop_assert!(asked <= 200);
            match state.steps[0] {
                Some(taken) if before.is_none_or(|b| b.asked != taken.asked) => prop_assert!(asked >= wanted),
                Some(taken) => prop_assert_eq!(asked, taken.asked),
                None => prop_assert_eq!(asked, 0),
            }
            if value.is_none() {
                prop_assert_eq!(state.steps[0].map(|t| t.asked), before.map(|t| t.asked), "unknown holds");
            }
        }
    }
}
