//! The `tenants` section: what each tenant may do and how long its data is kept.

use std::collections::BTreeMap;

use serde::Deserialize;
use vocab::limits::{LimitsTable, TenantLimits};
use vocab::{Problems, TenantId};

use super::retention::RawRetention;
use crate::memory::parse_size;
use crate::yaml::Document;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    tenants: RawTenants,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTenants {
    defaults: RawLimits,
    overrides: BTreeMap<String, RawLimits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    max_series: Option<u64>,
    max_labels_per_series: Option<u64>,
    max_label_name_bytes: Option<u64>,
    max_label_value_bytes: Option<u64>,
    max_samples_per_request: Option<u64>,
    max_samples_per_second: Option<u64>,
    max_body_size: Option<String>,
    max_decompressed_size: Option<String>,
    retention: RawRetention,
}

/// Checks `tenants`.
pub(super) fn check(document: &Document, problems: &mut Problems) -> LimitsTable {
    let raw: Raw = super::sections::pick(document, &["tenants"], problems);
    let defaults = limits(raw.tenants.defaults, "tenants.defaults", problems);
    let mut overrides = BTreeMap::new();
    for (name, raw) in raw.tenants.overrides {
        let path = format!("tenants.overrides.{name}");
        let checked = limits(raw, &path, problems);
        match TenantId::new(&name) {
            Ok(tenant) => drop(overrides.insert(tenant, checked)),
            Err(error) => problems.add(path, error.message()),
        }
    }
    LimitsTable { defaults, overrides }
}

fn limits(raw: RawLimits, path: &str, problems: &mut Problems) -> TenantLimits {
    let mut number = |value: Option<u64>, key: &str| {
        if value == Some(0) {
            problems.add(format!("{path}.{key}"), "want at least 1; leave it out for no limit of its own");
        }
        value.filter(|v| *v > 0)
    };
    let count = |value: Option<u64>| value.map(|v| usize::try_from(v).unwrap_or(usize::MAX));
    let series = count(number(raw.max_series, "max_series"));
    let labels_per_series = count(number(raw.max_labels_per_series, "max_labels_per_series"));
    let label_name_bytes = count(number(raw.max_label_name_bytes, "max_label_name_bytes"));
    let label_value_bytes = count(number(raw.max_label_value_bytes, "max_label_value_bytes"));
    let samples_per_request = number(raw.max_samples_per_request, "max_samples_per_request");
    let samples_per_second = number(raw.max_samples_per_second, "max_samples_per_second");
    let mut size = |text: Option<String>, key: &str| match text.as_deref().map(parse_size)? {
        Ok(0) => {
            problems.add(format!("{path}.{key}"), "want more than 0; leave it out for no limit of its own");
            None
        }
        Ok(bytes) => Some(bytes),
        Err(error) => {
            problems.add(format!("{path}.{key}"), error.message());
            None
        }
    };
    let body_bytes = size(raw.max_body_size, "max_body_size");
    let decompressed_bytes = size(raw.max_decompressed_size, "max_decompressed_size");
    let retention = raw.retention.check(&format!("{path}.retention"), problems);
    TenantLimits {
        series,
        labels_per_series,
        label_name_bytes,
        label_value_bytes,
        samples_per_request,
        samples_per_second,
        body_bytes,
        decompressed_bytes,
        retention_time: retention.age,
        retention_bytes: retention.bytes,
    }
}
