//! Series as OpenMetrics text: families with their type, unit and help, each family's samples together, those of one set of labels
//! by time.
//!
//! Native histograms, for which the format has no words, become classic ones (`classic`); since when counters count stands in
//! `_created` samples beside them.
//!
//! [`families`] says which series belong together; a [`FamilyText`] takes their chunks as they come, and writes them when it has all.

mod classic;
mod family;

use std::collections::BTreeMap;
use std::io::Write;
use std::iter::Peekable;
use std::vec::IntoIter;

use thiserror::Error;
use vocab::histogram::ResetHint;
use vocab::labels::METRIC_NAME;
use vocab::sample::MetricType;
use vocab::{Labels, TimestampMs, is_stale_nan};

pub use family::{Family, families};

use self::classic::Classic;
use crate::chunk::ChunkError;
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
    /// Native histograms among them, which became classic ones: their buckets are those of all of their series.
    pub converted: u64,
    /// Native histograms left out: classic ones stand beside them, or other series have the names of their buckets.
    pub native: u64,
    /// Numbers left out that have the bare name of a histogram, which has only buckets, a sum and a count.
    pub unfit: u64,
    /// Samples whose start time is left out: their family is none that may have one, or has its name for something else.
    pub starts: u64,
}

impl Counts {
    /// Adds what was counted of another family.
    pub fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.converted += other.converted;
        self.native += other.native;
        self.unfit += other.unfit;
        self.starts += other.starts;
    }
}

/// One series of a family.
#[derive(Debug)]
struct Member {
    labels: Labels,
    /// Place among the samples of one time: kind of sample, then bound or quantile.
    rank: (u8, f64),
    chunks: Vec<PartChunk>,
}

/// What has all labels in common but those that tell the samples of one point apart.
#[derive(Debug, Default)]
struct Point {
    members: Vec<Member>,
    /// Chunks of native histograms.
    native: Vec<PartChunk>,
}

/// Collects what a family holds, packed as it came.
#[derive(Debug)]
pub struct FamilyText<'a> {
    family: &'a Family,
    /// By the labels that buckets and quantiles of one point have in common.
    points: BTreeMap<Labels, Point>,
    counts: Counts,
}

impl<'a> FamilyText<'a> {
    /// Of this family nothing yet.
    pub fn new(family: &'a Family) -> Self {
        Self { family, points: BTreeMap::new(), counts: Counts::default() }
    }

    /// Takes a part of a series; parts of one series come in the order of time.
    pub fn add(&mut self, part: SeriesPart) {
        let (floats, native): (Vec<_>, Vec<_>) = part.chunks.into_iter().partition(PartChunk::is_float);
        let (common, rank) = self.place(&part.labels);
        let point = self.points.entry(common).or_default();
        point.native.extend(native);
        if floats.is_empty() {
            return;
        }
        match point.members.iter_mut().find(|m| m.labels == part.labels) {
            Some(member) => member.chunks.extend(floats),
            None => point.members.push(Member { labels: part.labels, rank, chunks: floats }),
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
            _ => (vec![METRIC_NAME], (0, 0.0)),
        };
        (labels.without(&apart), rank)
    }

    /// Writes the family; nothing when it has no sample that the format can hold.
    ///
    /// # Errors
    /// When a chunk is damaged or the output takes no more.
    pub fn write(mut self, out: &mut impl Write) -> Result<Counts, TextError> {
        let mut metric_type = self.family.metric_type;
        if !is_histogram(metric_type) && self.points.values().any(|point| !point.native.is_empty()) {
            match self.type_of_native()? {
                Some(found) => metric_type = found,
                None => self.leave_out_native(),
            }
        }
        if is_histogram(metric_type) {
            self.leave_out_bare()?;
            let is_whole = |p: &Point| p.members.is_empty() || p.members.iter().any(is_infinite_bucket);
            if !self.points.values().all(is_whole) {
                // Without their last bucket these are no histograms; each series still has its samples.
                return self.write_loose(out);
            }
        }
        let mut header = Some(self.family.header(metric_type));
        let created = may_have_created(metric_type) && !self.family.created_taken;
        let points = std::mem::take(&mut self.points);
        for (common, mut point) in points {
            point.members.sort_by(|a, b| a.rank.0.cmp(&b.rank.0).then(a.rank.1.total_cmp(&b.rank.1)));
            let created =
                created.then(|| series_text(&common.with(METRIC_NAME, &format!("{}_created", self.family.name))));
            let is_gauge = metric_type == MetricType::GaugeHistogram;
            let classic = match point.native.as_slice() {
                [] => Classic::default(),
                native => Classic::of(&self.family.name, &common, is_gauge, native)?,
            };
            let mut text = PointText { header: &mut header, created, classic, is_gauge, counts: &mut self.counts, out };
            text.write(point)?;
        }
        Ok(self.counts)
    }

    /// The type that a family has because of its native histograms, whose type nobody has declared; `None` when the names of their
    /// buckets are in use.
    fn type_of_native(&self) -> Result<Option<MetricType>, ChunkError> {
        if self.family.classic_taken || self.family.members != [self.family.name.clone()] {
            return Ok(None);
        }
        let chunk = self.points.values().find_map(|point| point.native.first());
        let first = chunk.map(PartChunk::histograms).transpose()?.and_then(|all| all.into_iter().next());
        let is_gauge = first.is_some_and(|(_, histogram, _)| histogram.reset_hint == ResetHint::Gauge);
        Ok(Some(if is_gauge { MetricType::GaugeHistogram } else { MetricType::Histogram }))
    }

    fn leave_out_native(&mut self) {
        for point in self.points.values_mut() {
            self.counts.native += point.native.drain(..).map(|chunk| chunk.num_samples()).sum::<u64>();
        }
    }

    /// Takes out series with the histogram's bare name, where native histograms have been.
    fn leave_out_bare(&mut self) -> Result<(), ChunkError> {
        for point in self.points.values_mut() {
            for bare in point.members.extract_if(.., |m| m.labels.metric_name() == self.family.name) {
                for chunk in bare.chunks {
                    self.counts.unfit += chunk.floats()?.iter().filter(|s| !is_stale_nan(s.1)).count() as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes every name as a family of its own of no known type.
    fn write_loose(mut self, out: &mut impl Write) -> Result<Counts, TextError> {
        self.leave_out_native();
        let mut names: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for member in std::mem::take(&mut self.points).into_values().flat_map(|point| point.members) {
            names.entry(member.labels.metric_name().to_owned()).or_default().push(member);
        }
        for (name, mut members) in names {
            let mut header = Some(Family::loose(&name, &self.family.help).header(MetricType::Unknown));
            members.sort_by(|a, b| a.labels.cmp(&b.labels));
            for member in members {
                let (created, classic, counts) = (None, Classic::default(), &mut self.counts);
                let mut text = PointText { header: &mut header, created, classic, is_gauge: false, counts, out };
                text.write(Point { members: vec![member], native: Vec::new() })?;
            }
        }
        Ok(self.counts)
    }
}

fn is_histogram(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Histogram | MetricType::GaugeHistogram)
}

/// Whether points of a family may say since when they count.
fn may_have_created(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
}

fn is_infinite_bucket(member: &Member) -> bool {
    member.rank == (0, f64::INFINITY)
}

/// Writes the samples of one set of labels time by time, those of one time by rank.
struct PointText<'a, W> {
    /// The family's, until the first sample is written.
    header: &'a mut Option<String>,
    /// The series that says since when the others count; `None` where the format has no place for it.
    created: Option<String>,
    classic: Classic,
    is_gauge: bool,
    counts: &'a mut Counts,
    out: &'a mut W,
}

impl<W: Write> PointText<'_, W> {
    fn write(&mut self, point: Point) -> Result<(), TextError> {
        let mut walks = Vec::with_capacity(point.members.len());
        for member in point.members {
            let is_quantile = member.labels.get("quantile").is_some();
            walks.push((series_text(&member.labels), is_quantile, Walk::new(member.chunks, PartChunk::floats)?));
        }
        let mut native = Walk::new(point.native, PartChunk::histograms)?;
        while let Some(time) = walks.iter_mut().filter_map(|(_, _, walk)| walk.time()).chain(native.time()).min() {
            let (mut starts, mut any) = (Vec::new(), false);
            for (series, is_quantile, walk) in &mut walks {
                while walk.time() == Some(time) {
                    let Some((_, value, start)) = walk.next()? else { break };
                    // That a series ended is no value that the format could hold.
                    if !is_stale_nan(value) {
                        any = true;
                        self.line(series, value, time)?;
                        self.counts.samples += 1;
                        starts.extend((!*is_quantile || start != 0).then_some(start));
                    }
                }
            }
            while native.time() == Some(time) {
                let Some((_, histogram, start)) = native.next()? else { break };
                if is_stale_nan(histogram.sum) {
                    continue;
                }
                if any {
                    self.counts.native += 1;
                    continue;
                }
                let classic = std::mem::take(&mut self.classic);
                for (series, value) in classic.lines(&histogram, self.is_gauge) {
                    self.line(series, value, time)?;
                }
                self.classic = classic;
                self.counts.samples += 1;
                self.counts.converted += 1;
                starts.push(start);
            }
            self.created(&starts, time)?;
        }
        Ok(())
    }

    /// Says since when the samples of one time count.
    fn created(&mut self, starts: &[TimestampMs], time: TimestampMs) -> Result<(), TextError> {
        let known = starts.iter().filter(|start| **start != 0).count();
        let Some(first) = starts.first().filter(|_| known > 0) else { return Ok(()) };
        match &self.created {
            // It is one for the whole point.
            Some(series) if starts.iter().all(|start| start == first) => {
                writeln!(self.out, "{series} {} {}", seconds(*first), seconds(time))?;
            }
            _ => self.counts.starts += known as u64,
        }
        Ok(())
    }

    fn line(&mut self, series: &str, value: f64, time: TimestampMs) -> Result<(), TextError> {
        if let Some(header) = self.header.take() {
            self.out.write_all(header.as_bytes())?;
        }
        Ok(writeln!(self.out, "{series} {} {}", promql::format_value(value), seconds(time))?)
    }
}

/// A time in seconds. Readers make milliseconds of it in floating point and cut off what is left; where that would be one too few,
/// a further digit keeps them right.
fn seconds(time: TimestampMs) -> String {
    let (sign, size) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
    let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
    #[allow(clippy::cast_possible_truncation, reason = "this is what readers do")]
    let is_read_right = text.parse::<f64>().is_ok_and(|seconds| (seconds * 1000.0) as i64 == time);
    if is_read_right { text } else { format!("{text}1") }
}

/// A sample: when, what, and since when it counts.
type Sample<V> = (TimestampMs, V, TimestampMs);

/// How a chunk is unpacked.
type Unpack<V> = fn(&PartChunk) -> Result<Vec<Sample<V>>, ChunkError>;

/// Walks through a series' samples, of which one chunk is unpacked at a time.
struct Walk<V> {
    chunks: IntoIter<PartChunk>,
    samples: Peekable<IntoIter<Sample<V>>>,
    unpack: Unpack<V>,
}

impl<V> Walk<V> {
    fn new(chunks: Vec<PartChunk>, unpack: Unpack<V>) -> Result<Self, ChunkError> {
        let mut walk = Self { chunks: chunks.into_iter(), samples: Vec::new().into_iter().peekable(), unpack };
        walk.fill()?;
        Ok(walk)
    }

    /// Unpacks the next chunk when the last is used up.
    fn fill(&mut self) -> Result<(), ChunkError> {
        while self.samples.peek().is_none()
            && let Some(chunk) = self.chunks.next()
        {
            self.samples = (self.unpack)(&chunk)?.into_iter().peekable();
        }
        Ok(())
    }

    fn time(&mut self) -> Option<TimestampMs> {
        self.samples.peek().map(|s| s.0)
    }

    fn next(&mut self) -> Result<Option<Sample<V>>, ChunkError> {
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
