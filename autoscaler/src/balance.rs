//! The loop of one balancer: brings its backend in line with the replicas and lets drained ones stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;

use crate::balancer::Balancer;
use crate::orchestrator::Orchestrator;
use crate::service_loop::Shared;

/// Who sits where at the balancers, by service: servers and the replicas behind them.
pub(crate) type Seats = RwLock<HashMap<String, Vec<(String, String)>>>;

/// A backend, its service and its orchestrator.
#[derive(Debug)]
pub(crate) struct BalanceLoop {
    pub(crate) service: String,
    pub(crate) balancer: Arc<dyn Balancer>,
    pub(crate) orchestrator: Arc<dyn Orchestrator>,
    pub(crate) interval: Duration,
    /// Where it is written who sits where, and what is to be drained.
    pub(crate) shared: Arc<Shared>,
}

impl BalanceLoop {
    /// Rounds until cancelled. A complaint is logged when it changes, not each second.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut complaint = String::new();
        while !cancel.is_cancelled() {
            let now = self.round().await.err().unwrap_or_default();
            if now != complaint {
                if now.is_empty() {
                    tracing::info!(
                        service = self.service,
                        backend = self.balancer.backend(),
                        "the balancer is in line again"
                    );
                } else {
                    tracing::warn!(service = self.service, backend = self.balancer.backend(), "{now}");
                }
                complaint = now;
            }
            tokio::select! {
                () = self.shared.clock.sleep(self.interval) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), String> {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        // While the orchestrator is silent the backend stays as it is.
        let mut state = self.orchestrator.state(&self.service).await.map_err(|error| chain(&error))?;
        let told: Vec<String> = state.replicas.iter().filter(|r| r.leaving).map(|r| r.id.clone()).collect();
        shared.leaving.mark(&self.service, &mut state.replicas);
        let mut reconciled = self.balancer.reconcile(&state.replicas, now).await.map_err(|error| {
            shared.metrics.error("balancer.reconcile");
            chain(&error)
        })?;
        shared.leaving.note(&self.service, self.balancer.backend(), &reconciled.drained);
        // What the orchestrator does not know of yet is ended by whoever had it drained.
        reconciled.drained.retain(|id| told.contains(id));
        shared.seats.write().insert(self.service.clone(), reconciled.seats.clone());
        for change in &reconciled.changes {
            tracing::info!(service = self.service, backend = self.balancer.backend(), "{change}");
            shared.metrics.balancer_changes.get_or_create(&vec![("service", self.service.clone())]).inc();
        }
        if !reconciled.drained.is_empty() {
            self.orchestrator.release(&self.service, &reconciled.drained).await;
        }
        if reconciled.unplaced.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "backend {} has no free slot for {}: raise its server-template",
                self.balancer.backend(),
                reconciled.unplaced.join(", ")
            ))
        }
    }
}
