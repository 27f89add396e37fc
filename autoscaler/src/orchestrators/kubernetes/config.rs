//! The section `kubernetes`: raw, and checked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use vocab::Problems;
use vocab::duration::parse_duration;

use crate::orchestrators::rest;

/// A lease shorter than this would change hands at each hiccup.
const LEASE_MIN: Duration = Duration::from_secs(5);

/// One cluster as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawKubernetes {
    /// How policies name it, `kubernetes` by default.
    pub name: Option<String>,
    /// The cluster its services belong to; the configuration's by default.
    pub cluster: Option<String>,
    /// A kubeconfig; without one the pod's own service account, else `$KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<String>,
    /// The context of the kubeconfig; its current one by default.
    pub context: Option<String>,
    /// Namespace of targets that name none; the context's by default.
    pub namespace: Option<String>,
    /// Allows `insecure-skip-tls-verify` in the kubeconfig.
    pub allow_insecure_tls: bool,
    /// Refuses targets that an HPA or a KEDA ScaledObject scales; true by default.
    pub check_other_scalers: Option<bool>,
    /// Writes an event on the target for each action; true by default.
    pub events: Option<bool>,
    /// Counts what the nodes have free before replicas are added; true by default.
    pub count_nodes: Option<bool>,
    /// Longest wait for an answer, `10s` by default.
    pub timeout: Option<String>,
    /// A lease without which nothing is written.
    pub lease: Option<RawLease>,
    /// What is scaled where its name alone does not say it.
    pub targets: Vec<RawTarget>,
}

/// A lease.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLease {
    /// Its name, `tidewatch` by default.
    pub name: Option<String>,
    /// Its namespace; the cluster's default by default.
    pub namespace: Option<String>,
    /// Time without renewal after which another may take it, `15s` by default.
    pub duration: Option<String>,
}

/// What a service is in the cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTarget {
    /// The service, as policies name it.
    pub service: String,
    /// Group and version, `apps/v1` by default.
    pub api_version: Option<String>,
    /// `Deployment` by default; anything with a scale subresource.
    pub kind: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// The object's name; the service's by default.
    pub name: Option<String>,
    /// Port that replicas listen on; the first container port by default.
    pub port: Option<u16>,
}

/// What is scaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The service, as policies name it.
    pub service: String,
    /// Group and version; a group alone stands for its preferred version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Namespace; `None` for the cluster's default.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
    /// Port that replicas listen on.
    pub port: Option<u16>,
}

impl Target {
    /// The Deployment that a service's name alone stands for: `web`, or `shop/web` in another namespace. `None` when it cannot
    /// be an object's name.
    pub fn of_service(service: &str) -> Option<Self> {
        let (namespace, name) = match service.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, service),
        };
        let target = Self {
            service: service.to_owned(),
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            port: None,
        };
        (is_object_name(name) && namespace.is_none_or(is_object_name)).then_some(target)
    }
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseConfig {
    /// Its name.
    pub name: String,
    /// Its namespace; `None` for the cluster's default.
    pub namespace: Option<String>,
    /// Time without renewal after which another may take it.
    pub duration: Duration,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// How policies name it.
    pub name: String,
    /// The cluster its services belong to.
    pub cluster: String,
    /// A kubeconfig, when one is named.
    pub kubeconfig: Option<PathBuf>,
    /// The context.
    pub context: Option<String>,
    /// Namespace of targets that name none.
    pub namespace: Option<String>,
    /// Whether a kubeconfig may switch the check of the server's certificate off.
    pub allow_insecure_tls: bool,
    /// Whether targets of other scalers are refused.
    pub check_other_scalers: bool,
    /// Whether events are written.
    pub events: bool,
    /// Whether what the nodes have free counts.
    pub count_nodes: bool,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// The lease.
    pub lease: Option<LeaseConfig>,
    /// What is scaled.
    pub targets: Vec<Target>,
}

/// Checks a section; mistakes are added to `problems`.
pub(crate) fn check(raw: &RawKubernetes, cluster: &str, path: &str, problems: &mut Problems) -> KubernetesConfig {
    let at = |key: &str| format!("{path}.{key}");
    let mut time = |text: Option<&str>, default: Duration, key: &str| match text.map(parse_duration) {
        Some(Ok(duration)) if !duration.is_zero() => duration,
        None => default,
        Some(Ok(_)) => {
            problems.add(at(key), "want more than 0");
            default
        }
        Some(Err(message)) => {
            problems.add(at(key), message);
            default
        }
    };
    let timeout = time(raw.timeout.as_deref(), rest::TIMEOUT, "timeout");
    let lease = raw.lease.as_ref().map(|lease| LeaseConfig {
        name: lease.name.clone().unwrap_or_else(|| "tidewatch".to_owned()),
        namespace: lease.namespace.clone(),
        duration: time(lease.duration.as_deref(), Duration::from_secs(15), "lease.duration"),
    });
    if let Some(lease) = &lease {
        if lease.duration < LEASE_MIN {
            problems.add(at("lease.duration"), "want at least 5s");
        }
        check_name(&lease.name, &at("lease.name"), problems);
    }
    let namespaces = [
        (raw.namespace.as_deref(), "namespace"),
        (raw.lease.as_ref().and_then(|l| l.namespace.as_deref()), "lease.namespace"),
    ];
    for (namespace, key) in namespaces {
        if let Some(namespace) = namespace {
            check_name(namespace, &at(key), problems);
        }
    }
    let mut services = BTreeSet::new();
    let mut targets = Vec::new();
    for (index, raw) in raw.targets.iter().enumerate() {
        let path = format!("{path}.targets[{index}]");
        if !services.insert(&raw.service) {
            problems.add(format!("{path}.service"), format!("{:?} is there twice; services are unique", raw.service));
        }
        targets.push(check_target(raw, &path, problems));
    }
    KubernetesConfig {
        name: raw.name.clone().unwrap_or_else(|| "kubernetes".to_owned()),
        cluster: raw.cluster.clone().unwrap_or_else(|| cluster.to_owned()),
        kubeconfig: raw.kubeconfig.as_ref().map(PathBuf::from),
        context: raw.context.clone(),
        namespace: raw.namespace.clone(),
        allow_insecure_tls: raw.allow_insecure_tls,
        check_other_scalers: raw.check_other_scalers.unwrap_or(true),
        events: raw.events.unwrap_or(true),
        count_nodes: raw.count_nodes.unwrap_or(true),
        timeout,
        lease,
        targets,
    }
}

fn check_target(raw: &RawTarget, path: &str, problems: &mut Problems) -> Target {
    let at = |key: &str| format!("{path}.{key}");
    if raw.service.is_empty() {
        problems.add(at("service"), "want the name of a service, as policies name it");
    }
    let kind = raw.kind.clone().unwrap_or_else(|| "Deployment".to_owned());
    let default_group = match kind.as_str() {
        "Deployment" | "StatefulSet" | "ReplicaSet" => Some("apps/v1"),
        "ReplicationController" => Some("v1"),
        _ => None,
    };
    let api_version = raw.api_version.clone().or_else(|| default_group.map(str::to_owned)).unwrap_or_default();
    let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_kind {
        problems.add(at("kind"), "want a kind such as Deployment, StatefulSet or that of a custom resource");
    }
    let parts: Vec<&str> = api_version.split('/').collect();
    if api_version.is_empty() {
        problems.add(at("api_version"), format!("want the group and version of {kind}, such as argoproj.io/v1alpha1"));
    } else if parts.len() > 2 || !parts.iter().all(|p| is_object_name(p)) {
        problems.add(at("api_version"), "want a group and a version, such as apps/v1");
    }
    let implied = raw.service.rsplit('/').next().unwrap_or_default();
    let name = raw.name.clone().unwrap_or_else(|| implied.to_owned());
    check_name(&name, &at("name"), problems);
    if let Some(namespace) = &raw.namespace {
        check_name(namespace, &at("namespace"), problems);
    }
    if raw.port == Some(0) {
        problems.add(at("port"), "want the port that replicas listen on");
    }
    Target { service: raw.service.clone(), api_version, kind, namespace: raw.namespace.clone(), name, port: raw.port }
}

fn check_name(name: &str, path: &str, problems: &mut Problems) {
    if !is_object_name(name) {
        problems.add(path, format!("{name:?} is no name of an object: want lower-case letters, digits, '-' and '.'"));
    }
}

/// Whether a text can be the name of an object or a namespace; it is then also safe in a path.
pub(crate) fn is_object_name(name: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=253).contains(&name.len())
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(|c| is_edge(c) || matches!(c, '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> (KubernetesConfig, Vec<String>) {
        let raw: RawKubernetes = serde_saphyr::from_str(yaml).expect("well formed");
        let mut problems = Problems::default();
        let config = check(&raw, "local", "kubernetes[0]", &mut problems);
        (config, problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect())
    }

    #[test]
    fn an_empty_section_is_enough() {
        let (config, problems) = read("{}");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!((config.name.as_str(), config.cluster.as_str()), ("kubernetes", "local"));
        assert!(config.check_other_scalers && config.events && !config.allow_insecure_tls && config.lease.is_none());
    }

    #[test]
    fn a_target_says_what_its_name_does_not() {
        let (config, problems) = read(
            "{name: east, lease: {}, targets: [{service: db, kind: StatefulSet, name: postgres, namespace: data},
              {service: shop/web}, {service: pay, kind: Rollout, api_version: argoproj.io/v1alpha1, port: 8080}]}",
        );
        assert_eq!(problems, Vec::<String>::new());
        let words: Vec<String> = config
            .targets
            .iter()
            .map(|t| format!("{} {} {} {:?} {} {:?}", t.service, t.api_version, t.kind, t.namespace, t.name, t.port))
            .collect();
        assert_eq!(
            words,
            [
                "db apps/v1 StatefulSet Some(\"data\") postgres None",
                "shop/web apps/v1 Deployment None web None",
                "pay argoproj.io/v1alpha1 Rollout None pay Some(8080)",
            ]
        );
        assert_eq!(config.lease.map(|l| (l.name, l.duration.as_secs())), Some(("tidewatch".to_owned(), 15)));
        let shop = Target::of_service("shop/web").expect("a name");
        assert_eq!((shop.namespace.as_deref(), shop.name.as_str()), (Some("shop"), "web"));
        for wrong in ["", "../x", "a/b/c", "Web", "web/"] {
            assert_eq!(Target::of_service(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let (_, problems) = read(
            "{namespace: A, timeout: 0s, lease: {duration: 1s, name: ''},
              targets: [{service: a, kind: Rollout}, {service: a, name: '..'}, {kind: x y, api_version: a/b/c, name: x, port: 0}]}",
        );
        for expect in [
            "kubernetes[0].namespace: \"A\" is no name",
            "kubernetes[0].timeout: want more than 0",
            "kubernetes[0].lease.duration: want at least 5s",
            "kubernetes[0].lease.name: \"\" is no name",
            "kubernetes[0].targets[0].api_version: want the group and version of Rollout",
            "kubernetes[0].targets[1].service: \"a\" is there twice",
            "kubernetes[0].targets[1].name: \"..\" is no name",
            "kubernetes[0].targets[2].service: want the name",
            "kubernetes[0].targets[2].kind: want a kind",
            "kubernetes[0].targets[2].api_version: want a group and a version",
            "kubernetes[0].targets[2].port: want the port",
        ] {
            assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
        }
    }
}
