//! What is watched and what was done to it.

use vocab::TenantId;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::entity::{Entity, EntityKind};
use vocab::ports::catalog::{ChangeFilter, EntityFilter};

use super::db::{Arg, Db, Row, Sql};
use super::{from_json, to_json, word};

type Outcome<T> = Result<T, sqlx::Error>;

pub(super) async fn upsert(db: &Db, tenant: &TenantId, entities: &[Entity]) -> Outcome<()> {
    if entities.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    // In one order: two writers that lock rows in different orders would wait for each other.
    let mut entities: Vec<&Entity> = entities.iter().collect();
    entities.sort_by(|a, b| (a.kind.as_str(), &a.cluster, &a.id).cmp(&(b.kind.as_str(), &b.cluster, &b.id)));
    for entity in entities {
        let values: [Arg; 8] = [
            tenant.as_str().into(),
            entity.kind.as_str().into(),
            entity.cluster.as_str().into(),
            entity.id.as_str().into(),
            entity.parent.as_str().into(),
            to_json(&entity.labels)?.into(),
            entity.first_seen_ms.into(),
            entity.last_seen_ms.into(),
        ];
        let sql = Sql::new(
            "INSERT INTO entity (tenant, kind, cluster, id, parent, labels, first_seen_ms, last_seen_ms) VALUES (",
        )
        .list(values)
        .push(
            ") ON CONFLICT (tenant, kind, cluster, id) DO UPDATE SET parent = excluded.parent, labels = excluded.labels, \
             last_seen_ms = CASE WHEN excluded.last_seen_ms > entity.last_seen_ms THEN excluded.last_seen_ms \
             ELSE entity.last_seen_ms END",
        );
        tx.run(sql).await?;
    }
    tx.commit().await
}

pub(super) async fn list(db: &Db, tenant: &TenantId, filter: &EntityFilter) -> Outcome<Vec<Entity>> {
    let sql = Sql::new(
        "SELECT kind, cluster, id, parent, labels, first_seen_ms, last_seen_ms FROM entity WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .and("kind = ", filter.kind.map(EntityKind::as_str))
    .and("cluster = ", filter.cluster.as_deref())
    .and("parent = ", filter.parent.as_deref())
    .and("id = ", filter.id.as_deref())
    .and("last_seen_ms >= ", filter.seen_since_ms)
    // By kind in the order of the kinds, not of their names.
    .push(
        " ORDER BY CASE kind WHEN 'cluster' THEN 0 WHEN 'host' THEN 1 WHEN 'service' THEN 2 WHEN 'replica' THEN 3 \
         WHEN 'container' THEN 4 ELSE 5 END, cluster COLLATE \"C\", id COLLATE \"C\"",
    )
    .limit(filter.limit);
    db.rows(sql).await?.iter().map(entity).collect()
}

fn entity(row: &Row) -> Outcome<Entity> {
    Ok(Entity {
        kind: word("entity kind", &row.text(0)?, EntityKind::parse)?,
        cluster: row.text(1)?,
        id: row.text(2)?,
        parent: row.text(3)?,
        labels: from_json("entity", &row.text(4)?)?,
        first_seen_ms: row.int(5)?,
        last_seen_ms: row.int(6)?,
    })
}

pub(super) async fn record_change(db: &Db, tenant: &TenantId, event: &ChangeEvent) -> Outcome<()> {
    let mut tx = db.begin().await?;
    let values: [Arg; 10] = [
        tx.next("change_event").await?.into(),
        tenant.as_str().into(),
        event.time_ms.into(),
        event.kind.as_str().into(),
        event.cluster.as_str().into(),
        event.service.as_str().into(),
        event.subject.as_str().into(),
        event.actor.as_str().into(),
        event.summary.as_str().into(),
        to_json(&event.details)?.into(),
    ];
    let sql = Sql::new(
        "INSERT INTO change_event (id, tenant, time_ms, kind, cluster, service, subject, actor, summary, details) \
         VALUES (",
    );
    tx.run(sql.list(values).push(")")).await?;
    tx.commit().await
}

pub(super) async fn changes(db: &Db, tenant: &TenantId, filter: &ChangeFilter) -> Outcome<Vec<ChangeEvent>> {
    let sql = Sql::new(
        "SELECT time_ms, kind, cluster, service, subject, actor, summary, details FROM change_event WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .and("kind = ", filter.kind.map(ChangeKind::as_str))
    .and("service = ", filter.service.as_deref())
    .and("time_ms >= ", filter.from_ms)
    .and("time_ms <= ", filter.to_ms)
    .push(" ORDER BY time_ms DESC, id DESC")
    .limit(filter.limit);
    db.rows(sql).await?.iter().map(change).collect()
}

fn change(row: &Row) -> Outcome<ChangeEvent> {
    Ok(ChangeEvent {
        time_ms: row.int(0)?,
        kind: word("change kind", &row.text(1)?, ChangeKind::parse)?,
        cluster: row.text(2)?,
        service: row.text(3)?,
        subject: row.text(4)?,
        actor: row.text(5)?,
        summary: row.text(6)?,
        details: from_json("change", &row.text(7)?)?,
    })
}
