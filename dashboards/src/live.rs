//! Live updates: what happens is read from the catalog once a second, for all clients together, and pushed to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::broadcast;
use vocab::ports::catalog::{AlertFilter, ChangeFilter, DecisionFilter};
use vocab::{PortResult, TenantId};

use crate::api::shapes;
use crate::app::App;

/// How often the catalog is read while somebody listens.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Events that a client may fall behind before it misses some.
const EVENTS_BEHIND_MAX: usize = 256;
/// Most clients of all streams together; each costs a connection and a queue.
pub(crate) const STREAMS_MAX: i64 = 200;
/// Most rows of a kind read at once.
const ROWS_MAX: usize = 200;
/// How far back changes and ended alerts are looked for: rows carry the time of what they tell, not of writing.
const LATE_MS: i64 = 120_000;
/// How far back decisions are looked for: theirs is the time they were taken, and they go on for minutes.
const DECISIONS_LATE_MS: i64 = 1_800_000;

/// One event, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct LiveEvent {
    pub(crate) name: &'static str,
    pub(crate) data: Arc<str>,
}

impl LiveEvent {
    fn new(name: &'static str, data: &serde_json::Value) -> Self {
        Self { name, data: data.to_string().into() }
    }

    pub(crate) fn to_sse(&self) -> Event {
        Event::default().event(self.name).data(&*self.data)
    }
}

/// The streams of all tenants that somebody listens to.
#[derive(Debug, Default)]
pub(crate) struct Live {
    hubs: Mutex<BTreeMap<TenantId, broadcast::Sender<LiveEvent>>>,
}

impl Live {
    /// The events of a tenant from now on.
    pub(crate) fn subscribe(&self, tenant: &TenantId) -> broadcast::Receiver<LiveEvent> {
        let mut hubs = self.hubs.lock();
        hubs.entry(tenant.clone()).or_insert_with(|| broadcast::channel(EVENTS_BEHIND_MAX).0).subscribe()
    }

    /// The tenants that somebody listens to; the others are forgotten.
    fn listened(&self) -> Vec<(TenantId, broadcast::Sender<LiveEvent>)> {
        let mut hubs = self.hubs.lock();
        hubs.retain(|_, hub| hub.receiver_count() > 0);
        hubs.iter().map(|(tenant, hub)| (tenant.clone(), hub.clone())).collect()
    }
}

/// What a tenant's clients have been told, so that nothing is told twice.
#[derive(Debug, Default)]
struct Told {
    rows: BTreeSet<String>,
    services: String,
}

/// Reads and pushes until the server stops.
pub(crate) async fn push_forever(app: Arc<App>) {
    let mut told: BTreeMap<TenantId, Told> = BTreeMap::new();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = app.clock.sleep(POLL_INTERVAL) => {}
        }
        let listened = app.live.listened();
        told.retain(|tenant, _| listened.iter().any(|(t, _)| t == tenant));
        for (tenant, hub) in listened {
            let is_new = !told.contains_key(&tenant);
            match news(&app, &tenant, told.entry(tenant.clone()).or_default()).await {
                // What was there before the first client came is not news to it.
                Ok(_) if is_new => {}
                Ok(events) => {
                    for event in events {
                        // Nobody is left: the next round forgets the hub.
                        let _nobody = hub.send(event);
                    }
                }
                Err(error) => tracing::debug!(error = %vocab::error::chain(&error), "cannot read live updates"),
            }
        }
    }
}

async fn news(app: &App, tenant: &TenantId, told: &mut Told) -> PortResult<Vec<LiveEvent>> {
    let catalog = &app.ports.catalog;
    let now_ms = app.clock.now_ms();
    let from_ms = Some(now_ms - LATE_MS);
    let changes = ChangeFilter { from_ms, limit: ROWS_MAX, ..ChangeFilter::default() };
    let decisions =
        DecisionFilter { from_ms: Some(now_ms - DECISIONS_LATE_MS), limit: ROWS_MAX, ..DecisionFilter::default() };
    let alerts = AlertFilter { from_ms, limit: ROWS_MAX, ..AlertFilter::default() };
    let mut rows = Vec::new();
    for change in catalog.changes(tenant, &changes).await?.iter().rev() {
        let data = shapes::change(change);
        rows.push(("change", data.to_string(), data));
    }
    for decision in catalog.decisions(tenant, &decisions).await?.iter().rev() {
        let key = format!("{} {} {}", decision.id, decision.state.as_str(), decision.result);
        rows.push(("decision", key, shapes::json(decision)));
    }
    for alert in catalog.alerts(tenant, &alerts).await?.iter().rev() {
        let key = format!("{} {} {} {}", alert.rule, alert.fingerprint, alert.active_at_ms, alert.state.as_str());
        rows.push(("alert", key, shapes::alert(alert)));
    }
    let mut events = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, key, data) in rows {
        let key = format!("{name} {key}");
        if !told.rows.contains(&key) {
            events.push(LiveEvent::new(name, &data));
        }
        seen.insert(key);
    }
    told.rows = seen;
    let services: Vec<_> =
        app.ports.scaling.services(tenant).await.into_iter().map(|s| (s.service, s.ready, s.wanted, s.mode)).collect();
    let services = format!("{services:?} {:?}", app.ports.scaling.stopped().await);
    if services != told.services {
        told.services = services;
        events.push(LiveEvent::new("services", &json!({"changed": true})));
    }
    Ok(events)
}
