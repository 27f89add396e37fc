//! The whole pipeline on tables, in closed loop, and on random histories. Numbers in names are those of the safety
//! properties that hold for every policy.

use std::time::Duration;

use proptest::prelude::*;
use vocab::scaling::{DecisionState, ScalingMode, SeenMetric};

use super::{Effect, Plan, step};
use crate::observation::{Observation, ReplicaCounts};
use crate::operations::Operations;
use crate::outside::Outside;
use crate::policy::{Pace, Policy, Target, TargetKind};
use crate::state::{FreezeCause, ReasonClass, STATE_BYTES_MAX, State};
use crate::verify::Notice;

fn policy() -> Policy {
    Policy {
        name: "web".into(),
        service: "web".into(),
        cluster: "local".into(),
        orchestrator: "process".into(),
        min: 1,
        max: 8,
        mode: ScalingMode::Act,
        interval: Duration::from_secs(5),
        scrape_interval: Duration::from_secs(5),
        targets: vec![target(TargetKind::Rps, 100.0)],
        queue_query: String::new(),
        confirm_query: String::new(),
        forecast_query: String::new(),
        tolerance: 0.1,
        hold: Duration::from_secs(60),
        stabilization_up: Duration::ZERO,
        cooldown: Duration::from_secs(10),
        turn_pause: Duration::from_secs(60),
        scale_in: Pace { replicas: 100, percent: 100.0, period: Duration::from_secs(60) },
        scale_out: None,
        startup: Duration::from_secs(10),
        predict: None,
        notes: Vec::new(),
        operations: Operations::default(),
        behavior: None,
        steps: Vec::new(),
        schedules: Vec::new(),
    }
}

fn target(kind: TargetKind, value: f64) -> Target {
    let saturation = (kind == TargetKind::Cpu).then_some(1.0);
    Target { kind, value, query: "q".into(), count_query: String::new(), saturation }
}

fn metric(value: Option<f64>) -> SeenMetric {
    let note = if value.is_none() { "no samples".to_owned() } else { String::new() };
    SeenMetric { name: "rps".into(), value, age_ms: None, query: "q".into(), note }
}

fn seen(load: Option<f64>, wanted: u32, ready: u32) -> Observation {
    Observation {
        replicas: Some(ReplicaCounts { wanted, ready, total: ready.max(wanted), version: 1 }),
        replicas_note: String::new(),
        replicas_age_ms: 0,
        loads: vec![metric(load)],
        counted: vec![None],
        queue: None,
        confirm: None,
        forecast: None,
        first_round: false,
        stopped_by: None,
        mode: ScalingMode::Act,
        outside: Outside::default(),
        approved: None,
        steps: Vec::new(),
        wall_ms: None,
    }
}

/// A service in a small simulation: replicas become ready after a delay, act is always accepted.
struct Sim {
    policy: Policy,
    state: State,
    now: i64,
    wanted: u32,
    starting: Vec<i64>,
    ready: u32,
    delay_ms: i64,
    next_id: i64,
    log: Vec<String>,
}

impl Sim {
    fn new(policy: Policy, replicas: u32) -> Self {
        let (state, starting, log) = (State::new(), Vec::new(), Vec::new());
        let mut sim = Self {
            policy,
            state,
            now: 1_000_000,
            wanted: replicas,
            starting,
            ready: replicas,
            delay_ms: 8000,
            next_id: 1,
            log,
        };
        // A service that has been watched for a while.
        sim.state.last_ms = Some(sim.now);
        sim
    }

    fn observe(&mut self, load: Option<f64>) -> Observation {
        let now = self.now;
        let before = self.starting.len();
        self.starting.retain(|due| *due > now);
        self.ready += u32::try_from(before - self.starting.len()).expect("few");
        seen(load, self.wanted, self.ready)
    }

    fn round(&mut self, load: Option<f64>) -> Plan {
        let observation = self.observe(load);
        self.round_with(&observation)
    }

    fn round_with(&mut self, observation: &Observation) -> Plan {
        self.now += 5000;
        let (state, plan) = step(&self.policy, &self.state, observation, self.now);
        self.state = state;
        assert!(self.state.to_bytes().len() <= STATE_BYTES_MAX);
        for finished in &plan.finished {
            self.log.push(format!(
                "{} #{} {}: {}",
                self.seconds(),
                finished.decision_id,
                finished.state.as_str(),
                finished.result
            ));
        }
        if plan.record {
            self.log.push(format!("{} {:?} {}", self.seconds(), plan.class, plan.decision.reason));
        }
        if plan.effect == Effect::Act {
            let (from, to) = (plan.decision.from, plan.decision.to);
            self.state.acted(&self.policy, self.next_id, from, to, self.now);
            self.next_id += 1;
            self.wanted = to;
            if to > from {
                self.starting.extend((from..to).map(|_| self.now + self.delay_ms));
            } else {
                let gone = from - to;
                let unready = u32::try_from(self.starting.len()).expect("few").min(gone);
                self.starting.truncate(self.starting.len() - unready as usize);
                self.ready -= gone - unready;
            }
        }
        plan
    }

    fn seconds(&self) -> i64 {
        (self.now - 1_000_000) / 1000
    }
}

#[test]
fn the_scenario_of_the_article_up_and_down() {
    let mut sim = Sim::new(policy(), 1);
    let loads = [20.0, 20.0, 220.0, 420.0, 620.0, 800.0]
        .into_iter()
        .chain([800.0; 12])
        .chain([500.0, 300.0, 200.0])
        .chain([20.0; 32]);
    for load in loads {
        sim.round(Some(load));
    }
    let expect = "\
5 Steady holding 1: 20 RPS / 100 per replica = 0.2, rounded up to 1
15 ScaleOut 2 replicas added, 1 to 3: 220 RPS / 100 per replica = 2.2, rounded up to 3
20 ScaleOut 2 replicas added, 3 to 5: 420 RPS / 100 per replica = 4.2, rounded up to 5
25 ScaleOut 2 replicas added, 5 to 7: 620 RPS / 100 per replica = 6.2, rounded up to 7
30 #1 verified: ready after 15 s; load per replica 267 of 100 RPS
30 ScaleOut 1 replica added, 7 to 8: 800 RPS / 100 per replica = 8, rounded up to 8
35 #2 verified: ready after 15 s; load per replica 160 of 100 RPS
40 #3 verified: ready after 15 s; load per replica 114 of 100 RPS
45 #4 verified: ready after 15 s; load per replica 100 of 100 RPS
95 Waiting holding 8: 500 RPS / 100 per replica = 5, rounded up to 5; 8 replicas were needed within the last 1m, so they are held
155 ScaleIn 3 replicas given back, 8 to 5: 20 RPS / 100 per replica = 0.2, rounded up to 1; 5 replicas were needed within the last 1m, so they are held
160 #5 verified: 3 replicas left after 5 s; load per replica 4 of 100 RPS
165 ScaleIn 3 replicas given back, 5 to 2: 20 RPS / 100 per replica = 0.2, rounded up to 1; 20 RPS after 200 is a sudden fall that no second source confirms yet
170 #6 verified: 3 replicas left after 5 s; load per replica 10 of 100 RPS
230 ScaleIn 1 replica given back, 2 to 1: 20 RPS / 100 per replica = 0.2, rounded up to 1
235 #7 verified: 1 replica left after 5 s; load per replica 20 of 100 RPS";
    assert_eq!(sim.log.join("\n"), expect);
    assert_eq!(sim.wanted, 1);
}

#[test]
fn one_round_on_a_table() {
    struct Case(&'static str, Option<f64>, u32, u32, u32, ReasonClass);
    let cases = [
        Case("fits", Some(195.0), 2, 2, 2, ReasonClass::Steady),
        Case("within tolerance", Some(219.0), 2, 2, 2, ReasonClass::Steady),
        Case("past tolerance", Some(221.0), 2, 2, 3, ReasonClass::ScaleOut),
        Case("in one call", Some(790.0), 1, 1, 8, ReasonClass::ScaleOut),
        Case("never past the maximum", Some(5000.0), 2, 2, 8, ReasonClass::ScaleOut),
        Case("at the maximum", Some(5000.0), 8, 8, 8, ReasonClass::Waiting),
        Case("infinite is unknown", Some(f64::INFINITY), 2, 2, 2, ReasonClass::Unknown),
        Case("not a number is unknown", Some(f64::NAN), 2, 2, 2, ReasonClass::Unknown),
        Case("negative is unknown", Some(-5.0), 2, 2, 2, ReasonClass::Unknown),
        Case("no data is not zero", None, 5, 5, 5, ReasonClass::Unknown),
        Case("below the minimum", None, 0, 0, 1, ReasonClass::ScaleOut),
        Case("above the maximum", None, 20, 20, 8, ReasonClass::ScaleIn),
        Case("held by the window", Some(10.0), 5, 5, 5, ReasonClass::Waiting),
    ];
    for Case(name, load, wanted, ready, to, class) in cases {
        let mut state = State::new();
        state.last_ms = Some(0);
        state.highest.push_max(0, wanted.clamp(1, 8));
        let (_, plan) = step(&policy(), &state, &seen(load, wanted, ready), 5000);
        assert_eq!((plan.decision.to, plan.class), (to, class), "{name}: {}", plan.decision.reason);
    }
}

#[test]
fn property_2_no_data_is_not_zero_and_is_alarmed() {
    let mut sim = Sim::new(policy(), 5);
    for _ in 0..20 {
        sim.round(Some(480.0));
    }
    let mut alarms = 0;
    for _ in 0..400 {
        let plan = sim.round(None);
        assert_eq!((plan.decision.to, plan.class), (5, ReasonClass::Unknown));
        alarms += plan.notices.iter().filter(|n| matches!(n, Notice::UnknownTooLong(_))).count();
    }
    assert_eq!(alarms, 1);
    let plan = sim.round(Some(480.0));
    assert!(plan.notices.contains(&Notice::KnownAgain), "{:?}", plan.notices);
    let rows = sim.log.iter().filter(|l| l.contains("Unknown")).count();
    assert_eq!(rows, 1, "{:#?}", sim.log);
}

#[test]
fn property_2_one_of_two_metrics_unknown_grows_but_never_shrinks() {
    let mut policy = policy();
    policy.targets.push(target(TargetKind::Promql, 10.0));
    let check = |rps: Option<f64>, other: Option<f64>, to: u32| {
        let mut observation = seen(rps, 4, 4);
        observation.loads.push(metric(other));
        observation.counted.push(None);
        let mut state = State::new();
        state.last_ms = Some(0);
        // Long after the window: nothing but the unknown holds.
        let (state, _) = step(&policy, &state, &observation, 1000);
        let mut last = None;
        let mut next = state;
        for round in 1..60 {
            let (state, plan) = step(&policy, &next, &observation, 1000 + round * 5000);
            (next, last) = (state, Some(plan));
        }
        assert_eq!(last.expect("rounds").decision.to, to, "{rps:?} {other:?}");
    };
    check(Some(100.0), Some(10.0), 1);
    check(Some(100.0), None, 4);
    check(Some(700.0), None, 7);
    check(None, None, 4);
    check(Some(100.0), Some(60.0), 6);
}

#[test]
fn property_3_a_sudden_fall_needs_a_second_source() {
    let run = |confirm: [Option<f64>; 2], rounds: usize| {
        let mut policy = policy();
        policy.hold = Duration::from_secs(20);
        policy.turn_pause = Duration::ZERO;
        let mut sim = Sim::new(policy, 6);
        for _ in 0..20 {
            let mut observation = sim.observe(Some(580.0));
            observation.confirm = Some(metric(confirm[0]));
            sim.round_with(&observation);
        }
        for _ in 0..rounds {
            let mut observation = sim.observe(Some(0.0));
            observation.confirm = Some(metric(confirm[1]));
            sim.round_with(&observation);
        }
        sim.wanted
    };
    // Denied: ten minutes of zeros change nothing. Confirmed: acted on after the hold.
    assert_eq!(run([Some(4.0), Some(3.9)], 120), 6);
    assert_eq!(run([Some(4.0), Some(0.1)], 6), 1);
    // Nobody can confirm: held for the hold window first, and then for the window of the guard.
    assert_eq!(run([None, None], 4), 6);
    assert_eq!(run([None, None], 20), 1);
    // The second source has a base load: believed after 20 minutes.
    assert_eq!(run([Some(4.0), Some(3.9)], 260), 1);
}

#[test]
fn property_5_a_forecast_only_adds() {
    let check = |load: Option<f64>, forecast: f64, to: u32| {
        let mut observation = seen(load, 3, 3);
        observation.forecast = Some(metric(Some(forecast)));
        let mut state = State::new();
        state.last_ms = Some(0);
        let (_, plan) = step(&policy(), &state, &observation, 5000);
        assert_eq!(plan.decision.to, to, "{}", plan.decision.reason);
    };
    check(Some(290.0), 550.0, 6);
    check(Some(290.0), 10.0, 3);
    // Believed up to four times what is measured; alone it says nothing.
    check(Some(110.0), 5000.0, 5);
    check(None, 700.0, 3);
}

#[test]
fn property_7_saturated_cpu_doubles() {
    let mut policy = policy();
    policy.targets = vec![target(TargetKind::Cpu, 0.7)];
    let check = |cores: f64, counted: Option<u32>, to: u32| {
        let mut observation = seen(Some(cores), 2, 2);
        observation.counted = vec![counted];
        let mut state = State::new();
        state.last_ms = Some(0);
        let (_, plan) = step(&policy, &state, &observation, 5000);
        assert_eq!(plan.decision.to, to, "{}", plan.decision.reason);
    };
    check(1.4, Some(2), 2);
    check(1.7, Some(2), 3);
    check(1.95, Some(2), 4);
    // One replica without a sample is idle on the way up.
    check(1.7, Some(1), 3);
}

#[test]
fn property_8_and_9_replicas_that_never_start_end_in_one_alarm() {
    let mut sim = Sim::new(policy(), 2);
    sim.delay_ms = i64::MAX / 4;
    let (mut frozen, mut acts) = (0, 0);
    for _ in 0..100 {
        let plan = sim.round(Some(480.0));
        acts += usize::from(plan.effect == Effect::Act);
        frozen += plan.notices.iter().filter(|n| matches!(n, Notice::Frozen(_))).count();
    }
    assert_eq!((acts, frozen, sim.wanted), (1, 1, 5), "{:#?}", sim.log);
    assert_eq!(sim.state.frozen.as_ref().map(|f| f.cause), Some(FreezeCause::NotReady));
    assert!(sim.log.iter().any(|l| l.contains("#1 failed: 3 replicas not ready")), "{:#?}", sim.log);
    // It heals: scaling goes on.
    sim.starting.clear();
    sim.ready = 5;
    assert!(sim.round(Some(480.0)).notices.contains(&Notice::Thawed));
    sim.delay_ms = 1000;
    assert_eq!(sim.round(Some(780.0)).decision.to, 8);
}

#[test]
fn property_9_three_refusals_end_in_one_alarm() {
    let mut state = State::new();
    let mut now = 0;
    let mut tries = 0;
    let mut last = false;
    for _ in 0..100 {
        now += 5000;
        let (next, plan) = step(&policy(), &state, &seen(Some(480.0), 2, 2), now);
        state = next;
        if plan.effect == Effect::Act {
            tries += 1;
            last = state.refused("no quota", now);
        }
    }
    assert_eq!((tries, last), (3, true));
    // Someone else changes the number: it works again.
    let (state, plan) = step(&policy(), &state, &seen(Some(480.0), 3, 3), now + 5000);
    assert!(state.frozen.is_none() && plan.class == ReasonClass::Foreign, "{plan:?}");
}

#[test]
fn property_11_a_foreign_change_is_left_alone_for_one_window() {
    let mut sim = Sim::new(policy(), 5);
    for _ in 0..5 {
        sim.round(Some(480.0));
    }
    sim.wanted = 3;
    sim.ready = 3;
    let plan = sim.round(Some(480.0));
    assert_eq!(plan.notices, [Notice::ForeignChange { from: 5, to: 3 }]);
    for _ in 0..10 {
        assert_eq!(sim.round(Some(480.0)).decision.to, 3);
    }
    for _ in 0..5 {
        sim.round(Some(480.0));
    }
    assert_eq!(sim.wanted, 5, "{:#?}", sim.log);
}

#[test]
fn property_12_a_restart_changes_nothing_but_the_first_round() {
    let loads: Vec<f64> = (0..200).map(|i| 400.0 + 300.0 * (f64::from(i) / 12.0).sin()).collect();
    let mut through = Sim::new(policy(), 4);
    let mut restarted = Sim::new(policy(), 4);
    for (round, load) in loads.iter().enumerate() {
        let plan = through.round(Some(*load));
        if round == 100 {
            restarted.state = State::from_bytes(&restarted.state.to_bytes()).expect("its own form");
        }
        let mut observation = restarted.observe(Some(*load));
        observation.first_round = round == 100 && plan.decision.to >= plan.decision.from;
        restarted.round_with(&observation);
    }
    assert_eq!(through.log, restarted.log);
    let mut observation = seen(Some(1.0), 5, 5);
    observation.first_round = true;
    let (_, plan) = step(&policy(), &State::new(), &observation, 5000);
    assert_eq!(plan.decision.to, 5);
}

#[test]
fn property_13_modes_and_the_stop_switch() {
    let check = |mode, stopped: Option<&str>, effect, state| {
        let mut observation = seen(Some(480.0), 2, 2);
        observation.mode = mode;
        observation.stopped_by = stopped.map(str::to_owned);
        let (_, plan) = step(&policy(), &State::new(), &observation, 5000);
        assert_eq!((plan.decision.to, plan.effect, plan.decision.state, plan.record), (5, effect, state, true));
    };
    check(ScalingMode::Act, None, Effect::Act, DecisionState::Recorded);
    check(ScalingMode::Observe, None, Effect::Skip, DecisionState::Skipped);
    check(ScalingMode::Advise, None, Effect::Ask, DecisionState::AwaitingApproval);
    check(ScalingMode::Act, Some("ann"), Effect::Skip, DecisionState::Skipped);
}

#[test]
fn an_approval_is_acted_on_while_it_holds() {
    let observation = |load, approved| {
        let mut observation = seen(Some(load), 2, 2);
        observation.mode = ScalingMode::Advise;
        observation.approved = approved;
        observation
    };
    let (mut state, plan) = step(&policy(), &State::new(), &observation(480.0, None), 5000);
    assert_eq!(plan.effect, Effect::Ask);
    state.asked(7, 5);
    let (state, plan) = step(&policy(), &state, &observation(480.0, None), 10_000);
    assert!(!plan.record && plan.approved.is_none());
    let (_, plan) = step(&policy(), &state, &observation(480.0, Some(7)), 15_000);
    assert_eq!((plan.effect, plan.approved, plan.record), (Effect::Act, Some(7), false));
    // The load has changed meanwhile: another wish, a new question, the old one ends.
    let (_, plan) = step(&policy(), &state, &observation(680.0, Some(7)), 15_000);
    assert_eq!((plan.effect, plan.approved, plan.record), (Effect::Ask, None, true));
    assert_eq!(plan.finished[0].state, DecisionState::Skipped);
}

#[test]
fn scale_in_keeps_its_pace() {
    let mut policy = policy();
    policy.scale_in = Pace { replicas: 1, percent: 10.0, period: Duration::from_secs(60) };
    policy.max = 40;
    let mut sim = Sim::new(policy, 30);
    for _ in 0..14 {
        sim.round(Some(2900.0));
    }
    let before = sim.now;
    while sim.wanted == 30 {
        sim.round(Some(1300.0));
    }
    assert!(sim.now - before >= 60_000);
    assert_eq!(sim.wanted, 27);
    let before = sim.now;
    while sim.wanted > 20 {
        let from = sim.wanted;
        sim.round(Some(1300.0));
        assert!(from - sim.wanted <= 3);
    }
    assert!(sim.now - before >= 120_000, "{:#?}", sim.log);
}

#[test]
fn a_silent_orchestrator_holds() {
    let mut observation = seen(Some(480.0), 2, 2);
    observation.replicas = None;
    observation.replicas_note = "connection refused".into();
    let (state, plan) = step(&policy(), &State::new(), &observation, 5000);
    assert_eq!((plan.class, plan.effect, plan.record), (ReasonClass::Silent, Effect::None, true));
    let (_, plan) = step(&policy(), &state, &observation, 10_000);
    assert!(!plan.record);
}

/// A service that nobody has tuned, on a load of 800 RPS by day and 200 by night, five seconds between rounds.
fn untuned() -> Policy {
    let mut policy = Policy::untuned("web", Target::demand(TargetKind::Rps, 100.0));
    policy.max = 100;
    policy
}

#[test]
fn property_04_an_outage_dip_keeps_room_for_the_return() {
    let mut policy = untuned();
    policy.interval = Duration::from_secs(15);
    let mut sim = Sim::new(policy, 12);
    let round = |sim: &mut Sim, load: f64| {
        sim.now += 10_000;
        sim.round(Some(load))
    };
    for _ in 0..3 * 5760 {
        round(&mut sim, 800.0);
    }
    let before = sim.wanted;
    // The load sinks to a third within two minutes: users cannot reach us. They are waited for, for half an hour.
    for step in 0..8 {
        round(&mut sim, 800.0 - 70.0 * f64::from(step));
    }
    for _ in 0..4 * 28 {
        round(&mut sim, 260.0);
    }
    assert!(sim.wanted >= before.min(10), "{} of {before} left", sim.wanted);
    for _ in 0..4 * 60 {
        round(&mut sim, 260.0);
    }
    assert!(sim.wanted <= 5, "{} after the wait", sim.wanted);
}

#[test]
fn property_06_scale_in_of_an_untuned_service_is_slow() {
    let mut sim = Sim::new(untuned(), 30);
    let mut last_out = i64::MIN / 2;
    let (mut ins, mut lowest) = (Vec::new(), u32::MAX);
    for step in 0..6 * 720 {
        // Waves of noise around a slow fall.
        let load = 2400.0 - 0.4 * f64::from(step) + 200.0 * (f64::from(step) / 97.0).sin();
        let from = sim.wanted;
        sim.round(Some(load));
        if sim.wanted > from {
            last_out = sim.now;
        } else if sim.wanted < from {
            assert!(sim.now - last_out > 600_000, "turned after {} s", (sim.now - last_out) / 1000);
            ins.push((sim.now, from, from - sim.wanted));
            lowest = lowest.min(sim.wanted);
        }
    }
    for (at, from, _) in &ins {
        let within: u32 = ins.iter().filter(|i| i.0 > at - 60_000 && i.0 <= *at).map(|i| i.2).sum();
        assert!(within <= (*from + within).div_ceil(10).max(1), "{within} of {from} within a minute");
    }
    assert!(lowest <= 12, "{lowest}");
}

#[test]
fn property_12_a_planner_that_restarts_decides_the_same() {
    let load = |step: i64| 600.0 + 300.0 * (step as f64 / 400.0).sin() + 40.0 * (step as f64 * 0.7).sin();
    let (mut through, mut restarted) = (Sim::new(untuned(), 8), Sim::new(untuned(), 8));
    for step in 0..6000 {
        let a = through.round(Some(load(step)));
        if step % 500 == 499 {
            restarted.state = State::from_bytes(&restarted.state.to_bytes()).expect("its own form");
        }
        let b = restarted.round(Some(load(step)));
        assert_eq!(a.decision.to, b.decision.to, "step {step}");
    }
    assert_eq!(through.log, restarted.log);
}

#[test]
fn property_17_days_follow_the_clocks_of_the_zone() {
    let check = |zone: &str, at: &str, expect: [i64; 2]| {
        let mut policy = untuned();
        policy.predict = Some(crate::policy::Predict { time_zone: zone.into(), ..Default::default() });
        let now = at.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
        let lags = policy.days_before(now);
        assert_eq!([lags[0], lags[6]], expect, "{zone} {at}");
    };
    check("UTC", "2026-03-29T12:00:00Z", [1440, 10080]);
    check("Asia/Shanghai", "2026-03-29T12:00:00Z", [1440, 10080]);
    // The clocks go forward on the 29th of March: the same time by the clock was 23 hours ago.
    check("Europe/Berlin", "2026-03-28T12:00:00Z", [1440, 10080]);
    check("Europe/Berlin", "2026-03-29T12:00:00Z", [1380, 10020]);
    check("Europe/Berlin", "2026-10-25T12:00:00Z", [1500, 10140]);
}

#[test]
fn property_17_a_clock_that_jumps_back_or_ahead_gives_nothing_back() {
    let mut sim = Sim::new(untuned(), 9);
    for _ in 0..2000 {
        sim.round(Some(700.0));
    }
    let before = sim.wanted;
    sim.now -= 86_400_000;
    sim.round(Some(700.0));
    sim.now += 3 * 86_400_000;
    let plan = sim.round(Some(690.0));
    assert!(plan.decision.to >= before.min(9), "{}", plan.decision.reason);
}

#[test]
fn property_01_a_million_rounds_stay_within_bounds() {
    let mut policy = policy();
    (policy.min, policy.max) = (2, 40);
    policy.targets.push(target(TargetKind::Cpu, 0.7));
    policy.scale_in = Pace { replicas: 1, percent: 10.0, period: Duration::from_secs(60) };
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut state, mut now, mut wanted) = (State::new(), 0i64, 5u32);
    for _ in 0..1_000_000 {
        let load = match random() % 16 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(f64::INFINITY),
            3 => Some(-1.0),
            4 => Some(0.0),
            5 => Some(f64::MAX),
            other => Some((random() % 5000) as f64 * other as f64 / 10.0),
        };
        now += (random() % 20_000) as i64 - 2000;
        let ready = (random() % u64::from(wanted + 2)) as u32;
        let mut observation = seen(load, wanted, ready);
        observation.loads.push(metric(Some((random() % 30) as f64)));
        observation.counted.push(Some(ready));
        observation.first_round = random() % 1000 == 0;
        let (next, plan) = step(&policy, &state, &observation, now);
        let to = plan.decision.to;
        assert!((policy.min..=policy.max).contains(&to), "{}", plan.decision.reason);
        assert!(observation.load(0).is_some() || to >= wanted.min(policy.max), "{}", plan.decision.reason);
        assert!(!observation.first_round || to >= wanted.min(policy.max), "{}", plan.decision.reason);
        state = next;
        if plan.effect == Effect::Act && random() % 8 > 0 {
            state.acted(&policy, 1, wanted, to, now);
            wanted = to;
        } else if plan.effect == Effect::Act {
            state.refused("no", now);
        }
        if random() % 4096 == 0 {
            wanted = (random() % 60) as u32;
            state.unfreeze();
        }
    }
}

/// Any number a broken pipeline can give.
fn wild() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        3 => (0.0..2000.0f64).prop_map(Some),
        1 => Just(None),
        1 => prop::num::f64::ANY.prop_map(Some),
        1 => Just(Some(0.0)),
        1 => Just(Some(f64::MAX)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn property_1_bounds_hold_whatever_is_seen(
        rounds in prop::collection::vec((wild(), wild(), wild(), wild(), 0u32..40, 0u32..40, -5000i64..600_000, any::<bool>()), 1..60),
        min in 0u32..5, span in 0u32..20, pace in 1u32..5, up in 0u64..60, predicts in any::<bool>(),
    ) {
        let mut policy = policy();
        policy.predict = predicts.then(crate::policy::Predict::default);
        (policy.min, policy.max) = (min, min + span);
        policy.targets.push(target(TargetKind::Cpu, 0.7));
        policy.scale_in = Pace { replicas: pace, percent: 10.0, period: Duration::from_secs(60) };
        policy.scale_out = Some(Pace { replicas: pace, percent: 0.0, period: Duration::from_secs(15) });
        policy.stabilization_up = Duration::from_secs(up);
        let (mut state, mut now) = (State::new(), 0i64);
        for (rps, cpu, confirm, forecast, wanted, ready, gap, acts) in rounds {
            now = now.saturating_add(gap);
            let mut observation = seen(rps, wanted, ready);
            observation.loads.push(metric(cpu));
            observation.counted = vec![None, Some(ready / 2)];
            observation.confirm = Some(metric(confirm));
            observation.forecast = Some(metric(forecast));
            observation.queue = Some(metric(forecast));
            let (next, plan) = step(&policy, &state, &observation, now);
            let to = plan.decision.to;
            prop_assert!((policy.min..=policy.max).contains(&to), "{} not in bounds", to);
            let all_known = observation.load(0).is_some() && observation.load(1).is_some();
            prop_assert!(all_known || to >= wanted.min(policy.max), "unknown shrank {} to {}", wanted, to);
            prop_assert!(next.to_bytes().len() <= STATE_BYTES_MAX);
            prop_assert!(!plan.decision.reason.is_empty());
            state = next;
            if plan.effect == Effect::Act && acts {
                state.acted(&policy, 1, wanted, to, now);
            } else if plan.effect == Effect::Act {
                state.refused("no", now);
            }
            prop_assert!(State::from_bytes(&state.to_bytes()).is_some());
        }
    }
}
