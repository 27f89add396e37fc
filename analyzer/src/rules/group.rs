//! One rule group: its rules one after the other, their results written, their alerts noted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::labels::METRIC_NAME;
use vocab::ports::WriteBatch;
use vocab::ports::append::Origin;
use vocab::ports::views::{RuleGroupStatus, RuleStatus};
use vocab::{Alert, AlertState, Ctx, Labels, LabelsBuilder, STALE_NAN, TimestampMs};

use super::alerting::{AlertTable, Candidate, Change, RuleFacts};
use super::expand::{Expander, Surroundings};
use super::file::{GroupConfig, RuleConfig, RuleKind, Templated};
use super::restore::restore;
use crate::deps::Shared;
use crate::error::RuleError;
use crate::notify::{Notifier, RESEND_DELAY};
use crate::tickets;

/// An unchanged alert's row is written again this often, so that after a crash it is known until when it was seen.
const ROW_REFRESH: Duration = Duration::from_secs(60);

/// A group that is evaluated, and what it remembers.
#[derive(Debug)]
pub struct GroupRunner {
    file: String,
    config: GroupConfig,
    interval: Duration,
    shared: Arc<Shared>,
    notifier: Arc<Notifier>,
    surroundings: Arc<Surroundings>,
    /// Alerts of all groups, for tickets that several groups share.
    board: AlertBoard,
    rules: Vec<RuleState>,
    status: Arc<Mutex<RuleGroupStatus>>,
    restored: bool,
}

#[derive(Debug, Default)]
struct RuleState {
    table: AlertTable,
    /// Series written in the last round; what vanishes gets a staleness marker.
    written: BTreeSet<Labels>,
    sent_at_ms: Option<TimestampMs>,
}

/// A group's file and name.
type GroupKey = (String, String);

/// The alerts of every group, by group file and name.
#[derive(Debug, Clone, Default)]
pub struct AlertBoard {
    alerts: Arc<Mutex<BTreeMap<GroupKey, Vec<Alert>>>>,
}

impl AlertBoard {
    /// Pending and firing alerts of all groups.
    pub fn all(&self) -> Vec<Alert> {
        self.alerts.lock().values().flatten().cloned().collect()
    }

    /// Those of every group but one.
    fn except(&self, key: &(String, String)) -> Vec<Alert> {
        self.alerts.lock().iter().filter(|(k, _)| *k != key).flat_map(|(_, alerts)| alerts.iter().cloned()).collect()
    }

    fn set(&self, key: (String, String), alerts: Vec<Alert>) {
        self.alerts.lock().insert(key, alerts);
    }

    /// Forgets a group that is no longer evaluated.
    pub fn remove(&self, file: &str, group: &str) {
        self.alerts.lock().remove(&(file.to_owned(), group.to_owned()));
    }
}

impl GroupRunner {
    /// A group that has not been evaluated yet.
    pub(crate) fn new(
        file: &str,
        config: GroupConfig,
        default_interval: Duration,
        shared: Arc<Shared>,
        notifier: Arc<Notifier>,
        surroundings: Arc<Surroundings>,
        board: AlertBoard,
    ) -> Self {
        let interval = config.interval.unwrap_or(default_interval);
        let status = RuleGroupStatus {
            name: config.name.clone(),
            file: file.to_owned(),
            interval_seconds: interval.as_secs_f64(),
            limit: config.limit as u64,
            rules: config.rules.iter().map(rule_status).collect(),
            last_evaluation_ms: None,
            evaluation_seconds: 0.0,
        };
        let rules = config.rules.iter().map(|_| RuleState::default()).collect();
        Self {
            file: file.to_owned(),
            interval,
            shared,
            notifier,
            surroundings,
            board,
            rules,
            status: Arc::new(Mutex::new(status)),
            restored: false,
            config,
        }
    }

    /// How often it is evaluated.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Its name in the list of tasks.
    pub fn task_name(&self) -> String {
        format!("rules {}", self.config.name)
    }

    /// Where its status is kept up to date.
    pub fn status(&self) -> Arc<Mutex<RuleGroupStatus>> {
        Arc::clone(&self.status)
    }

    /// File and name: what makes it the same group after a change of the configuration.
    pub fn key(&self) -> (String, String) {
        self.board_key()
    }

    /// A hash of file and name, to spread groups over their interval.
    pub fn spread_hash(&self) -> u64 {
        Labels::from_pairs([("file", &self.file), ("name", &self.config.name)]).stable_hash()
    }

    /// The alerts of all groups.
    pub(crate) fn board(&self) -> &AlertBoard {
        &self.board
    }

    /// Takes over what the same group of the configuration before remembers: rules of the same name, expression and labels
    /// keep their alerts, and what the others wrote is marked as over.
    pub async fn adopt(&mut self, mut before: Self) {
        let time_ms = self.shared.clock.now_ms();
        self.restored = before.restored;
        for (rule, state) in self.config.rules.iter().zip(&mut self.rules) {
            let labels = |r: &RuleConfig| r.labels.iter().map(|l| (l.name.clone(), l.text.clone())).collect::<Vec<_>>();
            let same = before
                .config
                .rules
                .iter()
                .position(|old| old.name == rule.name && old.query == rule.query && labels(old) == labels(rule));
            if let Some(index) = same {
                *state = std::mem::take(&mut before.rules[index]);
            }
        }
        before.retire(time_ms).await;
        let all: Vec<Alert> = self.rules.iter().flat_map(|state| state.table.alerts()).collect();
        self.board.set(self.board_key(), all);
    }

    /// Evaluates all rules at a time and writes what they give. Gives the number of rules that failed.
    pub async fn evaluate(&mut self, time_ms: TimestampMs) -> usize {
        let ctx = self.shared.ctx("rules");
        self.restore_once(&ctx, time_ms).await;
        let started = self.shared.clock.monotonic();
        let mut failures = 0;
        for index in 0..self.config.rules.len() {
            let rule_started = self.shared.clock.monotonic();
            let result = self.evaluate_rule(&ctx, index, time_ms).await;
            let seconds = self.shared.clock.monotonic().saturating_sub(rule_started).as_secs_f64();
            self.shared.metrics.rule_evaluations.inc();
            self.shared.metrics.rule_seconds.observe(seconds);
            let error = result.err();
            if let Some(error) = &error {
                failures += 1;
                self.shared.metrics.rule_failures.inc();
                tracing::debug!(group = %self.config.name, rule = %self.config.rules[index].name, error = %vocab::error::chain(error), "a rule failed");
            }
            let mut status = self.status.lock();
            let rule = &mut status.rules[index];
            rule.health = if error.is_some() { "err" } else { "ok" }.to_owned();
            rule.last_error = error.map(|e| vocab::error::chain(&e)).unwrap_or_default();
            rule.last_evaluation_ms = Some(time_ms);
            rule.evaluation_seconds = seconds;
            rule.alerts = self.rules[index].table.alerts();
        }
        let mut status = self.status.lock();
        status.last_evaluation_ms = Some(time_ms);
        status.evaluation_seconds = self.shared.clock.monotonic().saturating_sub(started).as_secs_f64();
        failures
    }

    /// Marks everything this group wrote as over and resolves its alerts: it is taken out of the configuration.
    pub async fn retire(&mut self, time_ms: TimestampMs) {
        let ctx = self.shared.ctx("rules");
        for index in 0..self.rules.len() {
            let facts = RuleFacts {
                group: &self.config.name,
                rule: &self.config.rules[index].name,
                expression: &self.config.rules[index].query,
                hold: Duration::ZERO,
                keep_firing_for: Duration::ZERO,
            };
            let changes = self.rules[index].table.step(&facts, Vec::new(), time_ms);
            self.note(index, changes, time_ms).await;
            if let Err(error) = self.write(&ctx, index, Vec::new(), time_ms).await {
                tracing::warn!(group = %self.config.name, error = %vocab::error::chain(&error), "staleness markers of a removed rule could not be written");
            }
        }
        self.board.remove(&self.file, &self.config.name);
    }

    async fn restore_once(&mut self, ctx: &Ctx, time_ms: TimestampMs) {
        if std::mem::replace(&mut self.restored, true) {
            return;
        }
        for (rule, state) in self.config.rules.iter().zip(&mut self.rules) {
            let RuleKind::Alerting { hold, keep_firing_for, .. } = &rule.kind else { continue };
            let facts = RuleFacts {
                group: &self.config.name,
                rule: &rule.name,
                expression: &rule.query,
                hold: *hold,
                keep_firing_for: *keep_firing_for,
            };
            let querier = &**self.shared.evaluate.querier();
            let restored = restore(&mut state.table, &facts, &*self.shared.catalog, querier, ctx, time_ms);
            if let Err(error) = restored.await {
                tracing::warn!(rule = %rule.name, error = %vocab::error::chain(&error), "alerts of before the restart are not known");
            }
        }
    }

    async fn evaluate_rule(&mut self, ctx: &Ctx, index: usize, time_ms: TimestampMs) -> Result<(), RuleError> {
        let rule = &self.config.rules[index];
        let offset = i64::try_from(self.config.query_offset.as_millis()).unwrap_or(i64::MAX);
        let samples = self.shared.evaluate.instant(ctx, &rule.expr, time_ms.saturating_sub(offset)).await?;
        let series = match &rule.kind {
            RuleKind::Recording => recorded(rule, samples, self.config.limit)?,
            RuleKind::Alerting { hold, keep_firing_for, annotations } => {
                let (hold, keep_firing_for) = (*hold, *keep_firing_for);
                let mut expander = Expander::new(&self.shared.evaluate, ctx, &self.surroundings, time_ms);
                let candidates = candidates(rule, annotations, samples, &mut expander).await?;
                let limit = self.config.limit;
                if limit > 0 && candidates.len() > limit {
                    self.rules[index].table.active.clear();
                    return Err(RuleError::Limit { limit, got: candidates.len(), what: "alerts" });
                }
                let facts = RuleFacts {
                    group: &self.config.name,
                    rule: &rule.name,
                    expression: &rule.query,
                    hold,
                    keep_firing_for,
                };
                let changes = self.rules[index].table.step(&facts, candidates, time_ms);
                self.note(index, changes, time_ms).await;
                self.rules[index].table.series()
            }
        };
        self.write(ctx, index, series, time_ms).await
    }

    async fn write(
        &mut self,
        ctx: &Ctx,
        index: usize,
        series: Vec<(Labels, f64)>,
        time_ms: TimestampMs,
    ) -> Result<(), RuleError> {
        let state = &mut self.rules[index];
        let now: BTreeSet<Labels> = series.iter().map(|s| s.0.clone()).collect();
        let mut batch = WriteBatch { origin: Origin::Internal, ..WriteBatch::default() };
        for (labels, value) in series {
            batch.push(labels, time_ms, value);
        }
        for labels in state.written.difference(&now) {
            batch.push(labels.clone(), time_ms, STALE_NAN);
        }
        state.written = now;
        if batch.samples.is_empty() {
            return Ok(());
        }
        self.shared.appender.append(ctx, &batch).await.map(|_| ()).map_err(RuleError::Write)
    }

    /// Tickets, rows, change events and notifications of a round.
    async fn note(&mut self, index: usize, changes: Vec<(Alert, Change)>, time_ms: TimestampMs) {
        let refresh = ms(ROW_REFRESH);
        let mut rows = Vec::new();
        let mut told = Vec::new();
        let key = self.board_key();
        let siblings: Vec<Alert> =
            self.rules.iter().enumerate().filter(|(i, _)| *i != index).flat_map(|(_, r)| r.table.alerts()).collect();
        let table = &mut self.rules[index].table;
        let key_of = |alert: &Alert| alert.labels.stable_hash();
        let over = changes.iter().any(|c| c.1 == Change::Resolved);
        let elsewhere = if over { self.board.except(&key) } else { Vec::new() };
        for (mut alert, change) in changes {
            match change {
                Change::Fired => {
                    match tickets::fired(&self.shared, &alert, time_ms).await {
                        Ok(id) => alert.ticket_id = Some(id),
                        Err(error) => self.shared.catalog_failed("ticket", &error),
                    }
                    told.push((alert.clone(), change));
                }
                Change::Resolved => {
                    if let Some(id) = alert.ticket_id {
                        let own = table.alerts();
                        let others = elsewhere.iter().chain(&siblings).chain(&own);
                        let firing = tickets::others_firing(others, &alert, id);
                        if let Err(error) = tickets::resolved(&self.shared, &alert, id, firing, time_ms).await {
                            self.shared.catalog_failed("ticket", &error);
                        }
                    }
                    told.push((alert.clone(), change));
                }
                Change::Pending | Change::Unchanged | Change::Vanished => {}
            }
            match table.active.get_mut(&key_of(&alert)) {
                Some(active) => {
                    active.alert.ticket_id = alert.ticket_id;
                    if change != Change::Unchanged || time_ms.saturating_sub(active.written_at_ms) >= refresh {
                        active.written_at_ms = time_ms;
                        rows.push(active.alert.clone());
                    }
                }
                None => rows.push(alert),
            }
        }
        let all: Vec<Alert> = siblings.into_iter().chain(table.alerts()).collect();
        self.board.set(key, all);
        if !rows.is_empty()
            && let Err(error) = self.shared.catalog.upsert_alerts(&self.shared.tenant, &rows).await
        {
            self.shared.catalog_failed("alerts", &error);
        }
        for (alert, change) in &told {
            let event = change_event(alert, *change, time_ms);
            if let Err(error) = self.shared.catalog.record_change(&self.shared.tenant, &event).await {
                self.shared.catalog_failed("change event", &error);
            }
        }
        self.send(index, &told, time_ms);
    }

    /// Queues what has changed, and from time to time what still fires.
    fn send(&mut self, index: usize, told: &[(Alert, Change)], time_ms: TimestampMs) {
        if !self.notifier.is_active() {
            return;
        }
        let valid = self.interval.max(RESEND_DELAY) * 4;
        for (alert, _) in told {
            self.notifier.push(alert, time_ms, valid);
        }
        let state = &mut self.rules[index];
        if state.sent_at_ms.is_none_or(|at| time_ms - at >= ms(RESEND_DELAY)) {
            state.sent_at_ms = Some(time_ms);
            let told: HashSet<&str> = told.iter().map(|t| t.0.fingerprint.as_str()).collect();
            for alert in state.table.alerts() {
                if alert.state == AlertState::Firing && !told.contains(alert.fingerprint.as_str()) {
                    self.notifier.push(&alert, time_ms, valid);
                }
            }
        }
    }

    fn board_key(&self) -> (String, String) {
        (self.file.clone(), self.config.name.clone())
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn rule_status(rule: &RuleConfig) -> RuleStatus {
    let texts = |list: &[Templated]| Labels::from_pairs(list.iter().map(|t| (&t.name, &t.text)));
    let (alerting, hold, keep, annotations) = match &rule.kind {
        RuleKind::Recording => (false, Duration::ZERO, Duration::ZERO, Labels::empty()),
        RuleKind::Alerting { hold, keep_firing_for, annotations } => {
            (true, *hold, *keep_firing_for, texts(annotations))
        }
    };
    RuleStatus {
        name: rule.name.clone(),
        alerting,
        query: rule.query.clone(),
        for_seconds: hold.as_secs_f64(),
        keep_firing_for_seconds: keep.as_secs_f64(),
        labels: texts(&rule.labels),
        annotations,
        alerts: Vec::new(),
        health: "unknown".to_owned(),
        last_error: String::new(),
        last_evaluation_ms: None,
        evaluation_seconds: 0.0,
    }
}

/// The series of a recording rule.
fn recorded(rule: &RuleConfig, samples: Vec<(Labels, f64)>, limit: usize) -> Result<Vec<(Labels, f64)>, RuleError> {
    if limit > 0 && samples.len() > limit {
        return Err(RuleError::Limit { limit, got: samples.len(), what: "series" });
    }
    let mut seen = HashSet::with_capacity(samples.len());
    let mut series = Vec::with_capacity(samples.len());
    for (labels, value) in samples {
        let mut builder = LabelsBuilder::from(&labels);
        builder.set(METRIC_NAME, &rule.name);
        for label in &rule.labels {
            builder.set(&label.name, &label.text);
        }
        let labels = builder.build();
        if !seen.insert(labels.clone()) {
            return Err(RuleError::DuplicateLabels(labels.to_string()));
        }
        series.push((labels, value));
    }
    Ok(series)
}

/// The alerts of a round: the samples' labels with the rule's, templates filled in.
async fn candidates(
    rule: &RuleConfig,
    annotations: &[Templated],
    samples: Vec<(Labels, f64)>,
    expander: &mut Expander<'_>,
) -> Result<Vec<Candidate>, RuleError> {
    let mut seen = HashSet::with_capacity(samples.len());
    let mut candidates = Vec::with_capacity(samples.len());
    for (sample_labels, value) in samples {
        let mut builder = LabelsBuilder::from(&sample_labels.without_name());
        for label in &rule.labels {
            let text = expander.expand(label, &sample_labels, value).await;
            builder.set(&label.name, &text);
        }
        builder.set("alertname", &rule.name);
        let labels = builder.build();
        if !seen.insert(labels.clone()) {
            return Err(RuleError::DuplicateLabels(labels.to_string()));
        }
        let mut filled = LabelsBuilder::default();
        for annotation in annotations {
            let text = expander.expand(annotation, &sample_labels, value).await;
            filled.set(&annotation.name, &text);
        }
        candidates.push(Candidate { labels, annotations: filled.build(), value });
    }
    Ok(candidates)
}

fn change_event(alert: &Alert, change: Change, time_ms: TimestampMs) -> ChangeEvent {
    let label = |name| alert.labels.get(name).unwrap_or("").to_owned();
    let verb = if change == Change::Fired { "fires" } else { "resolved" };
    let said = alert.annotations.get("summary").map(|s| format!(": {s}")).unwrap_or_default();
    let subject = ["replica", "instance", "host"].into_iter().map(label).find(|s| !s.is_empty()).unwrap_or_default();
    let mut details = BTreeMap::from([
        ("fingerprint".to_owned(), alert.fingerprint.clone()),
        ("value".to_owned(), alert.value.to_string()),
    ]);
    if let Some(id) = alert.ticket_id {
        details.insert("ticket_id".to_owned(), id.to_string());
    }
    ChangeEvent {
        time_ms,
        kind: ChangeKind::Alert,
        cluster: label("cluster"),
        service: label("service"),
        subject,
        actor: format!("rule {}/{}", alert.group, alert.rule),
        summary: format!("{} {verb}{said}", alert.rule),
        details,
    }
}

#[cfg(test)]
mod tests;
