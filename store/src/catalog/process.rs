//! What belongs to the process rather than to what it watches: documents, leases, the audit log.

use std::time::Duration;

use vocab::ports::catalog::{AuditEntry, Document, Lease};
use vocab::{TenantId, TimestampMs};

use super::db::{Arg, Db, Row, Sql};
use super::{from_json, to_json};

type Outcome<T> = Result<T, sqlx::Error>;

pub(super) async fn document(db: &Db, namespace: &str, key: &str) -> Outcome<Option<Document>> {
    let sql = Sql::new("SELECT doc_key, body, version, updated_at_ms FROM document WHERE namespace = ")
        .bind(namespace)
        .and("doc_key = ", Some(key));
    db.rows(sql).await?.first().map(read_document).transpose()
}

pub(super) async fn documents(db: &Db, namespace: &str) -> Outcome<Vec<Document>> {
    let sql = Sql::new("SELECT doc_key, body, version, updated_at_ms FROM document WHERE namespace = ")
        .bind(namespace)
        .push(" ORDER BY doc_key COLLATE \"C\"");
    db.rows(sql).await?.iter().map(read_document).collect()
}

fn read_document(row: &Row) -> Outcome<Document> {
    Ok(Document {
        key: row.text(0)?,
        value: from_json("document", &row.text(1)?)?,
        version: row.int(2)?,
        updated_at_ms: row.int(3)?,
    })
}

/// The new version, or `None` when the document is not at the expected one.
pub(super) async fn put_document(
    db: &Db,
    namespace: &str,
    key: &str,
    value: &serde_json::Value,
    expected: Option<i64>,
    now_ms: TimestampMs,
) -> Outcome<Option<i64>> {
    let body = to_json(value)?;
    let insert = || {
        let values: [Arg; 4] = [namespace.into(), key.into(), body.as_str().into(), now_ms.into()];
        Sql::new("INSERT INTO document (namespace, doc_key, body, updated_at_ms, version) VALUES (")
            .list(values)
            .push(", 1) ON CONFLICT (namespace, doc_key) DO ")
    };
    let sql = match expected {
        None => insert().push(
            "UPDATE SET body = excluded.body, updated_at_ms = excluded.updated_at_ms, version = document.version + 1",
        ),
        Some(0) => insert().push("NOTHING"),
        Some(version) => Sql::new("UPDATE document SET body = ")
            .bind(body.as_str())
            .push(", updated_at_ms = ")
            .bind(now_ms)
            .push(", version = version + 1 WHERE namespace = ")
            .bind(namespace)
            .and("doc_key = ", Some(key))
            .and("version = ", Some(version)),
    };
    db.rows(sql.push(" RETURNING version")).await?.first().map(|row| row.int(0)).transpose()
}

pub(super) async fn delete_document(db: &Db, namespace: &str, key: &str) -> Outcome<()> {
    db.run(Sql::new("DELETE FROM document WHERE namespace = ").bind(namespace).and("doc_key = ", Some(key))).await?;
    Ok(())
}

/// `None` when someone else holds it.
pub(super) async fn acquire_lease(
    db: &Db,
    name: &str,
    holder: &str,
    ttl: Duration,
    now_ms: TimestampMs,
) -> Outcome<Option<Lease>> {
    let expires_at_ms = now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
    let values: [Arg; 3] = [name.into(), holder.into(), expires_at_ms.into()];
    let sql = Sql::new("INSERT INTO lease (name, holder, expires_at_ms, token) VALUES (")
        .list(values)
        .push(
            ", 1) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at_ms = excluded.expires_at_ms, \
             token = CASE WHEN lease.holder = excluded.holder THEN lease.token ELSE lease.token + 1 END \
             WHERE lease.holder = excluded.holder OR lease.expires_at_ms <= ",
        )
        .bind(now_ms)
        .push(" RETURNING token");
    let token = db.rows(sql).await?.first().map(|row| row.int(0)).transpose()?;
    Ok(token.map(|token| Lease { name: name.to_owned(), holder: holder.to_owned(), token, expires_at_ms }))
}

pub(super) async fn release_lease(db: &Db, name: &str, holder: &str) -> Outcome<()> {
    // The row stays, so that the next holder's token is a new one.
    let sql = Sql::new("UPDATE lease SET holder = '', expires_at_ms = 0 WHERE name = ")
        .bind(name)
        .and("holder = ", Some(holder));
    db.run(sql).await?;
    Ok(())
}

pub(super) async fn audit(db: &Db, tenant: &TenantId, entry: &AuditEntry) -> Outcome<()> {
    let mut tx = db.begin().await?;
    let values: [Arg; 7] = [
        tx.next("audit").await?.into(),
        tenant.as_str().into(),
        entry.time_ms.into(),
        entry.actor.as_str().into(),
        entry.action.as_str().into(),
        entry.subject.as_str().into(),
        entry.details.as_str().into(),
    ];
    let sql = Sql::new("INSERT INTO audit (id, tenant, time_ms, actor, action, subject, details) VALUES (");
    tx.run(sql.list(values).push(")")).await?;
    tx.commit().await
}

pub(super) async fn audit_log(db: &Db, tenant: &TenantId, limit: usize) -> Outcome<Vec<AuditEntry>> {
    let sql = Sql::new("SELECT time_ms, actor, action, subject, details FROM audit WHERE tenant = ")
        .bind(tenant.as_str())
        .push(" ORDER BY id DESC")
        .limit(limit);
    let entry = |row: &Row| {
        Ok(AuditEntry {
            time_ms: row.int(0)?,
            actor: row.text(1)?,
            action: row.text(2)?,
            subject: row.text(3)?,
            details: row.text(4)?,
        })
    };
    db.rows(sql).await?.iter().map(entry).collect()
}
