//! What others see of the autoscaler, and the switches they turn. Who turned one, and why, is written down by the caller,
//! who knows.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::RwLock;
use vocab::duration::format_duration;
use vocab::ports::catalog::DecisionFilter;
use vocab::ports::views::{Paused, ScalingView};
use vocab::replay::{Replay, ReplayRequest};
use vocab::scaling::{
    DecisionState, Held, PolicyObject, PolicyVersion, RunningReplica, ScaledService, ScalingMode, ShownWindow,
};
use vocab::{ErrorKind, PortError, PortResult, Problem, TenantId, TimestampMs};

use crate::autoscaler::Autoscaler;
use crate::leader::Standing;
use crate::policy::{Policy, Target};
use crate::replay::Replays;
use crate::service_loop::Shared;

/// The view of one tenant's scaled services.
#[derive(Debug)]
pub(crate) struct View {
    shared: Arc<Shared>,
    policies: Arc<RwLock<Vec<Policy>>>,
    /// What carries out changes of policies; gone when the program ends.
    autoscaler: Weak<Autoscaler>,
    replays: Replays,
}

impl View {
    pub(crate) fn new(shared: Arc<Shared>, policies: Arc<RwLock<Vec<Policy>>>, autoscaler: Weak<Autoscaler>) -> Self {
        Self { shared, policies, autoscaler, replays: Replays::default() }
    }

    /// The autoscaler, for this tenant.
    fn autoscaler(&self, tenant: &TenantId) -> PortResult<Arc<Autoscaler>> {
        if *tenant != self.shared.tenant {
            return Err(PortError::not_found(format!("nothing is scaled for tenant {tenant}")));
        }
        let ended = || PortError::new(ErrorKind::Unavailable, "the autoscaler has ended");
        self.autoscaler.upgrade().ok_or_else(ended)
    }

    fn check_scaled(&self, tenant: &TenantId, service: &str) -> PortResult<()> {
        let is_scaled = self.policies.read().iter().any(|p| p.service == service);
        if *tenant != self.shared.tenant || !is_scaled {
            return Err(PortError::not_found(format!("service {service:?} has no policy")));
        }
        Ok(())
    }

    /// A service that this process has not looked at: its first round is still to come, or another process decides.
    fn unseen(&self, policy: &Policy) -> ScaledService {
        let first = policy.targets.first();
        let status = match self.shared.leader.standing() {
            Standing::Decides => format!("the first round comes within {}", format_duration(policy.interval)),
            Standing::StandsBy => "another process decides, and this one stands by".to_owned(),
            Standing::Unknown => "nothing is decided here while the catalog does not say who decides".to_owned(),
        };
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
            status,
            last_round_ms: None,
            hold_seconds: policy.hold.as_secs_f64(),
            notes: policy.all_notes(),
            held: Held::default(),
            capacity: None,
            startup_seconds: None,
        }
    }

    /// What keeps a service from being scaled now; `shown` is what its last round said of it.
    fn held(&self, policy: &Policy, shown: Held) -> Held {
        let service = &policy.service;
        let (paused, paused_by) = self.shared.switches.paused(service).unwrap_or_default();
        let now = self.shared.clock.now_ms();
        let windows = self.shared.freeze_windows.read();
        let open = windows.iter().filter(|w| w.concerns(service) && w.span.contains(now));
        Held {
            paused,
            paused_by,
            paused_by_policy: Paused { scale_in: policy.operations.paused_in, scale_out: policy.operations.paused_out },
            windows: open.map(|w| w.name.clone()).collect(),
            ..shown
        }
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
        // What a round of this process has seen is history once another one decides.
        let decides = self.shared.leader.standing() == Standing::Decides;
        let show = |policy: &Policy| {
            let seen = shown.get(&policy.service).filter(|_| decides);
            let mut service = seen.cloned().unwrap_or_else(|| self.unseen(policy));
            // A mode that was just set shows at once, not after the next round.
            service.mode = self.shared.switches.mode(&policy.service, policy.mode);
            service.held = self.held(policy, std::mem::take(&mut service.held));
            service
        };
        policies.iter().map(show).collect()
    }

    async fn running(&self, tenant: &TenantId, service: &str) -> Option<Vec<RunningReplica>> {
        if *tenant != self.shared.tenant {
            return None;
        }
        let seats = self.shared.balancers.seats(service);
        let mut running = self.shared.running.of(service, &seats, self.shared.clock.now_ms())?;
        for replica in &mut running {
            replica.leaving |= self.shared.leaving.holds(service, &replica.id);
        }
        Some(running)
    }

    async fn stopped(&self) -> Option<(TimestampMs, String)> {
        self.shared.switches.stopped()
    }

    async fn set_stopped(&self, stopped: bool, actor: &str) -> PortResult<()> {
        self.shared.switches.set_stopped(stopped, actor).await
    }

    async fn set_mode(&self, tenant: &TenantId, service: &str, mode: ScalingMode, _actor: &str) -> PortResult<()> {
        self.check_scaled(tenant, service)?;
        self.shared.switches.set_mode(service, mode).await
    }

    async fn approve(&self, tenant: &TenantId, decision_id: i64, actor: &str) -> PortResult<()> {
        let unknown = || PortError::not_found(format!("there is no decision {decision_id}"));
        if *tenant != self.shared.tenant {
            return Err(unknown());
        }
        let catalog = &self.shared.catalog;
        let waiting = DecisionFilter { states: vec![DecisionState::AwaitingApproval], ..DecisionFilter::default() };
        let waits = catalog.decisions(tenant, &waiting).await?.into_iter().find(|d| d.id == decision_id);
        if waits.is_none() {
            let all = catalog.decisions(tenant, &DecisionFilter::default()).await?;
            return match all.into_iter().find(|d| d.id == decision_id) {
                None => Err(unknown()),
                Some(decision) => Err(PortError::new(
                    ErrorKind::Conflict,
                    format!("decision {decision_id} no longer waits: it is {}", decision.state.as_str()),
                )),
            };
        }
        self.shared.switches.approve(decision_id, actor).await
    }

    async fn set_paused(&self, tenant: &TenantId, service: &str, paused: Paused, actor: &str) -> PortResult<()> {
        self.check_scaled(tenant, service)?;
        self.shared.switches.set_paused(service, paused, actor).await
    }

    async fn unfreeze(&self, tenant: &TenantId, service: &str, _actor: &str) -> PortResult<()> {
        self.check_scaled(tenant, service)?;
        self.shared.switches.unfreeze(service).await
    }

    async fn policies(&self, tenant: &TenantId) -> PortResult<Vec<PolicyObject>> {
        self.autoscaler(tenant)?.policy_objects().await
    }

    async fn policy_versions(&self, tenant: &TenantId, name: &str) -> PortResult<Vec<PolicyVersion>> {
        self.autoscaler(tenant)?.kept().versions(name).await
    }

    async fn put_policy(
        &self,
        tenant: &TenantId,
        name: &str,
        policy: &serde_json::Value,
        expected: Option<i64>,
        actor: &str,
    ) -> PortResult<PolicyObject> {
        let autoscaler = self.autoscaler(tenant)?;
        let file = autoscaler.file().await;
        let object = autoscaler.kept().put(&file, name, policy, expected, actor).await?;
        autoscaler.refresh().await;
        Ok(object)
    }

    async fn check_policy(
        &self,
        tenant: &TenantId,
        name: &str,
        policy: &serde_json::Value,
    ) -> PortResult<Vec<Problem>> {
        let autoscaler = self.autoscaler(tenant)?;
        let file = autoscaler.file().await;
        autoscaler.kept().check(&file, name, policy).await
    }

    async fn replay(&self, tenant: &TenantId, request: ReplayRequest) -> PortResult<Replay> {
        let policy = match &request.policy {
            Some(policy) => {
                let autoscaler = self.autoscaler(tenant)?;
                let file = autoscaler.file().await;
                autoscaler.kept().tried(&file, policy).await?
            }
            None => {
                self.check_scaled(tenant, &request.service)?;
                let policies = self.policies.read();
                let found = policies.iter().find(|p| p.service == request.service).cloned();
                found.ok_or_else(|| PortError::not_found(format!("service {:?} has no policy", request.service)))?
            }
        };
        let shown = self.shared.shown.read().get(&policy.service).and_then(|s| s.startup_seconds);
        #[allow(clippy::cast_possible_truncation, reason = "a start-up time in milliseconds; the cast saturates")]
        let startup_ms = shown.map(|seconds| (seconds * 1000.0) as i64);
        let range = (request.from_ms, request.to_ms);
        self.replays.run(&self.shared.observer, policy, range, startup_ms, &self.shared.clock).await
    }

    async fn freeze_windows(&self, tenant: &TenantId) -> Vec<ShownWindow> {
        if *tenant != self.shared.tenant {
            return Vec::new();
        }
        let now = self.shared.clock.now_ms();
        self.shared.freeze_windows.read().iter().map(|w| w.shown(now)).collect()
    }

    async fn delete_policy(&self, tenant: &TenantId, name: &str, actor: &str) -> PortResult<()> {
        let autoscaler = self.autoscaler(tenant)?;
        let file = autoscaler.file().await;
        autoscaler.kept().delete(&file, name, actor).await?;
        autoscaler.refresh().await;
        Ok(())
    }
}
