//! Rows: entities, changes, alerts, tickets, decisions, reports, documents, leases, audit.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertState};
use crate::change_event::{ChangeEvent, ChangeKind};
use crate::entity::{Entity, EntityKind};
use crate::error::PortResult;
use crate::report::{Report, ReportHead};
use crate::scaling::{DecisionState, ScalingDecision};
use crate::tenant::TenantId;
use crate::ticket::{Ticket, TicketEntry, TicketState};
use crate::time::TimestampMs;

/// Which entities; empty fields do not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntityFilter {
    /// Of this kind.
    pub kind: Option<EntityKind>,
    /// In this cluster.
    pub cluster: Option<String>,
    /// With this parent.
    pub parent: Option<String>,
    /// With this id.
    pub id: Option<String>,
    /// Seen at or after this time.
    pub seen_since_ms: Option<TimestampMs>,
    /// Most rows; 0 for all.
    pub limit: usize,
}

/// Which change events, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeFilter {
    /// Of this kind.
    pub kind: Option<ChangeKind>,
    /// Of this service.
    pub service: Option<String>,
    /// At or after.
    pub from_ms: Option<TimestampMs>,
    /// At or before.
    pub to_ms: Option<TimestampMs>,
    /// Most rows; 0 for all.
    pub limit: usize,
}

/// Which alerts, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertFilter {
    /// In one of these states; empty for all.
    pub states: Vec<AlertState>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Active at some moment at or after.
    pub from_ms: Option<TimestampMs>,
    /// Active at some moment at or before.
    pub to_ms: Option<TimestampMs>,
    /// Most rows; 0 for all.
    pub limit: usize,
}

/// Which tickets, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketFilter {
    /// In one of these states; empty for all.
    pub states: Vec<TicketState>,
    /// With this key.
    pub dedup_key: Option<String>,
    /// Opened or updated at or after.
    pub from_ms: Option<TimestampMs>,
    /// Opened at or before.
    pub to_ms: Option<TimestampMs>,
    /// Most rows; 0 for all.
    pub limit: usize,
}

/// Which decisions, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecisionFilter {
    /// Of this service.
    pub service: Option<String>,
    /// In one of these states; empty for all.
    pub states: Vec<DecisionState>,
    /// At or after.
    pub from_ms: Option<TimestampMs>,
    /// At or before.
    pub to_ms: Option<TimestampMs>,
    /// Only those that change the number of replicas.
    pub changes_only: bool,
    /// Most rows; 0 for all.
    pub limit: usize,
}

/// A JSON document under (namespace, key): checkpoints, planner state, the process orchestrator's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Grows by one with each write.
    pub version: i64,
    /// When it was last written.
    pub updated_at_ms: TimestampMs,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub time_ms: TimestampMs,
    /// Who.
    pub actor: String,
    /// What: `ticket.acknowledge`, `scaling.stop` …
    pub action: String,
    /// On what.
    pub subject: String,
    /// Further facts in words.
    pub details: String,
}

/// A lease that is held. Its token grows with every change of holder, so that a fenced-off holder can be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The lease's name.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Fencing token.
    pub token: i64,
    /// Until when.
    pub expires_at_ms: TimestampMs,
}

impl Lease {
    /// What a write shows to prove that its writer still holds the lease.
    pub fn fence(&self) -> Fence {
        Fence { lease: self.name.clone(), holder: self.holder.clone(), token: self.token }
    }
}

/// Proof of holding a lease: a write that carries it is refused once the lease was given back or someone else took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The lease's name.
    pub lease: String,
    /// Who held it.
    pub holder: String,
    /// Its token at that time.
    pub token: i64,
}

/// What one service cost in one hour: sums, since an hour is written in many parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// First moment of the hour.
    pub hour_ms: TimestampMs,
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The team that pays; empty when none is named.
    pub team: String,
    /// Milliseconds of replicas: two replicas for a second are 2,000.
    pub replica_ms: i64,
    /// Their price in millionths of the currency.
    pub cost_micros: i64,
}

/// One write of the autoscaler's; everything in it is written or nothing is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScalingWrite<'a> {
    /// A decision before it is acted on, with the scaling state it led to.
    Record {
        /// The decision.
        decision: &'a ScalingDecision,
        /// The service's scaling state.
        state: &'a [u8],
    },
    /// How a decision goes on (state, result, times), with the scaling state when that changed.
    Update {
        /// The decision.
        decision: &'a ScalingDecision,
        /// The service's scaling state.
        state: Option<&'a [u8]>,
    },
    /// A service's scaling state alone.
    State {
        /// The cluster.
        cluster: &'a str,
        /// The service.
        service: &'a str,
        /// The scaling state.
        state: &'a [u8],
    },
}

/// Times before which rows go that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    /// For what happened: changes, alerts and tickets that are over, decisions that are finished, reports, hours of the ledger,
    /// lines of the audit log.
    pub records_ms: TimestampMs,
    /// For entities: when they were seen last.
    pub entities_ms: TimestampMs,
}

/// Whether the documents of a namespace belong to the installation that wrote them: positions in its files, patterns of the log
/// lines that it stores, processes of its machine. Others that share its catalog have their own.
pub fn is_of_installation(namespace: &str) -> bool {
    namespace == "process" || namespace.starts_with("collector.") || namespace.starts_with("analyzer.")
}

/// Rows of all rooms, on SQLite or PostgreSQL. Every row belongs to a tenant; documents and leases belong to the process, or to
/// all processes that share the catalog (see [`is_of_installation`]).
#[async_trait]
pub trait Catalog: Send + Sync + Debug {
    /// Inserts or refreshes entities: `last_seen_ms` moves forward, `first_seen_ms` stays, parent and labels are replaced.
    async fn upsert_entities(&self, tenant: &TenantId, entities: &[Entity]) -> PortResult<()>;
    /// Entities by kind, cluster, id.
    async fn entities(&self, tenant: &TenantId, filter: &EntityFilter) -> PortResult<Vec<Entity>>;

    /// Adds a change event.
    async fn record_change(&self, tenant: &TenantId, event: &ChangeEvent) -> PortResult<()>;
    /// Change events, newest first.
    async fn changes(&self, tenant: &TenantId, filter: &ChangeFilter) -> PortResult<Vec<ChangeEvent>>;

    /// Inserts or updates alerts by their key.
    async fn upsert_alerts(&self, tenant: &TenantId, alerts: &[Alert]) -> PortResult<()>;
    /// Alerts, newest first.
    async fn alerts(&self, tenant: &TenantId, filter: &AlertFilter) -> PortResult<Vec<Alert>>;

    /// Opens a ticket and gives its number. When a ticket of the same key is neither resolved nor closed, nothing is
    /// created and that one's number comes back, with `false`.
    async fn open_ticket(&self, tenant: &TenantId, ticket: &Ticket) -> PortResult<(i64, bool)>;
    /// Changes state and owner (where given) and adds a timeline entry.
    ///
    /// # Errors
    /// `NotFound` when there is no such ticket.
    async fn update_ticket(
        &self,
        tenant: &TenantId,
        id: i64,
        state: Option<TicketState>,
        owner: Option<&str>,
        entry: &TicketEntry,
    ) -> PortResult<()>;
    /// Tickets, newest first, with their timelines.
    async fn tickets(&self, tenant: &TenantId, filter: &TicketFilter) -> PortResult<Vec<Ticket>>;
    /// One ticket.
    ///
    /// # Errors
    /// `NotFound` when there is no such ticket.
    async fn ticket(&self, tenant: &TenantId, id: i64) -> PortResult<Ticket>;

    /// Records a decision before it is acted on, together with the scaling state it led to, in one transaction; gives its
    /// number.
    async fn record_decision(&self, tenant: &TenantId, decision: &ScalingDecision, state: &[u8]) -> PortResult<i64>;
    /// Writes how a decision goes on: state, result, times.
    ///
    /// # Errors
    /// `NotFound` when there is no such decision.
    async fn update_decision(&self, tenant: &TenantId, decision: &ScalingDecision) -> PortResult<()>;
    /// Writes what the autoscaler decided, in one transaction that also looks at the fence: a leader that lost its lease
    /// cannot write. Gives the number of the decision concerned, 0 for a state alone.
    ///
    /// # Errors
    /// `Conflict` when the fence no longer stands (nothing is written), `NotFound` when there is no such decision.
    async fn write_scaling(&self, tenant: &TenantId, write: ScalingWrite<'_>, fence: Option<&Fence>)
    -> PortResult<i64>;
    /// Adds rows to the ledger's sums, all or none.
    ///
    /// # Errors
    /// `Conflict` when the fence no longer stands.
    async fn add_to_ledger(&self, tenant: &TenantId, rows: &[LedgerRow], fence: Option<&Fence>) -> PortResult<()>;
    /// The ledger's hours that begin at or after `from_ms` and before `to_ms`, by hour, cluster, service, team.
    async fn ledger(&self, tenant: &TenantId, from_ms: TimestampMs, to_ms: TimestampMs) -> PortResult<Vec<LedgerRow>>;
    /// Decisions, newest first.
    async fn decisions(&self, tenant: &TenantId, filter: &DecisionFilter) -> PortResult<Vec<ScalingDecision>>;
    /// Saves a service's scaling state without a decision.
    async fn save_scaling_state(&self, tenant: &TenantId, cluster: &str, service: &str, state: &[u8])
    -> PortResult<()>;
    /// A service's last saved scaling state.
    async fn scaling_state(&self, tenant: &TenantId, cluster: &str, service: &str) -> PortResult<Option<Vec<u8>>>;

    /// Stores a report and gives its number.
    async fn save_report(&self, tenant: &TenantId, report: &Report) -> PortResult<i64>;
    /// Heads of reports, newest first; at most `limit` (0 for all).
    async fn reports(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<ReportHead>>;
    /// One report.
    ///
    /// # Errors
    /// `NotFound` when there is no such report.
    async fn report(&self, tenant: &TenantId, id: i64) -> PortResult<Report>;

    /// A document, or `None`.
    async fn document(&self, namespace: &str, key: &str) -> PortResult<Option<Document>>;
    /// All documents of a namespace, by key.
    async fn documents(&self, namespace: &str) -> PortResult<Vec<Document>>;
    /// Writes a document and gives its new version. With `expected` (0: must not exist yet) only if that is its version.
    ///
    /// # Errors
    /// `Conflict` when `expected` is not the version.
    async fn put_document(
        &self,
        namespace: &str,
        key: &str,
        value: &serde_json::Value,
        expected: Option<i64>,
    ) -> PortResult<i64>;
    /// Removes a document; removing none is fine.
    async fn delete_document(&self, namespace: &str, key: &str) -> PortResult<()>;

    /// Takes or renews a lease; `None` when someone else holds it.
    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration) -> PortResult<Option<Lease>>;
    /// Gives a lease back; giving back what is not held is fine.
    async fn release_lease(&self, name: &str, holder: &str) -> PortResult<()>;

    /// Adds a line to the audit log.
    async fn audit(&self, tenant: &TenantId, entry: &AuditEntry) -> PortResult<()>;
    /// The audit log, newest first; at most `limit` (0 for all).
    async fn audit_log(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<AuditEntry>>;

    /// Removes rows of all tenants whose time is over, at most `rows_max` of each kind; gives how many went. What is still
    /// open (alerts that are active, tickets that are not resolved, decisions that are not finished) stays, however old.
    async fn remove_before(&self, cutoffs: Cutoffs, rows_max: usize) -> PortResult<u64>;
}
