//! Replays that people ask a running Tidewatch for: bounded in length, number and time, and off the threads that serve.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use vocab::cancel::CancelOnDrop;
use vocab::duration::format_duration;
use vocab::ports::query::StepGrid;
use vocab::replay::{Replay, ReplayOutcome};
use vocab::{Clock, Ctx, ErrorKind, PortError, PortResult, TimestampMs};

use super::recorded::{Recorded, questions};
use super::world::{Outcome, Trace};
use super::{TICK, replay_beside};
use crate::observe::Observer;
use crate::policy::{Policy, ms};

/// Longest load that is replayed: a month is some seconds of one core.
const RANGE_MAX: Duration = Duration::from_secs(31 * 86_400);
/// Most replays at once: decisions and queries go on beside them.
const REPLAYS_MAX: usize = 2;
/// Longest time for a replay, the queries for its load included.
const TIME_MAX: Duration = Duration::from_secs(90);
/// Most steps of an answer: more would not be seen.
const STEPS_MAX: usize = 1_440;

/// Runs replays.
#[derive(Debug)]
pub(crate) struct Replays {
    permits: Arc<Semaphore>,
}

impl Default for Replays {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(REPLAYS_MAX)) }
    }
}

impl Replays {
    /// Replays a policy on its load as it was recorded; `startup_ms` is how long starts took, where that was measured.
    pub(crate) async fn run(
        &self,
        observer: &Observer,
        mut policy: Policy,
        (from_ms, to_ms): (TimestampMs, TimestampMs),
        startup_ms: Option<i64>,
        clock: &Arc<dyn Clock>,
    ) -> PortResult<Replay> {
        if to_ms <= from_ms || to_ms.saturating_sub(from_ms) > ms(RANGE_MAX) {
            let most = format_duration(RANGE_MAX);
            return Err(PortError::invalid(format!("want a begin before the end, and at most {most} between them")));
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let message = format!("{REPLAYS_MAX} replays are under way; try again when one of them has ended");
            return Err(PortError::new(ErrorKind::Unavailable, message));
        };
        if let Some(startup) = startup_ms.and_then(|ms| u64::try_from(ms).ok()) {
            policy.startup = Duration::from_millis(startup);
        }
        let (observer, ctx) = (observer.clone(), observer.ctx("a replay"));
        let cancel = ctx.cancel.clone();
        let _ends_with_us = CancelOnDrop(cancel.clone());
        let runtime = Handle::current();
        let work = tokio::task::spawn_blocking(move || {
            let result = runtime.block_on(load(&observer, &ctx, &policy, from_ms, to_ms));
            let result = result.and_then(|load| load.replay(&policy, &ctx, startup_ms.is_some()));
            // Held until the work has really ended, also when nobody waits for it.
            drop(permit);
            result
        });
        tokio::select! {
            joined = work => joined.unwrap_or_else(|error| {
                Err(PortError::with_source(ErrorKind::Internal, "the replay hit an internal error", error))
            }),
            () = clock.sleep(TIME_MAX) => {
                cancel.time_out();
                let most = format_duration(TIME_MAX);
                Err(PortError::new(ErrorKind::Timeout, format!("the replay took longer than {most}; choose a shorter range")))
            }
        }
    }
}

/// What was recorded.
#[derive(Debug, Default)]
struct Load {
    load: Recorded,
    wanted: Recorded,
    ready: Recorded,
}

/// Asks the store.
async fn load(observer: &Observer, ctx: &Ctx, policy: &Policy, from_ms: i64, to_ms: i64) -> PortResult<Load> {
    let mut load = Load::default();
    let labels = format!("cluster={:?}, service={:?}", policy.cluster, policy.service);
    let series = |name: &str| format!("max(tidewatch_scaling_{name}_replicas{{{labels}}})");
    let (wanted, ready) = (series("wanted"), series("ready"));
    for question in questions(policy, from_ms, to_ms).map_err(PortError::invalid)? {
        let grid = StepGrid {
            start_ms: question.start_ms,
            end_ms: question.end_ms,
            step_ms: question.step_seconds.saturating_mul(1000),
        };
        let into = [(&question.query, &mut load.load), (&wanted, &mut load.wanted), (&ready, &mut load.ready)];
        for (query, recorded) in into {
            for (at_ms, value) in observer.course(ctx, policy, query, grid).await? {
                recorded.push(at_ms, value);
            }
        }
    }
    Ok(load)
}

impl Load {
    fn replay(self, policy: &Policy, ctx: &Ctx, startup_measured: bool) -> PortResult<Replay> {
        let trace: Trace = self.load.trace().map_err(PortError::not_found)?;
        let start_ms = trace.begin_ms().unwrap_or_default();
        let ran = |rounds| {
            let wanted = self.wanted.at_rounds(start_ms, rounds)?;
            Some((wanted, self.ready.at_rounds(start_ms, rounds)?))
        };
        let outcomes = replay_beside(policy, &trace, &ctx.cancel, ran)?;
        let first =
            outcomes.first().ok_or_else(|| PortError::new(ErrorKind::Internal, "the replay gave no outcome"))?;
        let rounds = first.loads.len().div_ceil(STEPS_MAX).max(1);
        let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let target = policy.targets.first();
        let mut notes: Vec<String> = self.load.gaps().into_iter().collect();
        notes.extend(
            policy
                .targets
                .get(1)
                .map(|_| "only the load of the first target counts; the others are taken as idle".into()),
        );
        notes.extend(policy.steps.first().map(|_| "the metrics of steps are taken as idle".into()));
        Ok(Replay {
            policy: policy.name.clone(),
            service: policy.service.clone(),
            start_ms,
            step_ms: ms(TICK).saturating_mul(i64::try_from(rounds).unwrap_or(i64::MAX)),
            query: target.map(|t| t.query.clone()).unwrap_or_default(),
            unit: target.map(|t| t.kind.unit().to_owned()).unwrap_or_default(),
            per_replica: target.map_or(0.0, |t| t.value),
            startup_seconds: policy.startup.as_secs_f64(),
            startup_measured,
            notes,
            load: first.loads.chunks(rounds).map(highest).collect(),
            outcomes: outcomes.iter().map(|outcome| shown(outcome, rounds)).collect(),
        })
    }
}

/// An outcome with so many rounds to a step.
fn shown(outcome: &Outcome, rounds: usize) -> ReplayOutcome {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let most = |values: &[u32]| values.iter().copied().max().unwrap_or(0);
    let least = |values: &[u32]| values.iter().copied().min().unwrap_or(0);
    ReplayOutcome {
        by: outcome.by,
        wanted: outcome.wanted.chunks(rounds).map(most).collect(),
        ready: outcome.ready.chunks(rounds).map(least).collect(),
        bad_ratio: outcome.bad_share,
        bad_minutes: count(outcome.violations),
        replica_hours: outcome.replica_hours,
        actions: count(outcome.actions),
        reversals: count(outcome.reversals),
    }
}

#[cfg(test)]
mod tests;
