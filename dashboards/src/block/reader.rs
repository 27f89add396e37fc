//! Reads a block.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use vocab::sample::SeriesData;
use vocab::{Labels, LabelsBuilder, TimestampMs};

use super::bytes::{Cursor, io};
use super::{
    BlockError, BlockMeta, INDEX_BYTES_MAX, INDEX_MAGIC, INDEX_VERSION, SEGMENT_MAGIC, TOC_BYTES, TOMBSTONES_MAGIC,
    align,
};
use crate::chunk::{
    ChunkError, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, ENCODING_XOR, decode_histograms, decode_xor,
};

/// Longest chunk that is read; Prometheus's have a few kilobytes.
const CHUNK_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are read at once: a chunk's length and most chunks whole.
const READ_AHEAD: usize = 4096;

/// Where a chunk is, and its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its first time.
    pub min_time: TimestampMs,
    /// Its last time.
    pub max_time: TimestampMs,
    /// Segment and offset.
    pub at: u64,
}

/// A series of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSeries {
    /// Its number, which tombstones name it by.
    pub number: u64,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks, ascending by time.
    pub chunks: Vec<ChunkRef>,
}

/// An open block.
#[derive(Debug)]
pub struct BlockReader {
    meta: BlockMeta,
    index_path: PathBuf,
    index: Vec<u8>,
    /// Offsets of the symbols in the index.
    symbols: Vec<usize>,
    /// Position of the next series, and the end of all series.
    next: usize,
    end: usize,
    segments: Vec<(PathBuf, File)>,
    /// Deleted stretches of time by series number.
    tombstones: HashMap<u64, Vec<(TimestampMs, TimestampMs)>>,
}

impl BlockReader {
    /// Opens the block in a folder.
    ///
    /// # Errors
    /// [`BlockError`] when a file is missing, damaged, or of a version that is not known.
    pub fn open(folder: &Path) -> Result<Self, BlockError> {
        let meta = read_meta(folder)?;
        let index_path = folder.join("index");
        let size = std::fs::metadata(&index_path).map_err(io(&index_path))?.len();
        if size > INDEX_BYTES_MAX {
            return Err(BlockError::Refused(format!("{} has more than {INDEX_BYTES_MAX} bytes", index_path.display())));
        }
        let index = std::fs::read(&index_path).map_err(io(&index_path))?;
        let (symbols, next, end) = open_index(&index, &index_path)?;
        let tombstones = read_tombstones(&folder.join("tombstones"))?;
        let segments = open_segments(&folder.join("chunks"))?;
        Ok(Self { meta, index_path, index, symbols, next, end, segments, tombstones })
    }

    /// What the block says of itself.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// The next series, in the order of labels.
    ///
    /// # Errors
    /// [`BlockError::Damaged`].
    pub fn next_series(&mut self) -> Result<Option<BlockSeries>, BlockError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let start = self.next;
        let mut cursor = Cursor::new(&self.index, start, &self.index_path);
        let length = cursor.count()?;
        let body = cursor.at;
        // The checksum first: what follows is trusted to be what a writer wrote.
        cursor.take(length)?;
        cursor.check(body)?;
        let after = cursor.at;
        cursor.at = body;
        let mut labels = LabelsBuilder::default();
        for _ in 0..cursor.count()? {
            let (name, value) = (cursor.count()?, cursor.count()?);
            labels.set(self.symbol(name)?, self.symbol(value)?);
        }
        let mut chunks: Vec<ChunkRef> = Vec::new();
        for index in 0..cursor.count()? {
            let last = chunks.last().map_or((0, 0), |c| (c.max_time, c.at));
            let chunk = if index == 0 {
                let min_time = cursor.varint()?;
                let max_time = min_time.saturating_add_unsigned(cursor.uvarint()?);
                ChunkRef { min_time, max_time, at: cursor.uvarint()? }
            } else {
                let min_time = last.0.saturating_add_unsigned(cursor.uvarint()?);
                let max_time = min_time.saturating_add_unsigned(cursor.uvarint()?);
                ChunkRef { min_time, max_time, at: last.1.wrapping_add_signed(cursor.varint()?) }
            };
            chunks.push(chunk);
        }
        self.next = align(after, 16);
        Ok(Some(BlockSeries { number: (start / 16) as u64, labels: labels.build(), chunks }))
    }

    /// The samples of a series, without those that tombstones delete.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn samples(&self, series: &BlockSeries) -> Result<SeriesData, BlockError> {
        let mut data = SeriesData { labels: series.labels.clone(), ..SeriesData::default() };
        let deleted = self.tombstones.get(&series.number).map(Vec::as_slice).unwrap_or_default();
        let lives = |time: TimestampMs| !deleted.iter().any(|(from, to)| (*from..=*to).contains(&time));
        for chunk in &series.chunks {
            let (encoding, bytes) = self.chunk(chunk.at)?;
            let damaged = |error: ChunkError| self.damaged_chunk(chunk.at, error.to_string());
            match encoding {
                ENCODING_XOR => {
                    for (time, value) in decode_xor(&bytes).map_err(damaged)?.into_iter().filter(|s| lives(s.0)) {
                        data.timestamps.push(time);
                        data.values.push(value);
                    }
                }
                ENCODING_HISTOGRAM | ENCODING_FLOAT_HISTOGRAM => {
                    let all = decode_histograms(&bytes, encoding == ENCODING_HISTOGRAM).map_err(damaged)?;
                    data.histograms.extend(all.into_iter().filter(|s| lives(s.0)));
                }
                other => return Err(self.damaged_chunk(chunk.at, format!("unknown chunk encoding {other}"))),
            }
        }
        Ok(data)
    }

    fn damaged_chunk(&self, at: u64, what: String) -> BlockError {
        let path = self.segments.get((at >> 32) as usize).map(|s| s.0.clone()).unwrap_or_default();
        BlockError::Damaged { path, offset: (at & u64::from(u32::MAX)) as usize, what }
    }

    fn symbol(&self, number: usize) -> Result<&str, BlockError> {
        let offset = self.symbols.get(number).copied();
        let mut cursor = Cursor::new(&self.index, offset.unwrap_or(self.next), &self.index_path);
        if offset.is_none() {
            return Err(cursor.damaged(format!("symbol {number} does not exist")));
        }
        cursor.text()
    }

    /// A chunk's encoding and bytes.
    fn chunk(&self, at: u64) -> Result<(u8, Vec<u8>), BlockError> {
        let offset = at & u64::from(u32::MAX);
        let Some((path, file)) = self.segments.get((at >> 32) as usize) else {
            return Err(self.damaged_chunk(at, format!("segment {} is missing", (at >> 32) + 1)));
        };
        let mut head = vec![0; READ_AHEAD];
        let read = read_some(file, &mut head, offset).map_err(io(path))?;
        head.truncate(read);
        let mut cursor = Cursor::new(&head, 0, path);
        let length = cursor.uvarint().map_err(|_| self.damaged_chunk(at, "the chunk has no length".to_owned()))?;
        if length > CHUNK_BYTES_MAX {
            return Err(self.damaged_chunk(at, format!("the chunk says it has {length} bytes")));
        }
        // Encoding, data, checksum.
        let start = cursor.at;
        let whole = start + 1 + length as usize + 4;
        if head.len() < whole {
            head.resize(whole, 0);
            file.read_exact_at(&mut head, offset).map_err(io(path))?;
        }
        let (body, sum) = head[start..whole].split_at(whole - start - 4);
        if crc32c::crc32c(body).to_be_bytes() != sum {
            return Err(self.damaged_chunk(at, "the checksum is wrong".to_owned()));
        }
        Ok((body[0], body[1..].to_vec()))
    }
}

fn read_some(file: &File, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], offset + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

fn read_meta(folder: &Path) -> Result<BlockMeta, BlockError> {
    let path = folder.join("meta.json");
    let text = std::fs::read(&path).map_err(io(&path))?;
    let damaged = |what: String| BlockError::Damaged { path: path.clone(), offset: 0, what };
    let meta: BlockMeta = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
    if meta.version != 1 {
        return Err(damaged(format!("version {} is not known", meta.version)));
    }
    Ok(meta)
}

/// Checks the index's frame; gives the symbols' offsets and the range of the series.
fn open_index(index: &[u8], path: &Path) -> Result<(Vec<usize>, usize, usize), BlockError> {
    let mut head = Cursor::new(index, 0, path);
    if head.u32()? != INDEX_MAGIC {
        return Err(head.damaged("this is no index of Prometheus"));
    }
    let version = head.u8()?;
    if version != INDEX_VERSION {
        return Err(head.damaged(format!("index version {version} is not known, only {INDEX_VERSION}")));
    }
    let toc = index.len().checked_sub(TOC_BYTES).ok_or_else(|| head.damaged("the index is cut off"))?;
    let mut toc = Cursor::new(index, toc, path);
    let from = toc.at;
    let mut offsets = [0usize; 6];
    for offset in &mut offsets {
        *offset = usize::try_from(toc.u64()?).unwrap_or(usize::MAX);
    }
    toc.check(from)?;
    let [symbols_at, series_at, label_indices, _, postings, _] = offsets;
    let mut symbols = Vec::new();
    if symbols_at > 0 {
        let mut cursor = Cursor::new(index, symbols_at, path);
        let length = cursor.u32()? as usize;
        let body = cursor.at;
        cursor.take(length)?;
        cursor.check(body)?;
        cursor.at = body;
        for _ in 0..cursor.u32()? {
            symbols.push(cursor.at);
            cursor.text()?;
        }
    }
    // The series end where the next section begins.
    let end = [label_indices, postings].into_iter().filter(|o| *o > series_at).min().unwrap_or(from);
    let start = if series_at == 0 { end } else { align(series_at, 16) };
    Ok((symbols, start, end))
}

fn open_segments(folder: &Path) -> Result<Vec<(PathBuf, File)>, BlockError> {
    let mut paths = Vec::new();
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let path = entry.map_err(io(folder))?.path();
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
                    paths.push(path);
                }
            }
        }
        // A block without samples has no chunks.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(folder)(error)),
    }
    paths.sort();
    let mut segments = Vec::new();
    for path in paths {
        let file = File::open(&path).map_err(io(&path))?;
        let mut head = [0; 8];
        let read = read_some(&file, &mut head, 0).map_err(io(&path))?;
        let mut cursor = Cursor::new(&head[..read], 0, &path);
        if cursor.u32()? != SEGMENT_MAGIC || cursor.u8()? != 1 {
            return Err(cursor.damaged("this is no chunk segment of Prometheus"));
        }
        segments.push((path, file));
    }
    Ok(segments)
}

type Deleted = HashMap<u64, Vec<(TimestampMs, TimestampMs)>>;

fn read_tombstones(path: &Path) -> Result<Deleted, BlockError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(io(path)(error)),
    };
    let mut cursor = Cursor::new(&bytes, 0, path);
    if cursor.u32()? != TOMBSTONES_MAGIC || cursor.u8()? != 1 {
        return Err(cursor.damaged("this is no tombstones file of Prometheus"));
    }
    let body = cursor.at;
    let end = bytes.len().checked_sub(4).filter(|end| *end >= body).ok_or_else(|| cursor.damaged("it is cut off"))?;
    cursor.at = end;
    cursor.check(body)?;
    cursor.at = body;
    let mut all: Deleted = HashMap::new();
    while cursor.at < end {
        let (number, from, to) = (cursor.uvarint()?, cursor.varint()?, cursor.varint()?);
        all.entry(number).or_default().push((from, to));
    }
    Ok(all)
}
