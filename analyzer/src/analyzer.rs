//! The analyzer as a whole: what runs, how it is told, what it shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocab::ports::LogAppender;
use vocab::ports::RuleView;
use vocab::ports::admin::TaskStatus;
use vocab::ports::views::{PatternInfo, RuleGroupStatus};
use vocab::{Alert, PortResult, TenantId, TimestampMs};

use crate::config::AnalyzerConfig;
use crate::deps::{AnalyzerDeps, Shared};
use crate::logs::MinerLimits;
use crate::logs::stage::{PatternStage, PatternStore};
use crate::notify::Notifier;
use crate::report;
use crate::rules::expand::Surroundings;
use crate::rules::group::AlertBoard;
use crate::rules::{GroupRunner, RuleFile, defaults};
use crate::ticker::Ticker;
use crate::watch::Watcher;

/// How often log patterns are saved.
const PATTERNS_SAVE: Duration = Duration::from_secs(120);

/// The room. Nothing is evaluated before [`Analyzer::apply`]; log patterns are mined from the start.
#[derive(Debug)]
pub struct Analyzer {
    view: Arc<View>,
    running: tokio::sync::Mutex<Option<Running>>,
}

#[derive(Debug)]
struct View {
    shared: Arc<Shared>,
    patterns: Arc<PatternStore>,
    board: AlertBoard,
    groups: RwLock<Vec<Arc<Mutex<RuleGroupStatus>>>>,
    alertmanagers: RwLock<Vec<String>>,
}

/// What one configuration started.
#[derive(Debug)]
struct Running {
    cancel: CancellationToken,
    groups: Vec<JoinHandle<GroupRunner>>,
    others: Vec<JoinHandle<()>>,
    notifier: Arc<Notifier>,
    sender: Option<JoinHandle<()>>,
}

impl Analyzer {
    /// An analyzer of one tenant's data.
    pub fn new(deps: AnalyzerDeps, tenant: TenantId) -> Self {
        let shared = Arc::new(Shared::new(deps, tenant));
        let patterns = Arc::new(PatternStore::new(Arc::clone(&shared), MinerLimits::default()));
        let view = View {
            shared,
            patterns,
            board: AlertBoard::default(),
            groups: RwLock::new(Vec::new()),
            alertmanagers: RwLock::new(Vec::new()),
        };
        Self { view: Arc::new(view), running: tokio::sync::Mutex::new(None) }
    }

    /// What dashboards look into.
    pub fn view(&self) -> Arc<dyn RuleView> {
        Arc::clone(&self.view) as Arc<dyn RuleView>
    }

    /// The pattern stage in front of a log port: every record that passes is stamped with its pattern.
    pub fn pattern_stage(&self, inner: Arc<dyn LogAppender>) -> Arc<dyn LogAppender> {
        Arc::new(PatternStage::new(Arc::clone(&self.view.patterns), inner))
    }

    /// The periodic tasks and their last runs.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        self.view.shared.tasks.list()
    }

    /// Starts working by a configuration, or changes to it. Groups that stay keep what their alerts remember; what groups wrote
    /// that are gone is marked as over, and their alerts are resolved.
    pub async fn apply(&self, config: AnalyzerConfig) {
        let mut running = self.running.lock().await;
        let mut old: HashMap<(String, String), GroupRunner> = HashMap::new();
        if let Some(previous) = running.take() {
            for runner in previous.stop().await {
                self.view.shared.tasks.remove(&runner.task_name());
                old.insert(runner.key(), runner);
            }
        }
        let shared = &self.view.shared;
        let cancel = CancellationToken::new();
        *self.view.alertmanagers.write() = config.alertmanagers.iter().map(|a| a.url.clone()).collect();
        let (notifier, sender) = Notifier::start(
            config.alertmanagers.clone(),
            config.external_labels.clone(),
            config.external_url.clone(),
            Arc::clone(&shared.clock),
            shared.metrics.clone(),
        );
        let surroundings = Arc::new(Surroundings {
            external_labels: config.external_labels.clone(),
            external_url: config.external_url.clone(),
        });
        let mut groups = Vec::new();
        let mut statuses = Vec::new();
        let mut wanted = Vec::new();
        for file in rule_files(&config) {
            for group in file.groups {
                wanted.push((file.file.clone(), group));
            }
        }
        for (file, group) in &wanted {
            let mut runner = GroupRunner::new(
                file,
                group.clone(),
                config.evaluation_interval,
                Arc::clone(shared),
                Arc::clone(&notifier),
                Arc::clone(&surroundings),
                self.view.board.clone(),
            );
            if let Some(before) = old.remove(&runner.key()) {
                runner.adopt(before).await;
            }
            statuses.push(runner.status());
            groups.push(tokio::spawn(run_group(runner, Arc::clone(shared), cancel.clone())));
        }
        *self.view.groups.write() = statuses;
        for runner in old.values_mut() {
            runner.retire(shared.clock.now_ms()).await;
        }
        let watcher = Watcher::new(Arc::clone(shared), config.analysis);
        let others = vec![
            tokio::spawn(run_watcher(watcher, Arc::clone(shared), cancel.clone())),
            tokio::spawn(save_patterns(Arc::clone(&self.view.patterns), Arc::clone(shared), cancel.clone())),
        ];
        *running = Some(Running { cancel, groups, others, notifier, sender });
    }

    /// Ends all loops, sends what waits to be sent, and saves log patterns. Alerts stay as they are, to be taken up again.
    pub async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
        if let Err(error) = self.view.patterns.save().await {
            tracing::warn!(error, "log patterns were not saved");
        }
    }
}

impl Running {
    async fn stop(self) -> Vec<GroupRunner> {
        self.cancel.cancel();
        let mut runners = Vec::new();
        for group in self.groups {
            match group.await {
                Ok(runner) => runners.push(runner),
                Err(error) => tracing::error!(%error, "a rule group ended by itself"),
            }
        }
        for task in self.others {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the analyzer ended by itself");
            }
        }
        self.notifier.stop();
        if let Some(sender) = self.sender
            && let Err(error) = sender.await
        {
            tracing::error!(%error, "the sender of alerts ended by itself");
        }
        runners
    }
}

fn rule_files(config: &AnalyzerConfig) -> Vec<RuleFile> {
    let mut files = config.rule_files.clone();
    if config.default_rules {
        match defaults::rules() {
            Ok(file) => files.push(file),
            Err(problems) => tracing::error!(%problems, "the built-in rules are damaged"),
        }
    }
    files
}

async fn run_group(mut runner: GroupRunner, shared: Arc<Shared>, cancel: CancellationToken) -> GroupRunner {
    let interval = runner.interval();
    // Groups are spread over their interval, and a group always runs at the same moments of it.
    let offset = runner.spread_hash() % u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut ticker = Ticker::new(Arc::clone(&shared.clock), cancel, interval, i64::try_from(offset).unwrap_or(0));
    while let Some((time_ms, missed)) = ticker.tick().await {
        shared.metrics.group_rounds_missed.inc_by(missed);
        let started = shared.clock.monotonic();
        let result = match runner.evaluate(time_ms).await {
            0 => Ok("all rules evaluated".to_owned()),
            failures => Err(format!("{failures} rules failed")),
        };
        shared.task_ran(&runner.task_name(), interval, started, result);
        shared.show_alerts(runner.board());
    }
    runner
}

async fn run_watcher(mut watcher: Watcher, shared: Arc<Shared>, cancel: CancellationToken) {
    let interval = watcher.interval();
    let mut ticker = Ticker::new(Arc::clone(&shared.clock), cancel, interval, 0);
    while let Some((time_ms, _)) = ticker.tick().await {
        let started = shared.clock.monotonic();
        let result = watcher.round(time_ms).await;
        shared.task_ran("analysis", interval, started, result);
    }
}

async fn save_patterns(patterns: Arc<PatternStore>, shared: Arc<Shared>, cancel: CancellationToken) {
    let mut ticker = Ticker::new(Arc::clone(&shared.clock), cancel, PATTERNS_SAVE, 0);
    while ticker.tick().await.is_some() {
        let started = shared.clock.monotonic();
        let result = patterns.save().await;
        shared.task_ran("log patterns", PATTERNS_SAVE, started, result);
    }
}

#[async_trait]
impl RuleView for View {
    async fn groups(&self) -> Vec<RuleGroupStatus> {
        self.groups.read().iter().map(|status| status.lock().clone()).collect()
    }

    async fn alerts(&self) -> Vec<Alert> {
        self.board.all()
    }

    async fn alertmanagers(&self) -> Vec<String> {
        self.alertmanagers.read().clone()
    }

    async fn patterns(&self, tenant: &TenantId, ids: &[u64]) -> Vec<PatternInfo> {
        self.patterns.list(tenant, ids).await
    }

    async fn write_report(
        &self,
        tenant: &TenantId,
        from_ms: TimestampMs,
        to_ms: TimestampMs,
        language: &str,
    ) -> PortResult<i64> {
        let patterns = Arc::clone(&self.patterns);
        report::write(&self.shared, &patterns, tenant, from_ms, to_ms, language).await
    }
}

#[cfg(test)]
mod tests;
