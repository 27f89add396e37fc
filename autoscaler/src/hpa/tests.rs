//! Cases derived from the documented algorithm.

use super::*;

fn pod(value: f64) -> Pod {
    Pod { value: Some(value), request: 1.0, counts: true }
}

fn missing() -> Pod {
    Pod { value: None, request: 1.0, counts: true }
}

fn starting(value: f64) -> Pod {
    Pod { value: Some(value), request: 1.0, counts: false }
}

fn cpu(pods: &[Pod], target: f64) -> HpaMetric {
    HpaMetric::Utilization { pods: pods.to_vec(), target }
}

fn average(pods: &[Pod], target: f64) -> HpaMetric {
    HpaMetric::PodsAverage { pods: pods.to_vec(), target }
}

fn total(total: f64, target: f64) -> HpaMetric {
    HpaMetric::TotalAverage { total: Some(total), target }
}

fn level(level: f64, ready: u32) -> HpaMetric {
    HpaMetric::Level { level: Some(level), target: 100.0, ready }
}

#[test]
fn a_table_of_metrics() {
    let none = HpaMetric::TotalAverage { total: None, target: 100.0 };
    let check = |name: &str, metrics: &[HpaMetric], current: u32, expect: Option<u32>| {
        assert_eq!(of_metrics(metrics, current, TOLERANCE), expect, "{name}");
    };
    check("on target", &[cpu(&[pod(0.7); 3], 0.7)], 3, Some(3));
    check("within tolerance above", &[cpu(&[pod(0.76); 3], 0.7)], 3, Some(3));
    check("within tolerance below", &[cpu(&[pod(0.64); 3], 0.7)], 3, Some(3));
    check("above", &[cpu(&[pod(0.9); 3], 0.6)], 3, Some(5));
    check("twice", &[cpu(&[pod(1.0); 4], 0.5)], 4, Some(8));
    check("below", &[cpu(&[pod(0.2); 5], 0.5)], 5, Some(2));
    check("idle", &[cpu(&[pod(0.0); 5], 0.5)], 5, Some(0));
    check("uneven pods", &[cpu(&[pod(0.3), pod(0.5), pod(0.7)], 0.3)], 3, Some(5));
    let mut big = pod(2.0);
    big.request = 2.0;
    check("requests weigh", &[cpu(&[big, pod(0.2)], 0.5)], 2, Some(3));
    check("a starting pod is idle on the way up", &[cpu(&[pod(1.0), pod(1.0), starting(1.0)], 0.5)], 3, Some(4));
    check("starting pods that turn the direction", &[cpu(&[pod(0.6), starting(1.0), starting(1.0)], 0.5)], 3, Some(3));
    check("a starting pod does not count down", &[cpu(&[pod(0.2), pod(0.2), starting(1.0)], 0.5)], 3, Some(1));
    check("a missing pod is full on the way down", &[cpu(&[pod(0.2), pod(0.2), missing()], 0.5)], 3, Some(3));
    check("one missing of many", &[cpu(&[pod(0.1), pod(0.1), pod(0.1), pod(0.1), missing()], 0.7)], 5, Some(2));
    check("a missing pod is idle on the way up", &[cpu(&[pod(1.0), pod(1.0), missing()], 0.5)], 3, Some(4));
    check("all missing", &[cpu(&[missing(), missing()], 0.5)], 2, None);
    check("none that counts", &[cpu(&[starting(1.0)], 0.5)], 1, None);
    check("average above", &[average(&[pod(20.0), pod(10.0), pod(30.0)], 10.0)], 3, Some(6));
    check("average below", &[average(&[pod(20.0), pod(10.0), pod(30.0)], 60.0)], 3, Some(1));
    check(
        "average, missing is on target on the way down",
        &[average(&[pod(5.0), pod(5.0), missing()], 10.0)],
        3,
        Some(2),
    );
    check("average, missing is idle on the way up", &[average(&[pod(30.0), missing()], 10.0)], 2, Some(3));
    check("total on target", &[total(300.0, 100.0)], 3, Some(3));
    check("total within tolerance", &[total(325.0, 100.0)], 3, Some(3));
    check("total above", &[total(860.0, 100.0)], 3, Some(9));
    check("total below", &[total(90.0, 100.0)], 3, Some(1));
    check("total of a whole multiple", &[total(700.0, 70.0)], 3, Some(10));
    check("level above", &[level(200.0, 3)], 3, Some(6));
    check("level counts ready pods", &[level(200.0, 2)], 4, Some(4));
    check("level within tolerance", &[level(109.0, 2)], 4, Some(4));
    check("level with no ready pod", &[level(200.0, 0)], 2, Some(0));
    check("the most of several", &[total(860.0, 100.0), cpu(&[pod(0.1); 3], 0.5)], 3, Some(9));
    check("an invalid one does not stop scaling out", &[total(860.0, 100.0), none.clone()], 3, Some(9));
    check("an invalid one stops scaling in", &[total(90.0, 100.0), none.clone()], 3, Some(3));
    check("all invalid", &[none], 3, None);
}

/// Rounds of (seconds, total load, expected replicas) at a target of 100 per replica.
fn rounds(behavior: Behavior, start: u32, table: &[(i64, f64, u32)]) {
    let mut hpa = Hpa::new(1, 50, behavior);
    let mut current = start;
    for (at, load, expect) in table {
        current = hpa.round(&[total(*load, 100.0)], current, at * 1000);
        assert_eq!(current, *expect, "at {at} s, load {load}");
    }
}

fn rate(kind: RateKind, seconds: u64) -> Rate {
    Rate { kind, period: Duration::from_secs(seconds) }
}

#[test]
fn behavior_limits_and_stabilizes() {
    // By default up to four pods or twice as many in 15 s, and down after five minutes at once.
    rounds(
        Behavior::default(),
        1,
        &[(0, 5000.0, 5), (15, 5000.0, 10), (30, 5000.0, 20), (45, 5000.0, 40), (60, 5000.0, 50)],
    );
    rounds(Behavior::default(), 20, &[(0, 2000.0, 20), (15, 200.0, 20), (285, 200.0, 20), (301, 200.0, 2)]);
    // Ten percent a minute.
    let mut slow = Behavior::default();
    slow.down = Rules { rates: vec![rate(RateKind::Percent(10), 60)], window: Duration::ZERO, ..slow.down };
    rounds(slow, 40, &[(0, 1000.0, 36), (15, 1000.0, 36), (61, 1000.0, 32)]);
    // The smaller of two.
    let mut least = Behavior::default();
    least.down.window = Duration::ZERO;
    least.down.rates = vec![rate(RateKind::Percent(50), 60), rate(RateKind::Pods(2), 60)];
    least.down.select = Select::Min;
    rounds(least.clone(), 40, &[(0, 1000.0, 38), (30, 1000.0, 38), (61, 1000.0, 36)]);
    least.down.select = Select::Max;
    rounds(least.clone(), 40, &[(0, 1000.0, 20), (61, 1000.0, 10)]);
    // A direction that is off.
    least.down.select = Select::Disabled;
    rounds(least, 40, &[(0, 100.0, 40), (600, 100.0, 40), (615, 5000.0, 50)]);
    // A window upwards takes the least.
    let mut patient = Behavior::default();
    patient.up.window = Duration::from_secs(60);
    rounds(patient, 4, &[(0, 400.0, 4), (15, 800.0, 4), (61, 800.0, 8)]);
    // A tolerance of its own for each direction.
    let mut exact = Behavior::default();
    exact.up.tolerance = 0.0;
    rounds(exact, 10, &[(0, 1050.0, 11), (15, 1050.0, 11)]);
}

#[test]
fn bounds_and_hands_off() {
    let mut hpa = Hpa::new(2, 8, Behavior::default());
    assert_eq!(hpa.round(&[total(5000.0, 100.0)], 0, 0), 0);
    assert_eq!(hpa.round(&[total(5000.0, 100.0)], 20, 0), 8);
    assert_eq!(hpa.round(&[], 5, 0), 5);
    assert_eq!(hpa.round(&[total(0.0, 100.0)], 1, 0), 2);
}
