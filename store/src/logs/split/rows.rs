//! Records to rows and back.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, MapArray, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{TimestampNanosecondType, UInt64Type};
use arrow::error::ArrowError;
use vocab::{LabelsBuilder, LogRecord};

use super::schema::{ROWS, column};
use crate::logs::error::LogError;

/// A record with its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    /// Its number.
    pub(crate) seq: u64,
    /// The record.
    pub(crate) record: LogRecord,
}

/// Collects rows column by column.
#[derive(Debug)]
pub(crate) struct RowsBuilder {
    time: TimestampNanosecondBuilder,
    seq: UInt64Builder,
    service: StringBuilder,
    severity: StringBuilder,
    body: StringBuilder,
    labels: MapBuilder<StringBuilder, StringBuilder>,
    fields: MapBuilder<StringBuilder, StringBuilder>,
    pattern_id: UInt64Builder,
    len: usize,
}

fn map_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

impl Default for RowsBuilder {
    fn default() -> Self {
        Self {
            time: TimestampNanosecondBuilder::new().with_timezone("+00:00"),
            seq: UInt64Builder::new(),
            service: StringBuilder::new(),
            severity: StringBuilder::new(),
            body: StringBuilder::new(),
            labels: map_builder(),
            fields: map_builder(),
            pattern_id: UInt64Builder::new(),
            len: 0,
        }
    }
}

impl RowsBuilder {
    /// Adds a row.
    pub(crate) fn push(&mut self, seq: u64, record: &LogRecord) -> Result<(), ArrowError> {
        self.time.append_value(record.time_ns);
        self.seq.append_value(seq);
        self.service.append_value(&record.service);
        self.severity.append_value(record.severity.as_str());
        self.body.append_value(&record.body);
        for (name, value) in &record.labels {
            self.labels.keys().append_value(name);
            self.labels.values().append_value(value);
        }
        self.labels.append(true)?;
        for (name, value) in &record.fields {
            self.fields.keys().append_value(name);
            self.fields.values().append_value(value);
        }
        self.fields.append(true)?;
        self.pattern_id.append_value(record.pattern_id);
        self.len += 1;
        Ok(())
    }

    /// Rows collected so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The rows; the builder is empty then.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.len = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.seq.finish()),
            Arc::new(self.service.finish()),
            Arc::new(self.severity.finish()),
            Arc::new(self.body.finish()),
            Arc::new(self.labels.finish()),
            Arc::new(self.fields.finish()),
            Arc::new(self.pattern_id.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&ROWS), columns)
    }
}

/// The pairs of a row's map.
fn pairs(maps: &MapArray, row: usize) -> impl Iterator<Item = (&str, &str)> {
    let offsets = maps.value_offsets();
    let (keys, values): (&StringArray, &StringArray) = (maps.keys().as_string(), maps.values().as_string());
    let range = usize::try_from(offsets[row]).unwrap_or(0)..usize::try_from(offsets[row + 1]).unwrap_or(0);
    range.map(move |i| (keys.value(i), values.value(i)))
}

/// Takes records out of rows that have all columns.
pub(crate) fn records(split: &Path, batch: &RecordBatch) -> Result<Vec<Stored>, LogError> {
    if batch.schema_ref().fields() != ROWS.fields() {
        return Err(LogError::damaged(split, "records.parquet has other columns than its format version says"));
    }
    let time = batch.column(column::TIME).as_primitive::<TimestampNanosecondType>();
    let seq = batch.column(column::SEQ).as_primitive::<UInt64Type>();
    let service = batch.column(column::SERVICE).as_string::<i32>();
    let severity = batch.column(column::SEVERITY).as_string::<i32>();
    let body = batch.column(column::BODY).as_string::<i32>();
    let labels = batch.column(column::LABELS).as_map();
    let fields = batch.column(column::FIELDS).as_map();
    let pattern_id = batch.column(column::PATTERN_ID).as_primitive::<UInt64Type>();
    let mut records = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut label_set = LabelsBuilder::default();
        for (name, value) in pairs(labels, row) {
            label_set.set(name, value);
        }
        let severity = severity
            .value(row)
            .parse()
            .map_err(|()| LogError::damaged(split, format!("row has the severity {:?}", severity.value(row))))?;
        let record = LogRecord {
            time_ns: time.value(row),
            service: service.value(row).to_owned(),
            severity,
            body: body.value(row).to_owned(),
            labels: label_set.build(),
            fields: pairs(fields, row).map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            pattern_id: pattern_id.value(row),
        };
        records.push(Stored { seq: seq.value(row), record });
    }
    debug_assert_eq!(time.null_count(), 0);
    Ok(records)
}
