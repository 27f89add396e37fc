//! The section `metrics_api`: raw, and checked.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use vocab::Problems;

/// Most rules of a kind.
const RULES_MAX: usize = 1000;

/// The section as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMetricsApi {
    /// Address to listen on.
    pub listen: String,
    /// PEM certificate (chain) of the server.
    pub cert_file: String,
    /// PEM key of the server.
    pub key_file: String,
    /// PEM authority of the API server's proxy; read from the cluster by default.
    pub client_ca_file: Option<String>,
    /// Names that the proxy's certificate may have; with a file, any by default; else those that the cluster says.
    pub allowed_names: Vec<String>,
    /// Which entry of section `kubernetes` is asked; the first by default.
    pub cluster: Option<String>,
    /// External metrics.
    pub external: Vec<RawExternalRule>,
    /// Custom metrics.
    pub custom: Vec<RawCustomRule>,
}

/// An external metric.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawExternalRule {
    /// Its name.
    pub name: String,
    /// PromQL, with `$namespace` and `$matchers`.
    pub query: String,
}

/// A custom metric.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCustomRule {
    /// Its name.
    pub name: String,
    /// `pods` by default; the plural of what it is about.
    pub resource: Option<String>,
    /// `Pod` by default.
    pub kind: Option<String>,
    /// `v1` by default.
    pub api_version: Option<String>,
    /// The label that names the object; `pod` by default, else the resource without its s.
    pub label: Option<String>,
    /// PromQL, with `$namespace`, `$names` and `$matchers`.
    pub query: String,
}

/// An external metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRule {
    /// Its name.
    pub name: String,
    /// PromQL template.
    pub query: String,
}

/// A custom metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomRule {
    /// Its name.
    pub name: String,
    /// The plural of what it is about, without its group.
    pub resource: String,
    /// The kind of what it is about.
    pub kind: String,
    /// The group and version of what it is about.
    pub api_version: String,
    /// The label that names the object.
    pub label: String,
    /// PromQL template.
    pub query: String,
}

/// The checked section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsApiConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// PEM certificate of the server.
    pub cert_file: PathBuf,
    /// PEM key of the server.
    pub key_file: PathBuf,
    /// PEM authority of the API server's proxy.
    pub client_ca_file: Option<PathBuf>,
    /// Names that the proxy's certificate may have.
    pub allowed_names: Vec<String>,
    /// Which entry of section `kubernetes` is asked.
    pub cluster: Option<String>,
    /// External metrics.
    pub external: Vec<ExternalRule>,
    /// Custom metrics.
    pub custom: Vec<CustomRule>,
}

/// Checks the section; mistakes are added to `problems`. `clusters` are the names in section `kubernetes`.
pub fn check(raw: &RawMetricsApi, clusters: &[String], problems: &mut Problems) -> Option<MetricsApiConfig> {
    let before = problems.list.len();
    let listen = raw.listen.parse::<SocketAddr>();
    if listen.is_err() {
        problems.add("metrics_api.listen", "want an address and a port, such as 0.0.0.0:6443");
    }
    for (key, file) in [("cert_file", &raw.cert_file), ("key_file", &raw.key_file)] {
        if file.is_empty() {
            problems.add(format!("metrics_api.{key}"), "want a PEM file: the API server speaks TLS only");
        }
    }
    match &raw.cluster {
        Some(cluster) if !clusters.contains(cluster) => {
            problems.add("metrics_api.cluster", format!("section kubernetes has no {cluster:?}"));
        }
        None if clusters.is_empty() && raw.client_ca_file.is_none() => {
            problems.add("metrics_api.client_ca_file", "want this file, or a section kubernetes to read it from");
        }
        _ => {}
    }
    if raw.external.len() > RULES_MAX || raw.custom.len() > RULES_MAX {
        problems.add("metrics_api", format!("want at most {RULES_MAX} rules of a kind"));
    }
    let mut names = BTreeSet::new();
    let mut external = Vec::new();
    for (index, rule) in raw.external.iter().enumerate() {
        let path = format!("metrics_api.external[{index}]");
        check_rule(&rule.name, &rule.query, &path, problems);
        if !names.insert(&rule.name) {
            problems.add(format!("{path}.name"), format!("{:?} is there twice", rule.name));
        }
        external.push(ExternalRule { name: rule.name.clone(), query: rule.query.clone() });
    }
    let mut names = BTreeSet::new();
    let mut custom = Vec::new();
    for (index, rule) in raw.custom.iter().enumerate() {
        let path = format!("metrics_api.custom[{index}]");
        check_rule(&rule.name, &rule.query, &path, problems);
        let resource = rule.resource.clone().unwrap_or_else(|| "pods".to_owned());
        if !names.insert((resource.clone(), &rule.name)) {
            problems.add(format!("{path}.name"), format!("{:?} of {resource} is there twice", rule.name));
        }
        if resource != "pods" && (rule.kind.is_none() || rule.api_version.is_none()) {
            problems
                .add(format!("{path}.kind"), format!("{resource} need kind and api_version, such as Service and v1"));
        }
        custom.push(CustomRule {
            name: rule.name.clone(),
            kind: rule.kind.clone().unwrap_or_else(|| "Pod".to_owned()),
            api_version: rule.api_version.clone().unwrap_or_else(|| "v1".to_owned()),
            label: rule.label.clone().unwrap_or_else(|| resource.strip_suffix('s').unwrap_or(&resource).to_owned()),
            query: rule.query.clone(),
            resource,
        });
    }
    let listen = listen.ok().filter(|_| problems.list.len() == before)?;
    Some(MetricsApiConfig {
        listen,
        cert_file: PathBuf::from(&raw.cert_file),
        key_file: PathBuf::from(&raw.key_file),
        client_ca_file: raw.client_ca_file.as_ref().map(PathBuf::from),
        allowed_names: raw.allowed_names.clone(),
        cluster: raw.cluster.clone(),
        external,
        custom,
    })
}

fn check_rule(name: &str, query: &str, path: &str, problems: &mut Problems) {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '|');
    if name.is_empty() || !name.chars().all(is_fit) {
        problems.add(format!("{path}.name"), "want letters, digits, '_', '-', '.' and ':'");
    }
    let filled = query.replace("$namespace", "x").replace("$names", "x").replace("$matchers", "x=\"y\"");
    if let Err(error) = promql::parse(&filled, &promql::ParseOptions::default()) {
        problems.add(format!("{path}.query"), format!("not PromQL: {error}"));
    }
}
