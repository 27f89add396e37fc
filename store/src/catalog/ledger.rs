//! What scaled services have cost.

use vocab::ports::catalog::{Fence, LedgerRow};
use vocab::{TenantId, TimestampMs};

use super::db::{Arg, Db, Row, Sql};
use super::scaling::stands;

type Outcome<T> = Result<T, sqlx::Error>;

/// Adds to the sums in one transaction; `false`, and nothing is added, when the fence no longer stands.
pub(super) async fn add(db: &Db, tenant: &TenantId, rows: &[LedgerRow], fence: Option<&Fence>) -> Outcome<bool> {
    let mut tx = db.begin().await?;
    if let Some(fence) = fence
        && !stands(&mut tx, fence).await?
    {
        return Ok(false);
    }
    for row in rows {
        let values: [Arg; 7] = [
            tenant.as_str().into(),
            row.hour_ms.into(),
            row.cluster.as_str().into(),
            row.service.as_str().into(),
            row.team.as_str().into(),
            row.replica_ms.into(),
            row.cost_micros.into(),
        ];
        let sql = Sql::new(
            "INSERT INTO scaling_ledger (tenant, hour_ms, cluster, service, team, replica_ms, cost_micros) VALUES (",
        )
        .list(values)
        .push(
            ") ON CONFLICT (tenant, hour_ms, cluster, service, team) DO UPDATE SET \
             replica_ms = scaling_ledger.replica_ms + excluded.replica_ms, \
             cost_micros = scaling_ledger.cost_micros + excluded.cost_micros",
        );
        tx.run(sql).await?;
    }
    tx.commit().await?;
    Ok(true)
}

pub(super) async fn list(
    db: &Db,
    tenant: &TenantId,
    from_ms: TimestampMs,
    to_ms: TimestampMs,
) -> Outcome<Vec<LedgerRow>> {
    let sql =
        Sql::new("SELECT hour_ms, cluster, service, team, replica_ms, cost_micros FROM scaling_ledger WHERE tenant = ")
            .bind(tenant.as_str())
            .and("hour_ms >= ", Some(from_ms))
            .and("hour_ms < ", Some(to_ms))
            .push(" ORDER BY hour_ms, cluster COLLATE \"C\", service COLLATE \"C\", team COLLATE \"C\"");
    let read = |row: &Row| {
        Ok(LedgerRow {
            hour_ms: row.int(0)?,
            cluster: row.text(1)?,
            service: row.text(2)?,
            team: row.text(3)?,
            replica_ms: row.int(4)?,
            cost_micros: row.int(5)?,
        })
    };
    db.rows(sql).await?.iter().map(read).collect()
}
