//! The identity resolver: source labels → (cluster, service, replica). The one place where this join is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::matcher::Matcher;

/// Who a series, a container or a log stream belongs to. Empty strings mean "not known".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The replica.
    pub replica: String,
}

/// One entry of the `services:` section of the configuration: sources that match all matchers belong to the service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRule {
    /// The service's name.
    pub service: String,
    /// The cluster, when the rule states one.
    pub cluster: Option<String>,
    /// All must match the source labels.
    pub matchers: Vec<Matcher>,
}

/// What the resolver knows beside the labels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResolverConfig {
    /// The cluster of sources that name none (`cluster` in the configuration, `local` by default).
    pub default_cluster: String,
    /// The `services:` section, first match wins.
    pub rules: Vec<ServiceRule>,
}

/// Labels that name a service, the most trustworthy first.
const SERVICE_LABELS: &[&str] = &[
    "service",
    "com.docker.swarm.service.name",
    "container_label_com_docker_swarm_service_name",
    "io.kubernetes.service.name",
    "app.kubernetes.io/name",
    "label_app_kubernetes_io_name",
    "com.docker.compose.service",
    "container_label_com_docker_compose_service",
    "MARATHON_APP_ID",
    "marathon_app",
    "nomad_job",
    "tidewatch.service",
];

/// Labels that name a replica, the most trustworthy first.
const REPLICA_LABELS: &[&str] = &[
    "replica",
    "com.docker.swarm.task.name",
    "container_label_com_docker_swarm_task_name",
    "io.kubernetes.pod.name",
    "pod",
    "MESOS_TASK_ID",
    "nomad_alloc_id",
    "tidewatch.replica",
];

/// Resolves source labels (of a scrape target, a container, a HAProxy row, a log stream) to an identity.
///
/// In order: the configuration's rules; labels that orchestrators set; a HAProxy backend's name (`proxy` or `pxname`),
/// where marathon-lb's `<app>_<servicePort>` loses its port when `app_port` or the port suffix says so; the container's name
/// without its replica suffix. An existing `cluster` label is kept.
pub fn resolve(labels: &BTreeMap<String, String>, config: &ResolverConfig) -> Identity {
    let get = |name: &str| labels.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let first = |names: &[&str]| names.iter().find_map(|n| get(n)).map(str::to_owned);
    let rule = config
        .rules
        .iter()
        .find(|rule| rule.matchers.iter().all(|m| m.matches(labels.get(&m.name).map_or("", String::as_str))));
    let cluster = get("cluster")
        .map(str::to_owned)
        .or_else(|| rule.and_then(|r| r.cluster.clone()))
        .unwrap_or_else(|| config.default_cluster.clone());
    let service = rule
        .map(|r| r.service.clone())
        .or_else(|| first(SERVICE_LABELS).map(|s| s.trim_start_matches('/').to_owned()))
        .or_else(|| kubernetes_owner(labels))
        .or_else(|| get("proxy").or_else(|| get("pxname")).map(|name| backend_service(name, get("app_port"))))
        .unwrap_or_default();
    Identity { cluster, service, replica: first(REPLICA_LABELS).unwrap_or_default() }
}

/// A HAProxy backend's service: marathon-lb names backends `<app>_<port>`.
fn backend_service(backend: &str, app_port: Option<&str>) -> String {
    match backend.rsplit_once('_') {
        Some((app, port)) if !app.is_empty() && is_service_port(port, app_port) => app.to_owned(),
        _ => backend.to_owned(),
    }
}

/// marathon-lb's service ports start at 10000; a smaller number is part of a name unless `app_port` says otherwise.
fn is_service_port(text: &str, app_port: Option<&str>) -> bool {
    app_port == Some(text) || text.parse::<u32>().is_ok_and(|p| (10_000..=65_535).contains(&p) && text.len() == 5)
}

/// A Deployment's pod is called `<deployment>-<template hash>-<5 random>`.
fn kubernetes_owner(labels: &BTreeMap<String, String>) -> Option<String> {
    let pod = labels.get("io.kubernetes.pod.name").or_else(|| labels.get("pod"))?;
    let (rest, random) = pod.rsplit_once('-')?;
    let is_random = random.len() == 5 && random.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if is_random
        && let Some((owner, hash)) = rest.rsplit_once('-')
        && (8..=10).contains(&hash.len())
        && hash.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return Some(owner.to_owned());
    }
    // A StatefulSet's pod is called `<set>-<ordinal>`.
    random.bytes().all(|b| b.is_ascii_digit()).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], expect: (&str, &str, &str)) {
        let config = ResolverConfig {
            default_cluster: "local".into(),
            rules: vec![ServiceRule {
                service: "shop".into(),
                cluster: None,
                matchers: vec![Matcher::equal("job", "legacy-shop")],
            }],
        };
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let got = resolve(&labels, &config);
        assert_eq!((got.cluster.as_str(), got.service.as_str(), got.replica.as_str()), expect, "{labels:?}");
    }

    #[test]
    fn every_kind_of_source_finds_its_service() {
        check(&[("job", "legacy-shop"), ("service", "x")], ("local", "shop", ""));
        check(&[("service", "web"), ("cluster", "west")], ("west", "web", ""));
        check(
            &[("com.docker.swarm.service.name", "web"), ("com.docker.swarm.task.name", "web.1.abc")],
            ("local", "web", "web.1.abc"),
        );
        check(&[("com.docker.compose.service", "db")], ("local", "db", ""));
        check(&[("pod", "checkout-7d9f8b6c5d-x2k4q")], ("local", "checkout", "checkout-7d9f8b6c5d-x2k4q"));
        check(&[("pod", "kafka-2")], ("local", "kafka", "kafka-2"));
        check(&[("proxy", "web")], ("local", "web", ""));
        check(&[("pxname", "shop_cart_10101")], ("local", "shop_cart", ""));
        check(&[("pxname", "api_v2")], ("local", "api_v2", ""));
        check(&[("pxname", "api_80"), ("app_port", "80")], ("local", "api", ""));
        check(&[("MARATHON_APP_ID", "/team/web")], ("local", "team/web", ""));
        check(&[("job", "node")], ("local", "", ""));
    }
}
