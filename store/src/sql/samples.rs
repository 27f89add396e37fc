//! Series as rows: one row a sample.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, MapBuilder, MapFieldNames, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::SchemaRef;
use vocab::labels::METRIC_NAME;
use vocab::sample::{SeriesData, is_stale_nan};
use vocab::{ErrorKind, PortError, PortResult};

/// Rows of a batch: DataFusion's own measure.
const BATCH_ROWS: usize = 8192;

/// Turns series into batches of the wanted columns.
#[derive(Debug, Clone)]
pub(super) struct SampleRows {
    schema: SchemaRef,
    columns: Vec<usize>,
    range_ms: (i64, i64),
}

impl SampleRows {
    /// Rows with `columns` of the table, in that order, of samples within the range.
    pub(super) fn new(schema: SchemaRef, columns: Vec<usize>, range_ms: (i64, i64)) -> Self {
        Self { schema, columns, range_ms }
    }

    /// The rows of a batch of series, without staleness markers.
    pub(super) fn batches(&self, series: Vec<SeriesData>) -> impl Iterator<Item = PortResult<RecordBatch>> + use<> {
        let this = self.clone();
        let mut pieces = Vec::new();
        let mut piece: Vec<(usize, usize, usize)> = Vec::new();
        let mut rows = 0;
        for (index, one) in series.iter().enumerate() {
            let mut start = one.timestamps.partition_point(|t| *t < self.range_ms.0);
            let end = one.timestamps.partition_point(|t| *t <= self.range_ms.1);
            while start < end {
                let count = (end - start).min(BATCH_ROWS - rows);
                piece.push((index, start, start + count));
                (start, rows) = (start + count, rows + count);
                if rows == BATCH_ROWS {
                    pieces.push(std::mem::take(&mut piece));
                    rows = 0;
                }
            }
        }
        if !piece.is_empty() {
            pieces.push(piece);
        }
        pieces.into_iter().map(move |piece| this.batch(&series, &piece))
    }

    fn batch(&self, series: &[SeriesData], piece: &[(usize, usize, usize)]) -> PortResult<RecordBatch> {
        let mut samples: Vec<(&SeriesData, i64, f64)> = Vec::with_capacity(BATCH_ROWS);
        for &(index, start, end) in piece {
            let one = &series[index];
            let pairs = one.timestamps[start..end].iter().zip(&one.values[start..end]);
            samples.extend(pairs.filter(|(_, v)| !is_stale_nan(**v)).map(|(time, value)| (one, *time, *value)));
        }
        let num_rows = samples.len();
        let column = |column: &usize| -> Result<ArrayRef, arrow::error::ArrowError> {
            Ok(match column {
                0 => {
                    let times = TimestampMillisecondArray::from_iter_values(samples.iter().map(|s| s.1));
                    Arc::new(times.with_timezone("+00:00"))
                }
                1 => Arc::new(StringArray::from_iter_values(samples.iter().map(|s| s.0.labels.metric_name()))),
                2 => {
                    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
                    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
                    for (one, _, _) in &samples {
                        for (name, value) in one.labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
                            maps.keys().append_value(name);
                            maps.values().append_value(value);
                        }
                        maps.append(true)?;
                    }
                    Arc::new(maps.finish())
                }
                _ => Arc::new(Float64Array::from_iter_values(samples.iter().map(|s| s.2))),
            })
        };
        let columns: Result<Vec<ArrayRef>, _> = self.columns.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
        columns
            .and_then(|columns| RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options))
            .map_err(|e| PortError::with_source(ErrorKind::Internal, "cannot build rows of samples", e))
    }
}
