//! Writes a block: beside its place first, renamed when all of it is on the device.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ulid::Ulid;
use vocab::{Labels, NativeHistogram, TenantId, TimestampMs};

use super::index::{ChunkEntry, ChunkKind};
use super::index_build::IndexBuilder;
use super::meta::{BlockMeta, FORMAT_VERSION};
use super::parquet_file::{Row, SamplesWriter};
use super::{INDEX_FILE, META_FILE, SAMPLES_FILE};
use crate::codec::{dense, histogram};
use crate::disk::{Disk, DiskFile, DiskWriter, sync_folder};
use crate::downsample::{self, COLUMNS, RESOLUTIONS};
use crate::error::StoreError;

/// Most histograms in a chunk: they are large, and a chunk is read whole.
const HISTOGRAMS_MAX: usize = 512;

/// What a block is, besides its samples.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) ulid: Ulid,
    pub(crate) tenant: TenantId,
    pub(crate) level: u32,
    pub(crate) replaces: Vec<Ulid>,
    pub(crate) first_ulid: Ulid,
    pub(crate) created_at_ms: TimestampMs,
    /// Whether columns of downsampled data are written beside the samples.
    pub(crate) downsampled: bool,
}

/// Samples of one series, each kind ascending by time. Since when they count is said of all samples of a kind, or of none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeriesSamples<'a> {
    pub(crate) times: &'a [TimestampMs],
    pub(crate) values: &'a [f64],
    pub(crate) starts: &'a [TimestampMs],
    pub(crate) histograms: &'a [(TimestampMs, Arc<NativeHistogram>)],
    pub(crate) histogram_starts: &'a [TimestampMs],
}

/// A block that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    identity: Identity,
    /// The tenant's folder of blocks.
    parent: PathBuf,
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    samples_file: Arc<dyn DiskFile>,
    samples: Option<SamplesWriter>,
    index: IndexBuilder,
    num_samples: u64,
    times: Option<(TimestampMs, TimestampMs)>,
    payload: Vec<u8>,
    published: bool,
}

impl BlockWriter {
    /// Begins a block in the folder of its tenant's blocks, which is made when absent.
    pub(crate) fn new(parent: &Path, identity: Identity, disk: &Arc<dyn Disk>) -> Result<Self, StoreError> {
        let dir = parent.join(format!("{}.tmp", identity.ulid));
        std::fs::create_dir_all(&dir).map_err(|e| StoreError::io("create the folder", &dir, e))?;
        let path = dir.join(SAMPLES_FILE);
        let begun = disk.create(&path).map_err(|e| StoreError::io("create", &path, e)).and_then(|file| {
            let samples = SamplesWriter::new(&path, DiskWriter(Arc::clone(&file)))?;
            Ok((file, samples))
        });
        let (file, samples) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // What cannot be removed now is removed at the next start.
                drop(std::fs::remove_dir_all(&dir));
                return Err(error);
            }
        };
        Ok(Self {
            identity,
            parent: parent.to_owned(),
            dir,
            disk: Arc::clone(disk),
            samples_file: file,
            samples: Some(samples),
            index: IndexBuilder::default(),
            num_samples: 0,
            times: None,
            payload: Vec::new(),
            published: false,
        })
    }

    /// Makes room for so many series.
    pub(crate) fn reserve(&mut self, num_series: usize) {
        self.index.reserve(num_series);
    }

    /// Adds a series with all its samples. Series come ascending by packed labels.
    pub(crate) fn series(&mut self, labels: &Labels, samples: &SeriesSamples<'_>) -> Result<(), StoreError> {
        let SeriesSamples { times, values, histograms, .. } = *samples;
        if times.is_empty() && histograms.is_empty() {
            return Ok(());
        }
        self.index.series(labels);
        let raw_bytes = self.floats(ChunkKind::Float, times, values, samples.starts)?;
        let mut starts = samples.histogram_starts.chunks(HISTOGRAMS_MAX);
        for group in histograms.chunks(HISTOGRAMS_MAX) {
            let times: Vec<TimestampMs> = group.iter().map(|h| h.0).collect();
            let payload = histogram::encode_chunk(group, known(starts.next()))?;
            self.chunk(ChunkKind::Histogram, &times, (0, 0), [0.0; 3], &payload)?;
        }
        if self.identity.downsampled {
            for resolution in RESOLUTIONS {
                let columns = downsample::columns(times, values, samples.starts, raw_bytes, resolution);
                for (column, of) in columns.into_iter().flatten().zip(COLUMNS) {
                    let kind = ChunkKind::Column(resolution, of);
                    self.floats(kind, &column.times, &column.values, &column.starts)?;
                }
            }
        }
        Ok(())
    }

    /// Writes floats of one kind; gives the bytes of their payloads.
    fn floats(
        &mut self,
        kind: ChunkKind,
        times: &[TimestampMs],
        values: &[f64],
        starts: &[TimestampMs],
    ) -> Result<usize, StoreError> {
        let mut num_bytes = 0;
        let mut starts = starts.chunks(dense::SAMPLES_MAX);
        for (times, values) in times.chunks(dense::SAMPLES_MAX).zip(values.chunks(dense::SAMPLES_MAX)) {
            let starts = known(starts.next());
            self.payload.clear();
            let mut payload = std::mem::take(&mut self.payload);
            let shape = dense::encode(times, values, starts, &mut self.index.times, &mut payload)?;
            let numbers = || values.iter().copied().filter(|v| !v.is_nan());
            let statistics =
                [numbers().sum(), numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max)];
            self.chunk(kind, times, (shape.codec, shape.exponent), statistics, &payload)?;
            num_bytes += payload.len();
            self.payload = payload;
        }
        Ok(num_bytes)
    }

    fn chunk(
        &mut self,
        kind: ChunkKind,
        times: &[TimestampMs],
        (codec, exponent): (u8, u8),
        statistics: [f64; 3],
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let (Some(&min_time), Some(&max_time), Some(samples)) = (times.first(), times.last(), &mut self.samples) else {
            return Ok(());
        };
        let num_samples = u32::try_from(times.len()).unwrap_or(u32::MAX);
        let series = u32::try_from(self.index.num_series() - 1).unwrap_or(u32::MAX);
        samples.push(&Row {
            series,
            min_time,
            max_time,
            num_samples,
            kind: kind.code(),
            codec,
            exponent,
            statistics,
            payload,
        })?;
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let crc32c = crc32c::crc32c(payload);
        self.index.chunk(ChunkEntry { kind, min_time, max_time, num_samples, offset: 0, length, crc32c });
        if matches!(kind, ChunkKind::Column(..)) {
            return Ok(());
        }
        self.num_samples += u64::from(num_samples);
        let (oldest, newest) = self.times.unwrap_or((min_time, max_time));
        self.times = Some((oldest.min(min_time), newest.max(max_time)));
        Ok(())
    }

    /// Publishes the block; `None` when it has no samples.
    pub(crate) fn finish(mut self) -> Result<Option<(PathBuf, BlockMeta)>, StoreError> {
        let (Some((min_time_ms, max_time_ms)), Some(samples)) = (self.times, self.samples.take()) else {
            return Ok(None);
        };
        let samples_bytes = samples.finish(self.index.chunks_mut())?;
        let num_chunks = self.index.chunks_mut().len() as u64;
        let path = self.dir.join(SAMPLES_FILE);
        self.samples_file.sync().map_err(|e| StoreError::io("sync", &path, e))?;
        let num_series = self.index.num_series() as u64;
        let index = std::mem::take(&mut self.index).finish()?;
        self.write_file(INDEX_FILE, &index)?;
        let meta = BlockMeta {
            format_version: FORMAT_VERSION,
            ulid: self.identity.ulid,
            tenant: self.identity.tenant.clone(),
            min_time_ms,
            max_time_ms,
            num_series,
            num_chunks,
            num_samples: self.num_samples,
            level: self.identity.level,
            replaces: self.identity.replaces.clone(),
            first_ulid: self.identity.first_ulid,
            created_at_ms: self.identity.created_at_ms,
            downsampled: self.identity.downsampled,
            samples_bytes,
            index_bytes: index.len() as u64,
            index_crc32c: crc32c::crc32c(&index),
        };
        let text = serde_json::to_vec_pretty(&meta)
            .map_err(|e| StoreError::io("write", &self.dir, std::io::Error::other(e)))?;
        self.write_file(META_FILE, &text)?;
        let synced = sync_folder(&self.dir);
        synced.map_err(|e| StoreError::io("sync the folder", &self.dir, e))?;
        let place = self.parent.join(self.identity.ulid.to_string());
        std::fs::rename(&self.dir, &place).map_err(|e| StoreError::io("rename", &self.dir, e))?;
        self.published = true;
        sync_folder(&self.parent).map_err(|e| StoreError::io("sync the folder", &self.parent, e))?;
        Ok(Some((place, meta)))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let file = self.disk.create(&path).map_err(|e| StoreError::io("create", &path, e))?;
        file.append(bytes).map_err(|e| StoreError::io("write to", &path, e))?;
        file.sync().map_err(|e| StoreError::io("sync", &path, e))
    }
}

/// The start times of a chunk, if one of them is known.
fn known(starts: Option<&[TimestampMs]>) -> &[TimestampMs] {
    starts.filter(|starts| starts.iter().any(|s| *s != 0)).unwrap_or_default()
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is removed at the next start.
            drop(std::fs::remove_dir_all(&self.dir));
        }
    }
}
