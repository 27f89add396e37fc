//! Views, SQL, ingest and administration that answer what a test has put in.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use vocab::ports::admin::{Deletion, ProcessStatus, StoreStatus};
use vocab::ports::ingest::{IngestRequest, IngestResponse};
use vocab::ports::sql::{SqlAnswer, SqlRequest};
use vocab::ports::views::{DroppedTarget, PatternInfo, Paused, RuleGroupStatus, SourceStatus, TargetStatus};
use vocab::ports::{Admin, Ingest, RuleView, ScalingView, SourceView, Sql, TargetView};
use vocab::replay::{Replay, ReplayOutcome, ReplayRequest, ReplayedBy};
use vocab::sample::MetricMetadata;
use vocab::scaling::{PolicyObject, PolicyVersion, RunningReplica, ScaledService, ScalingMode, ShownWindow};
use vocab::{Alert, Ctx, ErrorKind, Labels, PortError, PortResult, Problem, TenantId, TimestampMs};

/// All rooms that have no fake of their own.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) targets: Mutex<Vec<TargetStatus>>,
    pub(super) dropped: Mutex<Vec<DroppedTarget>>,
    pub(super) groups: Mutex<Vec<RuleGroupStatus>>,
    pub(super) alerts: Mutex<Vec<Alert>>,
    pub(super) patterns: Mutex<Vec<PatternInfo>>,
    pub(super) scaled: Mutex<Vec<ScaledService>>,
    pub(super) running: Mutex<Option<Vec<RunningReplica>>>,
    pub(super) stopped: Mutex<Option<(TimestampMs, String)>>,
    pub(super) not_ready: Mutex<Option<String>>,
    /// What was called, in words.
    pub(super) calls: Mutex<Vec<String>>,
    /// What a SQL query answers, batch by batch.
    pub(super) sql: Mutex<Vec<PortResult<Bytes>>>,
    /// Memory that each batch of a SQL query takes before it comes.
    pub(super) sql_bytes: Mutex<Vec<usize>>,
    pub(super) pushed: Mutex<Vec<(TenantId, IngestRequest)>>,
}

impl Rooms {
    fn call(&self, text: impl Into<String>) {
        self.calls.lock().push(text.into());
    }
}

#[async_trait]
impl TargetView for Rooms {
    async fn active(&self) -> Vec<TargetStatus> {
        self.targets.lock().clone()
    }
    async fn dropped(&self) -> (Vec<DroppedTarget>, BTreeMap<String, u64>) {
        let dropped = self.dropped.lock().clone();
        let counts = dropped.iter().map(|d| (d.scrape_pool.clone(), 1)).collect();
        (dropped, counts)
    }
    async fn pools(&self) -> Vec<String> {
        self.targets.lock().iter().map(|t| t.scrape_pool.clone()).collect()
    }
    async fn metadata(&self, metric: Option<&str>) -> Vec<(Labels, MetricMetadata)> {
        let of = |t: &TargetStatus| {
            let metadata = MetricMetadata { metric: "up".into(), help: "Is it".into(), ..MetricMetadata::default() };
            (t.labels.clone(), metadata)
        };
        self.targets.lock().iter().filter(|_| metric.is_none_or(|m| m == "up")).map(of).collect()
    }
}

#[async_trait]
impl SourceView for Rooms {
    async fn sources(&self) -> Vec<SourceStatus> {
        vec![SourceStatus {
            name: "host".into(),
            kind: "metrics".into(),
            healthy: true,
            reading: "procfs".into(),
            problem: String::new(),
            delivered: 5,
            malformed: 0,
            last_ms: None,
        }]
    }
}

#[async_trait]
impl RuleView for Rooms {
    async fn groups(&self) -> Vec<RuleGroupStatus> {
        self.groups.lock().clone()
    }
    async fn alerts(&self) -> Vec<Alert> {
        self.alerts.lock().clone()
    }
    async fn patterns(&self, _tenant: &TenantId, ids: &[u64]) -> Vec<PatternInfo> {
        self.patterns.lock().iter().filter(|p| ids.contains(&p.id)).cloned().collect()
    }
    async fn write_report(
        &self,
        _tenant: &TenantId,
        from_ms: TimestampMs,
        to_ms: TimestampMs,
        language: &str,
    ) -> PortResult<i64> {
        self.call(format!("report {from_ms} {to_ms} {language}"));
        if from_ms < to_ms { Ok(7) } else { Err(PortError::invalid("an empty range")) }
    }
}

#[async_trait]
impl ScalingView for Rooms {
    async fn services(&self, _tenant: &TenantId) -> Vec<ScaledService> {
        self.scaled.lock().clone()
    }
    async fn running(&self, _tenant: &TenantId, _service: &str) -> Option<Vec<RunningReplica>> {
        self.running.lock().clone()
    }
    async fn stopped(&self) -> Option<(TimestampMs, String)> {
        self.stopped.lock().clone()
    }
    async fn set_stopped(&self, stopped: bool, actor: &str) -> PortResult<()> {
        *self.stopped.lock() = stopped.then(|| (super::NOW_MS, actor.to_owned()));
        Ok(())
    }
    async fn set_mode(&self, _tenant: &TenantId, service: &str, mode: ScalingMode, actor: &str) -> PortResult<()> {
        self.call(format!("mode {service} {} {actor}", mode.as_str()));
        if service == "web" { Ok(()) } else { Err(PortError::not_found("the service has no policy")) }
    }
    async fn approve(&self, _tenant: &TenantId, id: i64, actor: &str) -> PortResult<()> {
        self.call(format!("approve {id} {actor}"));
        if id == 1 { Ok(()) } else { Err(PortError::new(ErrorKind::Conflict, "it no longer waits")) }
    }
    async fn set_paused(&self, _tenant: &TenantId, service: &str, paused: Paused, actor: &str) -> PortResult<()> {
        self.call(format!("pause {service} {} {} {actor}", paused.scale_in, paused.scale_out));
        if service == "web" { Ok(()) } else { Err(PortError::not_found("the service has no policy")) }
    }
    async fn unfreeze(&self, _tenant: &TenantId, service: &str, actor: &str) -> PortResult<()> {
        self.call(format!("unfreeze {service} {actor}"));
        if service == "web" { Ok(()) } else { Err(PortError::not_found("the service has no policy")) }
    }
    async fn freeze_windows(&self, _tenant: &TenantId) -> Vec<ShownWindow> {
        vec![ShownWindow { name: "sale".into(), open: true, ..ShownWindow::default() }]
    }
    async fn put_policy(
        &self,
        _tenant: &TenantId,
        name: &str,
        policy: &serde_json::Value,
        expected: Option<i64>,
        actor: &str,
    ) -> PortResult<PolicyObject> {
        self.call(format!("put {name} {expected:?} {actor}"));
        if name != "shop" {
            return Err(PortError::not_found("nothing is scaled here"));
        }
        Ok(PolicyObject {
            name: name.to_owned(),
            service: name.to_owned(),
            from_file: false,
            version: 3,
            updated_at_ms: Some(super::NOW_MS),
            actor: actor.to_owned(),
            problem: String::new(),
            policy: policy.clone(),
        })
    }
    async fn policy_versions(&self, _tenant: &TenantId, name: &str) -> PortResult<Vec<PolicyVersion>> {
        let policy = serde_json::Value::Null;
        let version = PolicyVersion { version: 2, time_ms: super::NOW_MS, actor: "ann".into(), policy };
        Ok(if name == "removed" { vec![version] } else { Vec::new() })
    }
    async fn check_policy(
        &self,
        _tenant: &TenantId,
        _name: &str,
        policy: &serde_json::Value,
    ) -> PortResult<Vec<Problem>> {
        let is_right = policy["max"].is_u64();
        let problem = Problem { path: "max".into(), message: "want a number above 0".into(), ..Problem::default() };
        Ok(if is_right { Vec::new() } else { vec![problem] })
    }
    async fn replay(&self, _tenant: &TenantId, request: ReplayRequest) -> PortResult<Replay> {
        self.call(format!("replay {} {:?} {} {}", request.service, request.policy, request.from_ms, request.to_ms));
        match (request.service.as_str(), &request.policy) {
            ("none", _) => return Err(PortError::not_found("nothing was recorded of this load in that time")),
            ("busy", _) => return Err(PortError::new(ErrorKind::Unavailable, "2 replays are under way")),
            (_, Some(policy)) if !policy["max"].is_u64() => {
                return Err(PortError::invalid("policy shop: max: want a number"));
            }
            _ => {}
        }
        let outcome = ReplayOutcome {
            by: ReplayedBy::Policy,
            wanted: vec![1, 2],
            ready: vec![1, 1],
            bad_ratio: 0.01,
            bad_minutes: 1,
            replica_hours: 0.5,
            actions: 1,
            reversals: 0,
        };
        Ok(Replay {
            policy: "shop".into(),
            service: "shop".into(),
            start_ms: request.from_ms,
            step_ms: 15_000,
            query: "sum(load)".into(),
            unit: "RPS".into(),
            per_replica: 100.0,
            startup_seconds: 30.0,
            startup_measured: false,
            notes: vec!["the metrics of steps are taken as idle".into()],
            load: vec![50.0, 150.0],
            outcomes: vec![outcome],
        })
    }
    async fn delete_policy(&self, _tenant: &TenantId, name: &str, actor: &str) -> PortResult<()> {
        self.call(format!("delete {name} {actor}"));
        if name == "shop" { Ok(()) } else { Err(PortError::not_found("there is no such policy")) }
    }
}

#[async_trait]
impl Admin for Rooms {
    async fn flush(&self) -> PortResult<()> {
        self.call("flush");
        Ok(())
    }
    async fn compact(&self) -> PortResult<()> {
        self.call("compact");
        Err(PortError::new(ErrorKind::Unavailable, "the disk is full"))
    }
    async fn delete_series(&self, ctx: &Ctx, deletion: Deletion) -> PortResult<()> {
        self.call(format!("delete {} {:?} {} {}", ctx.tenant, deletion.any_of, deletion.start_ms, deletion.end_ms));
        Ok(())
    }
    async fn clean_tombstones(&self, ctx: &Ctx) -> PortResult<()> {
        self.call(format!("clean {}", ctx.tenant));
        Ok(())
    }
    async fn snapshot(&self, ctx: &Ctx, skip_head: bool) -> PortResult<String> {
        self.call(format!("snapshot {} {skip_head}", ctx.tenant));
        Ok("20260101T120000Z-1".to_owned())
    }
    async fn reload(&self) -> PortResult<()> {
        self.call("reload");
        Err(PortError::invalid("tidewatch.yaml:3: scrape_configs[0]: unknown key `jobname`"))
    }
    async fn status(&self) -> ProcessStatus {
        ProcessStatus {
            version: "9.8.7".into(),
            started_at_ms: super::NOW_MS - 1_000,
            data_dir: "data".into(),
            config_file: String::new(),
            config_yaml: "global: {}\n".into(),
            config_problem: String::new(),
            config_loaded_at_ms: super::NOW_MS,
            memory: Vec::new(),
            memory_limit_bytes: 1 << 30,
            resident_bytes: 1 << 20,
            store: StoreStatus { head_series: 3, ..StoreStatus::default() },
            tasks: Vec::new(),
            warnings: Vec::new(),
        }
    }
    async fn ready(&self) -> Result<(), String> {
        self.not_ready.lock().clone().map_or(Ok(()), Err)
    }
    fn set_log_filter(&self, filter: &str) -> PortResult<()> {
        assert_ne!(filter, "panic", "a handler that panics");
        self.call(format!("log {filter}"));
        Ok(())
    }
    fn metrics_text(&self) -> String {
        "# TYPE a counter\na_total 1\n# EOF\n".to_owned()
    }
}

#[async_trait]
impl Sql for Rooms {
    async fn query(&self, ctx: &Ctx, request: SqlRequest) -> PortResult<SqlAnswer> {
        self.call(format!("sql {} {:?} {} {}", ctx.tenant, request.format, request.allow_full_scan, request.query));
        if request.query == "drop" {
            return Err(PortError::invalid("only SELECT is allowed"));
        }
        if request.query == "endless" {
            let cancel = ctx.cancel.clone();
            let rows = futures::stream::repeat_with(move || cancel.check().map(|()| Bytes::from_static(b"{}\n")));
            return Ok(SqlAnswer { columns: Vec::new(), rows: rows.boxed() });
        }
        let needs = self.sql_bytes.lock().clone();
        if !needs.is_empty() {
            let memory = std::sync::Arc::clone(&ctx.memory);
            let rows = needs.into_iter().map(move |bytes| memory.try_grow(bytes).map(|()| Bytes::from_static(b"{}\n")));
            return Ok(SqlAnswer { columns: Vec::new(), rows: futures::stream::iter(rows).boxed() });
        }
        let batches = std::mem::take(&mut *self.sql.lock());
        Ok(SqlAnswer { columns: Vec::new(), rows: futures::stream::iter(batches).boxed() })
    }
}

#[async_trait]
impl Ingest for Rooms {
    async fn ingest(&self, ctx: &Ctx, request: IngestRequest) -> IngestResponse {
        self.pushed.lock().push((ctx.tenant.clone(), request));
        IngestResponse {
            status: 429,
            headers: vec![("retry-after".into(), "3".into())],
            content_type: "text/plain".into(),
            body: "slow down".into(),
            ..IngestResponse::default()
        }
    }
}
