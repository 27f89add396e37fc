//! What the autoscaler does, as series: wanted and ready replicas and decisions can be graphed beside the load.

use vocab::ports::append::{Origin, SeriesRef};
use vocab::ports::{Appender, WriteBatch};
use vocab::sample::{MetricMetadata, MetricType};
use vocab::{Ctx, Labels, MemoryReservation};

use crate::observation::Observation;
use crate::plan::{Effect, Plan};
use crate::policy::Policy;
use crate::service_loop::Shared;

/// Names, types and help of the series.
const FAMILIES: [(&str, MetricType, &str); 5] = [
    ("tidewatch_scaling_wanted_replicas", MetricType::Gauge, "Replicas the orchestrator is told to run."),
    ("tidewatch_scaling_ready_replicas", MetricType::Gauge, "Replicas that are ready."),
    ("tidewatch_scaling_decided_replicas", MetricType::Gauge, "Replicas the last round decided for."),
    ("tidewatch_scaling_frozen", MetricType::Gauge, "Whether the service is left alone after failed tries."),
    ("tidewatch_scaling_decisions_total", MetricType::Counter, "Changes decided since the start."),
];

/// The series of one service.
#[derive(Debug)]
pub(crate) struct Series {
    labels: Vec<Labels>,
    refs: Vec<SeriesRef>,
    decisions: u64,
    has_described: bool,
}

impl Series {
    pub(crate) fn new(policy: &Policy) -> Self {
        let labels = FAMILIES.map(|(name, ..)| {
            Labels::from_pairs([("__name__", name), ("cluster", &policy.cluster), ("service", &policy.service)])
        });
        Self {
            labels: labels.to_vec(),
            refs: vec![SeriesRef::NONE; FAMILIES.len()],
            decisions: 0,
            has_described: false,
        }
    }

    /// Appends a round; what is unknown gets no sample.
    pub(crate) async fn append(&mut self, shared: &Shared, observation: &Observation, plan: &Plan) {
        self.decisions += u64::from(plan.effect == Effect::Act);
        let counts = observation.replicas;
        let is_frozen = plan.class == crate::state::ReasonClass::Frozen;
        #[allow(clippy::cast_precision_loss, reason = "a count of decisions")]
        let decisions = self.decisions as f64;
        let values = [
            counts.map(|c| f64::from(c.wanted)),
            counts.map(|c| f64::from(c.ready)),
            counts.map(|_| f64::from(plan.decision.to)),
            Some(f64::from(u8::from(is_frozen))),
            Some(decisions),
        ];
        let mut batch = WriteBatch { origin: Origin::Internal, ..WriteBatch::default() };
        if !self.has_described {
            batch.metadata = FAMILIES
                .iter()
                .map(|(name, metric_type, help)| MetricMetadata {
                    metric: (*name).to_owned(),
                    metric_type: *metric_type,
                    help: (*help).to_owned(),
                    unit: String::new(),
                })
                .collect();
        }
        let now = shared.clock.now_ms();
        let mut appended = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let series = batch.push_series(self.labels[index].clone(), self.refs[index]);
            batch.samples.push(vocab::ports::append::BatchSample { series, timestamp: now, value: *value });
            appended.push(index);
        }
        // A handful of samples needs no share of the budget.
        let ctx = Ctx::new(shared.tenant.clone(), MemoryReservation::unlimited());
        match Appender::append(shared.appender.as_ref(), &ctx, &batch).await {
            Ok(outcome) => {
                self.has_described = true;
                for (index, series_ref) in appended.into_iter().zip(outcome.refs) {
                    self.refs[index] = series_ref;
                }
            }
            Err(error) => {
                shared.metrics.error("appender.append");
                tracing::debug!(error = vocab::error::chain(&error), "a round's numbers were not written");
            }
        }
    }
}
