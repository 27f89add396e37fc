//! What an alerting rule remembers between rounds: a pure step from samples to alerts.

use std::collections::BTreeMap;
use std::time::Duration;

use vocab::{Alert, AlertState, Labels, TimestampMs};

/// Names of the series that alerts are written as.
pub const ALERTS: &str = "ALERTS";
/// Name of the series that says since when an alert is active, for restoring `for` after a restart.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// One alert of this round: labels and annotations as expanded, and the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Labels, `alertname` included.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// The value.
    pub value: f64,
}

/// An active alert and what is remembered of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// The alert.
    pub alert: Alert,
    /// Since when it only fires because of `keep_firing_for`.
    pub kept_since_ms: Option<TimestampMs>,
    /// When its row was last written.
    pub written_at_ms: TimestampMs,
}

/// What happened to an alert in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New, and its expression has not held for long enough.
    Pending,
    /// It fires from now on.
    Fired,
    /// It goes on as it was.
    Unchanged,
    /// It fired and is over.
    Resolved,
    /// It never fired and is over.
    Vanished,
}

/// The alerts of one rule, by the hash of their labels.
#[derive(Debug, Default)]
pub struct AlertTable {
    /// Pending and firing alerts.
    pub active: BTreeMap<u64, Active>,
}

/// The parts of a rule that its alerts need.
#[derive(Debug, Clone, Copy)]
pub struct RuleFacts<'a> {
    /// Group name.
    pub group: &'a str,
    /// Alert name.
    pub rule: &'a str,
    /// The expression.
    pub expression: &'a str,
    /// `for`
    pub hold: Duration,
    /// `keep_firing_for`
    pub keep_firing_for: Duration,
}

impl AlertTable {
    /// One round: what holds now becomes or stays active, what no longer holds ends. Gives every alert that was touched.
    pub fn step(
        &mut self,
        facts: &RuleFacts<'_>,
        candidates: Vec<Candidate>,
        now_ms: TimestampMs,
    ) -> Vec<(Alert, Change)> {
        let mut changes = Vec::new();
        let mut holding = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let key = candidate.labels.stable_hash();
            holding.push(key);
            let mut change = Change::Unchanged;
            let active = self.active.entry(key).or_insert_with(|| {
                change = Change::Pending;
                Active {
                    alert: facts.pending(&candidate, key, now_ms),
                    kept_since_ms: None,
                    written_at_ms: TimestampMs::MIN,
                }
            });
            active.kept_since_ms = None;
            active.alert.value = candidate.value;
            active.alert.annotations = candidate.annotations;
            active.alert.updated_at_ms = now_ms;
            // `>=`: with `for: 0` an alert fires in its first round.
            if active.alert.state == AlertState::Pending && now_ms - active.alert.active_at_ms >= ms(facts.hold) {
                active.alert.state = AlertState::Firing;
                active.alert.fired_at_ms = Some(now_ms);
                change = Change::Fired;
            }
            changes.push((active.alert.clone(), change));
        }
        let gone: Vec<u64> = self.active.keys().copied().filter(|key| !holding.contains(key)).collect();
        for key in gone {
            let Some(active) = self.active.get_mut(&key) else { continue };
            active.alert.updated_at_ms = now_ms;
            let firing = active.alert.state == AlertState::Firing;
            if firing && !facts.keep_firing_for.is_zero() {
                let since = *active.kept_since_ms.get_or_insert(now_ms);
                if now_ms - since < ms(facts.keep_firing_for) {
                    changes.push((active.alert.clone(), Change::Unchanged));
                    continue;
                }
            }
            let Some(mut over) = self.active.remove(&key) else { continue };
            let change = if firing {
                over.alert.state = AlertState::Resolved;
                over.alert.resolved_at_ms = Some(now_ms);
                Change::Resolved
            } else {
                over.alert.state = AlertState::Inactive;
                Change::Vanished
            };
            changes.push((over.alert, change));
        }
        changes
    }

    /// The alerts now.
    pub fn alerts(&self) -> Vec<Alert> {
        self.active.values().map(|a| a.alert.clone()).collect()
    }

    /// The series that say so: `ALERTS` with the state, and `ALERTS_FOR_STATE` with the time it became active.
    pub fn series(&self) -> Vec<(Labels, f64)> {
        let mut series = Vec::with_capacity(self.active.len() * 2);
        for active in self.active.values() {
            let named = active.alert.labels.with("__name__", ALERTS);
            series.push((named.with("alertstate", active.alert.state.as_str()), 1.0));
            let since = active.alert.active_at_ms.div_euclid(1000) as f64;
            series.push((active.alert.labels.with("__name__", ALERTS_FOR_STATE), since));
        }
        series
    }
}

impl RuleFacts<'_> {
    fn pending(&self, candidate: &Candidate, key: u64, now_ms: TimestampMs) -> Alert {
        Alert {
            group: self.group.to_owned(),
            rule: self.rule.to_owned(),
            fingerprint: format!("{key:016x}"),
            labels: candidate.labels.clone(),
            annotations: candidate.annotations.clone(),
            state: AlertState::Pending,
            value: candidate.value,
            expression: self.expression.to_owned(),
            active_at_ms: now_ms,
            fired_at_ms: None,
            resolved_at_ms: None,
            updated_at_ms: now_ms,
            ticket_id: None,
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(hold: u64, keep: u64) -> RuleFacts<'static> {
        RuleFacts {
            group: "g",
            rule: "A",
            expression: "x > 1",
            hold: Duration::from_secs(hold),
            keep_firing_for: Duration::from_secs(keep),
        }
    }

    /// Runs rounds of 10 s; `h` holds, `.` does not. Gives one letter a round.
    fn run(rounds: &str, hold: u64, keep: u64) -> String {
        let mut table = AlertTable::default();
        let mut out = String::new();
        for (round, letter) in rounds.chars().enumerate() {
            let candidates = if letter == 'h' {
                vec![Candidate {
                    labels: Labels::from_pairs([("alertname", "A")]),
                    annotations: Labels::empty(),
                    value: 2.0,
                }]
            } else {
                Vec::new()
            };
            let changes = table.step(&facts(hold, keep), candidates, round as i64 * 10_000);
            out.push(match changes.first().map(|c| c.1) {
                None => '-',
                Some(Change::Pending) => 'p',
                Some(Change::Fired) => 'F',
                Some(Change::Unchanged) => '=',
                Some(Change::Resolved) => 'R',
                Some(Change::Vanished) => 'v',
            });
        }
        out
    }

    #[test]
    fn alerts_go_through_their_states() {
        assert_eq!(run("hhhhh..", 20, 0), "p=F==R-");
        assert_eq!(run("hh..", 20, 0), "p=v-");
        assert_eq!(run("hh.", 0, 0), "F=R");
        assert_eq!(run("h...h....", 0, 25), "F=======R");
        assert_eq!(run("h.h", 0, 0), "FRF");
    }
}
