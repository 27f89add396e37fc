//! The catalog: rows of all rooms on SQLite or, when several processes are to share them, on PostgreSQL.
//!
//! [`db`] is the small face over both databases, [`server`] knows what a PostgreSQL elsewhere may do to its callers; the
//! other modules each hold the statements of a few tables. The tables are made by the migrations in `store/migrations`,
//! which are part of the program.

mod alerts;
mod db;
mod entities;
mod error;
mod ledger;
mod postgres;
mod process;
mod reports;
mod retention;
mod scaling;
mod server;
mod tickets;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vocab::alert::Alert;
use vocab::change_event::ChangeEvent;
use vocab::entity::Entity;
use vocab::ports::catalog::{
    AlertFilter, AuditEntry, Catalog, ChangeFilter, Cutoffs, DecisionFilter, Document, EntityFilter, Fence, Lease,
    LedgerRow, ScalingWrite, TicketFilter, is_of_installation,
};
use vocab::report::{Report, ReportHead};
use vocab::scaling::ScalingDecision;
use vocab::ticket::{Ticket, TicketEntry, TicketState};
use vocab::{Clock, ErrorKind, PortError, PortResult, TenantId, TimestampMs};

use self::db::Db;
use self::error::{bad_row, port_error};
pub use self::postgres::PostgresServer;
pub use self::retention::{RETENTION, keep};

/// The catalog on a database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct SqlCatalog {
    db: Db,
    /// Where documents of this installation are, when others share the database.
    own: Option<Db>,
    clock: Arc<dyn Clock>,
}

impl SqlCatalog {
    /// Opens the catalog in a SQLite file, which is created when it does not exist (its folder must), and brings its tables up
    /// to date.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written, `Internal` when it is damaged or newer than this program; the message
    /// says what to do.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let db = up_to_date(&path.display().to_string(), Db::sqlite(path).await).await?;
        Ok(Self { db, own: None, clock })
    }

    /// The same in a database of PostgreSQL, which must exist; other processes may have it open. What belongs to this
    /// installation alone stays in the SQLite file `own`.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer or refuses, `Internal` when it is newer than this program; the message says what to
    /// do.
    pub async fn open_postgres(server: &PostgresServer, own: &Path, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let options = server.options().await?;
        // Neither its address nor its user is repeated: what errors say may be seen by those who need not know.
        let db = up_to_date("on PostgreSQL", Db::postgres(options).await).await?;
        Ok(Self { own: Some(Self::open(own, Arc::clone(&clock)).await?.db), db, clock })
    }

    /// Where the documents of a namespace are.
    fn documents_in(&self, namespace: &str) -> &Db {
        self.own.as_ref().filter(|_| is_of_installation(namespace)).unwrap_or(&self.db)
    }

    /// Ends the connections after what is running, and folds SQLite's write-ahead log into the file.
    pub async fn close(&self) {
        self.db.close().await;
        if let Some(own) = &self.own {
            own.close().await;
        }
    }
}

async fn up_to_date(name: &str, opened: Result<Db, sqlx::Error>) -> PortResult<Db> {
    use sqlx::migrate::MigrateError as E;
    let db = opened.map_err(|e| cannot_open(name, e))?;
    match db.migrate().await {
        Ok(()) => Ok(db),
        Err(E::Execute(e)) => Err(cannot_open(name, e)),
        Err(e @ (E::VersionMissing(_) | E::VersionMismatch(_))) => {
            let message = format!(
                "the catalog {name} was written by another version of tidewatch: start that version, or move it away"
            );
            Err(PortError::with_source(ErrorKind::Internal, message, e))
        }
        Err(e) => {
            let message = format!("cannot bring the catalog {name} up to date");
            Err(PortError::with_source(ErrorKind::Internal, message, e))
        }
    }
}

fn cannot_open(name: &str, error: sqlx::Error) -> PortError {
    match &error {
        // SQLite: 14 cannot open, 8 read only, 1032 and others are their extended forms.
        sqlx::Error::Database(db) if sqlite_code(db.as_ref()).is_some_and(|code| matches!(code & 0xff, 8 | 14)) => {
            let message = format!("cannot open the catalog {name}: its folder must exist and be writable");
            PortError::with_source(ErrorKind::Unavailable, message, error)
        }
        _ => port_error(&format!("open the catalog {name}"), error),
    }
}

/// PostgreSQL's codes have five characters, which may be digits too.
fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    error.code().filter(|code| code.len() < 5)?.parse().ok()
}

fn to_json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|e| sqlx::Error::Encode(Box::new(e)))
}

fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|e| bad_row(what, &e.to_string()))
}

/// Reads a word column back.
fn word<T>(what: &str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    parse(text).ok_or_else(|| bad_row(what, text))
}

fn not_found(what: &str, id: impl Display) -> PortError {
    PortError::not_found(format!("there is no {what} {id}"))
}

fn fenced_off(fence: &Fence) -> PortError {
    PortError::new(ErrorKind::Conflict, format!("{} no longer holds the lease {}", fence.holder, fence.lease))
}

#[async_trait]
impl Catalog for SqlCatalog {
    async fn upsert_entities(&self, tenant: &TenantId, entities: &[Entity]) -> PortResult<()> {
        entities::upsert(&self.db, tenant, entities).await.map_err(|e| port_error("store entities", e))
    }

    async fn entities(&self, tenant: &TenantId, filter: &EntityFilter) -> PortResult<Vec<Entity>> {
        entities::list(&self.db, tenant, filter).await.map_err(|e| port_error("list entities", e))
    }

    async fn record_change(&self, tenant: &TenantId, event: &ChangeEvent) -> PortResult<()> {
        entities::record_change(&self.db, tenant, event).await.map_err(|e| port_error("record a change", e))
    }

    async fn changes(&self, tenant: &TenantId, filter: &ChangeFilter) -> PortResult<Vec<ChangeEvent>> {
        entities::changes(&self.db, tenant, filter).await.map_err(|e| port_error("list changes", e))
    }

    async fn upsert_alerts(&self, tenant: &TenantId, alerts: &[Alert]) -> PortResult<()> {
        alerts::upsert(&self.db, tenant, alerts).await.map_err(|e| port_error("store alerts", e))
    }

    async fn alerts(&self, tenant: &TenantId, filter: &AlertFilter) -> PortResult<Vec<Alert>> {
        alerts::list(&self.db, tenant, filter).await.map_err(|e| port_error("list alerts", e))
    }

    async fn open_ticket(&self, tenant: &TenantId, ticket: &Ticket) -> PortResult<(i64, bool)> {
        tickets::open(&self.db, tenant, ticket).await.map_err(|e| port_error("open a ticket", e))
    }

    async fn update_ticket(
        &self,
        tenant: &TenantId,
        id: i64,
        state: Option<TicketState>,
        owner: Option<&str>,
        entry: &TicketEntry,
    ) -> PortResult<()> {
        let found = tickets::update(&self.db, tenant, id, state, owner, entry).await.map_err(|e| {
            let error = port_error(&format!("change ticket {id}"), e);
            if error.kind() == ErrorKind::Conflict {
                let message = format!("ticket {id} cannot be reopened: another ticket of the same cause is open");
                return PortError::with_source(ErrorKind::Conflict, message, error);
            }
            error
        })?;
        if found { Ok(()) } else { Err(not_found("ticket", id)) }
    }

    async fn tickets(&self, tenant: &TenantId, filter: &TicketFilter) -> PortResult<Vec<Ticket>> {
        tickets::list(&self.db, tenant, filter).await.map_err(|e| port_error("list tickets", e))
    }

    async fn ticket(&self, tenant: &TenantId, id: i64) -> PortResult<Ticket> {
        let found = tickets::get(&self.db, tenant, id).await.map_err(|e| port_error("read a ticket", e))?;
        found.ok_or_else(|| not_found("ticket", id))
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
        match scaling::write(&self.db, tenant, write, fence)
            .await
            .map_err(|e| port_error("write a scaling decision", e))?
        {
            scaling::Written::Yes(id) => Ok(id),
            scaling::Written::NoSuchDecision(id) => Err(not_found("scaling decision", id)),
            scaling::Written::FencedOff(fence) => Err(fenced_off(fence)),
        }
    }

    async fn add_to_ledger(&self, tenant: &TenantId, rows: &[LedgerRow], fence: Option<&Fence>) -> PortResult<()> {
        let added = ledger::add(&self.db, tenant, rows, fence).await.map_err(|e| port_error("add to the ledger", e))?;
        match fence {
            Some(fence) if !added => Err(fenced_off(fence)),
            _ => Ok(()),
        }
    }

    async fn ledger(&self, tenant: &TenantId, from_ms: TimestampMs, to_ms: TimestampMs) -> PortResult<Vec<LedgerRow>> {
        ledger::list(&self.db, tenant, from_ms, to_ms).await.map_err(|e| port_error("read the ledger", e))
    }

    async fn decisions(&self, tenant: &TenantId, filter: &DecisionFilter) -> PortResult<Vec<ScalingDecision>> {
        scaling::list(&self.db, tenant, filter).await.map_err(|e| port_error("list scaling decisions", e))
    }

    async fn save_scaling_state(
        &self,
        tenant: &TenantId,
        cluster: &str,
        service: &str,
        state: &[u8],
    ) -> PortResult<()> {
        self.write_scaling(tenant, ScalingWrite::State { cluster, service, state }, None).await.map(|_id| ())
    }

    async fn scaling_state(&self, tenant: &TenantId, cluster: &str, service: &str) -> PortResult<Option<Vec<u8>>> {
        scaling::state(&self.db, tenant, cluster, service).await.map_err(|e| port_error("read a scaling state", e))
    }

    async fn save_report(&self, tenant: &TenantId, report: &Report) -> PortResult<i64> {
        reports::save(&self.db, tenant, report).await.map_err(|e| port_error("store a report", e))
    }

    async fn reports(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<ReportHead>> {
        reports::list(&self.db, tenant, limit).await.map_err(|e| port_error("list reports", e))
    }

    async fn report(&self, tenant: &TenantId, id: i64) -> PortResult<Report> {
        let found = reports::get(&self.db, tenant, id).await.map_err(|e| port_error("read a report", e))?;
        found.ok_or_else(|| not_found("report", id))
    }

    async fn document(&self, namespace: &str, key: &str) -> PortResult<Option<Document>> {
        process::document(self.documents_in(namespace), namespace, key)
            .await
            .map_err(|e| port_error("read a document", e))
    }

    async fn documents(&self, namespace: &str) -> PortResult<Vec<Document>> {
        process::documents(self.documents_in(namespace), namespace).await.map_err(|e| port_error("list documents", e))
    }

    async fn put_document(
        &self,
        namespace: &str,
        key: &str,
        value: &serde_json::Value,
        expected: Option<i64>,
    ) -> PortResult<i64> {
        let written =
            process::put_document(self.documents_in(namespace), namespace, key, value, expected, self.clock.now_ms())
                .await
                .map_err(|e| port_error("store a document", e))?;
        written.ok_or_else(|| {
            let expected = expected.unwrap_or_default();
            let message = format!("document {namespace}/{key} is not at version {expected} any more");
            PortError::new(ErrorKind::Conflict, message)
        })
    }

    async fn delete_document(&self, namespace: &str, key: &str) -> PortResult<()> {
        process::delete_document(self.documents_in(namespace), namespace, key)
            .await
            .map_err(|e| port_error("remove a document", e))
    }

    async fn acquire_lease(&self, name: &str, holder: &str, ttl: Duration) -> PortResult<Option<Lease>> {
        process::acquire_lease(&self.db, name, holder, ttl, self.clock.now_ms())
            .await
            .map_err(|e| port_error(&format!("take the lease {name}"), e))
    }

    async fn release_lease(&self, name: &str, holder: &str) -> PortResult<()> {
        process::release_lease(&self.db, name, holder)
            .await
            .map_err(|e| port_error(&format!("give back the lease {name}"), e))
    }

    async fn audit(&self, tenant: &TenantId, entry: &AuditEntry) -> PortResult<()> {
        process::audit(&self.db, tenant, entry).await.map_err(|e| port_error("write the audit log", e))
    }

    async fn audit_log(&self, tenant: &TenantId, limit: usize) -> PortResult<Vec<AuditEntry>> {
        process::audit_log(&self.db, tenant, limit).await.map_err(|e| port_error("read the audit log", e))
    }

    async fn remove_before(&self, cutoffs: Cutoffs, rows_max: usize) -> PortResult<u64> {
        retention::remove_before(&self.db, cutoffs, rows_max).await.map_err(|e| port_error("remove old rows", e))
    }
}
