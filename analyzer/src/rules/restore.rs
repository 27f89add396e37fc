//! Alerts as they were before a restart.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use vocab::ports::catalog::AlertFilter;
use vocab::ports::query::SelectHints;
use vocab::ports::{Catalog, Querier, SelectRequest};
use vocab::{Alert, AlertState, Ctx, Labels, Matcher, PortResult, TimestampMs, is_stale_nan};

use super::alerting::{ALERTS_FOR_STATE, Active, AlertTable, RuleFacts};

/// State older than this is not taken up again: what was true an hour ago says little about now.
pub const OUTAGE_TOLERANCE: Duration = Duration::from_secs(3600);
/// An alert that was pending must hold at least this long after a restart before it fires, so that a start-up with
/// missing data does not fire it. Rules with a shorter `for` begin anew.
const GRACE: Duration = Duration::from_secs(600);
/// Most rows read per rule: more alerts than this of one rule are beyond what anyone looks at.
const ROWS_MAX: usize = 10_000;

/// Fills a rule's table with the alerts that were pending or firing when the program last ran: from the catalog's rows,
/// and where the catalog has none, from the series `ALERTS_FOR_STATE`.
///
/// # Errors
/// The catalog's or the store's; the table stays as it was.
pub async fn restore(
    table: &mut AlertTable,
    facts: &RuleFacts<'_>,
    catalog: &dyn Catalog,
    querier: &dyn Querier,
    ctx: &Ctx,
    now_ms: TimestampMs,
) -> PortResult<()> {
    let &RuleFacts { group, rule, hold, .. } = facts;
    let filter = AlertFilter {
        states: vec![AlertState::Pending, AlertState::Firing],
        rule: Some(rule.to_owned()),
        limit: ROWS_MAX,
        ..AlertFilter::default()
    };
    let rows = catalog.alerts(&ctx.tenant, &filter).await?;
    for row in rows.into_iter().filter(|row| row.group == group) {
        let key = row.labels.stable_hash();
        let Some(alert) = taken_up(row, hold, now_ms) else { continue };
        table.active.entry(key).or_insert(Active { alert, kept_since_ms: None, written_at_ms: now_ms });
    }
    if table.active.is_empty() && hold >= GRACE {
        for (labels, active_at_ms, seen_ms) in states(rule, querier, ctx, now_ms).await? {
            let alert = Alert {
                group: group.to_owned(),
                rule: rule.to_owned(),
                fingerprint: format!("{:016x}", labels.stable_hash()),
                annotations: Labels::empty(),
                state: AlertState::Pending,
                value: f64::NAN,
                expression: facts.expression.to_owned(),
                active_at_ms,
                fired_at_ms: None,
                resolved_at_ms: None,
                updated_at_ms: seen_ms,
                ticket_id: None,
                labels,
            };
            let key = alert.labels.stable_hash();
            if let Some(alert) = taken_up(alert, hold, now_ms) {
                table.active.insert(key, Active { alert, kept_since_ms: None, written_at_ms: TimestampMs::MIN });
            }
        }
    }
    Ok(())
}

/// The alert with the time that the program was away taken into account; `None` when it begins anew.
fn taken_up(mut alert: Alert, hold: Duration, now_ms: TimestampMs) -> Option<Alert> {
    // A firing alert is always taken up, however long ago: its ticket is open and must be resolved if it is over.
    if alert.state == AlertState::Firing {
        return Some(alert);
    }
    let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let away = now_ms - alert.updated_at_ms;
    if hold < GRACE || away > ms(OUTAGE_TOLERANCE) {
        return None;
    }
    let remaining = ms(hold) - (alert.updated_at_ms - alert.active_at_ms);
    if remaining > 0 {
        alert.active_at_ms =
            if remaining < ms(GRACE) { now_ms + ms(GRACE) - ms(hold) } else { alert.active_at_ms + away };
    }
    Some(alert)
}

/// Labels, time of becoming active, and time of the last sample, of the rule's `ALERTS_FOR_STATE` series.
async fn states(
    rule: &str,
    querier: &dyn Querier,
    ctx: &Ctx,
    now_ms: TimestampMs,
) -> PortResult<Vec<(Labels, TimestampMs, TimestampMs)>> {
    let request = SelectRequest {
        matchers: vec![Matcher::equal("__name__", ALERTS_FOR_STATE), Matcher::equal("alertname", rule)],
        start_ms: now_ms - i64::try_from(OUTAGE_TOLERANCE.as_millis()).unwrap_or(i64::MAX),
        end_ms: now_ms,
        hints: SelectHints::default(),
    };
    let mut stream = querier.select(ctx, request).await?;
    let mut newest: HashMap<Labels, (TimestampMs, TimestampMs)> = HashMap::new();
    while let Some(batch) = stream.next().await {
        for series in batch? {
            if let (Some(&time), Some(&value)) = (series.timestamps.last(), series.values.last())
                && !is_stale_nan(value)
                && value.is_finite()
            {
                #[allow(clippy::cast_possible_truncation, reason = "seconds since the epoch; saturates when absurd")]
                let active_at = (value as i64).saturating_mul(1000);
                newest.insert(series.labels.without_name(), (active_at, time));
            }
        }
    }
    Ok(newest.into_iter().map(|(labels, (active, seen))| (labels, active, seen)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Room, START_MS};

    const HOUR: i64 = 3_600_000;

    fn facts(hold: Duration) -> RuleFacts<'static> {
        RuleFacts { group: "g", rule: "A", expression: "x", hold, keep_firing_for: Duration::ZERO }
    }

    async fn restored(room: &Room, hold: Duration, now_ms: i64) -> Vec<(AlertState, i64)> {
        let mut table = AlertTable::default();
        let ctx = Ctx::unlimited();
        restore(&mut table, &facts(hold), &*room.catalog, &room.store, &ctx, now_ms).await.expect("in memory");
        table.alerts().into_iter().map(|a| (a.state, a.active_at_ms - START_MS)).collect()
    }

    fn row(state: AlertState, seen_ms: i64) -> Alert {
        Alert {
            group: "g".into(),
            rule: "A".into(),
            fingerprint: "1".into(),
            labels: Labels::from_pairs([("alertname", "A")]),
            annotations: Labels::empty(),
            state,
            value: 1.0,
            expression: "x".into(),
            active_at_ms: START_MS,
            fired_at_ms: None,
            resolved_at_ms: None,
            updated_at_ms: seen_ms,
            ticket_id: Some(7),
        }
    }

    #[tokio::test]
    async fn what_fired_still_fires_and_what_was_pending_gets_its_time() {
        let cases: [(AlertState, i64, u64, i64, Option<i64>); 6] = [
            // state, away, hold in minutes, last seen after the start, becoming active after the start
            (AlertState::Firing, 5 * HOUR, 1, HOUR, Some(0)),
            (AlertState::Pending, 60_000, 1, 30_000, None),
            (AlertState::Pending, 2 * HOUR, 30, 60_000, None),
            // 29 of 30 minutes remain: the time away does not count.
            (AlertState::Pending, 120_000, 30, 60_000, Some(120_000)),
            // 1 of 30 minutes remains: ten more are given.
            (AlertState::Pending, 120_000, 30, 29 * 60_000, Some(31 * 60_000 + 600_000 - 30 * 60_000)),
            (AlertState::Resolved, 1000, 30, 1000, None),
        ];
        for (state, away, hold, seen, expect) in cases {
            let room = Room::new();
            let row = row(state, START_MS + seen);
            room.catalog.upsert_alerts(&vocab::TenantId::default(), &[row]).await.expect("in memory");
            let got = restored(&room, Duration::from_secs(hold * 60), START_MS + seen + away).await;
            assert_eq!(got.first().map(|g| g.1), expect, "{state:?} away {away} hold {hold}");
        }
    }

    #[tokio::test]
    async fn the_series_stands_in_for_a_lost_catalog() {
        let room = Room::new();
        let since = START_MS / 1000;
        let labels = [("__name__", ALERTS_FOR_STATE), ("alertname", "A"), ("pod", "x")];
        room.store.put(&labels, START_MS + 60_000, since as f64);
        let got = restored(&room, Duration::from_secs(1800), START_MS + 120_000).await;
        assert_eq!(got, [(AlertState::Pending, 60_000)]);
        assert_eq!(restored(&room, Duration::from_secs(60), START_MS + 120_000).await, []);
        room.store.put(&labels, START_MS + 61_000, vocab::STALE_NAN);
        assert_eq!(restored(&room, Duration::from_secs(1800), START_MS + 120_000).await, []);
    }
}
