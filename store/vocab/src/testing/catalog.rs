//! A catalog in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::alert::{Alert, AlertState};
use crate::change_event::ChangeEvent;
use crate::entity::{Entity, EntityKind};
use crate::error::{ErrorKind, PortError, PortResult};
use crate::ports::catalog::{
    AlertFilter, AuditEntry, Catalog, ChangeFilter, Cutoffs, DecisionFilter, Document, EntityFilter, Fence, Lease,
    LedgerRow, ScalingWrite, TicketFilter,
};
use crate::report::{Report, ReportHead};
use crate::scaling::{DecisionState, ScalingDecision};
use crate::tenant::TenantId;
use crate::testing::SimClock;
use crate::ticket::{Ticket, TicketEntry, TicketState};
use crate::time::{Clock, TimestampMs};

/// Rows in memory, with the meaning of the SQL catalog. Clones share the rows.
#[derive(Debug, Clone)]
pub struct MemCatalog {
    clock: Arc<dyn Clock>,
    rows: Arc<Mutex<Rows>>,
    outage: Arc<Mutex<Option<Outage>>>,
}

/// How calls are not answered, as a database that others cannot reach for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Nothing is written or read.
    Unreachable,
    /// What is written is written, and the answer is lost on its way.
    AnswersLost,
}

type EntityKey = (EntityKind, String, String);
type AlertKey = (String, String, String, TimestampMs);

#[derive(Debug, Default)]
struct Rows {
    tenants: BTreeMap<TenantId, TenantRows>,
    documents: BTreeMap<(String, String), Document>,
    leases: BTreeMap<String, Lease>,
    last_ticket: i64,
    last_decision: i64,
    last_report: i64,
}

#[derive(Debug, Default)]
struct TenantRows {
    entities: BTreeMap<EntityKey, Entity>,
    changes: Vec<ChangeEvent>,
    alerts: BTreeMap<AlertKey, Alert>,
    tickets: BTreeMap<i64, Ticket>,
    decisions: BTreeMap<i64, ScalingDecision>,
    states: BTreeMap<(String, String), Vec<u8>>,
    /// By (hour, cluster, service, team).
    ledger: BTreeMap<(TimestampMs, String, String, String), LedgerRow>,
    reports: BTreeMap<i64, Report>,
    audit: Vec<AuditEntry>,
}

impl Rows {
    /// Refuses a write whose fence no longer stands.
    fn check(&self, fence: Option<&Fence>) -> PortResult<()> {
        let Some(fence) = fence else { return Ok(()) };
        let stands = |l: &Lease| l.holder == fence.holder && l.token == fence.token;
        if self.leases.get(&fence.lease).is_some_and(stands) {
            return Ok(());
        }
        let message = format!("{} no longer holds the lease {}", fence.holder, fence.lease);
        Err(PortError::new(ErrorKind::Conflict, message))
    }
}

impl Default for MemCatalog {
    fn default() -> Self {
        Self::new(Arc::new(SimClock::default()))
    }
}

impl MemCatalog {
    /// An empty catalog; documents and leases are stamped with this clock's time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rows: Arc::default(), outage: Arc::default() }
    }

    /// Begins or ends an outage of what the autoscaler writes of its decisions and reads of them, and of lists of documents.
    pub fn set_outage(&self, outage: Option<Outage>) {
        *self.outage.lock() = outage;
    }

    fn check_reached(&self, during: &[Outage]) -> PortResult<()> {
        match *self.outage.lock() {
            Some(outage) if during.contains(&outage) => {
                Err(PortError::new(ErrorKind::Unavailable, "the catalog does not answer"))
            }
            _ => Ok(()),
        }
    }

    fn write_rows(&self, tenant: &TenantId, write: ScalingWrite<'_>, fence: Option<&Fence>) -> PortResult<i64> {
        let mut all = self.rows.lock();
        all.check(fence)?;
        let next = all.last_decision + 1;
        let rows = all.tenants.entry(tenant.clone()).or_default();
        let (decision, state) = match write {
            ScalingWrite::State { cluster, service, state } => {
                rows.states.insert((cluster.to_owned(), service.to_owned()), state.to_vec());
                return Ok(0);
            }
            ScalingWrite::Record { decision, state } => {
                rows.decisions.insert(next, ScalingDecision { id: next, ..decision.clone() });
                (decision, Some(state))
            }
            ScalingWrite::Update { decision, state } => {
                let row = rows
                    .decisions
                    .get_mut(&decision.id)
                    .ok_or_else(|| PortError::not_found(format!("there is no scaling decision {}", decision.id)))?;
                row.state = decision.state;
                row.result.clone_from(&decision.result);
                row.acted_at_ms = decision.acted_at_ms;
                row.finished_at_ms = decision.finished_at_ms;
                (decision, state)
            }
        };
        if let Some(state) = state {
            rows.states.insert((decision.cluster.clone(), decision.service.clone()), state.to_vec());
        }
        if matches!(write, ScalingWrite::Record { .. }) {
            all.last_decision = next;
            return Ok(next);
        }
        Ok(decision.id)
    }

    fn with<T>(&self, tenant: &TenantId, work: impl FnOnce(&mut TenantRows) -> T) -> T {
        work(self.rows.lock().tenants.entry(tenant.clone()).or_default())
    }
}

/// The first `limit` rows that are wanted; 0 for all.
fn take<'a, T: Clone + 'a>(
    rows: impl Iterator<Item = &'a T>,
    limit: usize,
    mut wanted: impl FnMut(&T) -> bool,
) -> Vec<T> {
    rows.filter(|row| wanted(row)).take(if limit == 0 { usize::MAX } else { limit }).cloned().collect()
}

/// Whether an optional condition holds; none always does.
fn holds<T>(condition: Option<&T>, test: impl FnOnce(&T) -> bool) -> bool {
    condition.is_none_or(test)
}

/// The last moment at which an alert was active: its end, or never.
fn active_until(alert: &Alert) -> TimestampMs {
    match (alert.resolved_at_ms, alert.state) {
        (Some(end), _) => end,
        (None, AlertState::Inactive | AlertState::Resolved) => alert.updated_at_ms,
        (None, AlertState::Pending | AlertState::Firing) => TimestampMs::MAX,
    }
}

fn is_over(state: TicketState) -> bool {
    matches!(state, TicketState::Resolved | TicketState::Closed)
}

#[async_trait]
impl Catalog for MemCatalog {
    async fn upsert_entities(&self, tenant: &TenantId, entities: &[Entity]) -> PortResult<()> {
        self.with(tenant, |rows| {
            for entity in entities {
                let key = (entity.kind, entity.cluster.clone(), entity.id.clone());
                let mut new = entity.clone();
                if let Some(old) = rows.entities.get(&key) {
                    new.first_seen_ms = old.first_seen_ms;
                    new.last_seen_ms = new.last_seen_ms.max(old.last_seen_ms);
                }
                rows.entities.insert(key, new);
            }
        });
        Ok(())
    }

    async fn entities(&self, tenant: &TenantId, filter: &EntityFilter) -> PortResult<Vec<Entity>> {
        Ok(self.with(tenant, |rows| {
            take(rows.entities.values(), filter.limit, |e| {
                holds(filter.kind.as_ref(), |k| *k == e.kind)
                    && holds(filter.cluster.as_ref(), |c| *c == e.cluster)
                    && holds(filter.parent.as_ref(), |p| *p == e.parent)
                    && holds(filter.id.as_ref(), |i| *i == e.id)
                    && holds(filter.seen_since_ms.as_ref(), |t| e.last_seen_ms >= *t)
            })
        }))
    }

    async fn record_change(&self, tenant: &TenantId, event: &ChangeEvent) -> PortResult<()> {
        self.with(tenant, |rows| {
            // Kept ascending by time, equal times in order of arrival.
            let at = rows.changes.partition_point(|c| c.time_ms <= event.time_ms);
            rows.changes.insert(at, event.clone());
        });
        Ok(())
    }

    async fn changes(&self, tenant: &TenantId, filter: &ChangeFilter) -> PortResult<Vec<ChangeEvent>> {
        Ok(self.with(tenant, |rows| {
            take(rows.changes.iter().rev(), filter.limit, |c| {
                holds(filter.kind.as_ref(), |k| *k == c.kind)
                    && holds(filter.service.as_ref(), |s| *s == c.service)
                    && holds(filter.from_ms.as_ref(), |t| c.time_ms >= *t)
                    && holds(filter.to_ms.as_ref(), |t| c.time_ms <= *t)
            })
        }))
    }

    async fn upsert_alerts(&self, tenant: &TenantId, alerts: &[Alert]) -> PortResult<()> {
        self.with(tenant, |rows| {
            for alert in alerts {
                let key = (alert.group.clone(), alert.rule.clone(), alert.fingerprint.clone(), alert.active_at_ms);
                let mut new = alert.clone();
                new.ticket_id = new.ticket_id.or_else(|| rows.alerts.get(&key).and_then(|old| old.ticket_id));
                rows.alerts.insert(key, new);
            }
        });
        Ok(())
    }

    async fn alerts(&self, tenant: &TenantId, filter: &AlertFilter) -> PortResult<Vec<Alert>> {
        Ok(self.with(tenant, |rows| {
            let mut sorted: Vec<&Alert> = rows.alerts.values().collect();
            sorted.sort_by_key(|a| std::cmp::Reverse(a.active_at_ms));
            take(sorted.into_iter(), filter.limit, |a| {
                (filter.states.is_empty() || filter.states.contains(&a.state))
                    && holds(filter.rule.as_ref(), |r| *r == a.rule)
                    && holds(filter.from_ms.as_ref(), |t| active_until(a) >= *t)
                    && holds(filter.to_ms.as_ref(), |t| a.active_at_ms <= *t)
            })
        }))
    }

    async fn open_ticket(&self, tenant: &TenantId, ticket: &Ticket) -> PortResult<(i64, bool)> {
        let mut all = self.rows.lock();
        let next = all.last_ticket + 1;
        let rows = all.tenants.entry(tenant.clone()).or_default();
        let same = |t: &&Ticket| !t.dedup_key.is_empty() && t.dedup_key == ticket.dedup_key && !is_over(t.state);
        if let Some(open) = rows.tickets.values().find(same) {
            return Ok((open.id, false));
        }
        rows.tickets.insert(next, Ticket { id: next, ..ticket.clone() });
        all.last_ticket = next;
        Ok((next, true))
    }

    async fn update_ticket(
        &self,
        tenant: &TenantId,
        id: i64,
        state: Option<TicketState>,
        owner: Option<&str>,
        entry: &TicketEntry,
    ) -> PortResult<()> {
        self.with(tenant, |rows| {
            let no_ticket = || PortError::not_found(format!("there is no ticket {id}"));
            let key = rows.tickets.get(&id).ok_or_else(no_ticket)?.dedup_key.clone();
            let reopens = state.is_some_and(|s| !is_over(s));
            let rival = |t: &Ticket| t.id != id && !key.is_empty() && t.dedup_key == key && !is_over(t.state);
            if reopens && rows.tickets.values().any(rival) {
                let message = format!("ticket {id} cannot be reopened: another ticket of the same cause is open");
                return Err(PortError::new(ErrorKind::Conflict, message));
            }
            let ticket = rows.tickets.get_mut(&id).ok_or_else(no_ticket)?;
            if let Some(state) = state {
                ticket.state = state;
                ticket.resolved_at_ms = is_over(state).then(|| ticket.resolved_at_ms.unwrap_or(entry.time_ms));
            }
            if let Some(owner) = owner {
                owner.clone_into(&mut ticket.owner);
            }
            ticket.updated_at_ms = ticket.updated_at_ms.max(entry.time_ms);
            ticket.timeline.push(entry.clone());
            Ok(())
        })
    }

    async fn tickets(&self, tenant: &TenantId, filter: &TicketFilter) -> PortResult<Vec<Ticket>> {
        Ok(self.with(tenant, |rows| {
            let mut sorted: Vec<&Ticket> = rows.tickets.values().collect();
            sorted.sort_by_key(|t| std::cmp::Reverse((t.opened_at_ms, t.id)));
            take(sorted.into_iter(), filter.limit, |t| {
                (filter.states.is_empty() || filter.states.contains(&t.state))
                    && holds(filter.dedup_key.as_ref(), |k| *k == t.dedup_key)
                    && holds(filter.from_ms.as_ref(), |from| t.updated_at_ms >= *from)
                    && holds(filter.to_ms.as_ref(), |to| t.opened_at_ms <= *to)
            })
        }))
    }

    async fn ticket(&self, tenant: &TenantId, id: i64) -> PortResult<Ticket> {
        self.with(tenant, |rows| rows.tickets.get(&id).cloned())
            .ok_or_else(|| PortError::not_found(format!("there is no ticket {id}")))
    }

    async fn record_decision(&self, tenant: &TenantId, decision: &ScalingDecision, state: &[u8]) -> PortResult<i64> {
        self.write_scaling(tenant, ScalingWrite::Record { decision, state }, None).await
    }

    async fn update_decision(&self, tenant: &TenantId, decision: &ScalingDecision) -> PortResult<()> {
        self.write_scaling(tenant, ScalingWrite::Update { decision, state: None }, None).await.map(|_id| ())
    }

    async fn write_scaling(
        &self,
        tenant: &TenantId,
        write: ScalingWrite<'_>,
        fence: Option<&Fence>,
    ) -> PortResult<i64> {
        self.check_reached(&[Outage::Unreachable])?;
        let written = self.write_rows(tenant, write, fence)?;
        self.check_reached(&[Outage::AnswersLost])?;
        Ok(written)
    }

    async fn add_to_ledger(&self, tenant: &TenantId, rows: &[LedgerRow], fence: Option<&Fence>) -> PortResult<()> {
        let mut all = self.rows.lock();
        all.check(fence)?;
        let ledger = &mut all.tenants.entry(tenant.clone()).or_default().ledger;
        for row in rows {
            let key = (row.hour_ms, row.cluster.clone(), row.service.clone(), row.team.clone());
            let sums = ledger.entry(key).or_insert_with(|| LedgerRow { replica_ms: 0, cost_micros: 0, ..row.clone() });
            sums.replica_ms += row.replica_ms;
            sums.cost_micros += row.cost_micros;
        }
        Ok(())
    }

    async fn ledger(&self, tenant: &TenantId, from_ms: TimestampMs, to_ms: TimestampMs) -> PortResult<Vec<LedgerRow>> {
        let wanted = |row: &&LedgerRow| (from_ms..to_ms).contains(&row.hour_ms);
        Ok(self.with(tenant, |rows| rows.ledger.values().filter(wanted).cloned().collect()))
    }

    async fn decisions(&self, tenant: &TenantId, filter: &DecisionFilter) -> PortResult<Vec<ScalingDecision>> {
        self.check_reached(&[Outage::Unreachable, Outage::AnswersLost])?;
        Ok(self.with(tenant, |rows| {
            let mut sorted: Vec<&ScalingDecision> = rows.decisions.values().collect();
            sorted.sort_by_key(|d| std::cmp::Reverse((d.time_ms, d.id)));
            take(sorted.into_iter(), filter.limit, |d| {
                holds(filter.service.as_ref(), |s| *s == d.service)
                    && (filter.states.is_empty() || filter.states.contains(&d.state))
                    && holds(filter.from_ms.as_ref(), |t| d.time_ms >= *t)
                    && holds(filter.to_ms.as_ref(), |t| d.time_ms <= *t)
                    && (!filter.changes_only || d.from != d.to)
            })
        }))
    }

    async fn save_scaling_state(
        &self,
        tenant: &TenantId,
        cluster: &str,
        service: &str,
        state: &[u8],
    ) -> PortResult<()> {
        self.with(tenant, |rows| rows.states.insert((cluster.to_owned(), service.to_owned()), state.to_vec()));
        Ok(())
    }

    async fn scaling_state(&self, tenant: &TenantId, cluster: &str, service: &str) -> PortResult<Option<Vec<u8>>> {
        Ok(self.with(tenant, |rows| rows.states.get(&(cluster.to_owned(), service.to_owned())).cloned()))
    }

    async fn save_report(&self, tenant: &TenantId, report: &Report) -> PortResult<i64> {
        let mut all = self.rows.lock();
        all.last_report += 1;
        let id = all.last_report;
        let mut row = report.clone();
        row.head.id = id;
        all.tenants.entry(tenant.clone()).or_default().reports.insert(id, row);
        Ok(id)
    }

    async fn reports(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<ReportHead>> {
        Ok(self.with(tenant, |rows| {
            let mut heads: Vec<&ReportHead> = rows.reports.values().map(|r| &r.head).collect();
            heads.sort_by_key(|h| std::cmp::Reverse((h.created_at_ms, h.id)));
            take(heads.into_iter(), limit, |_| true)
        }))
    }

    async fn report(&self, tenant: &TenantId, id: i64) -> PortResult<Report> {
        self.with(tenant, |rows| rows.reports.get(&id).cloned())
            .ok_or_else(|| PortError::not_found(format!("there is no report {id}")))
    }

    async fn document(&self, namespace: &str, key: &str) -> PortResult<Option<Document>> {
        Ok(self.rows.lock().documents.get(&(namespace.to_owned(), key.to_owned())).cloned())
    }

    async fn documents(&self, namespace: &str) -> PortResult<Vec<Document>> {
        self.check_reached(&[Outage::Unreachable])?;
        let rows = self.rows.lock();
        Ok(rows.documents.iter().filter(|(k, _)| k.0 == namespace).map(|(_, d)| d.clone()).collect())
    }

    async fn put_document(
        &self,
        namespace: &str,
        key: &str,
        value: &serde_json::Value,
        expected: Option<i64>,
    ) -> PortResult<i64> {
        let mut rows = self.rows.lock();
        let slot = (namespace.to_owned(), key.to_owned());
        let found = rows.documents.get(&slot).map_or(0, |d| d.version);
        if let Some(expected) = expected.filter(|e| *e != found) {
            let message = format!("document {namespace}/{key} is not at version {expected} any more");
            return Err(PortError::new(ErrorKind::Conflict, message));
        }
        let version = found + 1;
        let updated_at_ms = self.clock.now_ms();
        rows.documents.insert(slot, Document { key: key.to_owned(), value: value.clone(), version, updated_at_ms });
        Ok(version)
    }

    async fn delete_document(&self, namespace: &str, key: &str) -> PortResult<()> {
        self.rows.lock().documents.remove(&(namespace.to_owned(), key.to_owned()));
        Ok(())
    }

    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration) -> PortResult<Option<Lease>> {
        let now = self.clock.now_ms();
        let mut rows = self.rows.lock();
        let token = match rows.leases.get(name) {
            None => 1,
            Some(lease) if lease.holder == holder => lease.token,
            Some(lease) if lease.expires_at_ms <= now => lease.token + 1,
            Some(_) => return Ok(None),
        };
        let expires_at_ms = now.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        let lease = Lease { name: name.to_owned(), holder: holder.to_owned(), token, expires_at_ms };
        rows.leases.insert(name.to_owned(), lease.clone());
        Ok(Some(lease))
    }

    async fn release_lease(&self, name: &str, holder: &str) -> PortResult<()> {
        if let Some(lease) = self.rows.lock().leases.get_mut(name).filter(|l| l.holder == holder) {
            // The row stays, so that the next holder's token is a new one.
            lease.holder.clear();
            lease.expires_at_ms = TimestampMs::MIN;
        }
        Ok(())
    }

    async fn audit(&self, tenant: &TenantId, entry: &AuditEntry) -> PortResult<()> {
        self.with(tenant, |rows| rows.audit.push(entry.clone()));
        Ok(())
    }

    async fn audit_log(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<AuditEntry>> {
        Ok(self.with(tenant, |rows| take(rows.audit.iter().rev(), limit, |_| true)))
    }

    async fn remove_before(&self, cutoffs: Cutoffs, rows_max: usize) -> PortResult<u64> {
        let mut all = self.rows.lock();
        let (mut removed, ms) = (0, cutoffs.records_ms);
        let mut allowance = [rows_max; 8];
        for rows in all.tenants.values_mut() {
            let [entities, changes, alerts, tickets, decisions, ledger, reports, audit] = &mut allowance;
            let mut go = |left: &mut usize, is_over: bool| {
                let goes = is_over && *left > 0;
                *left -= usize::from(goes);
                removed += u64::from(goes);
                !goes
            };
            let is_finished = |d: &ScalingDecision| {
                use DecisionState::{Failed, Skipped, Verified};
                matches!(d.state, Verified | Failed | Skipped) && d.finished_at_ms.unwrap_or(d.time_ms) < ms
            };
            rows.entities.retain(|_, e| go(entities, e.last_seen_ms < cutoffs.entities_ms));
            rows.changes.retain(|c| go(changes, c.time_ms < ms));
            rows.alerts.retain(|_, a| go(alerts, active_until(a) < ms));
            rows.tickets.retain(|_, t| go(tickets, is_over(t.state) && t.updated_at_ms < ms));
            rows.decisions.retain(|_, d| go(decisions, is_finished(d)));
            rows.ledger.retain(|_, l| go(ledger, l.hour_ms < ms));
            rows.reports.retain(|_, r| go(reports, r.head.created_at_ms < ms));
            rows.audit.retain(|a| go(audit, a.time_ms < ms));
        }
        Ok(removed)
    }
}
