//! Tickets and their timelines.

use vocab::TenantId;
use vocab::ports::catalog::TicketFilter;
use vocab::ticket::{Ticket, TicketEntry, TicketState};

use super::db::{Arg, Db, Row, Sql, Tx};
use super::{from_json, to_json, word};

type Outcome<T> = Result<T, sqlx::Error>;

/// Tickets whose timelines are read with one statement; far below the number of parameters either database takes.
const TIMELINES_AT_ONCE: usize = 500;

pub(super) async fn open(db: &Db, tenant: &TenantId, ticket: &Ticket) -> Outcome<(i64, bool)> {
    let mut tx = db.begin().await?;
    // Taking the number first also makes writers wait for each other, so that the look-up below sees what they did.
    let id = tx.next("ticket").await?;
    if !ticket.dedup_key.is_empty() {
        let sql = Sql::new("SELECT id FROM ticket WHERE tenant = ")
            .bind(tenant.as_str())
            .and("dedup_key = ", Some(ticket.dedup_key.as_str()))
            .push(" AND state IN ('open', 'acknowledged')");
        if let Some(row) = tx.rows(sql).await?.first() {
            return Ok((row.int(0)?, false));
        }
    }
    let values: [Arg; 12] = [
        id.into(),
        tenant.as_str().into(),
        ticket.dedup_key.as_str().into(),
        ticket.title.as_str().into(),
        ticket.severity.as_str().into(),
        ticket.service.as_str().into(),
        ticket.state.as_str().into(),
        ticket.owner.as_str().into(),
        ticket.opened_at_ms.into(),
        ticket.updated_at_ms.into(),
        ticket.resolved_at_ms.into(),
        to_json(&ticket.evidence)?.into(),
    ];
    let sql = Sql::new(
        "INSERT INTO ticket (id, tenant, dedup_key, title, severity, service, state, owner, opened_at_ms, \
         updated_at_ms, resolved_at_ms, evidence) VALUES (",
    );
    tx.run(sql.list(values).push(")")).await?;
    for entry in &ticket.timeline {
        add_entry(&mut tx, id, entry).await?;
    }
    tx.commit().await?;
    Ok((id, true))
}

async fn add_entry(tx: &mut Tx, ticket: i64, entry: &TicketEntry) -> Outcome<()> {
    let values: [Arg; 5] = [
        tx.next("ticket_entry").await?.into(),
        ticket.into(),
        entry.time_ms.into(),
        entry.actor.as_str().into(),
        entry.text.as_str().into(),
    ];
    let sql = Sql::new("INSERT INTO ticket_entry (id, ticket_id, time_ms, actor, entry) VALUES (");
    tx.run(sql.list(values).push(")")).await?;
    Ok(())
}

/// Whether there was such a ticket.
pub(super) async fn update(
    db: &Db,
    tenant: &TenantId,
    id: i64,
    state: Option<TicketState>,
    owner: Option<&str>,
    entry: &TicketEntry,
) -> Outcome<bool> {
    let mut tx = db.begin().await?;
    let mut sql = Sql::new("UPDATE ticket SET updated_at_ms = CASE WHEN updated_at_ms > ")
        .bind(entry.time_ms)
        .push(" THEN updated_at_ms ELSE ")
        .bind(entry.time_ms)
        .push(" END");
    if let Some(state) = state {
        sql = sql.push(", state = ").bind(state.as_str());
        sql = match state {
            TicketState::Resolved | TicketState::Closed => {
                sql.push(", resolved_at_ms = COALESCE(resolved_at_ms, ").bind(entry.time_ms).push(")")
            }
            TicketState::Open | TicketState::Acknowledged => sql.push(", resolved_at_ms = NULL"),
        };
    }
    if let Some(owner) = owner {
        sql = sql.push(", owner = ").bind(owner);
    }
    let sql = sql.push(" WHERE tenant = ").bind(tenant.as_str()).and("id = ", Some(id));
    if tx.run(sql).await? == 0 {
        return Ok(false);
    }
    add_entry(&mut tx, id, entry).await?;
    tx.commit().await?;
    Ok(true)
}

const COLUMNS: &str = "SELECT id, dedup_key, title, severity, service, state, owner, opened_at_ms, updated_at_ms, \
                       resolved_at_ms, evidence FROM ticket WHERE tenant = ";

pub(super) async fn list(db: &Db, tenant: &TenantId, filter: &TicketFilter) -> Outcome<Vec<Ticket>> {
    let states: Vec<_> = filter.states.iter().map(|s| s.as_str()).collect();
    let sql = Sql::new(COLUMNS)
        .bind(tenant.as_str())
        .and_in("state", &states)
        .and("dedup_key = ", filter.dedup_key.as_deref())
        .and("updated_at_ms >= ", filter.from_ms)
        .and("opened_at_ms <= ", filter.to_ms)
        .push(" ORDER BY opened_at_ms DESC, id DESC")
        .limit(filter.limit);
    let mut tickets = db.rows(sql).await?.iter().map(ticket).collect::<Outcome<Vec<_>>>()?;
    add_timelines(db, &mut tickets).await?;
    Ok(tickets)
}

pub(super) async fn get(db: &Db, tenant: &TenantId, id: i64) -> Outcome<Option<Ticket>> {
    let rows = db.rows(Sql::new(COLUMNS).bind(tenant.as_str()).and("id = ", Some(id))).await?;
    let mut tickets = rows.iter().map(ticket).collect::<Outcome<Vec<_>>>()?;
    add_timelines(db, &mut tickets).await?;
    Ok(tickets.pop())
}

async fn add_timelines(db: &Db, tickets: &mut [Ticket]) -> Outcome<()> {
    for part in tickets.chunks_mut(TIMELINES_AT_ONCE) {
        let sql = Sql::new("SELECT ticket_id, time_ms, actor, entry FROM ticket_entry WHERE ticket_id IN (")
            .list(part.iter().map(|t| Arg::from(t.id)))
            .push(") ORDER BY id");
        for row in db.rows(sql).await? {
            let id = row.int(0)?;
            let entry = TicketEntry { time_ms: row.int(1)?, actor: row.text(2)?, text: row.text(3)? };
            if let Some(ticket) = part.iter_mut().find(|t| t.id == id) {
                ticket.timeline.push(entry);
            }
        }
    }
    Ok(())
}

fn ticket(row: &Row) -> Outcome<Ticket> {
    Ok(Ticket {
        id: row.int(0)?,
        dedup_key: row.text(1)?,
        title: row.text(2)?,
        severity: row.text(3)?,
        service: row.text(4)?,
        state: word("ticket state", &row.text(5)?, TicketState::parse)?,
        owner: row.text(6)?,
        opened_at_ms: row.int(7)?,
        updated_at_ms: row.int(8)?,
        resolved_at_ms: row.maybe_int(9)?,
        timeline: Vec::new(),
        evidence: from_json("ticket", &row.text(10)?)?,
    })
}
