//! Picks the rooms' sections out of the file.

use std::path::Path;
use std::time::Duration;

use analyzer::config::{RawAlerting, RawAnalysis};
use analyzer::rules::{RawRuleFile, RuleFile};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use vocab::duration::parse_duration;
use vocab::resolve::{ResolverConfig, ServiceRule};
use vocab::{MatchOp, Matcher, Problem, Problems};

use super::{ANALYZER, AUTOSCALER, COLLECTOR, ROOT, RULE_FILES_MAX, UNSUPPORTED};
use crate::yaml::node::{Kind, Node};
use crate::yaml::{Document, decode};

/// The analyzer's sections.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAnalyzer {
    pub(super) alerting: RawAlerting,
    pub(super) analysis: RawAnalysis,
}

/// Notes sections that nobody knows.
pub(super) fn check_names(document: &Document, problems: &mut Problems) {
    let Kind::Mapping(pairs) = &document.root.kind else { return };
    let known = || [COLLECTOR, ANALYZER, AUTOSCALER, ROOT].into_iter().flatten();
    for (key, _) in pairs {
        if let Some((_, why)) = UNSUPPORTED.iter().find(|u| u.0 == key) {
            problems.add(key, format!("`{key}` is not supported: {why}"));
        } else if !known().any(|k| k == key) {
            let mut names: Vec<&str> = known().copied().collect();
            names.sort_unstable();
            problems.add(key, format!("unknown key `{key}`; known are {}", names.join(", ")));
        }
    }
}

/// Decodes the named sections as one room's raw shape; what could not be decoded is as if it were not there.
pub(super) fn pick<T: DeserializeOwned + Default>(document: &Document, names: &[&str], problems: &mut Problems) -> T {
    let pairs = match &document.root.kind {
        Kind::Mapping(pairs) => pairs.iter().filter(|p| names.contains(&p.0.as_str())).cloned().collect(),
        _ => Vec::new(),
    };
    decode(Node { line: document.root.line, kind: Kind::Mapping(pairs) }, "", problems).unwrap_or_default()
}

/// A positive duration.
pub(super) fn interval(text: Option<&str>, path: &str, problems: &mut Problems) -> Option<Duration> {
    match parse_duration(text?) {
        Ok(duration) if !duration.is_zero() => Some(duration),
        Ok(_) => {
            problems.add(path, "want more than 0");
            None
        }
        Err(message) => {
            problems.add(path, message);
            None
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIdentity {
    cluster: Option<String>,
    services: Vec<RawServiceRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawServiceRule {
    name: String,
    cluster: Option<String>,
    /// Label → value, all must be equal.
    labels: std::collections::BTreeMap<String, String>,
    /// Label → anchored regular expression, all must match.
    matches: std::collections::BTreeMap<String, String>,
}

/// `cluster` and `services`: how source labels become an identity.
pub(super) fn resolver(document: &Document, problems: &mut Problems) -> ResolverConfig {
    let raw: RawIdentity = pick(document, &["cluster", "services"], problems);
    let mut rules = Vec::new();
    for (index, rule) in raw.services.into_iter().enumerate() {
        let path = format!("services[{index}]");
        if rule.name.is_empty() {
            problems.add(format!("{path}.name"), "a service needs a name");
        }
        if rule.labels.is_empty() && rule.matches.is_empty() {
            problems.add(&path, "say which sources belong to it: labels: {job: web} or matches: {job: \"web-.*\"}");
        }
        let mut matchers: Vec<Matcher> = rule.labels.into_iter().map(|(n, v)| Matcher::equal(n, v)).collect();
        for (name, pattern) in rule.matches {
            match Matcher::new(MatchOp::Regex, &name, pattern) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => problems.add(format!("{path}.matches.{name}"), error.message()),
            }
        }
        rules.push(ServiceRule { service: rule.name, cluster: rule.cluster, matchers });
    }
    ResolverConfig { default_cluster: raw.cluster.unwrap_or_else(|| "local".to_owned()), rules }
}

/// Reads the files that `rule_files` names; their mistakes carry their own file and line.
pub(super) fn rule_files(
    document: &Document,
    base: &Path,
    problems: &mut Problems,
    elsewhere: &mut Problems,
) -> Vec<RuleFile> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Raw {
        rule_files: Vec<String>,
    }
    let raw: Raw = pick(document, &["rule_files"], problems);
    let mut files = Vec::new();
    for (index, pattern) in raw.rule_files.iter().enumerate() {
        let path = format!("rule_files[{index}]");
        let full = base.join(pattern);
        let matched = match glob::glob(&full.to_string_lossy()) {
            Ok(matched) => matched.filter_map(Result::ok).take(RULE_FILES_MAX).collect::<Vec<_>>(),
            Err(error) => {
                problems.add(&path, format!("not a pattern of file names: {error}"));
                continue;
            }
        };
        let plain = !pattern.contains(['*', '?', '[']);
        if matched.is_empty() && plain {
            problems.add(&path, format!("{} does not exist", full.display()));
        }
        for file in matched {
            let name = file.display().to_string();
            match std::fs::read_to_string(&file) {
                Ok(text) => files.extend(rule_file(&name, &text, elsewhere)),
                Err(error) => problems.add(&path, format!("{name} cannot be read: {error}")),
            }
        }
    }
    files
}

fn rule_file(name: &str, text: &str, elsewhere: &mut Problems) -> Option<RuleFile> {
    let document = match Document::parse(name, text) {
        Ok(document) => document,
        Err(mut problems) => {
            elsewhere.list.append(&mut problems.list);
            return None;
        }
    };
    let mut problems = Problems::default();
    let raw: RawRuleFile = decode(document.root.clone(), "", &mut problems).unwrap_or_default();
    let checked = RuleFile::check(name, &raw, &mut problems);
    problems.locate(name, |path| document.line_of(path));
    let clean = problems.is_empty();
    elsewhere.list.extend(problems.list.into_iter().map(|p| Problem { file: name.to_owned(), ..p }));
    clean.then_some(checked)
}
