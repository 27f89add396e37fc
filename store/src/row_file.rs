//! Samples as plain Parquet rows, for any program that reads Parquet: `time`, `name`, `labels`, `value`, `start_time`, `histogram`,
//! one row a sample.

mod histogram_column;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use vocab::labels::METRIC_NAME;
use vocab::{Labels, NativeHistogram, TimestampMs, is_stale_nan};

use crate::error::StoreError;

/// Rows of a row group: small enough to be skipped by its statistics, large enough to be dense.
const GROUP_ROWS_MAX: usize = 1 << 20;
/// Bytes of a row group before it is written, which is what a writer holds in memory.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// Rows that are handed to the Parquet writer together.
const BATCH_ROWS: usize = 8192;

/// Writes the file series by series.
pub struct RowFileWriter {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    /// Rows that are not handed on yet.
    rows: Vec<Row>,
    labels: Vec<Labels>,
    num_written: u64,
}

/// One sample.
struct Row {
    /// Index into the labels.
    of: usize,
    time: TimestampMs,
    /// Since when it counts; 0 for not known.
    start: TimestampMs,
    value: Value,
}

enum Value {
    Float(f64),
    Histogram(Arc<NativeHistogram>),
}

impl std::fmt::Debug for RowFileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFileWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RowFileWriter {
    /// Begins a file, which replaces one of the same name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|e| StoreError::io("create the file", path, e))?;
        let wrong = |source| StoreError::Parquet { path: path.to_owned(), source };
        let columns = columns(&[], &[]).map_err(|e| wrong(e.into()))?;
        let fields = columns.iter().map(|c| Field::new(c.name, c.values.data_type().clone(), c.may_be_null));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let properties = WriterProperties::builder()
            .set_created_by("tidewatch".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(wrong)?;
        let (rows, labels) = (Vec::with_capacity(BATCH_ROWS), Vec::new());
        Ok(Self { path: path.to_owned(), schema, writer, rows, labels, num_written: 0 })
    }

    /// Writes samples of a series: time, value, and since when it counts (0: not known). Those that only say that it ended are no
    /// rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn series(
        &mut self,
        labels: &Labels,
        samples: impl IntoIterator<Item = (TimestampMs, f64, TimestampMs)>,
    ) -> Result<(), StoreError> {
        for (time, value, start) in samples.into_iter().filter(|s| !is_stale_nan(s.1)) {
            self.row(labels, time, start, Value::Float(value))?;
        }
        Ok(())
    }

    /// Writes native histograms of a series, in the same way.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn histograms(
        &mut self,
        labels: &Labels,
        samples: impl IntoIterator<Item = (TimestampMs, Arc<NativeHistogram>, TimestampMs)>,
    ) -> Result<(), StoreError> {
        for (time, histogram, start) in samples.into_iter().filter(|s| !is_stale_nan(s.1.sum)) {
            self.row(labels, time, start, Value::Histogram(histogram))?;
        }
        Ok(())
    }

    fn row(&mut self, labels: &Labels, time: TimestampMs, start: TimestampMs, value: Value) -> Result<(), StoreError> {
        if self.labels.last() != Some(labels) {
            self.labels.push(labels.clone());
        }
        self.rows.push(Row { of: self.labels.len() - 1, time, start, value });
        if self.rows.len() == BATCH_ROWS { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> Result<(), StoreError> {
        let arrays = columns(&self.rows, &self.labels).map(|columns| columns.map(|c| c.values).to_vec());
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(Arc::clone(&self.schema), arrays));
        let written = batch.map_err(ParquetError::from).and_then(|batch| {
            self.writer.write(&batch)?;
            if self.writer.in_progress_size() >= GROUP_BYTES_MAX { self.writer.flush() } else { Ok(()) }
        });
        written.map_err(|source| StoreError::Parquet { path: self.path.clone(), source })?;
        self.num_written += self.rows.len() as u64;
        self.rows.clear();
        self.labels.clear();
        Ok(())
    }

    /// Writes the rest; gives the number of rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        self.write_batch()?;
        self.writer.finish().map_err(|source| StoreError::Parquet { path: self.path.clone(), source })?;
        Ok(self.num_written)
    }
}

/// A column of the file.
struct Column {
    name: &'static str,
    values: ArrayRef,
    may_be_null: bool,
}

/// The columns of some rows.
fn columns(rows: &[Row], labels: &[Labels]) -> Result<[Column; 6], ArrowError> {
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.time)).with_timezone("UTC");
    let names = StringArray::from_iter_values(rows.iter().map(|r| labels[r.of].metric_name()));
    let fields = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(fields), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (name, value) in labels[row.of].iter().filter(|(name, _)| *name != METRIC_NAME) {
            maps.keys().append_value(name);
            maps.values().append_value(value);
        }
        maps.append(true)?;
    }
    let values: Float64Array =
        rows.iter().map(|r| if let Value::Float(value) = r.value { Some(value) } else { None }).collect();
    let starts: TimestampMillisecondArray = rows.iter().map(|r| (r.start != 0).then_some(r.start)).collect();
    let histograms =
        rows.iter().map(|r| if let Value::Histogram(histogram) = &r.value { Some(&**histogram) } else { None });
    let column = |name, values: ArrayRef, may_be_null| Column { name, values, may_be_null };
    Ok([
        column("time", Arc::new(times), false),
        column("name", Arc::new(names), false),
        column("labels", Arc::new(maps.finish()), false),
        column("value", Arc::new(values), true),
        column("start_time", Arc::new(starts.with_timezone("UTC")), true),
        column("histogram", Arc::new(histogram_column::of(histograms)), true),
    ])
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, TimestampMillisecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn rows_are_read_by_any_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let mut writer = RowFileWriter::create(&path).unwrap();
        let labels = |host: u32| Labels::from_pairs([("__name__", "m".to_owned()), ("host", format!("h{host}"))]);
        writer.series(&labels(0), (0..10_000).map(|i| (i * 1000 - 5000, i as f64, 0))).unwrap();
        writer.series(&labels(1), [(7, 1.5, 3), (8, vocab::STALE_NAN, 3), (9, f64::INFINITY, 0)]).unwrap();
        writer.series(&Labels::from_pairs([("__name__", "bare")]), [(1, f64::NAN, 0)]).unwrap();
        assert_eq!(writer.finish().unwrap(), 10_003);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let shown: Vec<String> =
            reader.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        assert!(shown[0].starts_with("time Timestamp(") && shown[0].contains("UTC"), "{shown:?}");
        assert!(shown[2].starts_with("labels Map(") && shown[1..].join(" ").contains("value Float64"), "{shown:?}");
        let mut rows = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let times = batch.column(0).as_primitive::<TimestampMillisecondType>();
            let (names, maps) = (batch.column(1).as_string::<i32>(), batch.column(2).as_map());
            let values = batch.column(3).as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let map = maps.value(row);
                let pairs = map.column(0).as_string::<i32>().iter().zip(map.column(1).as_string::<i32>());
                let pairs: Vec<String> = pairs.map(|(k, v)| format!("{}={}", k.unwrap(), v.unwrap())).collect();
                rows.push((times.value(row), names.value(row).to_owned(), pairs.join(","), values.value(row)));
            }
        }
        assert_eq!(rows.len(), 10_003);
        assert_eq!(rows[9_999], (9_994_000, "m".to_owned(), "host=h0".to_owned(), 9_999.0));
        assert_eq!(
            rows[10_000..10_002],
            [(7, "m".to_owned(), "host=h1".to_owned(), 1.5), (9, "m".to_owned(), "host=h1".to_owned(), f64::INFINITY)]
        );
        let last = &rows[10_002];
        assert!((last.0, last.1.as_str(), last.2.as_str()) == (1, "bare", "") && last.3.is_nan(), "{last:?}");
    }

    #[test]
    fn a_file_without_rows_has_its_columns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        assert_eq!(RowFileWriter::create(&path).unwrap().finish().unwrap(), 0);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.schema().fields().len(), 6);
        assert!(RowFileWriter::create(Path::new("/nowhere/x.parquet")).is_err());
    }
}
