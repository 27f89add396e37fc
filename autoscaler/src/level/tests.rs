use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::TargetKind;

fn policy() -> Policy {
    let target = Target {
        kind: TargetKind::Latency,
        value: 0.2,
        query: "q".into(),
        count_query: String::new(),
        saturation: None,
    };
    let mut policy = Policy::untuned("web", target);
    (policy.max, policy.scrape_interval) = (100, Duration::from_secs(5));
    policy
}

fn counts(wanted: u32, ready: u32) -> ReplicaCounts {
    ReplicaCounts { wanted, ready, total: wanted, version: 1 }
}

fn ask(policy: &Policy, level: f64, state: &mut Level, counts: ReplicaCounts, has_load: bool, now: i64) -> u32 {
    let asked = candidate(policy, &policy.targets[0], Some(level), state, counts, has_load, now);
    asked.replicas.expect("a known level asks for a number")
}

#[test]
fn one_look_on_a_table() {
    for (name, level, wanted, ready, has_load, expect) in [
        ("by the ratio", 0.3, 4, 4, false, 6),
        ("at most twice", 9.0, 4, 4, false, 8),
        ("at least one", 0.23, 2, 2, false, 3),
        ("never past the maximum", 9.0, 80, 80, false, 100),
        ("within tolerance", 0.21, 4, 4, false, 4),
        ("while replicas start", 9.0, 8, 4, false, 8),
        ("near the target", 0.17, 20, 20, true, 20),
        ("below it, alone", 0.12, 20, 20, false, 20),
        ("well below it, alone: a tenth", 0.09, 20, 20, false, 18),
        ("below it, where a load is known: a tenth", 0.12, 20, 20, true, 18),
        ("well below it, while replicas start", 0.01, 20, 19, true, 20),
        ("the last one", 0.0, 1, 1, true, 0),
    ] {
        assert_eq!(ask(&policy(), level, &mut Level::default(), counts(wanted, ready), has_load, 0), expect, "{name}");
    }
    let unknown = candidate(&policy(), &policy().targets[0], None, &mut Level::default(), counts(3, 3), true, 0);
    assert_eq!(unknown.replicas, None);
}

#[test]
fn property_9_three_goes_without_effect_and_it_asks_for_no_more() {
    let (policy, mut state, mut now) = (policy(), Level::default(), 0);
    let mut replicas = 4;
    let mut go = |level: f64, state: &mut Level, replicas: &mut u32| {
        let asked = ask(&policy, level, state, counts(*replicas, *replicas), false, now);
        if asked > *replicas {
            // It waits for the level to follow before it asks again.
            *replicas = asked;
            assert_eq!(ask(&policy, level, state, counts(asked, asked), false, now), asked);
            assert_eq!(ask(&policy, level, state, counts(asked, asked), false, now + 24_999), asked);
        }
        now += 25_000;
    };
    go(0.4, &mut state, &mut replicas);
    assert_eq!(replicas, 8);
    // It helped: the next go is a first one again.
    go(0.3, &mut state, &mut replicas);
    assert_eq!(replicas, 12);
    for expect in [18, 27, 27, 27] {
        go(0.3, &mut state, &mut replicas);
        assert_eq!(replicas, expect);
    }
    assert!(state.is_given_up());
    // It fell after all: all is forgotten.
    assert_eq!(ask(&policy, 0.15, &mut state, counts(27, 27), false, now), 27);
    assert_eq!(state, Level::default());
}

#[test]
fn what_is_not_carried_out_is_asked_for_again_unchanged() {
    let (policy, mut state) = (policy(), Level::default());
    assert_eq!(ask(&policy, 0.4, &mut state, counts(4, 4), false, 0), 8);
    assert_eq!(ask(&policy, 0.3, &mut state, counts(4, 4), false, 5000), 8);
}

proptest! {
    #[test]
    fn never_more_than_the_surge_and_never_fewer_than_a_tenth_less(
        rounds in prop::collection::vec((0.0f64..2.0, 0u32..50, 0u32..50, any::<bool>(), 0i64..60_000), 1..60)
    ) {
        let (policy, mut state, mut now) = (policy(), Level::default(), 0);
        for (level, wanted, ready, has_load, gap) in rounds {
            now += gap;
            let asked = ask(&policy, level, &mut state, counts(wanted, ready), has_load, now);
            let most = times(ready.max(1), SURGE).max(wanted + 1);
            prop_assert!(asked <= most && asked <= 100, "{} of {}", asked, most);
            prop_assert!(asked + (wanted / 10).max(1) >= wanted);
            if level > 0.22 || ready < wanted {
                prop_assert!(asked >= wanted, "{} < {}", asked, wanted);
            }
        }
    }
}
