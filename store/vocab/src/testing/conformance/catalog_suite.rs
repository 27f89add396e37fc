//! What every catalog does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::alert::{Alert, AlertState};
use crate::change_event::{ChangeEvent, ChangeKind};
use crate::entity::{Entity, EntityKind};
use crate::error::ErrorKind;
use crate::labels::Labels;
use crate::ports::catalog::{
    AlertFilter, AuditEntry, Catalog, ChangeFilter, DecisionFilter, EntityFilter, LedgerRow, ScalingWrite, TicketFilter,
};
use crate::report::{Report, ReportHead};
use crate::scaling::{Candidate, DecisionState, GuardVerdict, ScalingDecision, ScalingMode, SeenMetric};
use crate::tenant::TenantId;
use crate::testing::SimClock;
use crate::ticket::{Ticket, TicketEntry, TicketState};

mod removal;

/// The suite. `clock` must be the clock that the catalog was made with.
///
/// # Panics
/// When the catalog does not do what the port says.
pub async fn catalog(catalog: &dyn Catalog, clock: &SimClock) {
    let tenant = TenantId::new("suite-a").expect("a valid name");
    let other = TenantId::new("suite-b").expect("a valid name");
    entities(catalog, &tenant, &other).await;
    order_of_names(catalog, &other).await;
    changes(catalog, &tenant, &other).await;
    alerts(catalog, &tenant, &other).await;
    tickets(catalog, &tenant, &other).await;
    decisions(catalog, &tenant, &other).await;
    reports(catalog, &tenant, &other).await;
    documents(catalog, clock).await;
    leases(catalog, clock).await;
    fences(catalog, clock, &tenant).await;
    ledger(catalog, clock, &tenant, &other).await;
    audit(catalog, &tenant, &other).await;
    removal::removal(catalog, &TenantId::new("suite-c").expect("a valid name")).await;
}

fn entity(kind: EntityKind, id: &str, parent: &str, seen: i64) -> Entity {
    let labels = BTreeMap::from([("room".to_owned(), format!("r{seen}"))]);
    Entity {
        kind,
        cluster: "c".into(),
        id: id.into(),
        parent: parent.into(),
        labels,
        first_seen_ms: seen,
        last_seen_ms: seen,
    }
}

async fn entities(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    let first = [
        entity(EntityKind::Host, "h2", "", 10),
        entity(EntityKind::Host, "h1", "", 10),
        entity(EntityKind::Container, "x", "h1", 10),
    ];
    catalog.upsert_entities(tenant, &first).await.expect("inserted");
    catalog.upsert_entities(tenant, &[entity(EntityKind::Host, "h1", "", 20)]).await.expect("refreshed");
    catalog.upsert_entities(tenant, &[entity(EntityKind::Host, "h2", "", 5)]).await.expect("refreshed late");
    let ids = async |filter: EntityFilter| {
        let rows = catalog.entities(tenant, &filter).await.expect("listed");
        rows.into_iter().map(|e| (e.id, e.first_seen_ms, e.last_seen_ms)).collect::<Vec<_>>()
    };
    let hosts = EntityFilter { kind: Some(EntityKind::Host), ..EntityFilter::default() };
    let h1 = ("h1".to_owned(), 10, 20);
    assert_eq!(
        ids(hosts.clone()).await,
        [h1.clone(), ("h2".to_owned(), 10, 10)],
        "first seen stays, last seen only grows"
    );
    assert_eq!(ids(EntityFilter { limit: 1, ..hosts.clone() }).await, std::slice::from_ref(&h1));
    assert_eq!(ids(EntityFilter { seen_since_ms: Some(20), ..hosts.clone() }).await, std::slice::from_ref(&h1));
    assert_eq!(ids(EntityFilter { id: Some("h1".into()), cluster: Some("c".into()), ..hosts }).await, [h1]);
    let children = EntityFilter { parent: Some("h1".into()), ..EntityFilter::default() };
    assert_eq!(ids(children).await, [("x".to_owned(), 10, 10)]);
    let row = catalog.entities(tenant, &EntityFilter { id: Some("h1".into()), ..EntityFilter::default() }).await;
    assert_eq!(row.expect("listed")[0].labels["room"], "r20", "labels are replaced");
    assert!(catalog.entities(other, &EntityFilter::default()).await.expect("listed").is_empty(), "tenants are apart");
}

/// Names are in the order of their bytes, whatever language the database was made for.
async fn order_of_names(catalog: &dyn Catalog, tenant: &TenantId) {
    let names = ["a-1", "ä", "Z", "a1", "_", "A"];
    let rows = names.map(|name| Entity { cluster: "order".into(), ..entity(EntityKind::Host, name, "", 1) });
    catalog.upsert_entities(tenant, &rows).await.expect("inserted");
    for name in names {
        catalog.put_document("order", name, &json!(1), None).await.expect("written");
    }
    let filter = EntityFilter { cluster: Some("order".into()), ..EntityFilter::default() };
    let hosts: Vec<_> = catalog.entities(tenant, &filter).await.expect("listed").into_iter().map(|e| e.id).collect();
    let keys: Vec<_> = catalog.documents("order").await.expect("listed").into_iter().map(|d| d.key).collect();
    let sorted = ["A", "Z", "_", "a-1", "a1", "ä"];
    assert_eq!((&hosts[..], &keys[..]), (&sorted.map(str::to_owned)[..], &sorted.map(str::to_owned)[..]));
}

fn change(time_ms: i64, kind: ChangeKind, service: &str) -> ChangeEvent {
    ChangeEvent {
        time_ms,
        kind,
        cluster: "c".into(),
        service: service.into(),
        subject: "s".into(),
        actor: "suite".into(),
        summary: "über 3 → 5".into(),
        details: BTreeMap::from([("from".into(), "3".into())]),
    }
}

async fn changes(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    for (time_ms, kind, service) in
        [(20, ChangeKind::Scale, "web"), (10, ChangeKind::Deploy, "web"), (30, ChangeKind::OomKill, "it's \"db\"")]
    {
        catalog.record_change(tenant, &change(time_ms, kind, service)).await.expect("recorded");
    }
    let times = async |filter: ChangeFilter| {
        let rows = catalog.changes(tenant, &filter).await.expect("listed");
        rows.into_iter().map(|c| c.time_ms).collect::<Vec<_>>()
    };
    let all = ChangeFilter::default();
    assert_eq!(times(all.clone()).await, [30, 20, 10]);
    assert_eq!(times(ChangeFilter { limit: 2, ..all.clone() }).await, [30, 20]);
    assert_eq!(times(ChangeFilter { service: Some("web".into()), ..all.clone() }).await, [20, 10]);
    assert_eq!(times(ChangeFilter { kind: Some(ChangeKind::OomKill), ..all.clone() }).await, [30]);
    assert_eq!(times(ChangeFilter { from_ms: Some(10), to_ms: Some(20), ..all.clone() }).await, [20, 10]);
    let rows = catalog.changes(tenant, &ChangeFilter { limit: 1, ..all.clone() }).await.expect("listed");
    assert_eq!((rows[0].summary.as_str(), rows[0].service.as_str()), ("über 3 → 5", "it's \"db\""));
    assert_eq!(rows[0].details["from"], "3");
    assert!(catalog.changes(other, &all).await.expect("listed").is_empty(), "tenants are apart");
}

fn alert(rule: &str, active_at_ms: i64, state: AlertState, resolved_at_ms: Option<i64>) -> Alert {
    Alert {
        group: "g".into(),
        rule: rule.into(),
        fingerprint: "00000000000000aa".into(),
        labels: Labels::from_pairs([("alertname", rule), ("host", "h")]),
        annotations: Labels::from_pairs([("summary", "hot")]),
        state,
        value: 2.5,
        expression: "up == 0".into(),
        active_at_ms,
        fired_at_ms: Some(active_at_ms + 5),
        resolved_at_ms,
        updated_at_ms: active_at_ms + 6,
        ticket_id: None,
    }
}

async fn alerts(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    let mut hot = alert("Hot", 100, AlertState::Pending, None);
    let cold = alert("Cold", 50, AlertState::Resolved, Some(80));
    catalog.upsert_alerts(tenant, &[hot.clone(), cold.clone()]).await.expect("inserted");
    hot.state = AlertState::Firing;
    hot.value = f64::NAN;
    hot.ticket_id = Some(7);
    catalog.upsert_alerts(tenant, &[hot.clone()]).await.expect("updated");
    hot.ticket_id = None;
    hot.value = f64::INFINITY;
    catalog.upsert_alerts(tenant, &[hot.clone()]).await.expect("updated");
    let rules = async |filter: AlertFilter| {
        let rows = catalog.alerts(tenant, &filter).await.expect("listed");
        rows.into_iter().map(|a| a.rule).collect::<Vec<_>>()
    };
    let all = AlertFilter::default();
    assert_eq!(rules(all.clone()).await, ["Hot", "Cold"]);
    assert_eq!(rules(AlertFilter { limit: 1, ..all.clone() }).await, ["Hot"]);
    assert_eq!(rules(AlertFilter { rule: Some("Cold".into()), ..all.clone() }).await, ["Cold"]);
    let live = vec![AlertState::Firing, AlertState::Pending];
    assert_eq!(rules(AlertFilter { states: live, ..all.clone() }).await, ["Hot"]);
    assert_eq!(rules(AlertFilter { from_ms: Some(81), ..all.clone() }).await, ["Hot"], "resolved before the range");
    assert_eq!(rules(AlertFilter { from_ms: Some(80), ..all.clone() }).await, ["Hot", "Cold"]);
    assert_eq!(rules(AlertFilter { to_ms: Some(99), ..all.clone() }).await, ["Cold"], "active after the range");
    let rows = catalog.alerts(tenant, &all).await.expect("listed");
    assert_eq!((rows[0].ticket_id, rows[0].value), (Some(7), f64::INFINITY), "an update does not forget the ticket");
    assert_eq!(rows[0].labels, hot.labels);
    assert_eq!(rows[1], cold);
    assert!(catalog.alerts(other, &all).await.expect("listed").is_empty(), "tenants are apart");
}

fn ticket(dedup_key: &str, opened_at_ms: i64) -> Ticket {
    Ticket {
        id: 0,
        dedup_key: dedup_key.into(),
        title: "web is slow".into(),
        severity: "critical".into(),
        service: "web".into(),
        state: TicketState::Open,
        owner: String::new(),
        opened_at_ms,
        updated_at_ms: opened_at_ms,
        resolved_at_ms: None,
        timeline: vec![entry(opened_at_ms, "opened")],
        evidence: vec!["up == 0".into()],
    }
}

fn entry(time_ms: i64, text: &str) -> TicketEntry {
    TicketEntry { time_ms, actor: "suite".into(), text: text.into() }
}

async fn tickets(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    let (first, created) = catalog.open_ticket(tenant, &ticket("k", 100)).await.expect("opened");
    assert!(created && first > 0);
    assert_eq!(catalog.open_ticket(tenant, &ticket("k", 110)).await.expect("joined"), (first, false));
    let (elsewhere, created) = catalog.open_ticket(other, &ticket("k", 100)).await.expect("opened");
    assert!(created && elsewhere != first, "tenants are apart");
    let (acknowledged, resolved, closed) = (TicketState::Acknowledged, TicketState::Resolved, TicketState::Closed);
    catalog.update_ticket(tenant, first, Some(acknowledged), Some("ann"), &entry(120, "mine")).await.expect("taken");
    assert_eq!(catalog.open_ticket(tenant, &ticket("k", 125)).await.expect("joined"), (first, false));
    catalog.update_ticket(tenant, first, Some(resolved), None, &entry(130, "gone")).await.expect("resolved");
    let row = catalog.ticket(tenant, first).await.expect("found");
    assert_eq!((row.state, row.owner.as_str(), row.updated_at_ms), (resolved, "ann", 130));
    assert_eq!(row.resolved_at_ms, Some(130));
    assert_eq!(row.evidence, ["up == 0"]);
    let texts: Vec<_> = row.timeline.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(texts, ["opened", "mine", "gone"], "oldest first");
    let (second, created) = catalog.open_ticket(tenant, &ticket("k", 140)).await.expect("opened again");
    assert!(created && second > first, "a resolved ticket is not joined");
    let error = catalog.update_ticket(tenant, first, Some(TicketState::Open), None, &entry(141, "again")).await;
    assert_eq!(error.expect_err("two open tickets of one key").kind(), ErrorKind::Conflict);
    assert_eq!(
        catalog.ticket(tenant, first).await.expect("found").timeline.len(),
        3,
        "a refused change leaves nothing"
    );
    catalog.update_ticket(tenant, second, Some(closed), None, &entry(150, "done")).await.expect("closed");
    catalog.update_ticket(tenant, first, Some(TicketState::Open), None, &entry(160, "again")).await.expect("reopened");
    assert_eq!(catalog.ticket(tenant, first).await.expect("found").resolved_at_ms, None);
    let (plain, created) = catalog.open_ticket(tenant, &ticket("", 170)).await.expect("opened");
    let (plain2, created2) = catalog.open_ticket(tenant, &ticket("", 170)).await.expect("opened");
    assert!(created && created2 && plain2 > plain, "tickets without a key never join");

    let ids = async |filter: TicketFilter| {
        let rows = catalog.tickets(tenant, &filter).await.expect("listed");
        rows.into_iter().map(|t| t.id).collect::<Vec<_>>()
    };
    let all = TicketFilter::default();
    assert_eq!(ids(all.clone()).await, [plain2, plain, second, first]);
    assert_eq!(ids(TicketFilter { limit: 1, ..all.clone() }).await, [plain2]);
    assert_eq!(ids(TicketFilter { states: vec![closed], ..all.clone() }).await, [second]);
    assert_eq!(ids(TicketFilter { dedup_key: Some("k".into()), ..all.clone() }).await, [second, first]);
    assert_eq!(ids(TicketFilter { from_ms: Some(155), to_ms: Some(165), ..all.clone() }).await, [first]);
    let row = catalog.tickets(tenant, &TicketFilter { dedup_key: Some("k".into()), ..all }).await.expect("listed");
    assert_eq!(row[1].timeline.len(), 4, "lists carry the timelines");
    let missing = catalog.update_ticket(other, first, None, None, &entry(1, "x")).await.expect_err("another tenant's");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(catalog.ticket(other, first).await.expect_err("another tenant's").kind(), ErrorKind::NotFound);
}

fn decision(service: &str, time_ms: i64, from: u32, to: u32) -> ScalingDecision {
    ScalingDecision {
        id: 0,
        time_ms,
        cluster: "c".into(),
        service: service.into(),
        policy: "p".into(),
        orchestrator: "process".into(),
        from,
        to,
        ready: from,
        mode: ScalingMode::Act,
        reason: "412 RPS / 100 per replica".into(),
        seen: vec![SeenMetric {
            name: "rps".into(),
            value: Some(412.0),
            age_ms: None,
            query: "q".into(),
            note: String::new(),
        }],
        candidates: vec![Candidate { name: "rps".into(), replicas: Some(to), reason: "r".into() }],
        guards: vec![GuardVerdict { guard: "bounds".into(), before: from, after: to, reason: "in bounds".into() }],
        state: DecisionState::Recorded,
        result: String::new(),
        acted_at_ms: None,
        finished_at_ms: None,
    }
}

async fn decisions(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    assert_eq!(catalog.scaling_state(tenant, "c", "web").await.expect("read"), None);
    let mut grow = decision("web", 100, 3, 5);
    grow.id = catalog.record_decision(tenant, &grow, &[0, 255, 1]).await.expect("recorded");
    let hold = catalog.record_decision(tenant, &decision("web", 110, 5, 5), &[2]).await.expect("recorded");
    let db = catalog.record_decision(tenant, &decision("db", 105, 1, 2), &[]).await.expect("recorded");
    assert_eq!(catalog.scaling_state(tenant, "c", "web").await.expect("read"), Some(vec![2]));
    assert_eq!(catalog.scaling_state(tenant, "c", "db").await.expect("read"), Some(vec![]));
    assert_eq!(catalog.scaling_state(other, "c", "web").await.expect("read"), None, "tenants are apart");
    catalog.save_scaling_state(tenant, "c", "web", &[0, 255]).await.expect("saved");
    assert_eq!(catalog.scaling_state(tenant, "c", "web").await.expect("read"), Some(vec![0, 255]));
    grow.state = DecisionState::Verified;
    grow.result = "ready after 8 s".into();
    grow.acted_at_ms = Some(101);
    grow.finished_at_ms = Some(109);
    catalog.update_decision(tenant, &grow).await.expect("updated");
    let ids = async |filter: DecisionFilter| {
        let rows = catalog.decisions(tenant, &filter).await.expect("listed");
        rows.into_iter().map(|d| d.id).collect::<Vec<_>>()
    };
    let all = DecisionFilter::default();
    assert_eq!(ids(all.clone()).await, [hold, db, grow.id]);
    assert_eq!(ids(DecisionFilter { limit: 2, ..all.clone() }).await, [hold, db]);
    assert_eq!(ids(DecisionFilter { service: Some("web".into()), ..all.clone() }).await, [hold, grow.id]);
    assert_eq!(ids(DecisionFilter { changes_only: true, ..all.clone() }).await, [db, grow.id]);
    assert_eq!(ids(DecisionFilter { states: vec![DecisionState::Verified], ..all.clone() }).await, [grow.id]);
    assert_eq!(ids(DecisionFilter { from_ms: Some(101), to_ms: Some(109), ..all.clone() }).await, [db]);
    let rows = catalog.decisions(tenant, &all).await.expect("listed");
    assert_eq!(rows[2], grow, "everything comes back as it was written");
    let missing = catalog.update_decision(other, &grow).await.expect_err("another tenant's");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

fn report(created_at_ms: i64) -> Report {
    Report {
        head: ReportHead {
            id: 0,
            title: "巡检报告".into(),
            subject: "inspection".into(),
            language: "zh".into(),
            from_ms: 1,
            to_ms: 2,
            created_at_ms,
            summary: "fine".into(),
        },
        html: "<p>fine</p>".into(),
        markdown: "fine".into(),
    }
}

async fn reports(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    let mut report = report(3);
    let first = catalog.save_report(tenant, &report).await.expect("saved");
    report.head.created_at_ms = 4;
    let second = catalog.save_report(tenant, &report).await.expect("saved");
    report.head.id = second;
    assert_eq!(catalog.report(tenant, second).await.expect("found"), report);
    let heads = catalog.reports(tenant, 0).await.expect("listed");
    assert_eq!(heads.iter().map(|h| h.id).collect::<Vec<_>>(), [second, first]);
    assert_eq!(catalog.reports(tenant, 1).await.expect("listed"), [report.head]);
    assert_eq!(catalog.report(other, second).await.expect_err("another tenant's").kind(), ErrorKind::NotFound);
}

async fn documents(catalog: &dyn Catalog, clock: &SimClock) {
    clock.advance(Duration::from_millis(5));
    let value = json!({"offset": 12, "text": "ü"});
    assert_eq!(catalog.document("suite", "b").await.expect("read"), None);
    assert_eq!(catalog.put_document("suite", "b", &value, None).await.expect("written"), 1);
    assert_eq!(catalog.put_document("suite", "b", &json!(2), Some(1)).await.expect("written"), 2);
    let stale = catalog.put_document("suite", "b", &json!(3), Some(1)).await.expect_err("a stale version");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    let exists = catalog.put_document("suite", "b", &json!(3), Some(0)).await.expect_err("it exists");
    assert_eq!(exists.kind(), ErrorKind::Conflict);
    assert_eq!(catalog.put_document("suite", "b", &value, None).await.expect("written"), 3);
    assert_eq!(catalog.put_document("suite", "a", &json!(null), Some(0)).await.expect("written"), 1);
    assert_eq!(catalog.put_document("suite2", "a", &json!(1), None).await.expect("written"), 1);
    let all = catalog.documents("suite").await.expect("listed");
    let heads: Vec<_> = all.iter().map(|d| (d.key.as_str(), d.version)).collect();
    assert_eq!(heads, [("a", 1), ("b", 3)]);
    assert_eq!(all[1].value, value);
    assert_eq!(all[1].updated_at_ms, crate::time::Clock::now_ms(clock));
    catalog.delete_document("suite", "b").await.expect("removed");
    catalog.delete_document("suite", "b").await.expect("removing none is fine");
    assert_eq!(catalog.document("suite", "b").await.expect("read"), None);
}

async fn leases(catalog: &dyn Catalog, clock: &SimClock) {
    let ttl = Duration::from_secs(10);
    let take = async |holder: &str| catalog.acquire_lease("suite", holder, ttl).await.expect("asked").map(|l| l.token);
    let first = take("a").await.expect("free");
    assert_eq!(take("a").await, Some(first), "renewed");
    assert_eq!(take("b").await, None, "held");
    clock.advance(ttl);
    let second = take("b").await.expect("expired");
    assert!(second > first, "a new holder has a new token");
    catalog.release_lease("suite", "a").await.expect("giving back what is not held is fine");
    assert_eq!(take("a").await, None, "still held by b");
    catalog.release_lease("suite", "b").await.expect("given back");
    assert!(take("a").await.expect("free") > second);
}

async fn fences(catalog: &dyn Catalog, clock: &SimClock, tenant: &TenantId) {
    let ttl = Duration::from_secs(10);
    let take =
        async |holder: &str| catalog.acquire_lease("fence", holder, ttl).await.expect("asked").expect("free").fence();
    let state_of = async || catalog.scaling_state(tenant, "c", "fenced").await.expect("read");
    let old = take("a").await;
    let mut grow = decision("fenced", 500, 1, 2);
    let record = ScalingWrite::Record { decision: &grow, state: &[1] };
    grow.id = catalog.write_scaling(tenant, record, Some(&old)).await.expect("the leader writes");
    clock.advance(ttl);
    let new = take("b").await;
    grow.state = DecisionState::Acted;
    let writes = [
        ScalingWrite::Record { decision: &grow, state: &[2] },
        ScalingWrite::Update { decision: &grow, state: Some(&[2]) },
        ScalingWrite::State { cluster: "c", service: "fenced", state: &[2] },
    ];
    for write in writes {
        let error = catalog.write_scaling(tenant, write, Some(&old)).await.expect_err("fenced off");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{write:?}");
    }
    let of_service = DecisionFilter { service: Some("fenced".into()), ..DecisionFilter::default() };
    let rows = catalog.decisions(tenant, &of_service).await.expect("listed");
    assert_eq!((rows.len(), rows[0].state, state_of().await), (1, DecisionState::Recorded, Some(vec![1])));
    let update = ScalingWrite::Update { decision: &grow, state: Some(&[3]) };
    assert_eq!(catalog.write_scaling(tenant, update, Some(&new)).await.expect("the new leader"), grow.id);
    let rows = catalog.decisions(tenant, &of_service).await.expect("listed");
    assert_eq!((rows[0].state, state_of().await), (DecisionState::Acted, Some(vec![3])));
    let alone = ScalingWrite::State { cluster: "c", service: "fenced", state: &[4] };
    assert_eq!(catalog.write_scaling(tenant, alone, Some(&new)).await.expect("saved"), 0);
    let lost = ScalingDecision { id: 999_999, ..grow.clone() };
    let update = ScalingWrite::Update { decision: &lost, state: Some(&[5]) };
    let error = catalog.write_scaling(tenant, update, Some(&new)).await.expect_err("no such decision");
    assert_eq!((error.kind(), state_of().await), (ErrorKind::NotFound, Some(vec![4])), "nothing of it is written");
    catalog.release_lease("fence", "b").await.expect("given back");
    let error = catalog.write_scaling(tenant, alone, Some(&new)).await.expect_err("given back");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn ledger(catalog: &dyn Catalog, clock: &SimClock, tenant: &TenantId, other: &TenantId) {
    let row = |hour_ms, service: &str, replica_ms| LedgerRow {
        hour_ms,
        cluster: "c".into(),
        service: service.into(),
        team: "shop".into(),
        replica_ms,
        cost_micros: replica_ms * 2,
    };
    let lease = catalog.acquire_lease("ledger", "a", Duration::from_secs(10)).await.expect("asked").expect("free");
    let fence = lease.fence();
    let rows = [row(3_600_000, "web", 100), row(0, "web", 7), row(0, "db", 5)];
    catalog.add_to_ledger(tenant, &rows, Some(&fence)).await.expect("added");
    catalog.add_to_ledger(tenant, &[row(0, "web", 3)], None).await.expect("added");
    catalog.release_lease("ledger", "a").await.expect("given back");
    clock.advance(Duration::from_millis(1));
    let error = catalog.add_to_ledger(tenant, &[row(0, "web", 50)], Some(&fence)).await.expect_err("fenced off");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let all = catalog.ledger(tenant, 0, i64::MAX).await.expect("read");
    assert_eq!(all, [row(0, "db", 5), row(0, "web", 10), row(3_600_000, "web", 100)], "sums, in order");
    assert_eq!(catalog.ledger(tenant, 1, 3_600_000).await.expect("read"), [], "the end does not count");
    assert!(catalog.ledger(other, 0, i64::MAX).await.expect("read").is_empty(), "tenants are apart");
}

fn audit_line(time_ms: i64) -> AuditEntry {
    AuditEntry {
        time_ms,
        actor: "ann".into(),
        action: "scaling.stop".into(),
        subject: "all".into(),
        details: "drill".into(),
    }
}

async fn audit(catalog: &dyn Catalog, tenant: &TenantId, other: &TenantId) {
    let line = audit_line;
    catalog.audit(tenant, &line(1)).await.expect("noted");
    catalog.audit(tenant, &line(2)).await.expect("noted");
    assert_eq!(catalog.audit_log(tenant, 0).await.expect("listed"), [line(2), line(1)]);
    assert_eq!(catalog.audit_log(tenant, 1).await.expect("listed"), [line(2)]);
    assert!(catalog.audit_log(other, 0).await.expect("listed").is_empty(), "tenants are apart");
}
