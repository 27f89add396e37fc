//! Rows of the catalog and of views as JSON.

use serde::Serialize;
use serde_json::{Value, json};
use vocab::ports::logs::FoundRecord;
use vocab::scaling::ScaledService;
use vocab::{Alert, ChangeEvent, LogRecord};

use super::services::forecast_selector;
use crate::prometheus::rules::scientific;

/// A value whose own serialised form is the API's.
pub(crate) fn json(value: &impl Serialize) -> Value {
    // Only a map with keys that are no texts cannot be a JSON value, and the words have none.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// A change event.
pub(crate) fn change(event: &ChangeEvent) -> Value {
    json(event)
}

/// A scaled service, with what selects the forecasts of its load.
pub(crate) fn scaled_service(service: &ScaledService) -> Value {
    let mut value = json(service);
    value["forecast_selector"] =
        json!(forecast_selector(&service.service, &service.forecast_query, &service.load_query));
    value
}

/// An alert; its value as text, because it may be no number.
pub(crate) fn alert(alert: &Alert) -> Value {
    let mut value = json(alert);
    value["value"] = json!(scientific(alert.value));
    value
}

/// A found log record.
pub(crate) fn found(found: &FoundRecord) -> Value {
    log_row(&found.record, &found.cursor)
}

/// A log record; nanoseconds as text, because JavaScript's numbers are too short for them.
pub(crate) fn log_row(record: &LogRecord, cursor: &str) -> Value {
    let fields: serde_json::Map<_, _> = record.fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
    json!({
        "cursor": cursor,
        "time_ns": record.time_ns.to_string(),
        "time_ms": record.time_ns.div_euclid(NANOS_PER_MILLI),
        "service": record.service,
        "severity": record.severity,
        "body": record.body,
        "labels": record.labels,
        "fields": fields,
        "pattern_id": (record.pattern_id != 0).then(|| pattern_id(record.pattern_id)),
    })
}

/// Nanoseconds in a millisecond.
pub(crate) const NANOS_PER_MILLI: i64 = 1_000_000;

/// A pattern's id as text.
pub(crate) fn pattern_id(id: u64) -> String {
    format!("{id:016x}")
}

/// A number, or `null` when there is none or it is none.
pub(crate) fn number(value: Option<f64>) -> Value {
    value.filter(|v| v.is_finite()).map_or(Value::Null, |v| json!(v))
}
