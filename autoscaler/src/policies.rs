//! Policies kept in the catalog beside those of the configuration file: versions, history, and what of them is in force.
//!
//! The file wins: a kept policy whose name or service the file has too is set aside, and says so. What is wrong with a policy
//! is found by the very check that reads the file, against all other policies, so that cycles and doubles are found too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use vocab::ports::Catalog;
use vocab::scaling::{PolicyObject, PolicyVersion};
use vocab::{Clock, ErrorKind, PortError, PortResult, Problem, Problems, TenantId};

use crate::config::{AutoscalerConfig, RawAutoscaler, RawPolicy, check};
use crate::policy::Policy;

/// Most policies that are kept.
const POLICIES_MAX: usize = 20_000;
/// Most versions of one policy that are kept, the oldest are lost first.
const VERSIONS_MAX: usize = 50;
/// Longest name.
const NAME_BYTES_MAX: usize = 128;
/// Longest text of a policy that is tried: a policy has a few hundred bytes.
const YAML_BYTES_MAX: usize = 256 * 1024;
/// Times a merge is tried without the policies that were found wrong.
const MERGES_MAX: usize = 8;

/// A kept policy as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) object: PolicyObject,
    /// `None` when it cannot be read; the object says why.
    raw: Option<RawPolicy>,
    /// Version of its document.
    document: i64,
}

/// What is in force of a file and of kept policies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    pub(crate) config: AutoscalerConfig,
    /// All policies by name, those of the file first.
    pub(crate) objects: Vec<PolicyObject>,
}

/// The kept policies of a tenant.
#[derive(Debug)]
pub(crate) struct Policies {
    namespace: String,
    history: String,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
}

impl Policies {
    pub(crate) fn new(tenant: &TenantId, catalog: Arc<dyn Catalog>, clock: Arc<dyn Clock>) -> Self {
        let namespace = format!("scaling-policies/{tenant}");
        Self { history: format!("{namespace}/history"), namespace, catalog, clock }
    }

    /// All kept policies, by name.
    pub(crate) async fn load(&self) -> PortResult<Vec<Kept>> {
        let documents = self.catalog.documents(&self.namespace).await?;
        Ok(documents.into_iter().map(|d| kept(&d.key, d.value, d.version)).collect())
    }

    /// The versions of a policy, newest first.
    pub(crate) async fn versions(&self, name: &str) -> PortResult<Vec<PolicyVersion>> {
        let document = self.catalog.document(&self.history, name).await?;
        Ok(document.and_then(|d| serde_json::from_value(d.value).ok()).unwrap_or_default())
    }

    /// Keeps a policy as its next version, if it is right together with all others.
    ///
    /// # Errors
    /// `Invalid` with all mistakes, `Forbidden` when the file has it, `Conflict` when `expected` is not its version.
    pub(crate) async fn put(
        &self,
        file: &AutoscalerConfig,
        name: &str,
        policy: &Value,
        expected: Option<i64>,
        actor: &str,
    ) -> PortResult<PolicyObject> {
        check_name(name)?;
        let all = self.load().await?;
        let raw = read(name, policy).map_err(|problem| PortError::invalid(format!("policy {name}: {problem}")))?;
        refuse_file(file, name, &raw.service)?;
        if all.iter().filter(|k| k.object.name != name).count() >= POLICIES_MAX {
            return Err(PortError::new(ErrorKind::Limit, format!("{POLICIES_MAX} policies are kept already")));
        }
        let problems = mistakes(file, &all, name, raw);
        if !problems.is_empty() {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(PortError::invalid(format!("policy {name}: {}", words.join("; "))));
        }
        let before = all.iter().find(|k| k.object.name == name);
        let found = before.map_or(0, |k| k.object.version);
        if expected.is_some_and(|e| e != found) {
            return Err(PortError::new(ErrorKind::Conflict, format!("policy {name} is at version {found} by now")));
        }
        let mut versions = self.versions(name).await?;
        let version = versions.first().map_or(0, |v| v.version).max(found) + 1;
        let now_ms = self.clock.now_ms();
        let value = json!({"version": version, "updated_at_ms": now_ms, "actor": actor, "policy": policy});
        let document = before.map_or(0, |k| k.document);
        self.catalog.put_document(&self.namespace, name, &value, Some(document)).await?;
        let entry = PolicyVersion { version, time_ms: now_ms, actor: actor.to_owned(), policy: policy.clone() };
        versions.insert(0, entry);
        self.keep_versions(name, versions).await?;
        Ok(kept(name, value, document + 1).object)
    }

    /// All that is wrong with a policy; key paths begin at the policy.
    ///
    /// # Errors
    /// The catalog's.
    pub(crate) async fn check(&self, file: &AutoscalerConfig, name: &str, policy: &Value) -> PortResult<Vec<Problem>> {
        if let Err(error) = check_name(name) {
            return Ok(vec![problem("name", error.message())]);
        }
        let raw = match read(name, policy) {
            Ok(raw) => raw,
            Err(problem) => return Ok(vec![problem]),
        };
        if let Err(error) = refuse_file(file, name, &raw.service) {
            return Ok(vec![problem("service", error.message())]);
        }
        Ok(mistakes(file, &self.load().await?, name, raw))
    }

    /// A policy as it would be in force, instead of what is kept or stands in the file for its service: for a trial, nothing is
    /// kept. It is an object, or YAML as a text.
    ///
    /// # Errors
    /// `Invalid` with all mistakes; the catalog's.
    pub(crate) async fn tried(&self, file: &AutoscalerConfig, policy: &Value) -> PortResult<Policy> {
        let parsed = match policy {
            Value::String(yaml) if yaml.len() > YAML_BYTES_MAX => {
                return Err(PortError::invalid(format!("want a policy of at most {YAML_BYTES_MAX} bytes")));
            }
            Value::String(yaml) => serde_saphyr::from_str::<Value>(yaml)
                .map_err(|error| PortError::invalid(format!("the policy is no YAML: {error}")))?,
            policy => policy.clone(),
        };
        let name = parsed["name"].as_str().or_else(|| parsed["service"].as_str()).unwrap_or("policy").to_owned();
        let wrong = |problems: &[Problem]| {
            let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
            PortError::invalid(format!("policy {name}: {}", words.join("; ")))
        };
        let raw = read(&name, &parsed).map_err(|problem| wrong(&[problem]))?;
        let service = raw.service.clone();
        let is_replaced = |p: &RawPolicy| p.service == service || p.name.as_ref() == Some(&name);
        let all = self.load().await?;
        let others = |k: &Kept| k.raw.as_ref().is_some_and(|raw| !is_replaced(raw));
        let mut sections = beside(file, &all, others);
        sections.autoscaling.retain(|p| !is_replaced(p));
        let at = sections.autoscaling.len();
        sections.autoscaling.push(raw);
        let (config, problems) = checked(&sections, &file.cluster, at);
        let found = config.policies.into_iter().find(|p| p.service == service).filter(|_| problems.is_empty());
        found.ok_or_else(|| wrong(&problems))
    }

    /// Removes a policy; its versions stay.
    ///
    /// # Errors
    /// `NotFound`, or `Forbidden` when it stands in the file.
    pub(crate) async fn delete(&self, file: &AutoscalerConfig, name: &str, actor: &str) -> PortResult<()> {
        if file.policies.iter().any(|p| p.name == name) {
            return Err(read_only(name));
        }
        let Some(found) = self.load().await?.into_iter().find(|k| k.object.name == name) else {
            return Err(PortError::not_found(format!("there is no policy {name}")));
        };
        self.catalog.delete_document(&self.namespace, name).await?;
        let mut versions = self.versions(name).await?;
        let version = found.object.version + 1;
        let time_ms = self.clock.now_ms();
        versions.insert(0, PolicyVersion { version, time_ms, actor: actor.to_owned(), policy: Value::Null });
        self.keep_versions(name, versions).await
    }

    async fn keep_versions(&self, name: &str, mut versions: Vec<PolicyVersion>) -> PortResult<()> {
        versions.truncate(VERSIONS_MAX);
        let value = serde_json::to_value(&versions).unwrap_or_default();
        self.catalog.put_document(&self.history, name, &value, None).await.map(|_version| ())
    }
}

fn read_only(name: &str) -> PortError {
    let message = format!("policy {name} stands in the configuration file, which wins: change it there");
    PortError::new(ErrorKind::Forbidden, message)
}

fn refuse_file(file: &AutoscalerConfig, name: &str, service: &str) -> PortResult<()> {
    match file.policies.iter().find(|p| p.name == name || p.service == service) {
        Some(policy) => Err(read_only(&policy.name)),
        None => Ok(()),
    }
}

fn check_name(name: &str) -> PortResult<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_plain) {
        let message = format!("want a name of 1 to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.', not {name:?}");
        return Err(PortError::invalid(message));
    }
    Ok(())
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.to_owned(), message: message.into(), ..Problem::default() }
}

/// Reads a policy as it would stand under `autoscaling` in the file.
fn read(name: &str, policy: &Value) -> Result<RawPolicy, Problem> {
    let mut raw: RawPolicy = serde_path_to_error::deserialize(policy).map_err(|error| {
        let message = error.inner().to_string();
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        // A key that is not known may be said at what holds it.
        let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
        let path = match key {
            Some(key) if path.is_empty() => key.to_owned(),
            Some(key) if path != key && !path.ends_with(&format!(".{key}")) => format!("{path}.{key}"),
            _ => path,
        };
        problem(&path, message)
    })?;
    if raw.name.as_ref().is_some_and(|n| n != name) {
        let said = raw.name.unwrap_or_default();
        return Err(problem("name", format!("the policy is called {name:?}, its key `name` says {said:?}")));
    }
    raw.name = Some(name.to_owned());
    Ok(raw)
}

fn kept(name: &str, value: Value, document: i64) -> Kept {
    let policy = value["policy"].clone();
    let (raw, problem) = match read(name, &policy) {
        Ok(raw) => (Some(raw), String::new()),
        Err(problem) => (None, problem.to_string()),
    };
    let object = PolicyObject {
        name: name.to_owned(),
        service: raw.as_ref().map(|r| r.service.clone()).unwrap_or_default(),
        from_file: false,
        version: value["version"].as_i64().unwrap_or(document),
        updated_at_ms: value["updated_at_ms"].as_i64(),
        actor: value["actor"].as_str().unwrap_or_default().to_owned(),
        problem,
        policy,
    };
    Kept { object, raw, document }
}

/// All that is wrong with a policy among the file's and the others, which may need it as it was.
fn mistakes(file: &AutoscalerConfig, all: &[Kept], name: &str, policy: RawPolicy) -> Vec<Problem> {
    let mut raw = beside(file, all, |k| k.object.name != name);
    let at = raw.autoscaling.len();
    raw.autoscaling.push(policy);
    checked(&raw, &file.cluster, at).1
}

/// The file's sections with those kept policies that are in force and wanted.
fn beside(file: &AutoscalerConfig, all: &[Kept], wanted: impl Fn(&Kept) -> bool) -> RawAutoscaler {
    let before = merge(file, all);
    let mut raw = before.config.raw.clone();
    let in_force: BTreeSet<&str> = before.config.policies.iter().map(|p| p.name.as_str()).collect();
    let others = all.iter().filter(|k| wanted(k) && in_force.contains(k.object.name.as_str()));
    raw.autoscaling.extend(others.filter_map(|k| k.raw.clone()));
    raw
}

/// Checks sections; the paths of what is wrong with the policy at a place begin at that policy.
fn checked(raw: &RawAutoscaler, cluster: &str, at: usize) -> (AutoscalerConfig, Vec<Problem>) {
    let mut problems = Problems::default();
    let config = check(raw, cluster, &mut problems);
    let at = format!("autoscaling[{at}]");
    for problem in &mut problems.list {
        if let Some(key) = problem.path.strip_prefix(&at) {
            problem.path = key.trim_start_matches('.').to_owned();
        }
    }
    (config, problems.list)
}

/// Puts a file and kept policies together; what is wrong is set aside with its reason, and the rest is in force.
pub(crate) fn merge(file: &AutoscalerConfig, kept: &[Kept]) -> Merged {
    let mut problems: BTreeMap<&str, String> = BTreeMap::new();
    for policy in kept {
        let name = policy.object.name.as_str();
        if let Err(error) = refuse_file(file, name, &policy.object.service) {
            problems.insert(name, error.message().to_owned());
        }
    }
    let mut config = file.clone();
    for _ in 0..MERGES_MAX {
        let candidates: Vec<&Kept> =
            kept.iter().filter(|k| k.raw.is_some() && !problems.contains_key(k.object.name.as_str())).collect();
        let mut raw: RawAutoscaler = file.raw.clone();
        let own = raw.autoscaling.len();
        raw.autoscaling.extend(candidates.iter().filter_map(|k| k.raw.clone()));
        let mut found = Problems::default();
        let merged = check(&raw, &file.cluster, &mut found);
        if found.is_empty() {
            config = AutoscalerConfig { raw: file.raw.clone(), ..merged };
            break;
        }
        let mut named = false;
        for problem in &found.list {
            let index = problem.path.strip_prefix("autoscaling[").and_then(|rest| rest.split(']').next()?.parse().ok());
            let candidate = index.and_then(|i: usize| candidates.get(i.checked_sub(own)?));
            if let Some(candidate) = candidate {
                named = true;
                problems.entry(candidate.object.name.as_str()).or_insert_with(|| problem.message.clone());
            }
        }
        if !named {
            // The file's own policies only go wrong together with these: none of them is in force.
            let reason = found.to_string();
            candidates.iter().for_each(|k| {
                problems.entry(k.object.name.as_str()).or_insert_with(|| reason.clone());
            });
        }
    }
    let of_file = file.policies.iter().zip(&file.raw.autoscaling).map(|(policy, raw)| PolicyObject {
        name: policy.name.clone(),
        service: policy.service.clone(),
        from_file: true,
        version: 0,
        updated_at_ms: None,
        actor: String::new(),
        problem: String::new(),
        policy: serde_json::to_value(raw).unwrap_or_default(),
    });
    let mut objects: Vec<PolicyObject> = of_file.collect();
    objects.extend(kept.iter().map(|k| {
        let problem = problems.get(k.object.name.as_str()).cloned().unwrap_or_else(|| k.object.problem.clone());
        PolicyObject { problem, ..k.object.clone() }
    }));
    Merged { config, objects }
}

#[cfg(test)]
mod tests;
