//! `samples.parquet`: one row per chunk.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, UInt8Builder, UInt32Builder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::index::ChunkEntry;
use crate::disk::DiskWriter;
use crate::error::StoreError;

/// Position of the payload column.
const PAYLOAD_COLUMN: usize = 10;

/// A row group is closed at about this many bytes: what a writer holds in memory. Tests have small blocks of several.
const ROW_GROUP_BYTES: usize = if cfg!(test) { 64 << 10 } else { 8 << 20 };

/// Bytes of a row besides its payload: a chunk of few samples has less in it than about it.
const ROW_BYTES: usize = 64;

/// Rows that are handed to the Parquet writer together.
const BATCH_ROWS: usize = 1024;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("series", DataType::UInt32),
        field("min_time", DataType::Int64),
        field("max_time", DataType::Int64),
        field("num_samples", DataType::UInt32),
        field("kind", DataType::UInt8),
        field("codec", DataType::UInt8),
        field("exponent", DataType::UInt8),
        field("sum", DataType::Float64),
        field("min", DataType::Float64),
        field("max", DataType::Float64),
        field("payload", DataType::Binary),
    ]))
});

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) series: u32,
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    pub(super) num_samples: u32,
    pub(super) kind: u8,
    pub(super) codec: u8,
    pub(super) exponent: u8,
    /// Sum, least and greatest of the values that are numbers.
    pub(super) statistics: [f64; 3],
    pub(super) payload: &'a [u8],
}

#[derive(Debug, Default)]
struct Columns {
    series: UInt32Builder,
    min_time: Int64Builder,
    max_time: Int64Builder,
    num_samples: UInt32Builder,
    kind: UInt8Builder,
    codec: UInt8Builder,
    exponent: UInt8Builder,
    sum: Float64Builder,
    min: Float64Builder,
    max: Float64Builder,
    payload: BinaryBuilder,
    num_rows: usize,
}

/// Writes the file row by row.
pub(super) struct SamplesWriter {
    path: PathBuf,
    writer: ArrowWriter<DiskWriter>,
    columns: Columns,
    group_bytes: usize,
}

impl std::fmt::Debug for SamplesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamplesWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SamplesWriter {
    pub(super) fn new(path: &Path, file: DiskWriter) -> Result<Self, StoreError> {
        let payload = || ColumnPath::from("payload");
        let properties = WriterProperties::builder()
            .set_created_by("tidewatch".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_column_dictionary_enabled(payload(), false)
            .set_column_compression(payload(), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(payload(), EnabledStatistics::None)
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&SCHEMA), Some(properties));
        let writer = writer.map_err(|source| StoreError::Parquet { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), writer, columns: Columns::default(), group_bytes: 0 })
    }

    pub(super) fn push(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let columns = &mut self.columns;
        columns.series.append_value(row.series);
        columns.min_time.append_value(row.min_time);
        columns.max_time.append_value(row.max_time);
        columns.num_samples.append_value(row.num_samples);
        columns.kind.append_value(row.kind);
        columns.codec.append_value(row.codec);
        columns.exponent.append_value(row.exponent);
        columns.sum.append_value(row.statistics[0]);
        columns.min.append_value(row.statistics[1]);
        columns.max.append_value(row.statistics[2]);
        columns.payload.append_value(row.payload);
        columns.num_rows += 1;
        self.group_bytes += ROW_BYTES + row.payload.len();
        if self.columns.num_rows >= BATCH_ROWS {
            self.write_batch()?;
        }
        if self.group_bytes >= ROW_GROUP_BYTES {
            self.write_batch()?;
            self.group_bytes = 0;
            self.writer.flush().map_err(|source| StoreError::Parquet { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), StoreError> {
        if self.columns.num_rows == 0 {
            return Ok(());
        }
        let mut columns = std::mem::take(&mut self.columns);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(columns.series.finish()),
            Arc::new(columns.min_time.finish()),
            Arc::new(columns.max_time.finish()),
            Arc::new(columns.num_samples.finish()),
            Arc::new(columns.kind.finish()),
            Arc::new(columns.codec.finish()),
            Arc::new(columns.exponent.finish()),
            Arc::new(columns.sum.finish()),
            Arc::new(columns.min.finish()),
            Arc::new(columns.max.finish()),
            Arc::new(columns.payload.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&SCHEMA), arrays).map_err(parquet::errors::ParquetError::from);
        let written = batch.and_then(|batch| self.writer.write(&batch));
        written.map_err(|source| StoreError::Parquet { path: self.path.clone(), source })
    }

    /// Writes the rest; sets the offset of every payload, whose lengths stand in `chunks`, and gives the file's length.
    pub(super) fn finish(mut self, chunks: &mut [ChunkEntry]) -> Result<u64, StoreError> {
        self.write_batch()?;
        let metadata =
            self.writer.finish().map_err(|source| StoreError::Parquet { path: self.path.clone(), source })?;
        set_offsets(&metadata, chunks)
            .ok_or_else(|| StoreError::damaged(&self.path, "its pages are not where they were written"))?;
        Ok(self.writer.bytes_written() as u64)
    }
}

/// Where the payloads of each row group of a file lie, ascending.
pub(super) fn row_groups(path: &Path) -> Result<Vec<Range<u64>>, StoreError> {
    let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
    let metadata = metadata.map_err(|source| StoreError::Parquet { path: path.to_owned(), source })?;
    let groups = metadata.row_groups().iter().map(|group| {
        let (start, length) = group.column(PAYLOAD_COLUMN).byte_range();
        start..start + length
    });
    Ok(groups.collect())
}

/// Where each payload's bytes begin. In an uncompressed PLAIN page of a column without nulls they stand one after the other, each
/// behind its length in four bytes; what the page has before them is its header.
fn set_offsets(metadata: &ParquetMetaData, chunks: &mut [ChunkEntry]) -> Option<()> {
    let mut rest = chunks;
    let indexes = metadata.offset_index()?;
    for (group, index) in metadata.row_groups().iter().zip(indexes) {
        let num_rows = usize::try_from(group.num_rows()).ok()?;
        let pages = index.get(PAYLOAD_COLUMN)?.page_locations();
        let first_rows = pages.iter().map(|p| p.first_row_index).chain([group.num_rows()]);
        let ends: Vec<usize> = first_rows.map(usize::try_from).collect::<Result<_, _>>().ok()?;
        for (page, rows) in pages.iter().zip(ends.windows(2)) {
            let (mine, others) = rest.split_at_mut_checked(rows[1].checked_sub(rows[0])?)?;
            rest = others;
            let body: u64 = mine.iter().map(|chunk| 4 + u64::from(chunk.length)).sum();
            let page_end = u64::try_from(page.offset).ok()? + u64::try_from(page.compressed_page_size).ok()?;
            let mut at = page_end.checked_sub(body)?;
            for chunk in mine {
                chunk.offset = at + 4;
                at += 4 + u64::from(chunk.length);
            }
        }
        if ends.last() != Some(&num_rows) {
            return None;
        }
    }
    rest.is_empty().then_some(())
}
