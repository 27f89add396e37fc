//! OTLP log records.

use std::collections::BTreeMap;

use vocab::{Ctx, Labels, LogRecord, PortError, Severity};

use super::super::{Outcome, Receiver, json_logs};
use super::attributes::text_of;
use super::wire::{KeyValue, LogEntry, LogsRequest, Scope};
use crate::log_sink::{BATCH_RECORDS_MAX, LINE_BYTES_MAX};
use crate::parse_line::{FIELDS_MAX, severity_of_text};

/// Resource attributes that become labels: few values each, and what people look for first. The other attributes are fields.
const LABEL_ATTRIBUTES: [(&str, &str); 6] = [
    ("host.name", "host"),
    ("k8s.namespace.name", "namespace"),
    ("k8s.pod.name", "pod"),
    ("k8s.container.name", "container"),
    ("container.name", "container"),
    ("deployment.environment.name", "environment"),
];

/// Writes what a request holds.
pub(super) async fn ingest(receiver: &Receiver, ctx: &Ctx, request: LogsRequest) -> Result<Outcome, PortError> {
    let mut outcome = Outcome::default();
    let mut records = Vec::new();
    for of_resource in request.resource_logs {
        let resource = of_resource.resource.unwrap_or_default().attributes;
        let source = Source::new(receiver, &resource);
        for of_scope in of_resource.scope_logs {
            for entry in of_scope.log_records {
                match source.record(receiver, of_scope.scope.as_ref(), entry) {
                    Ok(record) => records.push(record),
                    Err(mistake) => outcome.reject(1, || mistake),
                }
                if records.len() >= BATCH_RECORDS_MAX {
                    json_logs::write(receiver, ctx, &mut records, &mut outcome).await?;
                }
            }
        }
    }
    json_logs::write(receiver, ctx, &mut records, &mut outcome).await?;
    Ok(outcome)
}

/// What all records of a resource have in common.
struct Source {
    service: String,
    labels: Labels,
    fields: BTreeMap<String, String>,
}

fn texts(attributes: &[KeyValue]) -> impl Iterator<Item = (String, String)> {
    attributes.iter().map(|a| (a.key.clone(), a.value.as_ref().map(text_of).unwrap_or_default()))
}

impl Source {
    fn new(receiver: &Receiver, resource: &[KeyValue]) -> Self {
        let mut fields: BTreeMap<String, String> = texts(resource).collect();
        let mut labels = BTreeMap::new();
        for (attribute, label) in LABEL_ATTRIBUTES {
            if let Some(value) = fields.remove(attribute) {
                labels.insert(label.to_owned(), value);
            }
        }
        let mut sources = labels.clone();
        if let Some(service) = fields.remove("service.name") {
            sources.insert("service".to_owned(), service);
        }
        let identity = receiver.shared.resolve(&sources);
        labels.insert("cluster".to_owned(), identity.cluster);
        Self { service: identity.service, labels: Labels::from_pairs(labels), fields }
    }

    fn record(&self, receiver: &Receiver, scope: Option<&Scope>, entry: LogEntry) -> Result<LogRecord, String> {
        let body = entry.body.as_ref().map(text_of).unwrap_or_default();
        // An event may say everything in its name.
        let body = if body.is_empty() { entry.event_name.clone() } else { body };
        if body.len() > LINE_BYTES_MAX {
            return Err(format!("record of {} bytes is over the limit of {LINE_BYTES_MAX}", body.len()));
        }
        let mut fields = self.fields.clone();
        fields.extend(texts(&entry.attributes));
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        for (name, id) in [("trace_id", &entry.trace_id), ("span_id", &entry.span_id)] {
            if id.iter().any(|b| *b != 0) {
                fields.insert(name.to_owned(), hex(id));
            }
        }
        for (name, value) in
            [("event_name", entry.event_name), ("scope", scope.map_or(String::new(), |s| s.name.clone()))]
        {
            fields.insert(name.to_owned(), value);
        }
        fields.retain(|_, value| !value.is_empty());
        if fields.len() > FIELDS_MAX {
            return Err(format!("record of {} attributes is over the limit of {FIELDS_MAX}", fields.len()));
        }
        let time_ns = [entry.time_unix_nano, entry.observed_time_unix_nano].into_iter().find(|t| *t != 0);
        let time_ns = match time_ns {
            Some(time) => i64::try_from(time).map_err(|_| format!("time {time} is beyond the year 2262"))?,
            None => receiver.shared.clock.now_ms().saturating_mul(1_000_000),
        };
        Ok(LogRecord {
            time_ns,
            service: self.service.clone(),
            severity: severity(entry.severity_number, &entry.severity_text, &body),
            body,
            labels: self.labels.clone(),
            fields: fields.into_iter().collect(),
            pattern_id: 0,
        })
    }
}

/// The number says it; else the word; else the message itself.
fn severity(number: i32, text: &str, body: &str) -> Severity {
    match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warning,
        17..=20 => Severity::Error,
        21..=24 => Severity::Critical,
        _ => text.parse().unwrap_or_else(|()| severity_of_text(body)),
    }
}
