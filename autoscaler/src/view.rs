//! What others see of the autoscaler, and the switches they turn.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use vocab::duration::format_duration;
use vocab::ports::catalog::{AuditEntry, DecisionFilter};
use vocab::ports::views::ScalingView;
use vocab::scaling::{DecisionState, ScaledService, ScalingMode};
use vocab::{ErrorKind, PortError, PortResult, TenantId, TimestampMs};

use crate::policy::{Policy, Target};
use crate::service_loop::Shared;

/// The view of one tenant's scaled services.
#[derive(Debug)]
pub(crate) struct View {
    shared: Arc<Shared>,
    policies: Arc<RwLock<Vec<Policy>>>,
}

impl View {
    pub(crate) fn new(shared: Arc<Shared>, policies: Arc<RwLock<Vec<Policy>>>) -> Self {
        Self { shared, policies }
    }

    /// A service whose first round is still to come.
    fn unseen(&self, policy: &Policy) -> ScaledService {
        let first = policy.targets.first();
        ScaledService {
            cluster: policy.cluster.clone(),
            service: policy.service.clone(),
            policy: policy.name.clone(),
            orchestrator: policy.orchestrator.clone(),
            mode: self.shared.switches.mode(&policy.service, policy.mode),
            min: policy.min,
            max: policy.max,
            wanted: None,
            ready: None,
            targets: policy.targets.iter().map(Target::words).collect(),
            seen: Vec::new(),
            load_query: first.map(|t| t.query.clone()).unwrap_or_default(),
            forecast_query: policy.forecast_query.clone(),
            target_per_replica: first.map(|t| t.value),
            status: format!("the first round comes within {}", format_duration(policy.interval)),
            last_round_ms: None,
            hold_seconds: policy.hold.as_secs_f64(),
            notes: policy.all_notes(),
        }
    }

    async fn audit(&self, actor: &str, action: &str, subject: &str, details: String) -> PortResult<()> {
        let entry = AuditEntry {
            time_ms: self.shared.clock.now_ms(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            details,
        };
        self.shared.catalog.audit(&self.shared.tenant, &entry).await
    }
}

#[async_trait]
impl ScalingView for View {
    async fn services(&self, tenant: &TenantId) -> Vec<ScaledService> {
        if *tenant != self.shared.tenant {
            return Vec::new();
        }
        let shown = self.shared.shown.read();
        let policies = self.policies.read();
        let show = |policy: &Policy| {
            let mut service = shown.get(&policy.service).cloned().unwrap_or_else(|| self.unseen(policy));
            // A mode that was just set shows at once, not after the next round.
            service.mode = self.shared.switches.mode(&policy.service, policy.mode);
            service
        };
        policies.iter().map(show).collect()
    }

    async fn stopped(&self) -> Option<(TimestampMs, String)> {
        self.shared.switches.stopped()
    }

    async fn set_stopped(&self, stopped: bool, actor: &str) -> PortResult<()> {
        self.shared.switches.set_stopped(stopped, actor).await?;
        let action = if stopped { "scaling.stop" } else { "scaling.start" };
        self.audit(actor, action, "", String::new()).await
    }

    async fn set_mode(&self, tenant: &TenantId, service: &str, mode: ScalingMode, actor: &str) -> PortResult<()> {
        let is_scaled = self.policies.read().iter().any(|p| p.service == service);
        if *tenant != self.shared.tenant || !is_scaled {
            return Err(PortError::not_found(format!("service {service:?} has no policy")));
        }
        self.shared.switches.set_mode(service, mode).await?;
        self.audit(actor, "scaling.mode", service, mode.as_str().to_owned()).await
    }

    async fn approve(&self, tenant: &TenantId, decision_id: i64, actor: &str) -> PortResult<()> {
        let unknown = || PortError::not_found(format!("there is no decision {decision_id}"));
        if *tenant != self.shared.tenant {
            return Err(unknown());
        }
        let catalog = &self.shared.catalog;
        let waiting = DecisionFilter { states: vec![DecisionState::AwaitingApproval], ..DecisionFilter::default() };
        let waits = catalog.decisions(tenant, &waiting).await?.into_iter().find(|d| d.id == decision_id);
        let Some(decision) = waits else {
            let all = catalog.decisions(tenant, &DecisionFilter::default()).await?;
            return match all.into_iter().find(|d| d.id == decision_id) {
                None => Err(unknown()),
                Some(decision) => Err(PortError::new(
                    ErrorKind::Conflict,
                    format!("decision {decision_id} no longer waits: it is {}", decision.state.as_str()),
                )),
            };
        };
        self.shared.switches.approve(decision_id);
        let details = format!("{} from {} to {}", decision.service, decision.from, decision.to);
        self.audit(actor, "scaling.approve", &decision_id.to_string(), details).await
    }
}
