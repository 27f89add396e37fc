//! Prometheus's `alerting` section.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use vocab::Problems;
use vocab::duration::parse_duration;

/// `alerting` as it is written. Keys that Prometheus has and this program has not are read, so that they are refused by name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAlerting {
    /// Where alerts go.
    pub alertmanagers: Option<Vec<RawAlertmanager>>,
    /// Not supported.
    pub alert_relabel_configs: Option<serde_json::Value>,
}

/// One entry of `alertmanagers`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RawAlertmanager {
    /// Fixed addresses.
    pub static_configs: Option<Vec<RawTargets>>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// In front of `/api/v2/alerts`.
    pub path_prefix: Option<String>,
    /// Per try.
    pub timeout: Option<String>,
    /// Only `v2`.
    pub api_version: Option<String>,
    /// Everything else that Prometheus has here.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// One entry of `static_configs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTargets {
    /// `host:port`
    pub targets: Option<Vec<String>>,
    /// Accepted; only relabelling would use them.
    pub labels: Option<BTreeMap<String, String>>,
}

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertmanagerConfig {
    /// The whole address alerts are posted to.
    pub url: String,
    /// Per try.
    pub timeout: Duration,
}

/// Time given to one try when the configuration does not say: Prometheus's own.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the section; what is wrong goes to `problems`.
pub fn check_alerting(raw: &RawAlerting, problems: &mut Problems) -> Vec<AlertmanagerConfig> {
    if raw.alert_relabel_configs.is_some() {
        problems.add(
            "alerting.alert_relabel_configs",
            "`alert_relabel_configs` is not supported yet: set the labels in the rules",
        );
    }
    let mut found = Vec::new();
    for (index, manager) in raw.alertmanagers.iter().flatten().enumerate() {
        let path = format!("alerting.alertmanagers[{index}]");
        for key in manager.other.keys() {
            problems.add(format!("{path}.{key}"), format!("`{key}` is not supported here: only static_configs, scheme, path_prefix, timeout and api_version are"));
        }
        let scheme = manager.scheme.as_deref().unwrap_or("http");
        if !matches!(scheme, "http" | "https") {
            problems.add(format!("{path}.scheme"), format!("unknown scheme {scheme:?}: want http or https"));
        }
        if let Some(version) = manager.api_version.as_deref().filter(|v| *v != "v2") {
            problems.add(format!("{path}.api_version"), format!("unknown version {version:?}: want v2"));
        }
        let timeout = match manager.timeout.as_deref().map(parse_duration) {
            None => TIMEOUT,
            Some(Ok(timeout)) if !timeout.is_zero() => timeout,
            Some(Ok(_)) => {
                problems.add(format!("{path}.timeout"), "want more than 0");
                TIMEOUT
            }
            Some(Err(message)) => {
                problems.add(format!("{path}.timeout"), message);
                TIMEOUT
            }
        };
        let prefix = manager.path_prefix.as_deref().unwrap_or("").trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let targets = manager.static_configs.iter().flatten().enumerate().flat_map(|(group, targets)| {
            targets.targets.iter().flatten().enumerate().map(move |(place, target)| (group, place, target))
        });
        for (group, place, target) in targets {
            let url = format!("{scheme}://{target}{prefix}/api/v2/alerts");
            let good = url::Url::parse(&url).is_ok_and(|u| u.host_str().is_some()) && !target.contains('/');
            if good {
                found.push(AlertmanagerConfig { url, timeout });
            } else {
                problems.add(
                    format!("{path}.static_configs[{group}].targets[{place}]"),
                    format!("invalid address {target:?}: want host:port"),
                );
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<String>, Vec<String>> {
        let raw: RawAlerting = serde_saphyr::from_str(text).expect("well formed");
        let mut problems = Problems::default();
        let found = check_alerting(&raw, &mut problems).into_iter().map(|a| a.url).collect();
        if problems.is_empty() { Ok(found) } else { Err(problems.list.into_iter().map(|p| p.path).collect()) }
    }

    #[test]
    fn static_alertmanagers_are_taken_and_the_rest_refused_by_name() {
        assert_eq!(
            check(
                "alertmanagers: [{static_configs: [{targets: ['a:9093', 'b:9093']}], path_prefix: /am/, scheme: https}]"
            ),
            Ok(vec!["https://a:9093/am/api/v2/alerts".to_owned(), "https://b:9093/am/api/v2/alerts".to_owned()])
        );
        assert_eq!(check("{}"), Ok(Vec::new()));
        assert_eq!(
            check(
                "{alert_relabel_configs: [], alertmanagers: [{dns_sd_configs: [], scheme: ftp, static_configs: [{targets: ['http://x']}]}]}"
            ),
            Err([
                "alerting.alert_relabel_configs",
                "alerting.alertmanagers[0].dns_sd_configs",
                "alerting.alertmanagers[0].scheme",
                "alerting.alertmanagers[0].static_configs[0].targets[0]"
            ]
            .map(str::to_owned)
            .to_vec())
        );
    }
}
