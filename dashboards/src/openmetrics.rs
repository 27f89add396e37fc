//! Series as OpenMetrics text: families with their type, unit and help, each family's samples together, those of one set of labels
//! by time.
//!
//! [`families`] says which series belong together; a [`FamilyText`] takes their chunks as they come, and writes them when it has all.

mod family;

use std::collections::BTreeMap;
use std::io::Write;
use std::iter::Peekable;
use std::vec::IntoIter;

use thiserror::Error;
use vocab::labels::METRIC_NAME;
use vocab::sample::MetricType;
use vocab::{Labels, TimestampMs, is_stale_nan};

pub use family::{Family, families};

use crate::chunk::{ChunkError, ENCODING_XOR, decode_xor};
use crate::transfer::{PartChunk, SeriesPart};

/// Why a family cannot be written.
#[derive(Debug, Error)]
pub enum TextError {
    /// A chunk is damaged.
    #[error("a chunk of the answer cannot be read")]
    Chunk(#[from] ChunkError),
    /// The output takes no more.
    #[error("cannot write")]
    Write(#[from] std::io::Error),
}

/// What was written, and what the format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Samples written.
    pub samples: u64,
    /// Native histograms left out.
    pub native: u64,
    /// Numbers left out that have the bare name of a histogram, which has only buckets, a sum and a count.
    pub unfit: u64,
}

/// One series of a family.
#[derive(Debug)]
struct Member {
    labels: Labels,
    /// Place among the samples of one time: kind of sample, then bound or quantile.
    rank: (u8, f64),
    chunks: Vec<PartChunk>,
}

/// Collects what a family holds, packed as it came.
#[derive(Debug)]
pub struct FamilyText<'a> {
    family: &'a Family,
    /// By the labels that buckets and quantiles of one point have in common.
    points: BTreeMap<Labels, Vec<Member>>,
    counts: Counts,
}

impl<'a> FamilyText<'a> {
    /// Of this family nothing yet.
    pub fn new(family: &'a Family) -> Self {
        Self { family, points: BTreeMap::new(), counts: Counts::default() }
    }

    /// Takes a part of a series; parts of one series come in the order of time.
    pub fn add(&mut self, part: SeriesPart) {
        let (floats, native): (Vec<_>, Vec<_>) = part.chunks.into_iter().partition(|c| c.encoding == ENCODING_XOR);
        let size = |chunk: &PartChunk| chunk.data.first_chunk::<2>().map_or(0, |n| u64::from(u16::from_be_bytes(*n)));
        self.counts.native += native.iter().map(size).sum::<u64>();
        if floats.is_empty() {
            return;
        }
        let (common, rank) = self.place(&part.labels);
        let members = self.points.entry(common).or_default();
        match members.iter_mut().find(|m| m.labels == part.labels) {
            Some(member) => member.chunks.extend(floats),
            None => members.push(Member { labels: part.labels, rank, chunks: floats }),
        }
    }

    /// The labels of a series' point, and its rank there.
    fn place(&self, labels: &Labels) -> (Labels, (u8, f64)) {
        let bound = |name: &str| labels.get(name).and_then(|v| v.parse().ok()).unwrap_or(f64::NAN);
        let suffix = labels.metric_name().strip_prefix(&self.family.name).unwrap_or_default();
        let (apart, rank) = match (self.family.metric_type, suffix) {
            (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => {
                (vec![METRIC_NAME, "le"], (0, bound("le")))
            }
            (MetricType::Summary, "") => (vec![METRIC_NAME, "quantile"], (0, bound("quantile"))),
            (_, "_count" | "_gcount") => (vec![METRIC_NAME], (1, 0.0)),
            (_, "_sum" | "_gsum") => (vec![METRIC_NAME], (2, 0.0)),
            (_, "_created") => (vec![METRIC_NAME], (3, 0.0)),
            _ => (vec![METRIC_NAME], (0, 0.0)),
        };
        (labels.without(&apart), rank)
    }

    /// Writes the family; nothing when it has no sample that the format can hold.
    ///
    /// # Errors
    /// When a chunk is damaged or the output takes no more.
    pub fn write(mut self, out: &mut impl Write) -> Result<Counts, TextError> {
        if self.is_histogram() {
            self.leave_out_bare()?;
        }
        if self.is_histogram() && !self.points.values().all(|members| members.iter().any(is_infinite_bucket)) {
            // Without their last bucket these are no histograms; each series still has its samples.
            return self.write_loose(out);
        }
        let mut header = Some(self.family.header());
        for mut members in std::mem::take(&mut self.points).into_values() {
            members.sort_by(|a, b| a.rank.0.cmp(&b.rank.0).then(a.rank.1.total_cmp(&b.rank.1)));
            self.counts.samples += write_point(members, &mut header, out)?;
        }
        Ok(self.counts)
    }

    fn is_histogram(&self) -> bool {
        matches!(self.family.metric_type, MetricType::Histogram | MetricType::GaugeHistogram)
    }

    /// Takes out series with the histogram's bare name, where native histograms have been.
    fn leave_out_bare(&mut self) -> Result<(), ChunkError> {
        for members in self.points.values_mut() {
            for bare in members.extract_if(.., |m| m.labels.metric_name() == self.family.name) {
                for chunk in bare.chunks {
                    let floats = decode_xor(&chunk.data)?;
                    self.counts.unfit += floats.iter().filter(|s| !is_stale_nan(s.1)).count() as u64;
                }
            }
        }
        self.points.retain(|_, members| !members.is_empty());
        Ok(())
    }

    /// Writes every name as a family of its own of no known type.
    fn write_loose(mut self, out: &mut impl Write) -> Result<Counts, TextError> {
        let mut names: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for member in std::mem::take(&mut self.points).into_values().flatten() {
            names.entry(member.labels.metric_name().to_owned()).or_default().push(member);
        }
        for (name, mut members) in names {
            let mut header = Some(Family::loose(&name, &self.family.help).header());
            members.sort_by(|a, b| a.labels.cmp(&b.labels));
            for member in members {
                self.counts.samples += write_point(vec![member], &mut header, out)?;
            }
        }
        Ok(self.counts)
    }
}

fn is_infinite_bucket(member: &Member) -> bool {
    member.rank == (0, f64::INFINITY)
}

/// Writes the samples of one set of labels time by time, those of one time by rank; the family's header before the first of all.
fn write_point(members: Vec<Member>, header: &mut Option<String>, out: &mut impl Write) -> Result<u64, TextError> {
    let mut written = 0;
    let mut cursors = Vec::with_capacity(members.len());
    for member in members {
        cursors.push(Cursor::new(member)?);
    }
    while let Some(time) = cursors.iter_mut().filter_map(Cursor::time).min() {
        for cursor in &mut cursors {
            while cursor.time() == Some(time) {
                let Some((_, value)) = cursor.next()? else { break };
                if is_stale_nan(value) {
                    // That a series ended is no value that the format could hold.
                    continue;
                }
                if let Some(header) = header.take() {
                    out.write_all(header.as_bytes())?;
                }
                let (sign, size) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
                let value = promql::format_value(value);
                writeln!(out, "{} {value} {sign}{}.{:03}", cursor.series, size / 1000, size % 1000)?;
                written += 1;
            }
        }
    }
    Ok(written)
}

/// Walks through a series' samples, of which one chunk is unpacked at a time.
#[derive(Debug)]
struct Cursor {
    series: String,
    chunks: IntoIter<PartChunk>,
    samples: Peekable<IntoIter<(TimestampMs, f64)>>,
}

impl Cursor {
    fn new(member: Member) -> Result<Self, ChunkError> {
        let samples = Vec::new().into_iter().peekable();
        let mut cursor = Self { series: series_text(&member.labels), chunks: member.chunks.into_iter(), samples };
        cursor.fill()?;
        Ok(cursor)
    }

    /// Unpacks the next chunk when the last is used up.
    fn fill(&mut self) -> Result<(), ChunkError> {
        while self.samples.peek().is_none()
            && let Some(chunk) = self.chunks.next()
        {
            self.samples = decode_xor(&chunk.data)?.into_iter().peekable();
        }
        Ok(())
    }

    fn time(&mut self) -> Option<TimestampMs> {
        self.samples.peek().map(|s| s.0)
    }

    fn next(&mut self) -> Result<Option<(TimestampMs, f64)>, ChunkError> {
        let next = self.samples.next();
        self.fill()?;
        Ok(next)
    }
}

/// A text in quotes.
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Whether a name needs no quotes; those of metrics may have colons.
pub fn is_plain(name: &str, colons: bool) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':');
    name.bytes().all(fits) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

/// A series' name and labels; a name beyond the plain alphabet stands in quotes inside the braces.
fn series_text(labels: &Labels) -> String {
    let name = labels.metric_name();
    let mut parts: Vec<String> = if is_plain(name, true) { Vec::new() } else { vec![quoted(name)] };
    for (label, value) in labels.iter().filter(|(n, _)| *n != METRIC_NAME) {
        let label = if is_plain(label, false) { label.to_owned() } else { quoted(label) };
        parts.push(format!("{label}={}", quoted(value)));
    }
    let outside = if is_plain(name, true) { name } else { "" };
    if parts.is_empty() { outside.to_owned() } else { format!("{outside}{{{}}}", parts.join(",")) }
}

#[cfg(test)]
mod tests;
