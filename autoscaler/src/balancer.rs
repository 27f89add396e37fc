//! The plug point towards what spreads load: one trait, behind which HAProxy and others stand.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::BalancerError;
use crate::orchestrator::Replica;

/// What a reconciliation found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Servers that take new load now.
    pub serving: u32,
    /// Leaving replicas that carry no load any more (or never did): they may stop.
    pub drained: Vec<String>,
    /// Ready replicas for which there was no free place.
    pub unplaced: Vec<String>,
    /// The servers in use and the replicas behind them.
    pub seats: Vec<(String, String)>,
    /// What was changed, in words: `web-3 added as web2 (127.0.0.1:9001)`.
    pub changes: Vec<String>,
}

/// Puts a service's replicas behind one address.
#[async_trait]
pub trait Balancer: Send + Sync + Debug {
    /// `haproxy` …
    fn kind(&self) -> &'static str;

    /// The backend and where it stands, for people, and to tell it from that of another balancer.
    fn place(&self) -> &str;

    /// Brings the balancer in line with the replicas: ready ones are added, leaving ones drained and then removed, and the
    /// last one that serves is never taken away. Can be called at any time, any number of times; `now` is monotonic.
    ///
    /// # Errors
    /// [`BalancerError::Unreachable`] and its like; what was done so far stays done.
    async fn reconcile(&self, replicas: &[Replica], now: Duration) -> Result<Reconciled, BalancerError>;
}
