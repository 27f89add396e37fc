//! What the autoscaler counts about itself.

use vocab::telemetry::{Counter, Family, Gauge, LabelPairs, Telemetry};

use crate::leader::LeaderMetrics;

/// All metrics of this crate.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Rounds done, by service.
    pub(crate) rounds: Family<LabelPairs, Counter>,
    /// Rounds in which a metric or the orchestrator was unknown, by service.
    pub(crate) unknown_rounds: Family<LabelPairs, Counter>,
    /// Decisions recorded, by service and outcome.
    pub(crate) decisions: Family<LabelPairs, Counter>,
    /// Calls that failed, by what was called.
    pub(crate) errors: Family<LabelPairs, Counter>,
    /// Servers added to, drained in and removed from balancers.
    pub(crate) balancer_changes: Family<LabelPairs, Counter>,
    /// Whether an orchestrator's breaker lets calls through: 0 yes, 1 one that finds out, 2 none.
    pub(crate) orchestrator_state: Family<LabelPairs, Gauge>,
    /// Times that an orchestrator was left alone after failures in a row.
    pub(crate) orchestrator_openings: Family<LabelPairs, Counter>,
    /// Leadership.
    pub(crate) leader: LeaderMetrics,
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        Self {
            rounds: telemetry.register("autoscaler_rounds", "Rounds done", Family::default()),
            unknown_rounds: telemetry.register(
                "autoscaler_unknown_rounds",
                "Rounds in which a metric or the orchestrator was unknown",
                Family::default(),
            ),
            decisions: telemetry.register("autoscaler_decisions", "Decisions recorded", Family::default()),
            errors: telemetry.register("autoscaler_errors", "Calls that failed", Family::default()),
            balancer_changes: telemetry.register(
                "autoscaler_balancer_changes",
                "Servers added to, drained in and removed from balancers",
                Family::default(),
            ),
            orchestrator_state: telemetry.register(
                "autoscaler_orchestrator_state",
                "Whether calls go to the orchestrator: 0 yes, 1 one that finds out whether it answers, 2 none",
                Family::default(),
            ),
            orchestrator_openings: telemetry.register(
                "autoscaler_orchestrator_openings",
                "Times that the orchestrator was left alone after failures in a row",
                Family::default(),
            ),
            leader: LeaderMetrics {
                leads: telemetry.register("autoscaler_leader", "1 while this process decides", Gauge::default()),
                terms: telemetry.register(
                    "autoscaler_leader_terms",
                    "Times this process began to decide",
                    Counter::default(),
                ),
                fenced: telemetry.register(
                    "autoscaler_fenced_writes",
                    "Writes refused because another process decides by now",
                    Counter::default(),
                ),
            },
        }
    }

    /// Counts a failed call.
    pub(crate) fn error(&self, called: &'static str) {
        self.errors.get_or_create(&vec![("called", called.to_owned())]).inc();
    }
}
