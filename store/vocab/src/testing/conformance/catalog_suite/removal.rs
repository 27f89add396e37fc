//! Rows whose time is over.

use super::*;
use crate::ports::catalog::Cutoffs;

/// Of everything, one row that is old and over, one that is old and open where there is such a thing, and one that is new.
pub(super) async fn removal(catalog: &dyn Catalog, tenant: &TenantId) {
    const OLD: i64 = 2_000_000_000_000;
    const NEW: i64 = OLD + 100;
    let rows = [entity(EntityKind::Host, "old", "", OLD), entity(EntityKind::Host, "new", "", NEW)];
    catalog.upsert_entities(tenant, &rows).await.expect("stored");
    for time_ms in [OLD, NEW] {
        catalog.record_change(tenant, &change(time_ms, ChangeKind::Scale, "web")).await.expect("recorded");
        catalog.save_report(tenant, &report(time_ms)).await.expect("saved");
        let row = LedgerRow {
            hour_ms: time_ms,
            cluster: "c".into(),
            service: "web".into(),
            team: String::new(),
            replica_ms: 1,
            cost_micros: 1,
        };
        catalog.add_to_ledger(tenant, &[row], None).await.expect("added");
        catalog.audit(tenant, &audit_line(time_ms)).await.expect("noted");
    }
    let alerts = [
        alert("over", OLD - 50, AlertState::Resolved, Some(OLD)),
        alert("active", OLD - 40, AlertState::Firing, None),
        alert("lately over", OLD - 30, AlertState::Resolved, Some(NEW)),
    ];
    catalog.upsert_alerts(tenant, &alerts).await.expect("stored");
    let mut tickets = Vec::new();
    for (key, ended) in [("old", Some(OLD)), ("open", None), ("new", Some(NEW))] {
        let (id, _) = catalog.open_ticket(tenant, &ticket(key, OLD)).await.expect("opened");
        if let Some(time_ms) = ended {
            let entry = entry(time_ms, "gone");
            catalog.update_ticket(tenant, id, Some(TicketState::Resolved), None, &entry).await.expect("resolved");
        }
        tickets.push(id);
    }
    let mut decisions = Vec::new();
    for (state, finished_at_ms) in
        [(DecisionState::Verified, Some(OLD)), (DecisionState::Acted, None), (DecisionState::Failed, Some(NEW))]
    {
        let mut row = decision("web", OLD, 1, 2);
        row.id = catalog.record_decision(tenant, &row, &[7]).await.expect("recorded");
        (row.state, row.finished_at_ms) = (state, finished_at_ms);
        catalog.update_decision(tenant, &row).await.expect("updated");
        decisions.push(row.id);
    }

    // What the other parts of the suite have left is old as well.
    let cutoffs = Cutoffs { records_ms: OLD + 1, entities_ms: OLD + 1 };
    let never = Cutoffs { records_ms: i64::MIN, entities_ms: i64::MIN };
    assert_eq!(catalog.remove_before(never, 9).await.expect("removed"), 0);
    let first = catalog.remove_before(cutoffs, 1).await.expect("removed");
    assert!((1..=8).contains(&first), "one of a kind: {first}");
    while catalog.remove_before(cutoffs, 3).await.expect("removed") > 0 {}

    let seen = catalog.entities(tenant, &EntityFilter::default()).await.expect("listed");
    assert_eq!(seen.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["new"]);
    let changes = catalog.changes(tenant, &ChangeFilter::default()).await.expect("listed");
    assert_eq!(changes.iter().map(|c| c.time_ms).collect::<Vec<_>>(), [NEW]);
    let heads = catalog.reports(tenant, 0).await.expect("listed");
    assert_eq!(heads.iter().map(|h| h.created_at_ms).collect::<Vec<_>>(), [NEW]);
    let hours = catalog.ledger(tenant, i64::MIN, i64::MAX).await.expect("read");
    assert_eq!(hours.iter().map(|l| l.hour_ms).collect::<Vec<_>>(), [NEW]);
    assert_eq!(catalog.audit_log(tenant, 0).await.expect("listed"), [audit_line(NEW)]);
    let rows = catalog.alerts(tenant, &AlertFilter::default()).await.expect("listed");
    assert_eq!(rows.iter().map(|a| a.rule.as_str()).collect::<Vec<_>>(), ["lately over", "active"]);
    let rows = catalog.tickets(tenant, &TicketFilter::default()).await.expect("listed");
    let left: Vec<_> = rows.iter().map(|t| (t.id, t.timeline.len())).collect();
    assert_eq!(left, [(tickets[2], 2), (tickets[1], 1)], "what is open stays");
    let rows = catalog.decisions(tenant, &DecisionFilter::default()).await.expect("listed");
    assert_eq!(rows.iter().map(|d| d.id).collect::<Vec<_>>(), [decisions[2], decisions[1]], "what is unfinished stays");
    assert_eq!(catalog.scaling_state(tenant, "c", "web").await.expect("read"), Some(vec![7]));
}
