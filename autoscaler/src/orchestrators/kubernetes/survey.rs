//! Nodes and pods of the whole cluster, read when room is asked for, and kept for a short while.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Mutex;
use vocab::Clock;

use super::client::{Client, KIND};
use super::nodes::Nodes;
use super::pods;
use crate::error::OrchestratorError;
use crate::orchestrators::retry::CallError;

/// How long a survey holds: what is added meanwhile is seen when it does not become ready.
const HOLDS: Duration = Duration::from_secs(15);
/// Nodes of a page: one has some 50 KiB, most of it the images that it holds.
const NODES_PAGE: u32 = 100;
/// Most pages of nodes: the largest cluster that Kubernetes is made for has 5,000.
const NODES_PAGES_MAX: u32 = 50;
/// Most pages of pods: beyond 10,000 a survey would move hundreds of megabytes.
const PODS_PAGES_MAX: u32 = 20;

/// What the Cluster Autoscaler writes down where it runs.
const AUTOSCALER: &str = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status";

/// What a survey found, or why nobody may know.
pub(super) type Found = Result<Arc<Nodes>, String>;

/// When a survey was made, and what it found.
type Kept = Arc<Mutex<Option<(Duration, Found)>>>;

/// Makes surveys.
#[derive(Debug)]
pub(super) struct Survey {
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    kept: Kept,
}

impl Survey {
    /// Nothing is asked before it is used.
    pub(super) fn new(client: Arc<Client>, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, kept: Kept::default() }
    }

    /// The last survey, or a new one. It is finished also when nobody waits for it any more, so that the next one who asks
    /// finds it.
    pub(super) async fn nodes(&self) -> Result<Found, CallError> {
        let (client, clock, kept) = (Arc::clone(&self.client), Arc::clone(&self.clock), Arc::clone(&self.kept));
        let surveying = tokio::spawn(async move {
            // One at a time: whoever waits for it takes what it found.
            let mut kept = kept.lock().await;
            let now = clock.monotonic();
            if let Some((_, found)) = kept.as_ref().filter(|(at, _)| now.saturating_sub(*at) < HOLDS) {
                return Ok(found.clone());
            }
            let found = survey(&client).await?;
            *kept = Some((clock.monotonic(), found.clone()));
            Ok(found)
        });
        let broken = |_| OrchestratorError::Malformed { orchestrator: KIND, missing: "nodes that can be read" };
        surveying.await.map_err(broken)?
    }
}

async fn survey(client: &Client) -> Result<Found, CallError> {
    let mut nodes = Nodes::default();
    let path = format!("/api/v1/nodes?limit={NODES_PAGE}");
    match readable(pods::each(client, &path, NODES_PAGES_MAX, |node| nodes.add_node(&node)).await)? {
        Some(true) => {}
        Some(false) => return Ok(Err(format!("there are more than {} nodes", NODES_PAGE * NODES_PAGES_MAX))),
        None => return Ok(Err("it may not list nodes".to_owned())),
    }
    // There pods that do not fit are what brings more nodes: nothing may keep them from being asked for.
    if nodes.grow() {
        return Ok(Err("Karpenter adds nodes".to_owned()));
    }
    if client.call(Method::GET, AUTOSCALER, None).await?.status == 200 {
        return Ok(Err("the Cluster Autoscaler adds nodes".to_owned()));
    }
    let path = format!("/api/v1/pods?limit={}", pods::PAGE);
    match readable(pods::each(client, &path, PODS_PAGES_MAX, |pod| nodes.add_pod(&pod)).await)? {
        Some(true) => Ok(Ok(Arc::new(nodes))),
        Some(false) => Ok(Err(format!("there are more than {} pods", pods::PAGE * PODS_PAGES_MAX))),
        None => Ok(Err("it may not list the pods of all namespaces".to_owned())),
    }
}

/// Whether a list was read whole; `None` when this Tidewatch has no right to it.
fn readable(read: Result<pods::Read, CallError>) -> Result<Option<bool>, CallError> {
    match read {
        Ok(read) => Ok(Some(read.is_whole)),
        Err(CallError { error: OrchestratorError::Refused { status: 403 | 404, .. }, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
