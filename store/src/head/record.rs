//! What stands in the write-ahead log: one record for each batch, self-contained but for the labels of series that an earlier
//! record of the same log has announced. The layout is described in `docs/formats/wal.md`.

use std::sync::Arc;

use vocab::sample::{Exemplar, MetricMetadata};
use vocab::{Labels, NativeHistogram, TenantId, TimestampMs};

use crate::codec::{CodecError, histogram, varint};

/// Kind of record: samples of one tenant. Other kinds are skipped, so that they can be added.
const KIND_BATCH: u8 = 1;

/// The same with the times since when samples count.
const KIND_BATCH_WITH_STARTS: u8 = 2;

/// Builds the record of one batch, part by part, in this order: series, samples, histograms, exemplars, metadata.
#[derive(Debug)]
pub(crate) struct RecordBuilder {
    tenant: TenantId,
    series: Part,
    samples: Part,
    histograms: Part,
    exemplars: Part,
    metadata: Part,
    sample_starts: Starts,
    histogram_starts: Starts,
    previous_id: i64,
    previous_time: TimestampMs,
}

#[derive(Debug, Default)]
struct Part {
    count: u64,
    bytes: Vec<u8>,
}

/// Start times of the samples that have one.
#[derive(Debug, Default)]
struct Starts {
    part: Part,
    /// Samples so far, up to the last one that has one.
    num_passed: u64,
    previous: TimestampMs,
}

impl Starts {
    /// Notes the start time of the sample before which there are so many.
    fn push(&mut self, num_before: u64, start: TimestampMs) {
        if start == 0 {
            return;
        }
        self.part.count += 1;
        varint::push(&mut self.part.bytes, num_before - self.num_passed);
        varint::push_signed(&mut self.part.bytes, start.wrapping_sub(self.previous));
        (self.num_passed, self.previous) = (num_before + 1, start);
    }
}

impl RecordBuilder {
    pub(crate) fn new(tenant: &TenantId, num_samples: usize) -> Self {
        Self {
            tenant: tenant.clone(),
            series: Part::default(),
            samples: Part { count: 0, bytes: Vec::with_capacity(num_samples * 11) },
            histograms: Part::default(),
            exemplars: Part::default(),
            metadata: Part::default(),
            sample_starts: Starts::default(),
            histogram_starts: Starts::default(),
            previous_id: 0,
            previous_time: 0,
        }
    }

    pub(crate) fn series(&mut self, id: u32, labels: &Labels) {
        self.series.count += 1;
        varint::push(&mut self.series.bytes, u64::from(id));
        varint::push_bytes(&mut self.series.bytes, labels.packed().as_bytes());
    }

    /// Adds a float sample; `start` says since when it counts, 0 that it is not known.
    pub(crate) fn sample(&mut self, id: u32, time: TimestampMs, value: f64, start: TimestampMs) {
        self.sample_starts.push(self.samples.count, start);
        self.samples.count += 1;
        let bytes = &mut self.samples.bytes;
        varint::push_signed(bytes, i64::from(id) - self.previous_id);
        varint::push_signed(bytes, time.wrapping_sub(self.previous_time));
        bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        (self.previous_id, self.previous_time) = (i64::from(id), time);
    }

    pub(crate) fn histogram(&mut self, id: u32, time: TimestampMs, value: &NativeHistogram, start: TimestampMs) {
        self.histogram_starts.push(self.histograms.count, start);
        self.histograms.count += 1;
        varint::push(&mut self.histograms.bytes, u64::from(id));
        varint::push_signed(&mut self.histograms.bytes, time);
        histogram::push(&mut self.histograms.bytes, value);
    }

    pub(crate) fn exemplar(&mut self, series: &Labels, exemplar: &Exemplar) {
        self.exemplars.count += 1;
        let bytes = &mut self.exemplars.bytes;
        varint::push_bytes(bytes, series.packed().as_bytes());
        varint::push_bytes(bytes, exemplar.labels.packed().as_bytes());
        varint::push_signed(bytes, exemplar.timestamp);
        bytes.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
    }

    pub(crate) fn metadata(&mut self, metadata: &MetricMetadata) {
        self.metadata.count += 1;
        let bytes = &mut self.metadata.bytes;
        varint::push_bytes(bytes, metadata.metric.as_bytes());
        bytes.push(super::metadata::type_code(metadata.metric_type));
        varint::push_bytes(bytes, metadata.help.as_bytes());
        varint::push_bytes(bytes, metadata.unit.as_bytes());
    }

    /// The record; `None` when it would say nothing.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        let others = [self.samples, self.histograms, self.exemplars, self.metadata];
        if others.iter().all(|p| p.count == 0) {
            return None;
        }
        let starts = [self.sample_starts.part, self.histogram_starts.part];
        let has_starts = starts.iter().any(|p| p.count > 0);
        let parts = || [&self.series].into_iter().chain(starts.iter().filter(|_| has_starts)).chain(&others);
        let mut record = Vec::with_capacity(parts().map(|p| p.bytes.len() + 10).sum::<usize>() + 140);
        record.push(if has_starts { KIND_BATCH_WITH_STARTS } else { KIND_BATCH });
        varint::push_bytes(&mut record, self.tenant.as_str().as_bytes());
        for part in parts() {
            varint::push(&mut record, part.count);
            record.extend_from_slice(&part.bytes);
        }
        Some(record)
    }
}

/// Takes the parts of a record as they are read. Start times are 0 where they are not known.
pub(crate) trait RecordVisitor {
    fn series(&mut self, id: u32, labels: Labels);
    fn sample(&mut self, id: u32, time: TimestampMs, value: f64, start: TimestampMs);
    fn histogram(&mut self, id: u32, time: TimestampMs, value: Arc<NativeHistogram>, start: TimestampMs);
    fn exemplar(&mut self, series: Labels, exemplar: Exemplar);
    fn metadata(&mut self, metadata: MetricMetadata);
}

/// The parts of a record, still encoded.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    has_starts: bool,
    reader: varint::Reader<'a>,
}

/// The tenant of a record and its parts; `None` for a kind that this version does not know.
pub(crate) fn open(record: &[u8]) -> Result<Option<(TenantId, Parts<'_>)>, CodecError> {
    let mut reader = varint::Reader::new(record);
    let has_starts = match reader.byte()? {
        KIND_BATCH => false,
        KIND_BATCH_WITH_STARTS => true,
        _ => return Ok(None),
    };
    let tenant = TenantId::new(reader.text()?).map_err(|_| CodecError("a tenant's name is not valid"))?;
    Ok(Some((tenant, Parts { has_starts, reader })))
}

/// Hands the parts of a record to `visitor`. What comes before a mistake has been handed over.
pub(crate) fn visit(parts: Parts<'_>, visitor: &mut impl RecordVisitor) -> Result<(), CodecError> {
    let Parts { has_starts, mut reader } = parts;
    let id = |raw: u64| u32::try_from(raw).map_err(|_| CodecError("a series number is out of range"));
    for _ in 0..reader.count()? {
        let id = id(reader.unsigned()?)?;
        visitor.series(id, read_labels(&mut reader)?);
    }
    let read_starts = |reader: &mut varint::Reader<'_>| if has_starts { read_starts(reader) } else { Ok(Vec::new()) };
    let (sample_starts, histogram_starts) = (read_starts(&mut reader)?, read_starts(&mut reader)?);
    let (mut sample_starts, mut histogram_starts) = (StartsOf::new(&sample_starts), StartsOf::new(&histogram_starts));
    let (mut previous_id, mut time) = (0i64, 0i64);
    for number in 0..reader.count()? {
        previous_id = previous_id.wrapping_add(reader.signed()?);
        time = time.wrapping_add(reader.signed()?);
        let id = id(previous_id.cast_unsigned())?;
        visitor.sample(id, time, f64::from_bits(reader.u64()?), sample_starts.of(number));
    }
    for number in 0..reader.count()? {
        let id = id(reader.unsigned()?)?;
        let time = reader.signed()?;
        visitor.histogram(id, time, Arc::new(histogram::read(&mut reader)?), histogram_starts.of(number));
    }
    for _ in 0..reader.count()? {
        let series = read_labels(&mut reader)?;
        let labels = read_labels(&mut reader)?;
        let timestamp = reader.signed()?;
        let value = f64::from_bits(reader.u64()?);
        visitor.exemplar(series, Exemplar { labels, value, timestamp });
    }
    for _ in 0..reader.count()? {
        let metric = reader.text()?.to_owned();
        let metric_type = super::metadata::type_of_code(reader.byte()?);
        let help = reader.text()?.to_owned();
        let unit = reader.text()?.to_owned();
        visitor.metadata(MetricMetadata { metric, metric_type, help, unit });
    }
    Ok(())
}

/// Start times with the number of the sample each belongs to, ascending.
fn read_starts(reader: &mut varint::Reader<'_>) -> Result<Vec<(usize, TimestampMs)>, CodecError> {
    let (mut next, mut start) = (0usize, 0i64);
    let count = reader.count()?;
    let read = |_| {
        let number = next.saturating_add(reader.size()?);
        start = start.wrapping_add(reader.signed()?);
        next = number.saturating_add(1);
        Ok((number, start))
    };
    (0..count).map(read).collect()
}

/// Goes through start times as their samples are read.
struct StartsOf<'a>(std::iter::Peekable<std::slice::Iter<'a, (usize, TimestampMs)>>);

impl<'a> StartsOf<'a> {
    fn new(starts: &'a [(usize, TimestampMs)]) -> Self {
        Self(starts.iter().peekable())
    }

    /// The start time of a sample; numbers ascend from call to call.
    fn of(&mut self, number: usize) -> TimestampMs {
        self.0.next_if(|s| s.0 == number).map_or(0, |s| s.1)
    }
}

fn read_labels(reader: &mut varint::Reader<'_>) -> Result<Labels, CodecError> {
    Labels::from_packed(reader.text()?).ok_or(CodecError("a label set is not valid"))
}
