//! The pipeline as a filter: one JSON line per tick in, one decision per line out. It serves simulators and comparisons, and
//! is the same [`plan::step`](crate::plan::step) that runs live, for a service that nobody has tuned.
//!
//! The first line describes the service: `{"replica_rps":100,"startup_s":120,"tick_s":15,"min":1,"max":400}`. Each further line
//! is a tick: `{"t":<s since start>,"rps":<load or null>,"ready":<ready replicas>,"total":<replicas asked for>}`. The answer
//! is `{"replicas":<wanted total>,"reason":"…"}`.

use std::io::{BufRead, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::scaling::{ScalingMode, SeenMetric};

use crate::observation::{Observation, ReplicaCounts};
use crate::plan::{Effect, Plan, step};
use crate::policy::{Policy, Target, TargetKind, ms};
use crate::state::State;

/// A tick shows the replicas that were ready this many ticks ago.
const LATE_TICKS: i64 = 2;
/// Longest line that is read, in bytes: a tick has some sixty.
const LINE_MAX: usize = 64 * 1024;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A line is not what the protocol says.
    #[error("line {line}: {message}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Reading or writing failed.
    #[error("the pipe broke")]
    Io(#[from] std::io::Error),
}

/// The first line: the service.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Opening {
    /// Requests per second at which a replica is saturated.
    pub replica_rps: f64,
    /// Seconds from asking for a replica to its being ready.
    pub startup_s: f64,
    /// Seconds between ticks.
    pub tick_s: f64,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
}

/// A further line: what is seen.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Tick {
    /// Seconds since the start.
    pub t: f64,
    /// The load in requests per second; `null` when it is unknown.
    pub rps: Option<f64>,
    /// Replicas that are ready.
    pub ready: u32,
    /// Replicas asked for.
    pub total: u32,
}

/// The answer to a tick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Replicas to have.
    pub replicas: u32,
    /// Why, in one sentence.
    pub reason: String,
}

/// A service in a closed loop with whoever applies its decisions: every change is taken as accepted.
#[derive(Debug, Clone)]
pub struct Session {
    policy: Policy,
    state: State,
    next_id: i64,
}

impl Session {
    /// A service that nobody has tuned, as its opening line describes it.
    pub fn untuned(opening: &Opening) -> Result<Self, String> {
        let is_time = |s: f64| s.is_finite() && (0.0..=86_400.0).contains(&s);
        if !(opening.replica_rps.is_finite() && opening.replica_rps > 0.0) {
            return Err("replica_rps: want requests per second above 0".into());
        }
        if !is_time(opening.startup_s) || !is_time(opening.tick_s) || opening.tick_s < 0.2 {
            return Err("startup_s and tick_s: want seconds within a day, tick_s at least 0.2".into());
        }
        if opening.max < opening.min {
            return Err("max: want a number of replicas from min on".into());
        }
        let tick = Duration::from_secs_f64(opening.tick_s);
        let mut policy = Policy::untuned("service", Target::demand(TargetKind::Rps, opening.replica_rps));
        (policy.min, policy.max) = (opening.min, opening.max);
        (policy.interval, policy.scrape_interval) = (tick, tick);
        policy.startup = Duration::from_secs_f64(opening.startup_s);
        Ok(Self::new(policy))
    }

    /// A service under any policy.
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: State::new(), next_id: 1 }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// One round: decides, and takes the decision as carried out.
    pub fn round(&mut self, observation: &Observation, now: TimestampMs) -> Plan {
        let (state, plan) = step(&self.policy, &self.state, observation, now);
        self.state = state;
        if plan.effect == Effect::Act {
            self.state.acted(&self.policy, self.next_id, plan.decision.from, plan.decision.to, now);
            self.next_id += 1;
        }
        plan
    }

    /// Answers a tick.
    pub fn tick(&mut self, tick: &Tick) -> Answer {
        #[allow(clippy::cast_possible_truncation, reason = "seconds to milliseconds; the cast saturates")]
        let now = (tick.t * 1000.0) as TimestampMs;
        let mut observation = demand_seen(tick.rps, tick.total, tick.ready);
        observation.replicas_age_ms = LATE_TICKS * ms(self.policy.interval);
        let plan = self.round(&observation, now);
        Answer { replicas: plan.decision.to, reason: plan.status }
    }
}

/// An observation of one load and the replicas, as a simulator has it.
pub fn demand_seen(load: Option<f64>, wanted: u32, ready: u32) -> Observation {
    let note = if load.is_none() { "no sample".to_owned() } else { String::new() };
    Observation {
        replicas: Some(ReplicaCounts { wanted, ready, total: ready.max(wanted), version: 0 }),
        replicas_note: String::new(),
        replicas_age_ms: 0,
        loads: vec![SeenMetric { name: "rps".into(), value: load, age_ms: None, query: String::new(), note }],
        counted: vec![None],
        queue: None,
        confirm: None,
        forecast: None,
        first_round: false,
        stopped_by: None,
        mode: ScalingMode::Act,
        outside: crate::outside::Outside::default(),
        approved: None,
        steps: Vec::new(),
        wall_ms: None,
    }
}

/// Reads ticks until the input ends, answering each at once.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> Result<(), StepError> {
    let mut session: Option<Session> = None;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = std::io::Read::take(&mut input, LINE_MAX as u64).read_until(b'\n', &mut text)?;
        if read == 0 {
            break;
        }
        let wrong = |message: String| StepError::Line { line, message };
        if read == LINE_MAX && text.last() != Some(&b'\n') {
            return Err(wrong(format!("longer than {LINE_MAX} bytes")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        match &mut session {
            None => {
                let opening: Opening = serde_json::from_slice(&text).map_err(|e| {
                    wrong(format!("want {{\"replica_rps\":…,\"startup_s\":…,\"tick_s\":…,\"min\":…,\"max\":…}}: {e}"))
                })?;
                session = Some(Session::untuned(&opening).map_err(wrong)?);
            }
            Some(session) => {
                let tick: Tick = serde_json::from_slice(&text)
                    .map_err(|e| wrong(format!("want {{\"t\":…,\"rps\":…,\"ready\":…,\"total\":…}}: {e}")))?;
                serde_json::to_writer(&mut output, &session.tick(&tick)).map_err(std::io::Error::from)?;
                output.write_all(b"\n")?;
                output.flush()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = "{\"replica_rps\":100,\"startup_s\":30,\"tick_s\":15,\"min\":1,\"max\":40}\n";

    fn answers(lines: &str) -> Result<Vec<u64>, String> {
        let mut out = Vec::new();
        serve(format!("{OPENING}{lines}").as_bytes(), &mut out).map_err(|e| e.to_string())?;
        let text = String::from_utf8(out).expect("JSON");
        Ok(text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).expect("JSON")["replicas"].as_u64().expect("whole")
            })
            .collect())
    }

    #[test]
    fn a_step_of_the_load_is_answered_in_one_call() {
        let steady = |t: u32| format!("{{\"t\":{},\"rps\":160,\"ready\":3,\"total\":3}}\n", t * 15);
        let mut lines: String = (1..9).map(steady).collect();
        lines.push_str("{\"t\":135,\"rps\":1700,\"ready\":3,\"total\":3}\n");
        let all = answers(&lines).expect("right lines");
        assert_eq!(all.len(), 9);
        assert!((18..=30).contains(&all[8]), "{all:?}");
    }

    #[test]
    fn unknown_loads_hold_and_bounds_are_kept() {
        let lines =
            "{\"t\":15,\"rps\":null,\"ready\":7,\"total\":7}\n{\"t\":30,\"rps\":1e300,\"ready\":7,\"total\":7}\n";
        assert_eq!(answers(lines), Ok(vec![7, 40]));
    }

    #[test]
    fn wrong_lines_are_named() {
        let check = |line: &str, expect: &str| {
            let error = answers(line).expect_err(line);
            assert!(error.contains(expect), "{error}");
        };
        check("{\"t\":15}\n", "line 2: want {\"t\"");
        check("nonsense\n", "line 2: want {\"t\"");
        let check = |opening: &str, expect: &str| {
            let error = serve(opening.as_bytes(), Vec::new()).expect_err(opening).to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("{}\n", "line 1: want {\"replica_rps\"");
        check("{\"replica_rps\":0,\"startup_s\":30,\"tick_s\":15,\"min\":1,\"max\":4}", "replica_rps");
        check("{\"replica_rps\":1,\"startup_s\":30,\"tick_s\":0,\"min\":1,\"max\":4}", "tick_s");
        check("{\"replica_rps\":1,\"startup_s\":30,\"tick_s\":15,\"min\":5,\"max\":4}", "max");
    }
}
