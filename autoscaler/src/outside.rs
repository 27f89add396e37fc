//! What binds a service from outside its own load: needs of services that depend on it, quotas, batches, calendars, pauses
//! set by people. Gathered before a round, said in its record, and applied among the guards.
//!
//! A floor is a need like any other: windows, cooldowns and bounds see it. A ceiling and a hold only ever keep a change
//! from happening: neither takes away what runs.

use serde::{Deserialize, Serialize};

/// A number of replicas that others ask for, or leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which guard sets it: `dependency`, `quota`, `batch` …
    pub guard: String,
    /// The number.
    pub replicas: u32,
    /// Why, in words.
    pub reason: String,
}

/// A direction that is closed for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which guard closes it: `freeze_window`, `paused` …
    pub guard: String,
    /// Why, in words.
    pub reason: String,
}

/// All of it, for one round of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Outside {
    /// At least so many are needed by others.
    pub floors: Vec<Limit>,
    /// At most so many may be had; what runs already stays.
    pub ceilings: Vec<Limit>,
    /// Nothing is given back.
    pub hold_in: Vec<Hold>,
    /// Nothing is added.
    pub hold_out: Vec<Hold>,
}

/// One step of a guard chain: the number, the name of the guard and its reason.
pub(crate) type Step<'a> = (u32, &'a str, &'a str);

impl Outside {
    /// The number after all floors, and what each of them did.
    pub(crate) fn floored(&self, to: u32) -> (u32, Vec<Step<'_>>) {
        let mut steps = Vec::new();
        let mut now = to;
        for floor in &self.floors {
            if floor.replicas > now {
                now = floor.replicas;
                steps.push((now, floor.guard.as_str(), floor.reason.as_str()));
            }
        }
        (now, steps)
    }

    /// The number after all ceilings and holds, and what each of them did.
    pub(crate) fn limited(&self, to: u32, current: u32) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let mut now = to;
        for ceiling in &self.ceilings {
            let most = ceiling.replicas.max(current);
            if now > most {
                now = most;
                steps.push((now, ceiling.guard.as_str(), ceiling.reason.as_str()));
            }
        }
        let closed = if now > current { self.hold_out.first() } else { self.hold_in.first() };
        if let Some(hold) = closed.filter(|_| now != current) {
            steps.push((current, hold.guard.as_str(), hold.reason.as_str()));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(guard: &str, replicas: u32) -> Limit {
        Limit { guard: guard.into(), replicas, reason: guard.into() }
    }

    fn hold(guard: &str) -> Hold {
        Hold { guard: guard.into(), reason: guard.into() }
    }

    #[test]
    fn the_tightest_ceiling_wins_and_nothing_that_runs_is_taken_away() {
        let outside = Outside {
            floors: vec![limit("a", 4), limit("b", 6), limit("c", 5)],
            ceilings: vec![limit("quota", 8), limit("batch", 6)],
            ..Outside::default()
        };
        assert_eq!(outside.floored(1), (6, vec![(4, "a", "a"), (6, "b", "b")]));
        assert_eq!(outside.floored(9).0, 9);
        assert_eq!(outside.limited(10, 5), [(8, "quota", "quota"), (6, "batch", "batch")]);
        assert_eq!(outside.limited(10, 9), [(9, "quota", "quota")]);
        assert_eq!(outside.limited(3, 9), []);
    }

    #[test]
    fn property_13_each_direction_is_paused_apart() {
        let closed_in = Outside { hold_in: vec![hold("in")], ..Outside::default() };
        assert_eq!((closed_in.limited(3, 5), closed_in.limited(7, 5)), (vec![(5, "in", "in")], vec![]));
        let closed_out = Outside { hold_out: vec![hold("out")], ..Outside::default() };
        assert_eq!((closed_out.limited(3, 5), closed_out.limited(7, 5)), (vec![], vec![(5, "out", "out")]));
        assert_eq!(closed_out.limited(5, 5), []);
    }
}
