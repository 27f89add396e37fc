//! An open split: its index and its rows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use roaring::RoaringBitmap;
use tantivy::columnar::ColumnValues;
use tantivy::directory::MmapDirectory;
use tantivy::{Index, SegmentReader, TantivyError};

use super::meta::SplitMeta;
use super::rows::{self, Stored};
use super::{INDEX_DIR, RECORDS_FILE};
use crate::logs::cursor::Key;
use crate::logs::error::LogError;

/// Rows that are decoded at a time.
const READ_ROWS: usize = 1024;

/// Columns of the index that are read by row number.
pub(crate) struct Columns {
    /// Nanoseconds.
    pub(crate) time: Arc<dyn ColumnValues<i64>>,
    /// The record's number.
    pub(crate) seq: Arc<dyn ColumnValues<u64>>,
    /// The severity's rank.
    pub(crate) rank: Arc<dyn ColumnValues<u64>>,
    /// The pattern's number.
    pub(crate) pattern_id: Arc<dyn ColumnValues<u64>>,
}

/// An open split.
pub(crate) struct OpenSplit {
    pub(super) dir: PathBuf,
    pub(super) num_rows: u32,
    pub(super) segment: SegmentReader,
    pub(crate) columns: Columns,
    records: File,
    metadata: ArrowReaderMetadata,
}

impl std::fmt::Debug for OpenSplit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSplit").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl OpenSplit {
    /// Opens a split's files.
    pub(crate) fn open(dir: &Path, meta: &SplitMeta) -> Result<Self, LogError> {
        let segment = open_segment(dir).map_err(of_index(dir))?;
        let fast = segment.fast_fields();
        let columns = Columns {
            time: fast.column_first_or_default("time").map_err(of_index(dir))?,
            seq: fast.column_first_or_default("seq").map_err(of_index(dir))?,
            rank: fast.column_first_or_default("rank").map_err(of_index(dir))?,
            pattern_id: fast.column_first_or_default("pattern_id").map_err(of_index(dir))?,
        };
        let path = dir.join(RECORDS_FILE);
        let records = File::open(&path).map_err(LogError::io("open", &path))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&records, options).map_err(of_parquet(dir))?;
        let num_rows = segment.max_doc();
        let rows_in_file = metadata.metadata().file_metadata().num_rows();
        if u64::from(num_rows) != meta.num_records || i64::from(num_rows) != rows_in_file {
            return Err(LogError::damaged(
                dir,
                format!(
                    "its index has {num_rows} records, its rows are {rows_in_file}, meta.json says {}",
                    meta.num_records
                ),
            ));
        }
        Ok(Self { dir: dir.to_owned(), num_rows, segment, columns, records, metadata })
    }

    /// Number of rows.
    pub(crate) fn num_rows(&self) -> u32 {
        self.num_rows
    }

    /// The key of a row.
    pub(crate) fn key(&self, row: u32) -> Key {
        Key { time_ns: self.columns.time.get_val(row), seq: self.columns.seq.get_val(row) }
    }

    /// First row whose key is not less than `key`: rows are in order of key.
    pub(crate) fn first_row_from(&self, key: Key) -> u32 {
        let (mut low, mut high) = (0, self.num_rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Reads whole records by row number.
    pub(crate) fn records(&self, wanted: &RoaringBitmap) -> Result<Vec<Stored>, LogError> {
        let mut records = Vec::new();
        for batch in self.batches(wanted, None)? {
            records.append(&mut rows::records(&self.dir, &batch.map_err(|e| of_parquet(&self.dir)(e.into()))?)?);
        }
        if records.len() as u64 != wanted.len() {
            return Err(LogError::damaged(&self.dir, "records.parquet has fewer rows than it says"));
        }
        Ok(records)
    }

    /// Reads columns of rows by row number; all columns without a list. The batches come in order of row.
    pub(crate) fn batches(
        &self,
        wanted: &RoaringBitmap,
        columns: Option<&[usize]>,
    ) -> Result<ParquetRecordBatchReader, LogError> {
        let file = self.records.try_clone().map_err(LogError::io("open", &self.dir.join(RECORDS_FILE)))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        if let Some(columns) = columns {
            let mask = ProjectionMask::roots(self.metadata.parquet_schema(), columns.iter().copied());
            builder = builder.with_projection(mask);
        }
        let selection = RowSelection::from_consecutive_ranges(ranges(wanted).into_iter(), self.num_rows as usize);
        builder.with_row_selection(selection).with_batch_size(READ_ROWS).build().map_err(of_parquet(&self.dir))
    }

    /// Turns an error of the rows' reader into one of this split.
    pub(crate) fn rows_error(&self, error: arrow::error::ArrowError) -> LogError {
        of_parquet(&self.dir)(ParquetError::from(error))
    }

    /// A batch with columns in the order of the list, where the file's order differs.
    pub(crate) fn reorder(&self, batch: &RecordBatch, columns: &[usize]) -> Result<RecordBatch, LogError> {
        let mut sorted = columns.to_vec();
        sorted.sort_unstable();
        let order: Vec<usize> = columns.iter().filter_map(|c| sorted.iter().position(|s| s == c)).collect();
        batch.project(&order).map_err(|e| self.rows_error(e))
    }
}

fn open_segment(dir: &Path) -> Result<SegmentReader, TantivyError> {
    let mut index = Index::open(MmapDirectory::open(dir.join(INDEX_DIR))?)?;
    index.set_tokenizers(super::schema::tokenizers());
    let segments = index.searchable_segments()?;
    match segments.as_slice() {
        [segment] => SegmentReader::open(segment),
        _ => Err(TantivyError::SchemaError(format!("{} segments where one is expected", segments.len()))),
    }
}

/// The consecutive ranges of a set of rows.
fn ranges(rows: &RoaringBitmap) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for row in rows {
        let row = row as usize;
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

pub(super) fn of_parquet(dir: &Path) -> impl FnOnce(ParquetError) -> LogError {
    let split = dir.to_owned();
    move |source| LogError::Records { split, source }
}

pub(super) fn of_index(dir: &Path) -> impl FnOnce(TantivyError) -> LogError {
    let split = dir.to_owned();
    move |source| LogError::Index { split, source }
}
