//! Kinds of policies through the whole pipeline: what each asks for, who wins, and that none leaves the guards.

use proptest::prelude::*;
use vocab::Problems;
use vocab::scaling::SeenMetric;

use crate::config::{RawAutoscaler, check};
use crate::hpa::{Hpa, HpaMetric};
use crate::observation::Observation;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::step::{Session, demand_seen};
use crate::verify::Notice;

fn policies(yaml: &str) -> Result<Vec<Policy>, Vec<String>> {
    let raw: RawAutoscaler = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}"));
    let mut problems = Problems::default();
    let config = check(&raw, "local", &mut problems);
    if problems.is_empty() {
        Ok(config.policies)
    } else {
        Err(problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect())
    }
}

fn policy(rest: &str) -> Policy {
    let yaml = format!("swarm: {{}}\nautoscaling:\n  - {{service: web, max: 200, interval: 15s, {rest}}}\n");
    policies(&yaml).unwrap_or_else(|e| panic!("{e:?}")).remove(0)
}

fn metric(value: Option<f64>) -> SeenMetric {
    SeenMetric { name: "m".into(), value, age_ms: None, query: String::new(), note: String::new() }
}

fn seen(policy: &Policy, loads: &[Option<f64>], steps: &[Option<f64>], wanted: u32, ready: u32) -> Observation {
    let mut seen = demand_seen(None, wanted, ready);
    seen.loads = loads.iter().copied().map(metric).collect();
    seen.counted = vec![None; policy.targets.len()];
    seen.steps = steps.iter().copied().map(metric).collect();
    seen
}

/// The first round of a service that has been watched for a while.
fn round(policy: &Policy, observation: &Observation) -> Plan {
    let mut session = Session::new(policy.clone());
    session.round(observation, 1_000_000)
}

#[test]
fn each_kind_asks_for_what_it_needs() {
    for (rest, load, wanted, expect) in [
        ("targets: [{kind: queue, value: 50}], hold: 5m", 600.0, 4, 12),
        ("targets: [{kind: log_rate, value: 200, query: x}], hold: 5m", 900.0, 4, 5),
        ("targets: [{kind: volume, value: 600, query: x}], hold: 5m", 60_000.0, 40, 100),
        ("targets: [{kind: memory_share, value: 0.5}], hold: 5m", 3.2, 4, 7),
        ("targets: [{kind: cpu_share, value: 0.5}], hold: 5m", 3.2, 4, 7),
        // All busy: the need is not visible.
        ("targets: [{kind: cpu_share, value: 0.5}], hold: 5m", 3.8, 4, 8),
        ("targets: [{kind: latency, value: 0.25}], hold: 5m", 0.5, 4, 8),
        ("targets: [{kind: level, value: 0.25, query: x}], hold: 5m", 0.3, 4, 5),
    ] {
        let policy = policy(rest);
        let plan = round(&policy, &seen(&policy, &[Some(load)], &[], wanted, wanted));
        assert_eq!(plan.decision.to, expect, "{rest}: {}", plan.decision.reason);
    }
}

#[test]
fn the_largest_wins_and_every_candidate_is_named() {
    let policy = policy(
        "hold: 5m, targets: [{kind: rps, value: 100}, {kind: latency, value: 0.25}, {kind: queue, value: 10}], \
         steps: [{name: peak, query: tx, above: 60000, add: 100}]",
    );
    let loads = [Some(480.0), Some(0.5), Some(70.0)];
    let plan = round(&policy, &seen(&policy, &loads, &[Some(59_999.0)], 4, 4));
    assert_eq!(plan.decision.to, 8);
    assert_eq!(
        plan.decision.reason,
        "4 replicas added, 4 to 8: 0.5 s of latency, at most 0.25 wanted: 4 replicas that serve, times 2, are 8; the largest of rps 5, latency 8, queue 7 counts"
    );
    let plan = round(&policy, &seen(&policy, &loads, &[Some(60_001.0)], 4, 4));
    assert_eq!(plan.decision.to, 104);
    assert!(plan.decision.reason.contains("step peak: 60001 is above 60000: 4 to 104"), "{}", plan.decision.reason);
    let asked: Vec<_> = plan.decision.candidates.iter().map(|c| (c.name.as_str(), c.replicas)).collect();
    assert_eq!(asked, [("rps", Some(5)), ("latency", Some(8)), ("queue", Some(7)), ("step peak", Some(104))]);
}

#[test]
fn property_2_an_unknown_kind_holds_but_no_latency_without_requests_does_not() {
    let policy = policy(
        "hold: 30s, cooldown: 0s, turn_pause: 0s, targets: [{kind: rps, value: 100}, {kind: latency, value: 0.25}]",
    );
    let after = |loads: [Option<f64>; 2]| {
        let mut session = Session::new(policy.clone());
        let mut wanted = 6;
        for tick in 0..400 {
            wanted = session.round(&seen(&policy, &loads, &[], wanted, wanted), tick * 15_000).decision.to;
        }
        wanted
    };
    assert_eq!(after([Some(100.0), None]), 6);
    assert_eq!(after([Some(0.0), None]), 1);
    assert_eq!(after([Some(100.0), Some(0.05)]), 1);
    assert_eq!(after([Some(100.0), Some(0.22)]), 6);
    assert_eq!(after([None, Some(0.05)]), 6);
}

#[test]
fn latency_that_does_not_follow_is_told_once_and_again_when_it_does() {
    let policy = policy("hold: 5m, targets: [{kind: latency, value: 0.25}]");
    let mut session = Session::new(policy.clone());
    let (mut wanted, mut told) = (2, Vec::new());
    for tick in 0..60 {
        let level = if tick < 50 { 0.5 } else { 0.2 };
        let plan = session.round(&seen(&policy, &[Some(level)], &[], wanted, wanted), tick * 15_000);
        wanted = plan.decision.to;
        told.extend(plan.notices);
    }
    assert_eq!(wanted, 16);
    assert!(matches!(told.as_slice(), [Notice::NoEffect(_), Notice::EffectAgain]), "{told:?}");
}

#[test]
fn schedules_and_steps_do_without_targets() {
    let policy = policy(
        "min: 3, hold: 30s, cooldown: 0s, turn_pause: 0s, scale_in: {percent: 100}, \
         schedules: [{name: lunch, start: '12:30', end: '14:00', before: 20m, time_zone: Asia/Shanghai, min: 60}]",
    );
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let mut session = Session::new(policy.clone());
    let mut wanted = 3;
    for (time, expect) in [
        ("2026-11-23T04:00:00Z", 3),
        ("2026-11-23T04:10:00Z", 60),
        ("2026-11-23T05:59:45Z", 60),
        ("2026-11-23T06:00:15Z", 60),
        ("2026-11-23T06:00:30Z", 3),
    ] {
        let mut observation = seen(&policy, &[], &[], wanted, wanted);
        observation.wall_ms = Some(at(time));
        wanted = session.round(&observation, at(time)).decision.to;
        assert_eq!(wanted, expect, "{time}");
    }
}

const HPA: &str = "kind: hpa, min: 1, targets: [{kind: promql, value: 100, query: x}]";

#[test]
fn kind_hpa_decides_as_the_horizontal_pod_autoscaler_does() {
    let live = policy(&format!(
        "{HPA}, behavior: {{scaleDown: {{stabilizationWindowSeconds: 50, policies: [{{type: Percent, value: 10, periodSeconds: 60}}, {{type: Pods, value: 2, periodSeconds: 30}}], selectPolicy: Max}}, scaleUp: {{tolerance: '0.05'}}}}"
    ));
    let behavior = live.behavior.clone().expect("a behavior");
    let (mut session, mut reference) = (Session::new(live.clone()), Hpa::new(1, 200, behavior));
    let mut wanted = 10;
    for tick in 0..2000i64 {
        // Slow enough that no glitch is suspected.
        let load = 3000.0 + 2500.0 * (tick as f64 / 60.0).sin() + 300.0 * (tick as f64 / 7.0).sin();
        let metric = HpaMetric::TotalAverage { total: Some(load), target: 100.0 };
        let expect = reference.round(&[metric], wanted, tick * 15_000);
        let plan = session.round(&seen(&live, &[Some(load)], &[], wanted, wanted), tick * 15_000);
        assert_eq!(plan.decision.to, expect, "tick {tick}: {}", plan.decision.reason);
        wanted = expect;
    }
    assert_eq!((live.hold.as_secs(), live.cooldown.as_secs(), live.interval.as_secs()), (50, 0, 15));
}

#[test]
fn the_kinds_of_an_hpa_and_its_missing_pods() {
    let check = |targets: &str, load: f64, counted: Option<u32>, (wanted, ready): (u32, u32), expect: u32| {
        let policy = policy(&format!("kind: hpa, targets: [{targets}]"));
        let mut observation = seen(&policy, &[Some(load)], &[], wanted, ready);
        observation.counted = vec![counted];
        let plan = round(&policy, &observation);
        assert_eq!(plan.decision.to, expect, "{targets} {load}: {}", plan.decision.reason);
    };
    check("{kind: cpu_share, value: 0.6}", 2.7, Some(3), (3, 3), 5);
    // A pod without a sample is idle on the way up, and so is one that starts.
    check("{kind: cpu_share, value: 0.5}", 2.0, Some(2), (3, 3), 4);
    check("{kind: cpu_share, value: 0.5}", 2.0, Some(2), (3, 2), 4);
    check("{kind: level, value: 100, query: x}", 200.0, None, (3, 3), 6);
    check("{kind: level, value: 100, query: x}", 200.0, None, (4, 2), 4);
    check("{kind: level, value: 100, query: x}", 200.0, None, (4, 0), 4);
}

#[test]
fn mistakes_in_kinds_are_told_at_once() {
    let problems = policies(
        "swarm: {}
scaling: {holidays: [{name: cn, dates: [2026-10-01..2026-10-07, soon]}, {name: cn, dates: []}]}
autoscaling:
  - {service: a, max: 9, kind: hpa, hold: 1m, predict: {}, targets: [{kind: rps, value: 1}], behavior: {scaleUp: {selectPolicy: All, stabilizationWindowSeconds: 4000, tolerance: much, policies: [{type: Pod, value: 1, periodSeconds: 1}, {type: Pods, value: 0, periodSeconds: 1801}]}}}
  - {service: b, max: 9, kind: vpa, targets: [{kind: rps, value: 1}]}
  - {service: c, max: 9, targets: [{kind: volume, value: 1}, {kind: level, value: 1}, {kind: latency, value: 1, saturation: 2}], behavior: {}, forecast: {query: x}}
  - {service: d, max: 9, steps: [{above: 1, factor: 2}, {when: volume, above: 0, add: 1, to: 2}, {when: cpu_share, above: 0.5, below: 0.6, factor: 1}, {when: hot, above: 1, add: 1}]}
  - {service: e, max: 9, schedules: [{min: 10}, {min: 1, cron: '0 0 * *', for: 1h}, {min: 1, cron: '0 0 * * *'}, {min: 1, start: '8:61', end: '9:00', days: [mo], time_zone: Mars, before: 25h, only: [cn, de]}]}",
    )
    .expect_err("mistakes");
    for expect in [
        "scaling.holidays[0].dates[1]: not a day: \"soon\"",
        "scaling.holidays[1].name: want a name that no other",
        "autoscaling[0].hold: kind: hpa says this in its behavior",
        "autoscaling[0].predict: kind: hpa says this",
        "autoscaling[0].behavior.scaleUp.selectPolicy: unknown \"All\"",
        "autoscaling[0].behavior.scaleUp.stabilizationWindowSeconds: want 0 to 3600",
        "autoscaling[0].behavior.scaleUp.tolerance: want a share",
        "autoscaling[0].behavior.scaleUp.policies[0].type: unknown \"Pod\"",
        "autoscaling[0].behavior.scaleUp.policies[1].value: want a number above 0",
        "autoscaling[0].behavior.scaleUp.policies[1].periodSeconds: want 1 to 1800",
        "autoscaling[1].kind: unknown \"vpa\"; want targets or hpa",
        "autoscaling[2].targets[0].query: kind volume needs a query that gives the service's whole load",
        "autoscaling[2].targets[1].query: kind level needs a query that gives the level",
        "autoscaling[2].targets[2].saturation: only cpu",
        "autoscaling[2].behavior: only kind: hpa has a behavior",
        "autoscaling[3].steps[0]: want a query, or when",
        "autoscaling[3].steps[1]: want above: a value above 0",
        "autoscaling[3].steps[1]: want one of factor",
        "autoscaling[3].steps[2]: want above",
        "autoscaling[3].steps[2]: want one of factor",
        "autoscaling[3].steps[3].when: unknown kind \"hot\"; want rps, cpu",
        "autoscaling[4].schedules[0].min: want replicas from 1 to the policy's max (9)",
        "autoscaling[4].schedules[0]: want cron with for or until, or start and end",
        "autoscaling[4].schedules[1].cron: want five fields",
        "autoscaling[4].schedules[2]: cron wants either for",
        "autoscaling[4].schedules[3].start: not a time of day",
        "autoscaling[4].schedules[3].days[0]: unknown \"mo\"",
        "autoscaling[4].schedules[3].time_zone: unknown \"Mars\"",
        "autoscaling[4].schedules[3].before: want at most",
        "autoscaling[4].schedules[3].only[1]: \"de\" is no day and no calendar",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
    }
}

#[test]
fn odd_replicas_are_compared_by_queries_that_are_checked() {
    let policy = policy("targets: [{kind: rps, value: 1}], odd_replica: {}");
    let odd = policy.operations.odd_replica.expect("asked for");
    assert_eq!(odd.window.as_secs(), 30);
    assert_eq!(
        odd.errors_query,
        "sum by (server) (rate(haproxy_server_http_responses_total{service=\"web\",code=\"5xx\"}[1m])) / sum by (server) (rate(haproxy_server_http_responses_total{service=\"web\"}[1m]))"
    );
    let problems = policies(
        "swarm: {}\nautoscaling: [{service: web, max: 2, targets: [{kind: rps, value: 1}], odd_replica: {window: 1s, latency_query: 'max('}}]",
    )
    .expect_err("mistakes");
    for expect in
        ["autoscaling[0].odd_replica.window: want at least 5s", "autoscaling[0].odd_replica.latency_query: not PromQL"]
    {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{problems:?}");
    }
}

#[test]
fn examples_in_the_documentation_are_accepted() {
    let text = include_str!("../../../docs/autoscaling.md");
    let examples: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let before = match example {
            part if part.starts_with("    ") => {
                "autoscaling:\n  - service: shop\n    max: 200\n    targets: [{ kind: rps, value: 80 }]\n"
            }
            part if part.starts_with("  - ") => "autoscaling:\n",
            _ => "",
        };
        let yaml = format!("swarm: {{}}\n{before}{example}");
        let accepted = policies(&yaml).unwrap_or_else(|problems| panic!("{problems:?}\n{yaml}"));
        assert_eq!(accepted.len(), 1, "{yaml}");
    }
}

#[test]
fn every_default_query_is_promql_and_its_threshold_too() {
    for kind in ["rps", "queue", "latency", "cpu", "cpu_share", "memory_share"] {
        let policy =
            policy(&format!("targets: [{{kind: {kind}, value: 0.5}}], steps: [{{when: {kind}, above: 1, add: 1}}]"));
        for query in [&policy.targets[0].query, &policy.targets[0].count_query, &policy.steps[0].query] {
            assert!(
                query.is_empty() || promql::parse(query, &promql::ParseOptions::default()).is_ok(),
                "{kind}: {query}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn property_1_and_2_bounds_and_unknown_hold_for_every_kind(
        rounds in prop::collection::vec(
            (prop::collection::vec(prop_oneof![
                Just(None), Just(Some(f64::NAN)), Just(Some(f64::INFINITY)), Just(Some(-1.0)), (0.0f64..3000.0).prop_map(Some),
                (0.0f64..1.0).prop_map(Some)
            ], 4), 0u32..2), 20..80),
        is_hpa in any::<bool>(), start in 1u32..50
    ) {
        let how = if is_hpa { "kind: hpa, min: 2" } else { "min: 2, hold: 30s, cooldown: 0s, turn_pause: 0s" };
        let policy = policy(&format!(
            "{how}, targets: [{{kind: latency, value: 0.2}}, {{kind: cpu_share, value: 0.6}}, {{kind: queue, value: 20}}], \
             steps: [{{when: cpu, above: 5, factor: 2}}], schedules: [{{min: 4, cron: '*/7 * * * *', for: 2m}}]"
        ));
        let mut session = Session::new(policy.clone());
        let mut wanted = start;
        for (tick, (values, lag)) in rounds.into_iter().enumerate() {
            let now = tick as i64 * 15_000;
            let mut observation = seen(&policy, &values[..3], &values[3..], wanted, wanted.saturating_sub(lag));
            observation.wall_ms = Some(now);
            let is_unknown = values.iter().any(|v| v.is_none_or(|v| !v.is_finite() || v < 0.0));
            let to = session.round(&observation, now).decision.to;
            prop_assert!((2..=200).contains(&to), "{}", to);
            if is_unknown {
                prop_assert!(to >= wanted.min(200), "{} to {} while unknown", wanted, to);
            }
            wanted = to;
        }
    }
}
