//! Attributes of resources, scopes and points as labels.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;
use vocab::Labels;
use vocab::labels::METRIC_NAME;

use super::names::label_name;
use super::wire::{AnyValue, KeyValue, Resource, Scope};
use crate::config::OtlpConfig;

/// The resource attributes that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = ["service.namespace", "service.name", "service.instance.id"];

/// A value as a label's text, as Go's OTLP library writes it.
pub(super) fn text_of(value: &AnyValue) -> String {
    match value {
        AnyValue { string_value: Some(text), .. } => text.clone(),
        AnyValue { bool_value: Some(value), .. } => value.to_string(),
        AnyValue { int_value: Some(value), .. } => value.to_string(),
        AnyValue { double_value: Some(value), .. } => float_text(*value),
        AnyValue { bytes_value: Some(bytes), .. } => base64::engine::general_purpose::STANDARD.encode(bytes),
        AnyValue { array_value: Some(_), .. } | AnyValue { kvlist_value: Some(_), .. } => json_of(value).to_string(),
        _ => String::new(),
    }
}

/// Plain digits, but for very large and very small numbers.
fn float_text(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        if size >= 1e21 { text.replacen('e', "e+", 1) } else { text }
    } else {
        value.to_string()
    }
}

/// A value as JSON, for lists and maps.
fn json_of(value: &AnyValue) -> Value {
    match value {
        AnyValue { bool_value: Some(value), .. } => (*value).into(),
        AnyValue { int_value: Some(value), .. } => (*value).into(),
        AnyValue { double_value: Some(value), .. } => (*value).into(),
        AnyValue { array_value: Some(list), .. } => list.values.iter().map(json_of).collect(),
        AnyValue { kvlist_value: Some(map), .. } => map
            .values
            .iter()
            .map(|pair| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, json_of)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        AnyValue { string_value: None, bytes_value: None, .. } => Value::Null,
        _ => text_of(value).into(),
    }
}

/// What all points of a resource have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct ResourceLabels {
    job: Option<String>,
    instance: Option<String>,
    promoted: Vec<(String, String)>,
}

fn value_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key == key).map(|a| a.value.as_ref().map(text_of).unwrap_or_default())
}

fn sorted<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<(&'a str, String)> {
    let mut pairs: Vec<_> =
        attributes.map(|a| (a.key.as_str(), a.value.as_ref().map(text_of).unwrap_or_default())).collect();
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    pairs
}

impl ResourceLabels {
    pub(super) fn new(resource: &Resource, config: &OtlpConfig) -> Self {
        let all = &resource.attributes;
        let name = value_of(all, "service.name");
        let job = name.map(|name| match value_of(all, "service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let promoted = sorted(all.iter().filter(|a| config.promotes(&a.key)));
        let promoted = promoted.into_iter().filter_map(|(key, value)| {
            let label = label_name(key, config.translation)?;
            Some((label, value))
        });
        Self { job, instance: value_of(all, "service.instance.id"), promoted: promoted.collect() }
    }
}

/// Labels of a scope's points, when scopes are promoted.
pub(super) fn scope_labels(scope: Option<&Scope>, schema_url: &str, config: &OtlpConfig) -> Vec<(String, String)> {
    let Some(scope) = scope.filter(|s| config.promote_scope_metadata && !s.name.is_empty()) else { return Vec::new() };
    let mut pairs = vec![
        ("otel_scope_name".to_owned(), scope.name.clone()),
        ("otel_scope_version".to_owned(), scope.version.clone()),
        ("otel_scope_schema_url".to_owned(), schema_url.to_owned()),
    ];
    pairs.extend(sorted(scope.attributes.iter()).into_iter().filter_map(|(key, value)| {
        let label = label_name(&format!("otel_scope_{key}"), config.translation)?;
        Some((label, value))
    }));
    pairs
}

/// A point's labels but for the metric's name.
///
/// Attributes whose names become the same label are joined with `;`; the resource's and the scope's labels win over them.
///
/// # Errors
/// The attribute of whose name nothing is left.
pub(super) fn point_labels(
    attributes: &[KeyValue],
    resource: &ResourceLabels,
    scope: &[(String, String)],
    config: &OtlpConfig,
) -> Result<Vec<(String, String)>, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in sorted(attributes.iter()) {
        let label = label_name(key, config.translation)
            .ok_or_else(|| format!("attribute {key:?} cannot be a label: no letter or digit is in its name"))?;
        match labels.get_mut(&label) {
            Some(known) => {
                known.push(';');
                known.push_str(&value);
            }
            None => {
                labels.insert(label, value);
            }
        }
    }
    for (name, value) in &resource.promoted {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels.extend(scope.iter().cloned());
    labels.extend(resource.job.clone().map(|job| ("job".to_owned(), job)));
    labels.extend(resource.instance.clone().map(|instance| ("instance".to_owned(), instance)));
    Ok(labels.into_iter().collect())
}

/// The finished set: a point's labels, the metric's name, and perhaps `le` or `quantile`.
pub(super) fn finish(point: &[(String, String)], name: &str, extra: Option<(&str, &str)>) -> Labels {
    let own = point.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    Labels::from_pairs(own.chain(extra).chain([(METRIC_NAME, name)]))
}

/// The labels of a resource's `target_info`: what does not become `job` and `instance`. `None` when there is nothing to say,
/// or nobody to say it of.
pub(super) fn target_info(resource: &Resource, labels: &ResourceLabels, config: &OtlpConfig) -> Option<Labels> {
    let is_rest = |a: &&KeyValue| !IDENTIFYING.contains(&a.key.as_str());
    let says_something = resource.attributes.iter().filter(is_rest).count() > 0;
    let is_known = labels.job.is_some() || labels.instance.is_some();
    if !(is_known && (says_something || config.keep_identifying_resource_attributes)) {
        return None;
    }
    let rest: Vec<KeyValue> = resource
        .attributes
        .iter()
        .filter(|a| config.keep_identifying_resource_attributes || is_rest(a))
        // A name of which nothing is left must not cost the others.
        .filter(|a| label_name(&a.key, config.translation).is_some())
        .cloned()
        .collect();
    let pairs = point_labels(&rest, labels, &[], config).ok()?;
    Some(finish(&pairs, "target_info", None))
}
