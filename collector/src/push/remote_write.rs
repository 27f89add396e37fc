//! Remote write 1.0 and 2.0. Labels and samples are read where they lie in the body; what is rare goes through prost.

mod convert;

use std::sync::Arc;

use prost::Message;
use vocab::labels::{LabelsPacker, METRIC_NAME};
use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin, SeriesRef};
use vocab::ports::ingest::IngestRequest;
use vocab::sample::{Exemplar, MetricMetadata, StartTimes};
use vocab::{Ctx, Labels, PortError};

use super::proto::{self, Damage, Fields, Value};
use super::wire::Histogram;
use super::{BATCH_SAMPLES_MAX, Outcome, Receiver};
use convert::{canonical, histogram, metadata_1, metric_type, text_labels, unusual_labels};

/// What a content type says when a request is of version 2.0.
const PROTO_2: &str = "io.prometheus.write.v2.Request";

/// Capacity for labels of a series that is made once.
const LABELS_USUAL: usize = 32;

pub(super) async fn ingest(
    receiver: &Receiver,
    ctx: &Ctx,
    request: &IngestRequest,
    body: &[u8],
) -> Result<Outcome, PortError> {
    // All of a body is decoded before the first sample is written: a damaged one changes nothing.
    let (batches, mut outcome) = decode(request, body).map_err(|e| PortError::invalid(e.to_string()))?;
    for mut batch in batches {
        receiver.flush(ctx, &mut batch, &mut outcome).await?;
    }
    Ok(outcome)
}

fn decode(request: &IngestRequest, body: &[u8]) -> Result<(Vec<WriteBatch>, Outcome), Damage> {
    let mut decoder = Decoder::default();
    if request.content_type.contains(PROTO_2) {
        let mut symbols = Vec::new();
        for field in Fields::new(body) {
            if let (4, symbol) = field? {
                symbols.push(symbol.bytes()?);
            }
        }
        for field in Fields::new(body) {
            if let (5, series) = field? {
                decoder.series_2(series.bytes()?, &symbols)?;
            }
        }
    } else {
        for field in Fields::new(body) {
            match field? {
                (1, series) => decoder.series_1(series.bytes()?)?,
                (3, metadata) => decoder.batch.metadata.extend(metadata_1(message(metadata)?)),
                _ => {}
            }
        }
    }
    decoder.batches.push(decoder.batch);
    Ok((decoder.batches, decoder.outcome))
}

fn message<M: Message + Default>(value: Value<'_>) -> Result<M, Damage> {
    M::decode(value.bytes()?).map_err(|_| Damage("a nested message cannot be read"))
}

/// Decodes the series of a request into batches.
#[derive(Debug)]
struct Decoder<'a> {
    packer: LabelsPacker,
    /// Labels of the series at hand.
    pairs: Vec<(&'a [u8], &'a [u8])>,
    histograms: Vec<Histogram>,
    exemplars: Vec<Exemplar>,
    /// Place of the series at hand in the request.
    index: usize,
    batch: WriteBatch,
    batches: Vec<WriteBatch>,
    outcome: Outcome,
}

impl Default for Decoder<'_> {
    fn default() -> Self {
        Self {
            packer: LabelsPacker::default(),
            pairs: Vec::with_capacity(LABELS_USUAL),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            index: 0,
            batch: WriteBatch { origin: Origin::Write, ..WriteBatch::default() },
            batches: Vec::new(),
            outcome: Outcome::default(),
        }
    }
}

impl<'a> Decoder<'a> {
    fn series_1(&mut self, series: &'a [u8]) -> Result<(), Damage> {
        let (at, num_before) = self.begin();
        for field in Fields::new(series) {
            match field? {
                (1, label) => self.pairs.push(label_pair(label)?),
                (2, sample) => self.batch.samples.push(batch_sample(at, sample)?.0),
                (3, exemplar) => {
                    let raw: super::wire::Exemplar = message(exemplar)?;
                    let pairs = raw.labels.iter().map(|l| (l.name.as_slice(), l.value.as_slice()));
                    let labels = text_labels(pairs);
                    self.exemplars.push(Exemplar { labels, value: raw.value, timestamp: raw.timestamp });
                }
                (4, histogram) => self.histograms.push(message(histogram)?),
                _ => {}
            }
        }
        let labels = self.labels();
        self.finish(labels, num_before, None);
        Ok(())
    }

    fn series_2(&mut self, series: &'a [u8], symbols: &[&'a [u8]]) -> Result<(), Damage> {
        let (at, num_before) = self.begin();
        let mut refs = Vec::with_capacity(LABELS_USUAL);
        let mut metadata = None;
        // Senders of the specification's first drafts say it once for a series.
        let mut start_of_all = 0;
        for field in Fields::new(series) {
            match field? {
                (1, packed) => numbers(packed, &mut refs)?,
                (2, sample) => {
                    let (sample, start) = batch_sample(at, sample)?;
                    self.batch.samples.push(sample);
                    self.batch.start_of_last_sample(start);
                }
                (3, histogram) => self.histograms.push(message(histogram)?),
                (4, exemplar) => {
                    let raw: super::wire::Exemplar2 = message(exemplar)?;
                    let mut pairs = Vec::new();
                    let known = resolve(&raw.labels_refs, symbols, &mut pairs);
                    let labels = if known { text_labels(pairs.into_iter()) } else { Labels::empty() };
                    self.exemplars.push(Exemplar { labels, value: raw.value, timestamp: raw.timestamp });
                }
                (5, raw) => metadata = Some(message::<super::wire::Metadata2>(raw)?),
                (6, start) => start_of_all = start.varint()?.cast_signed(),
                _ => {}
            }
        }
        self.start_all(num_before, start_of_all);
        let labels = if resolve(&refs, symbols, &mut self.pairs) {
            self.labels()
        } else {
            Err("labels_refs do not point into symbols".to_owned())
        };
        let text = |index: u32| {
            symbols.get(index as usize).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default()
        };
        let metadata = metadata.filter(|m| m.kind != 0 || m.help_ref != 0 || m.unit_ref != 0);
        let metadata = metadata.zip(labels.as_ref().ok()).map(|(m, labels)| MetricMetadata {
            metric: labels.metric_name().to_owned(),
            metric_type: metric_type(m.kind),
            help: text(m.help_ref),
            unit: text(m.unit_ref),
        });
        self.finish(labels, num_before, metadata);
        Ok(())
    }

    /// Says of the samples of the series at hand since when they count, as far as they do not say so themselves.
    fn start_all(&mut self, num_before: usize, start: i64) {
        if start == 0 {
            return;
        }
        for index in num_before..self.batch.samples.len() {
            if self.batch.sample_start(index) == 0 {
                StartTimes::note(&mut self.batch.starts.floats, index, start);
            }
        }
        for histogram in self.histograms.iter_mut().filter(|h| h.start_timestamp == 0) {
            histogram.start_timestamp = start;
        }
    }

    /// Begins a series; gives its index in the batch, and how many samples that has so far.
    fn begin(&mut self) -> (u32, usize) {
        if self.batch.samples.len() + self.batch.histograms.len() >= BATCH_SAMPLES_MAX {
            let next = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
            self.batches.push(std::mem::replace(&mut self.batch, next));
        }
        self.pairs.clear();
        // A body has far fewer bytes than there are indexes.
        (u32::try_from(self.batch.series.len()).unwrap_or(u32::MAX), self.batch.samples.len())
    }

    /// Puts the series at hand into the batch, or takes its samples out again.
    fn finish(&mut self, labels: Result<Labels, String>, num_before: usize, metadata: Option<MetricMetadata>) {
        let index = self.index;
        self.index += 1;
        match labels {
            Ok(labels) => {
                let at = self.batch.push_series(labels, SeriesRef::NONE);
                for raw in self.histograms.drain(..) {
                    let (timestamp, start) = (raw.timestamp, raw.start_timestamp);
                    self.batch.histograms.push((at, timestamp, Arc::new(histogram(raw))));
                    self.batch.start_of_last_histogram(start);
                }
                self.batch.exemplars.extend(self.exemplars.drain(..).map(|e| (at, e)));
            }
            Err(mistake) => {
                let count = (self.batch.samples.len() - num_before + self.histograms.len()) as u64;
                self.batch.samples.truncate(num_before);
                self.batch.starts.floats.truncate(num_before);
                self.histograms.clear();
                self.exemplars.clear();
                self.outcome.reject(count.max(1), || format!("series {index}: {mistake}"));
            }
        }
        self.batch.metadata.extend(metadata);
    }

    /// Checks the labels of the series at hand: UTF-8, a metric name, no name twice.
    fn labels(&mut self) -> Result<Labels, String> {
        let named = self.pairs.iter().any(|p| p.0 == METRIC_NAME.as_bytes());
        match self.packer.pack(&self.pairs).filter(|_| named) {
            Some(labels) => Ok(labels),
            None => unusual_labels(&self.pairs),
        }
    }
}

fn label_pair(value: Value<'_>) -> Result<(&[u8], &[u8]), Damage> {
    let bytes = value.bytes()?;
    if let Some(pair) = usual_label(bytes) {
        return Ok(pair);
    }
    let mut pair: (&[u8], &[u8]) = (b"", b"");
    for field in Fields::new(bytes) {
        match field? {
            (1, name) => pair.0 = name.bytes()?,
            (2, value) => pair.1 = value.bytes()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// A label as all senders write it: the name, then the value, both shorter than 128 bytes.
#[inline]
fn usual_label(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, length @ 0..0x80, rest @ ..] = bytes else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let [0x12, length @ 0..0x80, value @ ..] = rest else { return None };
    (value.len() == usize::from(*length)).then_some((name, value))
}

/// A sample, and since when it counts (version 2.0 only): 0 when it does not say.
fn batch_sample(series: u32, value: Value<'_>) -> Result<(BatchSample, i64), Damage> {
    let bytes = value.bytes()?;
    let mut start = 0;
    let mut sample = BatchSample { series, timestamp: 0, value: 0.0 };
    if let Some((value, timestamp)) = usual_sample(bytes) {
        return Ok((BatchSample { value: canonical(value), timestamp, ..sample }, 0));
    }
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => sample.value = canonical(value.double()?),
            (2, timestamp) => sample.timestamp = timestamp.varint()?.cast_signed(),
            (3, time) => start = time.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok((sample, start))
}

/// A sample as all senders write it: the value, then the time.
#[inline]
fn usual_sample(bytes: &[u8]) -> Option<(f64, i64)> {
    let [0x09, rest @ ..] = bytes else { return None };
    let (value, rest) = rest.split_first_chunk::<8>()?;
    let [0x10, rest @ ..] = rest else { return None };
    let mut rest = rest;
    let timestamp = proto::varint(&mut rest).ok()?;
    rest.is_empty().then_some((f64::from_le_bytes(*value), timestamp.cast_signed()))
}

/// Takes a `repeated uint32`, which may come as one packed field or as many.
fn numbers(value: Value<'_>, numbers: &mut Vec<u32>) -> Result<(), Damage> {
    let mut push = |number: u64| {
        numbers.push(u32::try_from(number).map_err(|_| Damage("a reference is out of range"))?);
        Ok(())
    };
    if let Value::Varint(number) = value {
        return push(number);
    }
    let mut rest = value.bytes()?;
    while !rest.is_empty() {
        push(proto::varint(&mut rest)?)?;
    }
    Ok(())
}

/// Appends the pairs of names and values that references stand for; false when one leads nowhere.
fn resolve<'a>(refs: &[u32], symbols: &[&'a [u8]], pairs: &mut Vec<(&'a [u8], &'a [u8])>) -> bool {
    let symbol = |index: u32| symbols.get(index as usize).copied();
    pairs.extend(refs.chunks_exact(2).map_while(|p| Some((symbol(p[0])?, symbol(p[1])?))));
    pairs.len() * 2 == refs.len()
}
