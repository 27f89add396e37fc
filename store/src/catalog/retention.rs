//! Rows that nobody waits for any more go after a while.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::error::chain;
use vocab::ports::Catalog;
use vocab::ports::catalog::Cutoffs;
use vocab::telemetry::{Counter, Telemetry};
use vocab::{Clock, TimestampMs};

use super::db::{Db, Sql};

type Outcome<T> = Result<T, sqlx::Error>;

/// How long rows are kept by default.
pub const RETENTION: Duration = Duration::from_secs(365 * 24 * 3600);
/// Longest time for which is kept what is not seen any more: containers come and go by the thousand a day.
const ENTITY_RETENTION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time before the first look, and between two.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Most rows of a kind that go in one step, so that no writer waits long for them.
const ROWS_MAX: usize = 1_000;
/// Pause between two steps.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks each hour for rows whose time is over, until cancelled. Processes that share a catalog may all do so.
pub async fn keep(
    catalog: Arc<dyn Catalog>,
    retention: Duration,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    cancel: CancellationToken,
) {
    let help = "Rows of the catalog that were removed because their time was over";
    let removed: Counter = telemetry.register("store_catalog_rows_removed", help, Counter::default());
    let mut pause = INTERVAL;
    loop {
        tokio::select! {
            () = clock.sleep(pause) => {}
            () = cancel.cancelled() => return,
        }
        let rows = match catalog.remove_before(cutoffs(retention, clock.now_ms()), ROWS_MAX).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(error = chain(&error), "old rows of the catalog were not removed; it is tried again");
                0
            }
        };
        removed.inc_by(rows);
        // As many as one step takes of one kind: there may be more.
        pause = if usize::try_from(rows).is_ok_and(|n| n < ROWS_MAX) { INTERVAL } else { PAUSE };
    }
}

fn cutoffs(retention: Duration, now_ms: TimestampMs) -> Cutoffs {
    let before = |age: Duration| now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    Cutoffs { records_ms: before(retention), entities_ms: before(retention.min(ENTITY_RETENTION_MAX)) }
}

/// Removes at most so many rows of each kind; gives how many went.
pub(super) async fn remove_before(db: &Db, cutoffs: Cutoffs, rows_max: usize) -> Outcome<u64> {
    let most = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let up_to = |sql: Sql, before_ms: TimestampMs| sql.bind(before_ms).push(" LIMIT ").bind(most).push(")");
    let entities = Sql::new(
        "DELETE FROM entity WHERE (tenant, kind, cluster, id) IN \
         (SELECT tenant, kind, cluster, id FROM entity WHERE last_seen_ms < ",
    );
    let mut removed = db.run(up_to(entities, cutoffs.entities_ms)).await?;
    for text in [
        "DELETE FROM change_event WHERE id IN (SELECT id FROM change_event WHERE time_ms < ",
        "DELETE FROM alert WHERE (tenant, rule_group, rule, fingerprint, active_at_ms) IN \
         (SELECT tenant, rule_group, rule, fingerprint, active_at_ms FROM alert \
         WHERE state IN ('inactive', 'resolved') AND COALESCE(resolved_at_ms, updated_at_ms) < ",
        "DELETE FROM scaling_decision WHERE id IN (SELECT id FROM scaling_decision \
         WHERE state IN ('verified', 'failed', 'skipped') AND COALESCE(finished_at_ms, time_ms) < ",
        "DELETE FROM scaling_ledger WHERE (tenant, hour_ms, cluster, service, team) IN \
         (SELECT tenant, hour_ms, cluster, service, team FROM scaling_ledger WHERE hour_ms < ",
        "DELETE FROM report WHERE id IN (SELECT id FROM report WHERE created_at_ms < ",
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time_ms < ",
    ] {
        removed += db.run(up_to(Sql::new(text), cutoffs.records_ms)).await?;
    }
    // Both see the same tickets. Should one be opened again in between, the database refuses the second, and nothing goes.
    let mut tx = db.begin().await?;
    let mut of_tickets = 0;
    for text in [
        "DELETE FROM ticket_entry WHERE ticket_id IN (SELECT id FROM ticket \
         WHERE state IN ('closed', 'resolved') AND updated_at_ms < ",
        "DELETE FROM ticket WHERE id IN (SELECT id FROM ticket \
         WHERE state IN ('closed', 'resolved') AND updated_at_ms < ",
    ] {
        let sql = Sql::new(text).bind(cutoffs.records_ms).push(" ORDER BY id LIMIT ").bind(most).push(")");
        of_tickets = tx.run(sql).await?;
    }
    tx.commit().await?;
    Ok(removed + of_tickets)
}

#[cfg(test)]
mod tests {
    use vocab::TenantId;
    use vocab::ports::catalog::AuditEntry;
    use vocab::testing::{MemCatalog, SimClock};

    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    #[test]
    fn what_is_not_seen_goes_after_a_month_and_what_happened_after_its_time() {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        let check = |retention, records: i64, entities: i64| {
            let expect = Cutoffs { records_ms: records * DAY_MS, entities_ms: entities * DAY_MS };
            assert_eq!(cutoffs(retention, 1_000 * DAY_MS), expect);
        };
        check(days(365), 635, 970);
        check(days(7), 993, 993);
    }

    #[tokio::test]
    async fn rows_go_in_steps_until_none_is_left() {
        let clock = SimClock::at(1_000 * DAY_MS);
        let catalog = MemCatalog::new(Arc::new(clock.clone()));
        let (tenant, telemetry, cancel) = (TenantId::default(), Telemetry::new(), CancellationToken::new());
        let line = |time_ms| AuditEntry {
            time_ms,
            actor: "ann".into(),
            action: "scaling.stop".into(),
            subject: "all".into(),
            details: String::new(),
        };
        for n in 0..2_500 {
            catalog.audit(&tenant, &line(n)).await.expect("noted");
        }
        catalog.audit(&tenant, &line(999 * DAY_MS)).await.expect("noted");
        let shared = (Arc::new(catalog.clone()), Arc::new(clock.clone()));
        let keeper = tokio::spawn(keep(shared.0, RETENTION, shared.1, telemetry.clone(), cancel.clone()));
        let left = async || catalog.audit_log(&tenant, 0).await.expect("listed").len();
        let mut seen = vec![left().await];
        // The first look is after an hour; the next steps follow at once.
        for pause in [INTERVAL, PAUSE, PAUSE] {
            tokio::task::yield_now().await;
            clock.advance(pause);
            tokio::task::yield_now().await;
            seen.push(left().await);
        }
        assert_eq!(seen, [2_501, 1_501, 501, 1]);
        assert!(telemetry.encode().contains("store_catalog_rows_removed_total 2500"), "{}", telemetry.encode());
        cancel.cancel();
        keeper.await.expect("ends");
    }
}
