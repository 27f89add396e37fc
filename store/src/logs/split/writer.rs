//! Writes a split beside the others, makes it durable, and only then moves it among them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tantivy::directory::MmapDirectory;
use tantivy::{Index, SingleSegmentIndexWriter, TantivyDocument};
use vocab::{LogRecord, TenantId};

use super::meta::{self, FORMAT_VERSION, FileMeta, SplitMeta};
use super::rows::RowsBuilder;
use super::schema::{INDEX, NAME_END, ROWS, tokenizers};
use super::{INDEX_DIR, RECORDS_FILE};
use crate::disk::sync_folder;
use crate::logs::codec::rank;
use crate::logs::error::LogError;

/// Rows that are encoded at a time: enough for the encoder, little memory.
const BATCH_ROWS: usize = 2048;
/// Rows of a row group: large enough for good compression, small enough that a reader skips most of a split.
const ROW_GROUP_ROWS: usize = 32 * 1024;
/// Rows of a page: what one found record costs to decompress.
const PAGE_ROWS: usize = 512;
/// zstd's own default: nearly the best ratio on log text at several times the speed of higher levels.
const ZSTD_LEVEL: i32 = 3;
/// First size of the index's term table; it grows as needed within the split's bounds.
const INDEX_HEAP_BYTES: usize = 16 << 20;

/// Writes one split. Records must come in order of (time, number).
pub(crate) struct SplitWriter {
    dir: PathBuf,
    rows: RowsBuilder,
    parquet: ArrowWriter<File>,
    index: SingleSegmentIndexWriter,
    meta: SplitMeta,
}

impl std::fmt::Debug for SplitWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplitWriter").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl SplitWriter {
    /// Starts a split named `id` in the staging folder.
    pub(crate) fn create(staging: &Path, id: &str, tenant: &TenantId) -> Result<Self, LogError> {
        let dir = staging.join(id);
        let index_dir = dir.join(INDEX_DIR);
        std::fs::create_dir_all(&index_dir).map_err(LogError::io("create", &index_dir))?;
        let records = dir.join(RECORDS_FILE);
        let file = File::create(&records).map_err(LogError::io("create", &records))?;
        let parquet = ArrowWriter::try_new(file, Arc::clone(&ROWS), Some(properties())).map_err(of_parquet(&dir))?;
        let directory = MmapDirectory::open(&index_dir).map_err(|e| of_index(&dir)(e.into()))?;
        let index = Index::builder()
            .schema(INDEX.0.clone())
            .tokenizers(tokenizers())
            .single_segment_index_writer(directory, INDEX_HEAP_BYTES)
            .map_err(of_index(&dir))?;
        let meta = SplitMeta {
            format_version: FORMAT_VERSION,
            id: id.to_owned(),
            tenant: tenant.as_str().to_owned(),
            num_records: 0,
            text_bytes: 0,
            min_time_ns: i64::MAX,
            max_time_ns: i64::MIN,
            max_seq: 0,
            replaces: Vec::new(),
            files: Vec::new(),
        };
        Ok(Self { dir, rows: RowsBuilder::default(), parquet, index, meta })
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, seq: u64, record: &LogRecord) -> Result<(), LogError> {
        self.index.add_document(document(seq, record)).map_err(of_index(&self.dir))?;
        self.rows.push(seq, record).map_err(|e| of_parquet(&self.dir)(e.into()))?;
        self.meta.num_records += 1;
        self.meta.text_bytes += record.heap_bytes() as u64;
        self.meta.min_time_ns = self.meta.min_time_ns.min(record.time_ns);
        self.meta.max_time_ns = self.meta.max_time_ns.max(record.time_ns);
        self.meta.max_seq = self.meta.max_seq.max(seq);
        if self.rows.len() >= BATCH_ROWS { self.write_rows() } else { Ok(()) }
    }

    /// Notes which splits this one stands for from now on, and the highest record number that they vouch for.
    pub(crate) fn replaces(&mut self, splits: impl IntoIterator<Item = String>, max_seq: u64) {
        self.meta.replaces = splits.into_iter().collect();
        self.meta.max_seq = self.meta.max_seq.max(max_seq);
    }

    fn write_rows(&mut self) -> Result<(), LogError> {
        let batch = self.rows.finish().map_err(|e| of_parquet(&self.dir)(e.into()))?;
        self.parquet.write(&batch).map_err(of_parquet(&self.dir))
    }

    /// Finishes all files and makes them durable; gives the folder, still in staging.
    pub(crate) fn finish(mut self) -> Result<(PathBuf, SplitMeta), LogError> {
        if self.rows.len() > 0 {
            self.write_rows()?;
        }
        self.parquet.close().map_err(of_parquet(&self.dir))?;
        drop(self.index.finalize().map_err(of_index(&self.dir))?);
        remove_lock_files(&self.dir.join(INDEX_DIR))?;
        let files = meta::list_files(&self.dir)?;
        self.meta.files =
            files.iter().map(|f| meta::describe(&self.dir, f)).collect::<Result<Vec<FileMeta>, LogError>>()?;
        let text = serde_json::to_vec_pretty(&self.meta)
            .map_err(|e| LogError::damaged(&self.dir, format!("{} cannot be written: {e}", meta::FILE_NAME)))?;
        let path = self.dir.join(meta::FILE_NAME);
        std::fs::write(&path, text).map_err(LogError::io("write", &path))?;
        for file in files.iter().map(String::as_str).chain([meta::FILE_NAME]) {
            let path = self.dir.join(file);
            File::open(&path).and_then(|f| f.sync_all()).map_err(LogError::io("sync", &path))?;
        }
        for folder in [self.dir.join(INDEX_DIR), self.dir.clone()] {
            sync_folder(&folder).map_err(LogError::io("sync", &folder))?;
        }
        Ok((self.dir, self.meta))
    }
}

/// Moves a finished split from staging to its place; it is durable there on return.
pub(crate) fn publish(staged: &Path, tenant_dir: &Path, id: &str) -> Result<PathBuf, LogError> {
    std::fs::create_dir_all(tenant_dir).map_err(LogError::io("create", tenant_dir))?;
    let dir = tenant_dir.join(id);
    std::fs::rename(staged, &dir).map_err(LogError::io("move", staged))?;
    sync_folder(tenant_dir).map_err(LogError::io("sync", tenant_dir))?;
    if let Some(parent) = tenant_dir.parent() {
        sync_folder(parent).map_err(LogError::io("sync", parent))?;
    }
    Ok(dir)
}

/// The index leaves its empty lock files behind; a split is never written again.
fn remove_lock_files(dir: &Path) -> Result<(), LogError> {
    for file in meta::list_files(dir)?.iter().filter(|f| f.ends_with(".lock")) {
        let path = dir.join(file);
        std::fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
    }
    Ok(())
}

fn properties() -> WriterProperties {
    let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Times and numbers ascend and bodies differ: a dictionary would only be given up half-way.
        .set_column_dictionary_enabled(column("time"), false)
        .set_column_encoding(column("time"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("seq"), false)
        .set_column_encoding(column("seq"), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled(column("body"), false)
        .build()
}

fn document(seq: u64, record: &LogRecord) -> TantivyDocument {
    let fields = &INDEX.1;
    let mut document = TantivyDocument::new();
    document.add_text(fields.body, &record.body);
    let mut text = String::new();
    let mut pair = |document: &mut TantivyDocument, field, name: &str, value: &str| {
        text.clear();
        text.push_str(name);
        text.push(NAME_END);
        text.push_str(value);
        document.add_text(field, &text);
    };
    for (name, value) in &record.labels {
        pair(&mut document, fields.label, name, value);
        pair(&mut document, fields.name, "l", name);
    }
    for (name, value) in &record.fields {
        pair(&mut document, fields.field, name, value);
        pair(&mut document, fields.name, "f", name);
    }
    document.add_text(fields.service, &record.service);
    document.add_text(fields.severity, record.severity.as_str());
    document.add_text(fields.pattern, record.pattern_id.to_string());
    document.add_i64(fields.time, record.time_ns);
    document.add_u64(fields.seq, seq);
    document.add_u64(fields.rank, u64::from(rank(record.severity)));
    document.add_u64(fields.pattern_id, record.pattern_id);
    document
}

fn of_parquet(dir: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> LogError {
    let split = dir.to_owned();
    move |source| LogError::Records { split, source }
}

fn of_index(dir: &Path) -> impl FnOnce(tantivy::TantivyError) -> LogError {
    let split = dir.to_owned();
    move |source| LogError::Index { split, source }
}
