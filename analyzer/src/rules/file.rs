//! Rule files: raw shapes, and the check that notes every mistake with its key path.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql::{Expr, ParseOptions};
use serde::Deserialize;
use vocab::duration::parse_duration;
use vocab::labels::METRIC_NAME;
use vocab::{Problem, Problems};

use crate::template::{self, Template};

/// A rule file as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRuleFile {
    /// The groups.
    pub groups: Option<Vec<RawGroup>>,
}

/// A group as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGroup {
    /// Unique in its file.
    pub name: Option<String>,
    /// How often; the global `evaluation_interval` when absent.
    pub interval: Option<String>,
    /// How far back in time the expressions are evaluated.
    pub query_offset: Option<String>,
    /// Most series or alerts of one rule; 0 for no limit.
    pub limit: Option<u64>,
    /// Labels of every rule.
    pub labels: Option<BTreeMap<String, String>>,
    /// The rules, evaluated in order.
    pub rules: Option<Vec<RawRule>>,
    /// Accepted where Thanos and others write it; has no effect here.
    pub partial_response_strategy: Option<String>,
}

/// A rule as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawRule {
    /// Name of the series it writes.
    pub record: Option<String>,
    /// Name of the alert.
    pub alert: Option<String>,
    /// The expression.
    pub expr: Option<String>,
    /// How long it must hold.
    #[serde(rename = "for")]
    pub hold: Option<String>,
    /// How long the alert goes on after it no longer holds.
    pub keep_firing_for: Option<String>,
    /// Labels to set.
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A checked rule file.
#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    /// Its name, as views show it.
    pub file: String,
    /// Its groups, in order.
    pub groups: Vec<GroupConfig>,
}

/// A checked group.
#[derive(Debug, Clone)]
pub struct GroupConfig {
    /// Its name.
    pub name: String,
    /// How often; `None` for the global interval.
    pub interval: Option<Duration>,
    /// How far back the expressions are evaluated.
    pub query_offset: Duration,
    /// Most series or alerts of one rule; 0 for no limit.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<RuleConfig>,
}

/// A checked rule.
#[derive(Debug, Clone)]
pub struct RuleConfig {
    /// Name of the series or alert.
    pub name: String,
    /// The expression as it is written.
    pub query: String,
    /// The expression.
    pub expr: Expr,
    /// Labels to set: name, text as written, template (the text itself in recording rules).
    pub labels: Vec<Templated>,
    /// Recording or alerting.
    pub kind: RuleKind,
}

/// A label or annotation.
#[derive(Debug, Clone)]
pub struct Templated {
    /// Its name.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// Parsed; `None` where templates are not expanded (recording rules).
    pub template: Option<Template>,
}

/// What a rule makes of its expression.
#[derive(Debug, Clone)]
pub enum RuleKind {
    /// Writes the result as a series.
    Recording,
    /// Raises alerts.
    Alerting {
        /// `for`
        hold: Duration,
        /// `keep_firing_for`
        keep_firing_for: Duration,
        /// Annotations.
        annotations: Vec<Templated>,
    },
}

impl RuleFile {
    /// Checks a file; every mistake goes to `problems`, and what is returned then must not be used.
    pub fn check(file: &str, raw: &RawRuleFile, problems: &mut Problems) -> Self {
        let mut names = BTreeSet::new();
        let mut groups = Vec::new();
        for (index, group) in raw.groups.iter().flatten().enumerate() {
            let path = format!("groups[{index}]");
            let name = group.name.clone().unwrap_or_default();
            if name.is_empty() {
                problems.add(format!("{path}.name"), "a group needs a name");
            } else if !names.insert(name.clone()) {
                problems.add(
                    format!("{path}.name"),
                    format!("group {name:?} stands twice in this file: give each its own name"),
                );
            }
            groups.push(check_group(&path, name, group, problems));
        }
        Self { file: file.to_owned(), groups }
    }

    /// Reads and checks a text. The reader stops at the first mistake of form; all others are reported together.
    ///
    /// # Errors
    /// The mistakes.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let raw: RawRuleFile = serde_saphyr::from_str(text).map_err(|error| Problems {
            list: vec![Problem {
                file: file.to_owned(),
                line: error.location().map_or(0, |l| usize::try_from(l.line()).unwrap_or(0)),
                path: String::new(),
                message: error.to_string(),
            }],
        })?;
        let mut problems = Problems::default();
        let checked = Self::check(file, &raw, &mut problems);
        problems.into_result(checked)
    }
}

fn check_group(path: &str, name: String, raw: &RawGroup, problems: &mut Problems) -> GroupConfig {
    let interval = duration(&raw.interval, &format!("{path}.interval"), problems);
    if interval == Some(Duration::ZERO) {
        problems.add(format!("{path}.interval"), "want more than 0");
    }
    let group_labels = raw.labels.clone().unwrap_or_default();
    check_labels(&group_labels, &format!("{path}.labels"), problems);
    let rules: Vec<RuleConfig> = raw
        .rules
        .iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, rule)| check_rule(&format!("{path}.rules[{index}]"), &group_labels, rule, problems))
        .collect();
    GroupConfig {
        name,
        interval,
        query_offset: duration(&raw.query_offset, &format!("{path}.query_offset"), problems).unwrap_or_default(),
        limit: usize::try_from(raw.limit.unwrap_or(0)).unwrap_or(usize::MAX),
        rules,
    }
}

fn check_rule(
    path: &str,
    group_labels: &BTreeMap<String, String>,
    raw: &RawRule,
    problems: &mut Problems,
) -> Option<RuleConfig> {
    let before = problems.list.len();
    let present = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let (record, alert) = (present(&raw.record), present(&raw.alert));
    let alerting = alert.is_some();
    let name = match (record, alert) {
        (Some(name), None) | (None, Some(name)) => name,
        (Some(_), Some(_)) => {
            problems.add(path, "a rule has either `record` or `alert`, not both");
            String::new()
        }
        (None, None) => {
            problems.add(path, "a rule needs `record` (a series to write) or `alert` (an alert to raise)");
            String::new()
        }
    };
    let query = present(&raw.expr).unwrap_or_default();
    let expr = if query.is_empty() {
        problems.add(format!("{path}.expr"), "a rule needs an expression");
        None
    } else {
        promql::parse(&query, &ParseOptions::default())
            .map_err(|error| problems.add(format!("{path}.expr"), format!("could not parse expression: {error}")))
            .ok()
    };
    let mut labels = group_labels.clone();
    let own = raw.labels.clone().unwrap_or_default();
    check_labels(&own, &format!("{path}.labels"), problems);
    labels.extend(own);
    let hold = duration(&raw.hold, &format!("{path}.for"), problems);
    let keep = duration(&raw.keep_firing_for, &format!("{path}.keep_firing_for"), problems);
    let kind = if alerting {
        let annotations =
            templated(&raw.annotations.clone().unwrap_or_default(), &format!("{path}.annotations"), problems);
        RuleKind::Alerting { hold: hold.unwrap_or_default(), keep_firing_for: keep.unwrap_or_default(), annotations }
    } else {
        let wrong = [
            ("for", raw.hold.is_some()),
            ("keep_firing_for", raw.keep_firing_for.is_some()),
            ("annotations", raw.annotations.is_some()),
        ];
        for (key, _) in wrong.iter().filter(|w| w.1) {
            problems.add(format!("{path}.{key}"), format!("`{key}` belongs to alerting rules, and this one records"));
        }
        RuleKind::Recording
    };
    let labels = if alerting {
        templated(&labels, &format!("{path}.labels"), problems)
    } else {
        labels.into_iter().map(|(name, text)| Templated { name, text, template: None }).collect()
    };
    let expr = expr.filter(|_| problems.list.len() == before)?;
    Some(RuleConfig { name, query, expr, labels, kind })
}

fn check_labels(labels: &BTreeMap<String, String>, path: &str, problems: &mut Problems) {
    for name in labels.keys() {
        if name.is_empty() || name == METRIC_NAME {
            problems
                .add(format!("{path}.{name}"), format!("invalid label name {name:?}: want any name but {METRIC_NAME}"));
        }
    }
}

fn templated(texts: &BTreeMap<String, String>, path: &str, problems: &mut Problems) -> Vec<Templated> {
    let mut list = Vec::with_capacity(texts.len());
    for (name, text) in texts {
        match template::parse(text) {
            Ok(template) => list.push(Templated { name: name.clone(), text: text.clone(), template: Some(template) }),
            Err(error) => problems.add(format!("{path}.{name}"), format!("template does not parse: {error}")),
        }
    }
    list
}

fn duration(text: &Option<String>, path: &str, problems: &mut Problems) -> Option<Duration> {
    match parse_duration(text.as_deref()?) {
        Ok(duration) => Some(duration),
        Err(message) => {
            problems.add(path, message);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_file_of_the_documentation_is_read() {
        let text = r#"
groups:
  - name: example
    interval: 30s
    limit: 10
    labels: {team: web}
    rules:
      - record: job:http:rate5m
        expr: sum by (job) (rate(http_total[5m]))
        labels: {tier: 1}
      - alert: HighLatency
        expr: job:latency > 0.5
        for: 10m
        keep_firing_for: 5m
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.job }} is slow: {{ $value | humanizeDuration }}"
"#;
        let file = RuleFile::parse("rules.yml", text).expect("a good file");
        let group = &file.groups[0];
        assert_eq!((group.interval, group.limit, group.rules.len()), (Some(Duration::from_secs(30)), 10, 2));
        let names: Vec<(&str, &str)> =
            group.rules[0].labels.iter().map(|l| (l.name.as_str(), l.text.as_str())).collect();
        assert_eq!(names, [("team", "web"), ("tier", "1")]);
        let RuleKind::Alerting { hold, keep_firing_for, annotations } = &group.rules[1].kind else {
            panic!("an alerting rule")
        };
        assert_eq!((hold.as_secs(), keep_firing_for.as_secs(), annotations.len()), (600, 300, 1));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text = r#"
groups:
  - name: a
    interval: 5 minutes
    rules:
      - record: x
        alert: y
        expr: up
      - expr: up
      - alert: Z
        expr: "up ==="
        for: 10
        annotations: {summary: "{{ $nope }}"}
      - record: x
        expr: up
        for: 1m
        labels: {__name__: q}
  - name: a
  - rules: []
"#;
        let problems = RuleFile::parse("rules.yml", text).expect_err("a bad file");
        let paths: Vec<&str> = problems.list.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "groups[0].interval",
                "groups[0].rules[0]",
                "groups[0].rules[1]",
                "groups[0].rules[2].expr",
                "groups[0].rules[2].for",
                "groups[0].rules[2].annotations.summary",
                "groups[0].rules[3].labels.__name__",
                "groups[0].rules[3].for",
                "groups[1].name",
                "groups[2].name",
            ]
        );
        let error = RuleFile::parse("rules.yml", "groups:\n  - name: a\n    intervall: 5s\n").expect_err("unknown key");
        assert!(error.to_string().contains("intervall"), "{error}");
    }
}
