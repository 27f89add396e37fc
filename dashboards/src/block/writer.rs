//! Writes a block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use vocab::{Labels, TimestampMs};

use super::bytes::{io, push_text, push_uvarint, push_varint};
use super::{
    BlockCompaction, BlockError, BlockMeta, BlockStats, INDEX_MAGIC, INDEX_VERSION, SEGMENT_MAGIC, TOMBSTONES_MAGIC,
    align,
};

/// Bytes after which a chunk segment ends, as in Prometheus.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// A series waiting for the index: its chunks as (first time, last time, where).
type Entry = (Labels, Vec<(TimestampMs, TimestampMs, u64)>);

/// Writes a block: chunks as they come, the index at the end.
#[derive(Debug)]
pub struct BlockWriter {
    folder: PathBuf,
    ulid: String,
    segment: Option<(PathBuf, BufWriter<File>)>,
    /// Number of the segment in work, from 1, and its length.
    segment_number: u64,
    segment_bytes: u64,
    series: Vec<Entry>,
    stats: BlockStats,
    times: Option<(TimestampMs, TimestampMs)>,
}

impl BlockWriter {
    /// Begins a block in `folder/ulid`, which must not exist.
    ///
    /// # Errors
    /// [`BlockError::Io`].
    pub fn create(folder: &Path, ulid: &str) -> Result<Self, BlockError> {
        let folder = folder.join(ulid);
        std::fs::create_dir_all(folder.parent().unwrap_or(&folder)).map_err(io(&folder))?;
        std::fs::create_dir(&folder).map_err(io(&folder))?;
        let chunks = folder.join("chunks");
        std::fs::create_dir(&chunks).map_err(io(&chunks))?;
        Ok(Self {
            folder,
            ulid: ulid.to_owned(),
            segment: None,
            segment_number: 0,
            segment_bytes: 0,
            series: Vec::new(),
            stats: BlockStats::default(),
            times: None,
        })
    }

    /// Adds a chunk to a series. Series come in the order of their labels, chunks in the order of time; `samples` is how many
    /// the chunk holds.
    ///
    /// # Errors
    /// [`BlockError::Refused`] when the order is not kept, [`BlockError::Io`].
    pub fn chunk(
        &mut self,
        labels: &Labels,
        (min_time, max_time): (TimestampMs, TimestampMs),
        encoding: u8,
        data: &[u8],
        samples: u64,
    ) -> Result<(), BlockError> {
        match self.series.last() {
            Some((last, chunks)) if last == labels => {
                if chunks.last().is_some_and(|c| c.1 >= min_time) {
                    return Err(BlockError::Refused(format!("chunks of {labels} are not in the order of time")));
                }
            }
            Some((last, _)) if last > labels => {
                return Err(BlockError::Refused(format!("{labels} comes after {last}: want the order of labels")));
            }
            _ => {
                self.series.push((labels.clone(), Vec::new()));
                self.stats.num_series += 1;
            }
        }
        let at = self.write_chunk(encoding, data)?;
        if let Some((_, chunks)) = self.series.last_mut() {
            chunks.push((min_time, max_time, at));
        }
        self.stats.num_chunks += 1;
        self.stats.num_samples += samples;
        let (first, last) = self.times.unwrap_or((min_time, max_time));
        self.times = Some((first.min(min_time), last.max(max_time)));
        Ok(())
    }

    fn write_chunk(&mut self, encoding: u8, data: &[u8]) -> Result<u64, BlockError> {
        let mut bytes = Vec::with_capacity(data.len() + 10);
        push_uvarint(&mut bytes, data.len() as u64);
        let body = bytes.len();
        bytes.push(encoding);
        bytes.extend_from_slice(data);
        let sum = crc32c::crc32c(&bytes[body..]);
        bytes.extend_from_slice(&sum.to_be_bytes());
        if self.segment.is_none() || self.segment_bytes + bytes.len() as u64 > SEGMENT_BYTES_MAX {
            self.end_segment()?;
            self.segment_number += 1;
            let path = self.folder.join("chunks").join(format!("{:06}", self.segment_number));
            let mut file = BufWriter::new(File::create(&path).map_err(io(&path))?);
            let [a, b, c, d] = SEGMENT_MAGIC.to_be_bytes();
            file.write_all(&[a, b, c, d, 1, 0, 0, 0]).map_err(io(&path))?;
            self.segment = Some((path, file));
            self.segment_bytes = 8;
        }
        let at = (self.segment_number - 1) << 32 | self.segment_bytes;
        if let Some((path, file)) = &mut self.segment {
            file.write_all(&bytes).map_err(io(path))?;
        }
        self.segment_bytes += bytes.len() as u64;
        Ok(at)
    }

    fn end_segment(&mut self) -> Result<(), BlockError> {
        if let Some((path, mut file)) = self.segment.take() {
            file.flush().map_err(io(&path))?;
            file.get_ref().sync_all().map_err(io(&path))?;
        }
        Ok(())
    }

    /// Writes index, tombstones and `meta.json`; gives the latter. A block without samples is removed and gives `None`.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn finish(mut self) -> Result<Option<BlockMeta>, BlockError> {
        self.end_segment()?;
        let Some((min_time, last)) = self.times else {
            std::fs::remove_dir_all(&self.folder).map_err(io(&self.folder))?;
            return Ok(None);
        };
        let write = |name: &str, bytes: &[u8]| -> Result<(), BlockError> {
            let path = self.folder.join(name);
            let mut file = File::create(&path).map_err(io(&path))?;
            file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(&path))
        };
        write("index", &index(&self.series)?)?;
        let mut tombstones = TOMBSTONES_MAGIC.to_be_bytes().to_vec();
        tombstones.push(1);
        tombstones.extend_from_slice(&crc32c::crc32c(&[]).to_be_bytes());
        write("tombstones", &tombstones)?;
        let meta = BlockMeta {
            ulid: self.ulid.clone(),
            min_time,
            max_time: last + 1,
            stats: self.stats,
            version: 1,
            compaction: BlockCompaction { level: 1, sources: vec![self.ulid.clone()] },
        };
        let text = serde_json::to_vec_pretty(&meta).map_err(|e| BlockError::Refused(e.to_string()))?;
        // Last: a folder with it is a whole block.
        write("meta.json", &text)?;
        Ok(Some(meta))
    }
}

/// A section between its length and its checksum.
fn push_section(out: &mut Vec<u8>, body: &[u8]) -> Result<(), BlockError> {
    let length = u32::try_from(body.len()).map_err(|_| BlockError::Refused("a section is over 4 GiB".to_owned()))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&crc32c::crc32c(body).to_be_bytes());
    Ok(())
}

fn index(series: &[Entry]) -> Result<Vec<u8>, BlockError> {
    let mut out = INDEX_MAGIC.to_be_bytes().to_vec();
    out.push(INDEX_VERSION);
    let too_many = || BlockError::Refused("more than 2^32 entries".to_owned());
    let number = |count: usize| u32::try_from(count).map_err(|_| too_many());

    let symbols: BTreeSet<&str> = series.iter().flat_map(|s| &s.0).flat_map(|(n, v)| [n, v]).collect();
    let symbols_at = out.len() as u64;
    let mut body = number(symbols.len())?.to_be_bytes().to_vec();
    symbols.iter().for_each(|s| push_text(&mut body, s));
    push_section(&mut out, &body)?;
    let symbols: BTreeMap<&str, u64> = symbols.into_iter().zip(0..).collect();
    let symbol = |text: &str| symbols.get(text).copied().unwrap_or_default();

    out.resize(align(out.len(), 16), 0);
    let series_at = out.len() as u64;
    let mut postings: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for (labels, chunks) in series {
        out.resize(align(out.len(), 16), 0);
        let reference = number(out.len() / 16)?;
        let mut body = Vec::new();
        push_uvarint(&mut body, labels.len() as u64);
        postings.entry(("", "")).or_default().push(reference);
        for (name, value) in labels {
            push_uvarint(&mut body, symbol(name));
            push_uvarint(&mut body, symbol(value));
            postings.entry((name, value)).or_default().push(reference);
        }
        push_uvarint(&mut body, chunks.len() as u64);
        let mut last: Option<(TimestampMs, u64)> = None;
        for (min_time, max_time, at) in chunks {
            match last {
                None => push_varint(&mut body, *min_time),
                Some((end, _)) => push_uvarint(&mut body, min_time.abs_diff(end)),
            }
            push_uvarint(&mut body, max_time.abs_diff(*min_time));
            match last {
                None => push_uvarint(&mut body, *at),
                Some((_, before)) => push_varint(&mut body, at.wrapping_sub(before) as i64),
            }
            last = Some((*max_time, *at));
        }
        push_uvarint(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
        out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    }

    out.resize(align(out.len(), 4), 0);
    let label_indices_at = out.len() as u64;
    let postings_at = label_indices_at;
    let mut table = number(postings.len())?.to_be_bytes().to_vec();
    for ((name, value), list) in &postings {
        out.resize(align(out.len(), 4), 0);
        table.push(2);
        push_text(&mut table, name);
        push_text(&mut table, value);
        push_uvarint(&mut table, out.len() as u64);
        let mut body = number(list.len())?.to_be_bytes().to_vec();
        list.iter().for_each(|reference| body.extend_from_slice(&reference.to_be_bytes()));
        push_section(&mut out, &body)?;
    }
    // Readers of version 2 look into the postings only; the older table stays empty.
    let label_table_at = out.len() as u64;
    push_section(&mut out, &0u32.to_be_bytes())?;
    let postings_table_at = out.len() as u64;
    push_section(&mut out, &table)?;

    let toc = [symbols_at, series_at, label_indices_at, label_table_at, postings_at, postings_table_at];
    let toc: Vec<u8> = toc.iter().flat_map(|offset| offset.to_be_bytes()).collect();
    out.extend_from_slice(&toc);
    out.extend_from_slice(&crc32c::crc32c(&toc).to_be_bytes());
    Ok(out)
}
