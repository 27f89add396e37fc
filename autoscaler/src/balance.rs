//! The loop of one balancer: brings its backend in line with the replicas and lets drained ones stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::Clock;
use vocab::error::chain;

use crate::balancer::Balancer;
use crate::metrics::Metrics;
use crate::orchestrator::Orchestrator;

/// Who sits where at the balancers, by service: servers and the replicas behind them.
pub(crate) type Seats = Arc<RwLock<HashMap<String, Vec<(String, String)>>>>;

/// A backend, its service and its orchestrator.
#[derive(Debug)]
pub(crate) struct BalanceLoop {
    pub(crate) service: String,
    pub(crate) balancer: Arc<dyn Balancer>,
    pub(crate) orchestrator: Arc<dyn Orchestrator>,
    pub(crate) interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// Where it is written who sits where, by service.
    pub(crate) seats: Seats,
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
                () = self.clock.sleep(self.interval) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), String> {
        // While the orchestrator is silent the backend stays as it is.
        let state = self.orchestrator.state(&self.service).await.map_err(|error| chain(&error))?;
        let reconciled = self.balancer.reconcile(&state.replicas, self.clock.monotonic()).await.map_err(|error| {
            self.metrics.error("balancer.reconcile");
            chain(&error)
        })?;
        self.seats.write().insert(self.service.clone(), reconciled.seats.clone());
        for change in &reconciled.changes {
            tracing::info!(service = self.service, backend = self.balancer.backend(), "{change}");
            self.metrics.balancer_changes.get_or_create(&vec![("service", self.service.clone())]).inc();
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
