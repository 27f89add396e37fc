//! The switches that people turn: the global stop, a service's mode, approvals. Kept in the catalog, so that they outlive a
//! restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use vocab::ports::Catalog;
use vocab::ports::catalog::Document;
use vocab::ports::views::Paused;
use vocab::scaling::ScalingMode;
use vocab::{Clock, ErrorKind, PortError, PortResult, TenantId, TimestampMs};

/// Namespace of the documents.
const NAMESPACE: &str = "autoscaler";
/// Key of the stop switch.
const STOP_KEY: &str = "stop";
/// Most approvals that wait for their round.
const APPROVALS_MAX: usize = 1000;
/// An approval that nobody took up for this long is dropped, in milliseconds: its decision is long over.
const APPROVAL_MS_MAX: i64 = 7 * 86_400_000;

#[derive(Debug, Default)]
struct Turned {
    stopped: Option<(TimestampMs, String)>,
    modes: BTreeMap<String, ScalingMode>,
    paused: BTreeMap<String, (Paused, String)>,
    /// Services whose freeze a person has ended, until their loop has taken note.
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

    fn unfreeze_key(&self, service: &str) -> String {
        format!("unfreeze/{}/{service}", self.tenant)
    }

    fn approval_key(&self, decision_id: &str) -> String {
        format!("approve/{}/{decision_id}", self.tenant)
    }

    /// Reads what was turned before the start, or by another process.
    pub(crate) async fn load(&self) -> PortResult<()> {
        let documents = self.catalog.documents(NAMESPACE).await?;
        let prefix = self.mode_key("");
        let (unfreezes, approvals) = (self.unfreeze_key(""), self.approval_key(""));
        let oldest_ms = self.clock.now_ms() - APPROVAL_MS_MAX;
        let is_stale = |d: &Document| d.key.starts_with(&approvals) && d.value["at_ms"].as_i64() < Some(oldest_ms);
        for stale in documents.iter().filter(|d| is_stale(d)) {
            self.catalog.delete_document(NAMESPACE, &stale.key).await?;
        }
        let mut turned = self.turned.lock();
        // What another process has turned back meanwhile is not kept.
        turned.stopped = None;
        turned.modes.clear();
        turned.paused.clear();
        turned.unfrozen.clear();
        turned.approvals.clear();
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
            } else if let Some(service) = document.key.strip_prefix(&unfreezes) {
                turned.unfrozen.insert(service.to_owned());
            } else if let Some(Ok(id)) = document.key.strip_prefix(&approvals).map(str::parse)
                && turned.approvals.len() < APPROVALS_MAX
                && !is_stale(&document)
            {
                turned.approvals.insert(id);
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
        self.turned.lock().modes.insert(service.to_owned(), mode);
        self.unfreeze(service).await
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

    /// Ends a service's freeze at its next round, in whatever process that is.
    pub(crate) async fn unfreeze(&self, service: &str) -> PortResult<()> {
        let value = json!({"at_ms": self.clock.now_ms()});
        self.catalog.put_document(NAMESPACE, &self.unfreeze_key(service), &value, None).await?;
        self.turned.lock().unfrozen.insert(service.to_owned());
        Ok(())
    }

    /// Whether a person has asked to end a service's freeze.
    pub(crate) fn is_unfrozen(&self, service: &str) -> bool {
        self.turned.lock().unfrozen.contains(service)
    }

    /// Notes that the freeze has ended, and that this is written down.
    pub(crate) async fn forget_unfreeze(&self, service: &str) -> PortResult<()> {
        self.catalog.delete_document(NAMESPACE, &self.unfreeze_key(service)).await?;
        self.turned.lock().unfrozen.remove(service);
        Ok(())
    }

    /// Approves a decision for the next round of its service, in whatever process that is.
    pub(crate) async fn approve(&self, decision_id: i64, actor: &str) -> PortResult<()> {
        if self.turned.lock().approvals.len() >= APPROVALS_MAX {
            let message = format!("{APPROVALS_MAX} approvals wait already");
            return Err(PortError::new(ErrorKind::Limit, message));
        }
        let value = json!({"at_ms": self.clock.now_ms(), "actor": actor});
        self.catalog.put_document(NAMESPACE, &self.approval_key(&decision_id.to_string()), &value, None).await?;
        self.turned.lock().approvals.insert(decision_id);
        Ok(())
    }

    /// Whether a person has approved a decision.
    pub(crate) fn is_approved(&self, decision_id: i64) -> bool {
        self.turned.lock().approvals.contains(&decision_id)
    }

    /// Notes that a decision no longer waits.
    pub(crate) async fn forget_approval(&self, decision_id: i64) -> PortResult<()> {
        self.catalog.delete_document(NAMESPACE, &self.approval_key(&decision_id.to_string())).await?;
        self.turned.lock().approvals.remove(&decision_id);
        Ok(())
    }
}
