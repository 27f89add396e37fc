//! Rules and alerts.

use axum::extract::State;
use serde_json::{Value, json};
use vocab::ports::views::{RuleGroupStatus, RuleStatus};
use vocab::{Alert, AlertState};

use super::{PromResult, go_time, success};
use crate::app::Shared;
use crate::error::ApiError;
use crate::params::Params;

/// The rule groups with their rules and alerts.
#[utoipa::path(get, path = "/api/v1/rules", tag = "Prometheus", params(("type" = Option<String>, Query, description = "alert or record"),
    ("rule_name[]" = Option<Vec<String>>, Query), ("rule_group[]" = Option<Vec<String>>, Query), ("file[]" = Option<Vec<String>>, Query),
    ("exclude_alerts" = Option<bool>, Query), ("group_limit" = Option<u64>, Query), ("group_next_token" = Option<String>, Query)),
    responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn rules(State(app): State<Shared>, params: Params) -> PromResult {
    let kind = params.get("type");
    if kind.is_some_and(|k| k != "alert" && k != "record") {
        let text = kind.unwrap_or_default();
        return Err(ApiError::invalid(format!("not supported value {text:?}")).parameter("type").into());
    }
    let without_alerts = params.flag("exclude_alerts")?;
    let limit = params.number("group_limit", 0, usize::MAX)?;
    let wanted = |name: &str, value: &str| {
        let mut values = params.all(name).peekable();
        values.peek().is_none() || values.any(|v| v == value)
    };
    let mut groups = app.ports.rules.groups().await;
    groups.retain(|g| wanted("file[]", &g.file) && wanted("rule_group[]", &g.name));
    if let Some(token) = params.get("group_next_token") {
        let at = groups.iter().position(|g| self::token(g) == token);
        let at = at.ok_or_else(|| ApiError::invalid(format!("invalid group_next_token {token:?}")))?;
        groups.drain(..at);
    }
    let next = groups.get(limit).filter(|_| limit > 0).map(token);
    if limit > 0 {
        groups.truncate(limit);
    }
    let keep =
        |rule: &RuleStatus| wanted("rule_name[]", &rule.name) && kind.is_none_or(|k| (k == "alert") == rule.alerting);
    let filtered = kind.is_some() || params.all("rule_name[]").next().is_some();
    let groups: Vec<Value> = groups
        .iter()
        .filter_map(|g| {
            let rules: Vec<_> = g.rules.iter().filter(|r| keep(r)).map(|r| rule(r, without_alerts)).collect();
            (!filtered || !rules.is_empty()).then(|| group(g, &rules))
        })
        .collect();
    let mut data = json!({"groups": groups});
    if let Some(next) = next {
        data["groupNextToken"] = json!(next);
    }
    Ok(success(data))
}

/// A group's place in the list, opaque to callers.
fn token(group: &RuleGroupStatus) -> String {
    vocab::Labels::from_pairs([("file", &group.file), ("group", &group.name)]).stable_hash().to_string()
}

fn group(group: &RuleGroupStatus, rules: &[Value]) -> Value {
    json!({
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval_seconds,
        "limit": group.limit,
        "evaluationTime": group.evaluation_seconds,
        "lastEvaluation": go_time(group.last_evaluation_ms),
    })
}

fn rule(rule: &RuleStatus, without_alerts: bool) -> Value {
    let mut value = json!({
        "name": rule.name,
        "query": rule.query,
        "labels": rule.labels,
        "health": if rule.health.is_empty() { "unknown" } else { &rule.health },
        "evaluationTime": rule.evaluation_seconds,
        "lastEvaluation": go_time(rule.last_evaluation_ms),
        "type": if rule.alerting { "alerting" } else { "recording" },
    });
    if !rule.last_error.is_empty() {
        value["lastError"] = json!(rule.last_error);
    }
    if rule.alerting {
        let worst = rule.alerts.iter().map(|a| a.state).filter(|s| is_live(*s)).max();
        value["state"] = json!(worst.unwrap_or(AlertState::Inactive));
        value["duration"] = json!(rule.for_seconds);
        value["keepFiringFor"] = json!(rule.keep_firing_for_seconds);
        value["annotations"] = json!(rule.annotations);
        let alerts = rule.alerts.iter().filter(|a| !without_alerts && is_live(a.state));
        value["alerts"] = alerts.map(alert).collect();
    }
    value
}

fn is_live(state: AlertState) -> bool {
    matches!(state, AlertState::Pending | AlertState::Firing)
}

fn alert(alert: &Alert) -> Value {
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": go_time(Some(alert.active_at_ms)),
        "value": scientific(alert.value),
    })
}

/// A value as Go's `%e` in its shortest form: `2.15e+01`.
pub(crate) fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return promql::format_value(value);
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// Pending and firing alerts.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn alerts(State(app): State<Shared>) -> PromResult {
    let alerts = app.ports.rules.alerts().await;
    let alerts: Vec<_> = alerts.iter().filter(|a| is_live(a.state)).map(alert).collect();
    Ok(success(json!({"alerts": alerts})))
}

/// The Alertmanagers that alerts are sent to.
#[utoipa::path(get, path = "/api/v1/alertmanagers", tag = "Prometheus", responses((status = 200, description = "as Prometheus answers")))]
pub(crate) async fn alertmanagers(State(app): State<Shared>) -> PromResult {
    let urls = app.ports.rules.alertmanagers().await;
    let active: Vec<_> = urls.iter().map(|url| json!({"url": url})).collect();
    Ok(success(json!({"activeAlertmanagers": active, "droppedAlertmanagers": []})))
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_of_alerts_are_written_as_go_does() {
        for (value, expect) in
            [(21.5, "2.15e+01"), (0.0, "0e+00"), (1e-7, "1e-07"), (-3e120, "-3e+120"), (f64::NAN, "NaN")]
        {
            assert_eq!(super::scientific(value), expect);
        }
    }
}
