//! Scaling decisions and the autoscaler's state.

use vocab::TenantId;
use vocab::ports::catalog::{DecisionFilter, Fence, ScalingWrite};
use vocab::scaling::{DecisionState, ScalingDecision, ScalingMode};

use super::db::{Arg, Db, Row, Sql, Tx};
use super::error::bad_row;
use super::{from_json, to_json, word};

type Outcome<T> = Result<T, sqlx::Error>;

/// What became of a write.
pub(super) enum Written<'a> {
    Yes(i64),
    NoSuchDecision(i64),
    FencedOff(&'a Fence),
}

/// Writes all of it in one transaction, or nothing.
pub(super) async fn write<'a>(
    db: &Db,
    tenant: &TenantId,
    write: ScalingWrite<'_>,
    fence: Option<&'a Fence>,
) -> Outcome<Written<'a>> {
    let mut tx = db.begin().await?;
    if let Some(fence) = fence
        && !stands(&mut tx, fence).await?
    {
        return Ok(Written::FencedOff(fence));
    }
    let id = match write {
        ScalingWrite::Record { decision, state } => {
            let id = insert(&mut tx, tenant, decision).await?;
            tx.run(put_state(tenant, &decision.cluster, &decision.service, state)).await?;
            id
        }
        ScalingWrite::Update { decision, state } => {
            if tx.run(update(tenant, decision)).await? == 0 {
                return Ok(Written::NoSuchDecision(decision.id));
            }
            if let Some(state) = state {
                tx.run(put_state(tenant, &decision.cluster, &decision.service, state)).await?;
            }
            decision.id
        }
        ScalingWrite::State { cluster, service, state } => {
            tx.run(put_state(tenant, cluster, service, state)).await?;
            0
        }
    };
    tx.commit().await?;
    Ok(Written::Yes(id))
}

/// Whether a fence stands, and goes on standing until the end of the transaction.
pub(super) async fn stands(tx: &mut Tx, fence: &Fence) -> Outcome<bool> {
    // An update that changes nothing takes the row's lock: nobody can take the lease before this commit.
    let sql = Sql::new("UPDATE lease SET token = token WHERE name = ")
        .bind(fence.lease.as_str())
        .and("holder = ", Some(fence.holder.as_str()))
        .and("token = ", Some(fence.token));
    Ok(tx.run(sql).await? > 0)
}

async fn insert(tx: &mut Tx, tenant: &TenantId, decision: &ScalingDecision) -> Outcome<i64> {
    let id = tx.next("scaling_decision").await?;
    let values: [Arg; 19] = [
        id.into(),
        tenant.as_str().into(),
        decision.time_ms.into(),
        decision.cluster.as_str().into(),
        decision.service.as_str().into(),
        decision.policy.as_str().into(),
        decision.orchestrator.as_str().into(),
        decision.from.into(),
        decision.to.into(),
        decision.ready.into(),
        decision.mode.as_str().into(),
        decision.reason.as_str().into(),
        to_json(&decision.seen)?.into(),
        to_json(&decision.candidates)?.into(),
        to_json(&decision.guards)?.into(),
        decision.state.as_str().into(),
        decision.result.as_str().into(),
        decision.acted_at_ms.into(),
        decision.finished_at_ms.into(),
    ];
    let sql = Sql::new(
        "INSERT INTO scaling_decision (id, tenant, time_ms, cluster, service, policy, orchestrator, replicas_from, \
         replicas_to, ready, mode, reason, seen, candidates, guards, state, result, acted_at_ms, finished_at_ms) VALUES (",
    );
    tx.run(sql.list(values).push(")")).await?;
    Ok(id)
}

fn update(tenant: &TenantId, decision: &ScalingDecision) -> Sql {
    Sql::new("UPDATE scaling_decision SET state = ")
        .bind(decision.state.as_str())
        .push(", result = ")
        .bind(decision.result.as_str())
        .push(", acted_at_ms = ")
        .bind(decision.acted_at_ms)
        .push(", finished_at_ms = ")
        .bind(decision.finished_at_ms)
        .push(" WHERE tenant = ")
        .bind(tenant.as_str())
        .and("id = ", Some(decision.id))
}

pub(super) async fn list(db: &Db, tenant: &TenantId, filter: &DecisionFilter) -> Outcome<Vec<ScalingDecision>> {
    let states: Vec<_> = filter.states.iter().map(|s| s.as_str()).collect();
    let sql = Sql::new(
        "SELECT id, time_ms, cluster, service, policy, orchestrator, replicas_from, replicas_to, ready, mode, reason, \
         seen, candidates, guards, state, result, acted_at_ms, finished_at_ms FROM scaling_decision WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .and("service = ", filter.service.as_deref())
    .and_in("state", &states)
    .and("time_ms >= ", filter.from_ms)
    .and("time_ms <= ", filter.to_ms)
    .push(if filter.changes_only { " AND replicas_from <> replicas_to" } else { "" })
    .push(" ORDER BY time_ms DESC, id DESC")
    .limit(filter.limit);
    db.rows(sql).await?.iter().map(decision).collect()
}

fn decision(row: &Row) -> Outcome<ScalingDecision> {
    let replicas = |column| {
        let number = row.int(column)?;
        u32::try_from(number).map_err(|_| bad_row("number of replicas", &number.to_string()))
    };
    Ok(ScalingDecision {
        id: row.int(0)?,
        time_ms: row.int(1)?,
        cluster: row.text(2)?,
        service: row.text(3)?,
        policy: row.text(4)?,
        orchestrator: row.text(5)?,
        from: replicas(6)?,
        to: replicas(7)?,
        ready: replicas(8)?,
        mode: word("scaling mode", &row.text(9)?, ScalingMode::parse)?,
        reason: row.text(10)?,
        seen: from_json("decision", &row.text(11)?)?,
        candidates: from_json("decision", &row.text(12)?)?,
        guards: from_json("decision", &row.text(13)?)?,
        state: word("decision state", &row.text(14)?, DecisionState::parse)?,
        result: row.text(15)?,
        acted_at_ms: row.maybe_int(16)?,
        finished_at_ms: row.maybe_int(17)?,
    })
}

fn put_state(tenant: &TenantId, cluster: &str, service: &str, state: &[u8]) -> Sql {
    let values: [Arg; 4] = [tenant.as_str().into(), cluster.into(), service.into(), state.into()];
    Sql::new("INSERT INTO scaling_state (tenant, cluster, service, state) VALUES (")
        .list(values)
        .push(") ON CONFLICT (tenant, cluster, service) DO UPDATE SET state = excluded.state")
}

pub(super) async fn state(db: &Db, tenant: &TenantId, cluster: &str, service: &str) -> Outcome<Option<Vec<u8>>> {
    let sql = Sql::new("SELECT state FROM scaling_state WHERE tenant = ")
        .bind(tenant.as_str())
        .and("cluster = ", Some(cluster))
        .and("service = ", Some(service));
    db.rows(sql).await?.first().map(|row| row.bytes(0)).transpose()
}
