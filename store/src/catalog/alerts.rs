//! Alerts by rule and label set.

use vocab::TenantId;
use vocab::alert::{Alert, AlertState};
use vocab::ports::catalog::AlertFilter;

use super::db::{Arg, Db, Row, Sql};
use super::error::bad_row;
use super::{from_json, to_json, word};

type Outcome<T> = Result<T, sqlx::Error>;

pub(super) async fn upsert(db: &Db, tenant: &TenantId, alerts: &[Alert]) -> Outcome<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    // In one order: two writers that lock rows in different orders would wait for each other.
    let mut alerts: Vec<&Alert> = alerts.iter().collect();
    alerts.sort_by(|a, b| key(a).cmp(&key(b)));
    for alert in alerts {
        let values: [Arg; 14] = [
            tenant.as_str().into(),
            alert.group.as_str().into(),
            alert.rule.as_str().into(),
            alert.fingerprint.as_str().into(),
            alert.active_at_ms.into(),
            to_json(&alert.labels)?.into(),
            to_json(&alert.annotations)?.into(),
            alert.state.as_str().into(),
            alert.value.to_string().into(),
            alert.expression.as_str().into(),
            alert.fired_at_ms.into(),
            alert.resolved_at_ms.into(),
            alert.updated_at_ms.into(),
            alert.ticket_id.into(),
        ];
        let sql = Sql::new(
            "INSERT INTO alert (tenant, rule_group, rule, fingerprint, active_at_ms, labels, annotations, state, \
             last_value, expression, fired_at_ms, resolved_at_ms, updated_at_ms, ticket_id) VALUES (",
        )
        .list(values)
        // A ticket once opened stays with its alert, also when the writer has forgotten it over a restart.
        .push(
            ") ON CONFLICT (tenant, rule_group, rule, fingerprint, active_at_ms) DO UPDATE SET labels = excluded.labels, \
             annotations = excluded.annotations, state = excluded.state, last_value = excluded.last_value, \
             expression = excluded.expression, fired_at_ms = excluded.fired_at_ms, \
             resolved_at_ms = excluded.resolved_at_ms, updated_at_ms = excluded.updated_at_ms, \
             ticket_id = COALESCE(excluded.ticket_id, alert.ticket_id)",
        );
        tx.run(sql).await?;
    }
    tx.commit().await
}

fn key(alert: &Alert) -> (&str, &str, &str, i64) {
    (&alert.group, &alert.rule, &alert.fingerprint, alert.active_at_ms)
}

pub(super) async fn list(db: &Db, tenant: &TenantId, filter: &AlertFilter) -> Outcome<Vec<Alert>> {
    let states: Vec<_> = filter.states.iter().map(|s| s.as_str()).collect();
    let mut sql = Sql::new(
        "SELECT rule_group, rule, fingerprint, labels, annotations, state, last_value, expression, active_at_ms, \
         fired_at_ms, resolved_at_ms, updated_at_ms, ticket_id FROM alert WHERE tenant = ",
    )
    .bind(tenant.as_str())
    .and_in("state", &states)
    .and("rule = ", filter.rule.as_deref())
    .and("active_at_ms <= ", filter.to_ms);
    if let Some(from) = filter.from_ms {
        // What holds is active; what ended was active until its end.
        sql = sql
            .push(" AND (resolved_at_ms IS NULL AND state IN ('pending', 'firing') OR COALESCE(resolved_at_ms, updated_at_ms) >= ")
            .bind(from)
            .push(")");
    }
    let sql = sql
        .push(" ORDER BY active_at_ms DESC, rule_group COLLATE \"C\", rule COLLATE \"C\", fingerprint")
        .limit(filter.limit);
    db.rows(sql).await?.iter().map(alert).collect()
}

fn alert(row: &Row) -> Outcome<Alert> {
    let value = row.text(6)?;
    Ok(Alert {
        group: row.text(0)?,
        rule: row.text(1)?,
        fingerprint: row.text(2)?,
        labels: from_json("alert", &row.text(3)?)?,
        annotations: from_json("alert", &row.text(4)?)?,
        state: word("alert state", &row.text(5)?, AlertState::parse)?,
        value: value.parse().map_err(|_| bad_row("alert value", &value))?,
        expression: row.text(7)?,
        active_at_ms: row.int(8)?,
        fired_at_ms: row.maybe_int(9)?,
        resolved_at_ms: row.maybe_int(10)?,
        updated_at_ms: row.int(11)?,
        ticket_id: row.maybe_int(12)?,
    })
}
