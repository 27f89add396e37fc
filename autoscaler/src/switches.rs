//! The switches that people turn: the global stop, a service's mode, approvals. Kept in the catalog, so that they outlive a
//! restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use vocab::ports::Catalog;
use vocab::ports::views::Paused;
use vocab::scaling::ScalingMode;
use vocab::{Clock, PortResult, TenantId, TimestampMs};

/// Namespace of the documents.
const NAMESPACE: &str = "autoscaler";
/// Key of the stop switch.
const STOP_KEY: &str = "stop";
/// Most approvals that wait for their round.
const APPROVALS_MAX: usize = 1000;

#[derive(Debug, Default)]
struct Turned {
    stopped: Option<(TimestampMs, String)>,
    modes: BTreeMap<String, ScalingMode>,
    paused: BTreeMap<String, (Paused, String)>,
    unfrozen: BTreeSet<String>,
    approvals: BTreeSet<i64>,
}

/// The switches of one tenant's services.
#[derive(Debug)]
pub(crate) struct Switches {
    tenant: TenantId,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    turned: Mutex<Turned>,
}

impl Switches {
    pub(crate) fn new(tenant: TenantId, catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>) -> Self {
        Self { tenant, catalog, clock, turned: Mutex::default() }
    }

    fn mode_key(&self, service: &str) -> String {
        format!("mode/{}/{service}", self.tenant)
    }

    fn pause_key(&self, service: &str) -> String {
        format!("pause/{}/{service}", self.tenant)
    }

    /// Reads what was turned before the start.
    pub(crate) async fn load(&self) -> PortResult<()> {
        let documents = self.catalog.documents(NAMESPACE).await?;
        let prefix = self.mode_key("");
        let mut turned = self.turned.lock();
        // What another process has turned back meanwhile is not kept.
        turned.stopped = None;
        turned.modes.clear();
        turned.paused.clear();
        let pauses = self.pause_key("");
        for document in documents {
            if document.key == STOP_KEY {
                let since = document.value["since_ms"].as_i64().unwrap_or(0);
                turned.stopped = Some((since, document.value["actor"].as_str().unwrap_or("").to_owned()));
            } else if let Some(service) = document.key.strip_prefix(&prefix)
                && let Some(mode) = document.value["mode"].as_str().and_then(ScalingMode::parse)
            {
                turned.modes.insert(service.to_owned(), mode);
            } else if let Some(service) = document.key.strip_prefix(&pauses)
                && let Ok(paused) = serde_json::from_value(document.value["paused"].clone())
            {
                let actor = document.value["actor"].as_str().unwrap_or("").to_owned();
                turned.paused.insert(service.to_owned(), (paused, actor));
            }
        }
        Ok(())
    }

    pub(crate) fn stopped(&self) -> Option<(TimestampMs, String)> {
        self.turned.lock().stopped.clone()
    }

    pub(crate) async fn set_stopped(&self, stopped: bool, actor: &str) -> PortResult<()> {
        let now = self.clock.now_ms();
        if stopped {
            let value = json!({"since_ms": now, "actor": actor});
            self.catalog.put_document(NAMESPACE, STOP_KEY, &value, None).await?;
        } else {
            self.catalog.delete_document(NAMESPACE, STOP_KEY).await?;
        }
        self.turned.lock().stopped = stopped.then(|| (now, actor.to_owned()));
        Ok(())
    }

    /// A service's mode: a person's, else the policy's.
    pub(crate) fn mode(&self, service: &str, policy: ScalingMode) -> ScalingMode {
        self.turned.lock().modes.get(service).copied().unwrap_or(policy)
    }

    /// Sets a mode; setting one by hand also ends a freeze.
    pub(crate) async fn set_mode(&self, service: &str, mode: ScalingMode) -> PortResult<()> {
        let value = json!({"mode": mode.as_str()});
        self.catalog.put_document(NAMESPACE, &self.mode_key(service), &value, None).await?;
        let mut turned = self.turned.lock();
        turned.modes.insert(service.to_owned(), mode);
        turned.unfrozen.insert(service.to_owned());
        Ok(())
    }

    /// The directions that a person has closed, and who.
    pub(crate) fn paused(&self, service: &str) -> Option<(Paused, String)> {
        self.turned.lock().paused.get(service).cloned()
    }

    pub(crate) async fn set_paused(&self, service: &str, paused: Paused, actor: &str) -> PortResult<()> {
        let key = self.pause_key(service);
        if paused == Paused::default() {
            self.catalog.delete_document(NAMESPACE, &key).await?;
            self.turned.lock().paused.remove(service);
            return Ok(());
        }
        self.catalog.put_document(NAMESPACE, &key, &json!({"paused": paused, "actor": actor}), None).await?;
        self.turned.lock().paused.insert(service.to_owned(), (paused, actor.to_owned()));
        Ok(())
    }

    /// Ends a service's freeze at its next round.
    pub(crate) fn unfreeze(&self, service: &str) {
        self.turned.lock().unfrozen.insert(service.to_owned());
    }

    /// Whether a person has asked to end a service's freeze since the last call.
    pub(crate) fn take_unfrozen(&self, service: &str) -> bool {
        self.turned.lock().unfrozen.remove(service)
    }

    pub(crate) fn approve(&self, decision_id: i64) {
        let mut turned = self.turned.lock();
        if turned.approvals.len() < APPROVALS_MAX {
            turned.approvals.insert(decision_id);
        }
    }

    /// Whether a decision was approved since the last call.
    pub(crate) fn take_approval(&self, decision_id: i64) -> bool {
        self.turned.lock().approvals.remove(&decision_id)
    }
}
