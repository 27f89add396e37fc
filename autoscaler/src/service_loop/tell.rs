//! What people are told of a service: tickets, change events, what is shown.

use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::error::chain;
use vocab::scaling::{DecisionState, Held, ScaledService};

use super::{ACTOR, ServiceLoop};
use crate::observation::Observation;
use crate::plan::Plan;
use crate::tickets::Draft;
use crate::verify::Notice;

impl ServiceLoop {
    /// Tells people: tickets for what needs them, change events for what they may want to know.
    pub(super) async fn tell(&self, notice: &Notice) {
        let service = &self.policy.service;
        match notice {
            Notice::Frozen(reason) => {
                self.open_ticket("frozen", format!("{service} is no longer scaled"), reason).await
            }
            Notice::UnknownTooLong(reason) => {
                self.open_ticket("unknown", format!("{service} is scaled blindly: its metrics are unknown"), reason)
                    .await;
            }
            Notice::Thawed => self.resolve_ticket("frozen", "replicas became ready; scaling goes on").await,
            Notice::KnownAgain => self.resolve_ticket("unknown", "metrics are known again").await,
            Notice::Trimmed(reason) => {
                self.open_ticket("quota", format!("{service} gets less than it needs"), reason).await
            }
            Notice::TrimmedNoMore => self.resolve_ticket("quota", "it gets what it needs").await,
            Notice::NoEffect(reason) => {
                self.open_ticket("no_effect", format!("more replicas do not help {service}"), reason).await;
            }
            Notice::EffectAgain => self.resolve_ticket("no_effect", "it is where it should be again").await,
            Notice::ForeignChange { from, to } => {
                let summary =
                    format!("replicas were set from {from} to {to} by someone else; left so for one hold window");
                self.change(ChangeKind::Scale, summary, &[("from", *from), ("to", *to)], None).await;
            }
        }
    }

    pub(super) async fn open_ticket(&self, what: &str, title: String, reason: &str) {
        tracing::error!(service = self.policy.service, "{reason}");
        let evidence = self.policy.targets.iter().map(|t| t.query.clone()).collect();
        let draft = Draft { what, title, severity: "critical", text: reason, evidence };
        if let Err(error) = self.shared.open_ticket(&self.policy, draft).await {
            self.shared.metrics.error("catalog.open_ticket");
            tracing::error!(service = self.policy.service, error = chain(&error), "the ticket could not be opened");
        }
    }

    pub(super) async fn resolve_ticket(&self, what: &str, text: &str) {
        if let Err(error) = self.shared.resolve_tickets(&self.policy, what, text).await {
            self.shared.metrics.error("catalog.update_ticket");
            tracing::error!(service = self.policy.service, error = chain(&error), "the ticket could not be resolved");
        }
    }

    pub(super) async fn change(
        &self,
        kind: ChangeKind,
        summary: String,
        numbers: &[(&str, u32)],
        decision: Option<i64>,
    ) {
        let mut details: std::collections::BTreeMap<String, String> =
            numbers.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        details.extend(decision.map(|id| ("decision_id".to_owned(), id.to_string())));
        let event = ChangeEvent {
            time_ms: self.shared.clock.now_ms(),
            kind,
            cluster: self.policy.cluster.clone(),
            service: self.policy.service.clone(),
            subject: String::new(),
            actor: if decision.is_some() { ACTOR.into() } else { String::new() },
            summary,
            details,
        };
        if let Err(error) = self.shared.catalog.record_change(&self.shared.tenant, &event).await {
            self.shared.metrics.error("catalog.record_change");
            tracing::warn!(
                service = self.policy.service,
                error = chain(&error),
                "the change could not be written down"
            );
        }
    }

    /// Publishes what the round saw and did.
    pub(super) fn show(&self, observation: &Observation, plan: &Plan) {
        let policy = &self.policy;
        let first = policy.targets.first();
        let wanted = match plan.decision.state {
            DecisionState::Acted => Some(plan.decision.to),
            _ => observation.replicas.map(|r| r.wanted),
        };
        let shown = ScaledService {
            cluster: policy.cluster.clone(),
            service: policy.service.clone(),
            policy: policy.name.clone(),
            orchestrator: policy.orchestrator.clone(),
            mode: observation.mode,
            min: policy.min,
            max: policy.max,
            wanted,
            ready: observation.replicas.map(|r| r.ready),
            targets: policy.targets.iter().map(crate::policy::Target::words).collect(),
            seen: observation.seen(),
            load_query: first.map(|t| t.query.clone()).unwrap_or_default(),
            forecast_query: policy.forecast_query.clone(),
            target_per_replica: first.map(|t| t.value),
            status: plan.status.clone(),
            last_round_ms: Some(self.shared.clock.now_ms()),
            hold_seconds: policy.hold.as_secs_f64(),
            notes: policy.all_notes(),
            held: Held {
                frozen_since_ms: self.state.frozen.as_ref().map(|f| f.since_ms),
                frozen_reason: self.state.frozen.as_ref().map(|f| f.reason.clone()).unwrap_or_default(),
                ..Held::default()
            },
            capacity: observation.replicas.and_then(|counts| {
                let (most, why) = self.most(observation, plan);
                self.capacity.say(policy, counts.ready, (most, &why))
            }),
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of a start")]
            startup_seconds: (!self.state.startups_ms.is_empty())
                .then(|| self.state.startup_ms(policy) as f64 / 1000.0),
        };
        self.shared.shown.write().insert(policy.service.clone(), shown);
    }
}
