//! Log records as JSON lines:
//! `{"time": …, "service": …, "severity": …, "message": …, "labels": {…}, "fields": {…}}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use vocab::ports::logs::LogBatch;
use vocab::{Ctx, Labels, LogRecord, PortError};

use super::{Outcome, Receiver};
use crate::log_sink::{BATCH_RECORDS_MAX, LINE_BYTES_MAX};
use crate::parse_line::{FIELDS_MAX, severity_of, severity_of_text, time_of};

/// Most labels of a record; what has more belongs into fields.
const LABELS_MAX: usize = 32;

pub(super) async fn ingest(receiver: &Receiver, ctx: &Ctx, body: &[u8]) -> Result<Outcome, PortError> {
    let mut outcome = Outcome::default();
    let mut records = Vec::new();
    for (index, line) in body.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match record(receiver, line) {
            Ok(record) => records.push(record),
            Err(mistake) => outcome.reject(1, || format!("line {}: {mistake}", index + 1)),
        }
        if records.len() >= BATCH_RECORDS_MAX {
            write(receiver, ctx, &mut records, &mut outcome).await?;
        }
    }
    write(receiver, ctx, &mut records, &mut outcome).await?;
    Ok(outcome)
}

pub(super) async fn write(
    receiver: &Receiver,
    ctx: &Ctx,
    records: &mut Vec<LogRecord>,
    outcome: &mut Outcome,
) -> Result<(), PortError> {
    if records.is_empty() {
        return Ok(());
    }
    let batch = LogBatch { records: std::mem::take(records), position: None };
    let written = receiver.shared.log_appender.append(ctx, batch).await?;
    outcome.accepted += written.accepted;
    if written.rejected > 0 {
        outcome.reject(written.rejected, || written.first_reason.clone());
    }
    let labels = vec![("source", "push".to_owned())];
    receiver.shared.metrics.log_records.get_or_create(&labels).inc_by(written.accepted);
    Ok(())
}

fn record(receiver: &Receiver, line: &[u8]) -> Result<LogRecord, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("record of {} bytes is over the limit of {LINE_BYTES_MAX}", line.len()));
    }
    let mut object: Map<String, Value> = serde_json::from_slice(line).map_err(|e| format!("not a JSON object: {e}"))?;
    let mut take = |keys: &[&str]| keys.iter().find_map(|key| object.remove(*key));
    let time = take(&["time", "timestamp", "_time"]);
    let severity = take(&["severity", "level"]);
    let message = take(&["message", "body", "msg", "_msg"]);
    let service = take(&["service"]);
    let labels = texts(take(&["labels"]), "labels")?;
    let mut fields = texts(take(&["fields"]), "fields")?;
    let body = match message {
        Some(Value::String(text)) => text,
        Some(other) => return Err(format!("message is {other}, not a text")),
        None => return Err("no message (keys: message or body)".to_owned()),
    };
    let time_ns = match &time {
        Some(value) => {
            time_of(value).ok_or_else(|| format!("time {value} is neither RFC 3339 nor a number since 1970"))?
        }
        None => receiver.shared.clock.now_ms().saturating_mul(1_000_000),
    };
    let severity = match &severity {
        Some(value) => severity_of(value).ok_or_else(|| format!("unknown severity {value}"))?,
        None => severity_of_text(&body),
    };
    // Further keys are fields: many senders do not nest them.
    for (key, value) in object {
        fields.entry(key).or_insert_with(|| text_of(value));
    }
    if labels.len() > LABELS_MAX || fields.len() > FIELDS_MAX {
        return Err(format!("more than {LABELS_MAX} labels or {FIELDS_MAX} fields"));
    }
    let mut sources = labels.clone();
    if let Some(Value::String(service)) = service {
        sources.insert("service".to_owned(), service);
    }
    let identity = receiver.shared.resolve(&sources);
    let mut labels = labels;
    labels.remove("service");
    labels.insert("cluster".to_owned(), identity.cluster);
    Ok(LogRecord {
        time_ns,
        service: identity.service,
        severity,
        body,
        labels: Labels::from_pairs(labels),
        fields: fields.into_iter().filter(|f| !f.1.is_empty()).collect(),
        pattern_id: 0,
    })
}

fn texts(value: Option<Value>, key: &str) -> Result<BTreeMap<String, String>, String> {
    match value {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Object(object)) => Ok(object.into_iter().map(|(k, v)| (k, text_of(v))).collect()),
        Some(other) => Err(format!("{key} is {other}, not an object")),
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
