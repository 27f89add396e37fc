//! The pattern stage: stands in front of the store's log port, stamps each record with its pattern's id, and notes patterns
//! never seen before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::ports::LogAppender;
use vocab::ports::logs::{LogAppendOutcome, LogBatch};
use vocab::ports::views::PatternInfo;
use vocab::{Ctx, ErrorKind, PortError, PortResult, TenantId, TimestampMs};

use super::miner::{Miner, MinerLimits, MinerState, Pattern};
use crate::deps::Shared;

/// Where the state is kept in the catalog, one document per tenant.
const NAMESPACE: &str = "analyzer.log_patterns";
/// Most tenants whose patterns are mined; records of further tenants pass without a pattern.
const TENANTS_MAX: usize = 256;
/// A service that is seen for the first time is learnt for so long before its new patterns are news.
const LEARNING: Duration = Duration::from_secs(60);
/// Most change events per tenant and minute: a new release may bring hundreds of new lines at once.
const EVENTS_PER_MINUTE_MAX: u32 = 20;
/// Most services whose beginning is remembered.
const SERVICES_MAX: usize = 10_000;
/// Most services whose lines are counted apart, each a series; lines of further ones are in the total only.
const SERVICES_COUNTED_MAX: usize = 2_000;
/// Batches up to this size are mined on the spot: about a quarter of a millisecond.
const INLINE_RECORDS_MAX: usize = 64;
/// Most patterns a view lists.
const LISTED_MAX: usize = 10_000;

/// A tenant's patterns, once they are read.
type TenantCell = Arc<OnceCell<Arc<Mutex<TenantPatterns>>>>;

/// The patterns of all tenants.
#[derive(Debug)]
pub(crate) struct PatternStore {
    shared: Arc<Shared>,
    limits: MinerLimits,
    tenants: Mutex<HashMap<TenantId, TenantCell>>,
    /// Services whose lines are counted apart.
    counted: Mutex<HashSet<String>>,
}

/// One tenant's miner and what limits its news.
#[derive(Debug)]
struct TenantPatterns {
    miner: Miner,
    services: HashMap<String, TimestampMs>,
    window_start_ms: TimestampMs,
    events_in_window: u32,
    observed_since_save: u64,
    evicted_before: u64,
}

impl PatternStore {
    pub(crate) fn new(shared: Arc<Shared>, limits: MinerLimits) -> Self {
        Self { shared, limits, tenants: Mutex::default(), counted: Mutex::default() }
    }

    /// The tenant's patterns, read from the catalog at first use; `None` when there are too many tenants.
    async fn tenant(&self, tenant: &TenantId) -> Option<Arc<Mutex<TenantPatterns>>> {
        let cell = {
            let mut tenants = self.tenants.lock();
            if !tenants.contains_key(tenant) && tenants.len() >= TENANTS_MAX {
                return None;
            }
            Arc::clone(tenants.entry(tenant.clone()).or_default())
        };
        Some(Arc::clone(cell.get_or_init(|| self.load(tenant)).await))
    }

    async fn load(&self, tenant: &TenantId) -> Arc<Mutex<TenantPatterns>> {
        let stored = match self.shared.catalog.document(NAMESPACE, tenant.as_str()).await {
            Ok(document) => document,
            Err(error) => {
                tracing::warn!(%tenant, error = %vocab::error::chain(&error), "log patterns of before the restart are not known");
                None
            }
        };
        let state: MinerState = stored.and_then(|d| serde_json::from_value(d.value).ok()).unwrap_or_default();
        let miner = Miner::restore(self.limits, state);
        // Services with known patterns have been learnt already.
        let services = miner.patterns().iter().map(|p| (p.service.clone(), TimestampMs::MIN)).collect();
        Arc::new(Mutex::new(TenantPatterns {
            evicted_before: miner.evicted(),
            miner,
            services,
            window_start_ms: TimestampMs::MIN,
            events_in_window: 0,
            observed_since_save: 0,
        }))
    }

    /// Writes the state of tenants that changed.
    pub(crate) async fn save(&self) -> Result<String, String> {
        let cells: Vec<_> =
            self.tenants.lock().iter().filter_map(|(t, c)| Some((t.clone(), Arc::clone(c.get()?)))).collect();
        let mut saved = 0;
        let mut patterns = 0;
        for (tenant, cell) in cells {
            let state = {
                let mut own = cell.lock();
                patterns += own.miner.patterns().len();
                if std::mem::take(&mut own.observed_since_save) == 0 {
                    continue;
                }
                own.miner.state()
            };
            let value = serde_json::to_value(&state).map_err(|e| e.to_string())?;
            let put = self.shared.catalog.put_document(NAMESPACE, tenant.as_str(), &value, None).await;
            if let Err(error) = put {
                self.shared.catalog_failed("log patterns", &error);
                cell.lock().observed_since_save += 1;
                return Err(error.to_string());
            }
            saved += 1;
        }
        self.shared.metrics.log_patterns.set(i64::try_from(patterns).unwrap_or(i64::MAX));
        Ok(format!("{patterns} patterns known, {saved} tenants saved"))
    }

    /// The patterns with these ids; all when `ids` is empty.
    pub(crate) async fn list(&self, tenant: &TenantId, ids: &[u64]) -> Vec<PatternInfo> {
        let Some(cell) = self.tenant(tenant).await else { return Vec::new() };
        let own = cell.lock();
        if ids.is_empty() {
            let mut all: Vec<PatternInfo> = own.miner.patterns().iter().map(|p| info(p.id, p)).collect();
            all.sort_by(|a, b| b.count.cmp(&a.count).then(a.id.cmp(&b.id)));
            all.truncate(LISTED_MAX);
            return all;
        }
        // An id that was absorbed is answered under its own number, with the template it stands for today.
        ids.iter().take(LISTED_MAX).filter_map(|&id| own.miner.pattern(id).map(|p| info(id, p))).collect()
    }

    /// Lines of each service in a batch that are to be [counted](Self::count). Own series are those of one tenant, and so are
    /// the lines in them.
    fn to_count(&self, tenant: &TenantId, batch: &LogBatch) -> BTreeMap<String, u64> {
        if *tenant == self.shared.tenant { lines_by_service(batch) } else { BTreeMap::new() }
    }

    /// Counts stored lines by service: what the autoscaler takes as a service's log rate.
    fn count(&self, lines: BTreeMap<String, u64>) {
        let mut counted = self.counted.lock();
        for (service, number) in lines {
            if !counted.contains(&service) {
                if counted.len() >= SERVICES_COUNTED_MAX {
                    continue;
                }
                counted.insert(service.clone());
            }
            self.shared.metrics.service_log_lines.get_or_create(&vec![("service", service)]).inc_by(number);
        }
    }

    async fn note(&self, tenant: &TenantId, events: Vec<ChangeEvent>) {
        for event in events {
            if let Err(error) = self.shared.catalog.record_change(tenant, &event).await {
                self.shared.catalog_failed("change event", &error);
            }
        }
    }
}

fn info(id: u64, pattern: &Pattern) -> PatternInfo {
    PatternInfo {
        id,
        template: pattern.template(),
        service: pattern.service.clone(),
        first_seen_ms: pattern.first_seen_ms,
        last_seen_ms: pattern.last_seen_ms,
        count: pattern.count,
    }
}

impl TenantPatterns {
    /// Stamps the records; gives the news, and how many patterns were new.
    fn stamp(&mut self, batch: &mut LogBatch, now_ms: TimestampMs) -> (Vec<ChangeEvent>, u64) {
        let mut events = Vec::new();
        let mut new = 0;
        for record in &mut batch.records {
            let time_ms = record.time_ns.div_euclid(1_000_000);
            let seen = self.miner.observe(&record.service, &record.body, time_ms);
            record.pattern_id = seen.id;
            if !seen.is_new {
                continue;
            }
            new += 1;
            if self.is_news(&record.service, now_ms)
                && let Some(pattern) = self.miner.pattern(seen.id)
            {
                events.push(event(pattern, record.labels.get("cluster").unwrap_or(""), now_ms));
            }
        }
        self.observed_since_save += batch.records.len() as u64;
        (events, new)
    }

    /// Whether a new pattern of this service is told: not while the service is being learnt, and not too many a minute.
    fn is_news(&mut self, service: &str, now_ms: TimestampMs) -> bool {
        let learning = i64::try_from(LEARNING.as_millis()).unwrap_or(i64::MAX);
        let since = match self.services.get(service) {
            Some(&since) => since,
            None => {
                if self.services.len() < SERVICES_MAX {
                    self.services.insert(service.to_owned(), now_ms);
                }
                now_ms
            }
        };
        if now_ms.saturating_sub(since) < learning {
            return false;
        }
        if now_ms.saturating_sub(self.window_start_ms) >= 60_000 {
            self.window_start_ms = now_ms;
            self.events_in_window = 0;
        }
        self.events_in_window += 1;
        self.events_in_window <= EVENTS_PER_MINUTE_MAX
    }
}

/// Lines of each service that is known.
fn lines_by_service(batch: &LogBatch) -> BTreeMap<String, u64> {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for record in batch.records.iter().filter(|r| !r.service.is_empty()) {
        match lines.get_mut(&record.service) {
            Some(number) => *number += 1,
            None => drop(lines.insert(record.service.clone(), 1)),
        }
    }
    lines
}

fn event(pattern: &Pattern, cluster: &str, now_ms: TimestampMs) -> ChangeEvent {
    let template = pattern.template();
    let short: String = template.chars().take(300).collect();
    ChangeEvent {
        time_ms: now_ms,
        kind: ChangeKind::NewLogPattern,
        cluster: cluster.to_owned(),
        service: pattern.service.clone(),
        subject: format!("{:016x}", pattern.id),
        actor: "log patterns".to_owned(),
        summary: format!("new log pattern: {short}"),
        details: [("pattern_id".to_owned(), pattern.id.to_string()), ("template".to_owned(), template)].into(),
    }
}

/// The stage in front of a log port.
#[derive(Debug)]
pub struct PatternStage {
    patterns: Arc<PatternStore>,
    inner: Arc<dyn LogAppender>,
}

impl PatternStage {
    pub(crate) fn new(patterns: Arc<PatternStore>, inner: Arc<dyn LogAppender>) -> Self {
        Self { patterns, inner }
    }
}

#[async_trait]
impl LogAppender for PatternStage {
    async fn append(&self, ctx: &Ctx, mut batch: LogBatch) -> PortResult<LogAppendOutcome> {
        let Some(own) = self.patterns.tenant(&ctx.tenant).await else {
            return self.inner.append(ctx, batch).await;
        };
        let shared = &self.patterns.shared;
        let now_ms = shared.clock.now_ms();
        let lines = batch.records.len() as u64;
        let mined = Arc::clone(&own);
        let work = move || {
            let news = mined.lock().stamp(&mut batch, now_ms);
            (batch, news)
        };
        let (batch, (events, new)) = if lines <= INLINE_RECORDS_MAX as u64 {
            work()
        } else {
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|e| PortError::with_source(ErrorKind::Internal, "log patterns could not be mined", e))?
        };
        shared.metrics.log_lines.inc_by(lines);
        shared.metrics.log_patterns_new.inc_by(new);
        {
            let mut own = own.lock();
            let evicted = own.miner.evicted();
            shared.metrics.log_patterns_evicted.inc_by(evicted - own.evicted_before);
            own.evicted_before = evicted;
        }
        let by_service = self.patterns.to_count(&ctx.tenant, &batch);
        let outcome = self.inner.append(ctx, batch).await?;
        self.patterns.count(by_service);
        // Told only once the records are stored, so that a reader of the news finds them.
        self.patterns.note(&ctx.tenant, events).await;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
