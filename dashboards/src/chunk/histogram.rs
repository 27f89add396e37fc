//! Chunks of native histograms: integer ones by differences of differences, float ones column by column.

use std::sync::Arc;

use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, ResetHint, Span};
use vocab::{STALE_NAN, TimestampMs, is_stale_nan};

use super::bits::{BitReader, BitWriter, Xor};
use super::{ChunkError, count_of};

type Sample = (TimestampMs, Arc<NativeHistogram>);

/// Header flags.
const RESET: u8 = 0b1000_0000;
const NO_RESET: u8 = 0b0100_0000;
const GAUGE: u8 = 0b1100_0000;
/// Exponents of a power of two that fit into the one byte of the zero bucket's width.
const EXPONENTS: std::ops::RangeInclusive<i32> = -242..=11;
/// Most buckets of a side that a chunk may declare; real histograms stay far below.
const BUCKETS_MAX: u64 = 1 << 20;

/// How many of the samples, from the first, can stand in one chunk: same kind and layout, no counter reset in between.
pub fn histogram_run(samples: &[Sample]) -> usize {
    let joined = samples.windows(2).take_while(|w| follows(&w[0].1, &w[1].1)).count();
    (joined + 1).min(samples.len()).min(usize::from(u16::MAX))
}

fn follows(last: &NativeHistogram, next: &NativeHistogram) -> bool {
    let same = last.integer == next.integer
        && last.schema == next.schema
        && last.zero_threshold.to_bits() == next.zero_threshold.to_bits()
        && last.positive_spans == next.positive_spans
        && last.negative_spans == next.negative_spans
        && last.custom_values == next.custom_values
        && (last.reset_hint == ResetHint::Gauge) == (next.reset_hint == ResetHint::Gauge)
        && !is_stale_nan(last.sum)
        && !is_stale_nan(next.sum);
    let grows = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b);
    let is_gauge = next.reset_hint == ResetHint::Gauge;
    let counts_on = next.reset_hint != ResetHint::Reset
        && last.count <= next.count
        && last.zero_count <= next.zero_count
        && grows(&last.positive_buckets, &next.positive_buckets)
        && grows(&last.negative_buckets, &next.negative_buckets);
    same && (is_gauge || counts_on)
}

/// Encodes samples that [`histogram_run`] found to fit together; says whether the chunk is one of integer histograms.
pub fn encode_histograms(samples: &[Sample]) -> (bool, Vec<u8>) {
    let count = u16::try_from(samples.len()).unwrap_or(u16::MAX);
    let samples = &samples[..usize::from(count)];
    let Some((_, first)) = samples.first() else { return (true, vec![0, 0, 0]) };
    let flags = match first.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => RESET,
        ResetHint::NoReset => NO_RESET,
        ResetHint::Gauge => GAUGE,
    };
    let [high, low] = count.to_be_bytes();
    let mut out = BitWriter::after(vec![high, low, flags]);
    if is_stale_nan(first.sum) {
        write_layout(&mut out, &NativeHistogram::default());
    } else {
        write_layout(&mut out, first);
    }
    if first.integer {
        write_integers(&mut out, samples);
    } else {
        write_floats(&mut out, samples);
    }
    (first.integer, out.bytes)
}

/// A marker has neither counts nor buckets.
fn columns(histogram: &NativeHistogram) -> (Vec<f64>, [f64; 2]) {
    if is_stale_nan(histogram.sum) {
        return (Vec::new(), [0.0, 0.0]);
    }
    let buckets = histogram.positive_buckets.iter().chain(&histogram.negative_buckets).copied().collect();
    (buckets, [histogram.count, histogram.zero_count])
}

/// Whole columns of an integer histogram: count, zero count, and the buckets as differences to their neighbours.
fn integers(histogram: &NativeHistogram) -> Vec<i64> {
    let (_, counts) = columns(histogram);
    let mut out: Vec<i64> = counts.iter().map(|c| *c as i64).collect();
    if !is_stale_nan(histogram.sum) {
        for side in [&histogram.positive_buckets, &histogram.negative_buckets] {
            let mut last = 0i64;
            for bucket in side {
                let whole = *bucket as i64;
                out.push(whole.wrapping_sub(last));
                last = whole;
            }
        }
    }
    out
}

fn write_integers(out: &mut BitWriter, samples: &[Sample]) {
    let (mut time, mut time_delta) = (0i64, 0i64);
    let mut sum = Xor::default();
    let (mut last, mut last_delta): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for (index, (timestamp, histogram)) in samples.iter().enumerate() {
        let now = integers(histogram);
        let delta: Vec<i64> = now.iter().zip(&last).map(|(a, b)| a.wrapping_sub(*b)).collect();
        let timestamp_delta = timestamp.wrapping_sub(time);
        match index {
            0 => {
                out.varbit_int(*timestamp);
                now[..2].iter().for_each(|v| out.varbit_uint(*v as u64));
                out.bits(histogram.sum.to_bits(), 64);
                sum = Xor::starting(histogram.sum);
                now[2..].iter().for_each(|v| out.varbit_int(*v));
            }
            1 => {
                out.varbit_uint(timestamp_delta as u64);
                delta[..2].iter().for_each(|v| out.varbit_int(*v));
                sum.write(out, histogram.sum);
                delta[2..].iter().for_each(|v| out.varbit_int(*v));
            }
            _ => {
                out.varbit_int(timestamp_delta.wrapping_sub(time_delta));
                let second: Vec<i64> = delta.iter().zip(&last_delta).map(|(a, b)| a.wrapping_sub(*b)).collect();
                second[..2].iter().for_each(|v| out.varbit_int(*v));
                sum.write(out, histogram.sum);
                second[2..].iter().for_each(|v| out.varbit_int(*v));
            }
        }
        (time, time_delta, last, last_delta) = (*timestamp, timestamp_delta, now, delta);
    }
}

fn write_floats(out: &mut BitWriter, samples: &[Sample]) {
    let (mut time, mut time_delta) = (0i64, 0i64);
    let mut all: Vec<Xor> = Vec::new();
    for (index, (timestamp, histogram)) in samples.iter().enumerate() {
        let (buckets, [count, zero_count]) = columns(histogram);
        let now = [count, zero_count, histogram.sum].into_iter().chain(buckets);
        let timestamp_delta = timestamp.wrapping_sub(time);
        match index {
            0 => {
                out.varbit_int(*timestamp);
                all = now.map(Xor::starting).collect();
                all.iter().for_each(|c| out.bits(c.value.to_bits(), 64));
            }
            _ => {
                match index {
                    1 => out.varbit_uint(timestamp_delta as u64),
                    _ => out.varbit_int(timestamp_delta.wrapping_sub(time_delta)),
                }
                all.iter_mut().zip(now).for_each(|(column, value)| column.write(out, value));
            }
        }
        (time, time_delta) = (*timestamp, timestamp_delta);
    }
}

fn write_layout(out: &mut BitWriter, histogram: &NativeHistogram) {
    write_threshold(out, histogram.zero_threshold);
    out.varbit_int(i64::from(histogram.schema));
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        out.varbit_uint(spans.len() as u64);
        for span in spans {
            out.varbit_uint(u64::from(span.length));
            out.varbit_int(i64::from(span.offset));
        }
    }
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        out.varbit_uint(histogram.custom_values.len() as u64);
        histogram.custom_values.iter().for_each(|bound| write_bound(out, *bound));
    }
}

/// Powers of two take one byte.
fn write_threshold(out: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        return out.bits(0, 8);
    }
    for exponent in EXPONENTS {
        if threshold == 0.5 * 2f64.powi(exponent) {
            return out.bits(u64::try_from(exponent + 243).unwrap_or(0), 8);
        }
    }
    out.bits(255, 8);
    out.bits(threshold.to_bits(), 64);
}

/// Bounds of at most three decimals take few bits.
fn write_bound(out: &mut BitWriter, bound: f64) {
    let thousands = (bound * 1000.0).round();
    if (0.0..=33_554_430.0).contains(&(bound * 1000.0)) && thousands / 1000.0 == bound {
        return out.varbit_uint(thousands as u64 + 1);
    }
    out.bit(false);
    out.bits(bound.to_bits(), 64);
}

fn read_layout(from: &mut BitReader<'_>) -> Result<NativeHistogram, ChunkError> {
    let zero_threshold = match from.bits(8)? {
        0 => 0.0,
        255 => from.float()?,
        code => 0.5 * 2f64.powi(code as i32 - 243),
    };
    let schema = i32::try_from(from.varbit_int()?).map_err(|_| ChunkError::Number)?;
    let mut sides = [Vec::new(), Vec::new()];
    for side in &mut sides {
        let mut total = 0u64;
        for _ in 0..from.varbit_uint()? {
            let length = u32::try_from(from.varbit_uint()?).map_err(|_| ChunkError::Number)?;
            let offset = i32::try_from(from.varbit_int()?).map_err(|_| ChunkError::Number)?;
            total = total.saturating_add(u64::from(length));
            if total > BUCKETS_MAX {
                return Err(ChunkError::Number);
            }
            side.push(Span { offset, length });
        }
    }
    let mut custom_values = Vec::new();
    if schema == CUSTOM_BUCKETS_SCHEMA {
        for _ in 0..from.varbit_uint()? {
            custom_values.push(match from.varbit_uint()? {
                0 => from.float()?,
                code => (code - 1) as f64 / 1000.0,
            });
        }
    }
    let [positive_spans, negative_spans] = sides;
    Ok(NativeHistogram { schema, zero_threshold, positive_spans, negative_spans, custom_values, ..Default::default() })
}

/// Decodes a chunk of integer histograms, or of float ones.
///
/// # Errors
/// [`ChunkError`] when the chunk is shorter than it says, or not a chunk at all.
pub fn decode_histograms(chunk: &[u8], integer: bool) -> Result<Vec<Sample>, ChunkError> {
    let (count, rest) = count_of(chunk)?;
    let (flags, rest) = rest.split_first().ok_or(ChunkError::Short)?;
    let mut from = BitReader::new(rest);
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut layout = read_layout(&mut from)?;
    layout.integer = integer;
    let num = |spans: &[Span]| spans.iter().map(|s| s.length as usize).sum::<usize>();
    let sides = (num(&layout.positive_spans), num(&layout.negative_spans));
    let hint = |index: usize| match flags & GAUGE {
        GAUGE => ResetHint::Gauge,
        _ if index > 0 => ResetHint::NoReset,
        RESET => ResetHint::Reset,
        _ => ResetHint::Unknown,
    };
    let mut times = Times::default();
    let mut samples = Vec::with_capacity(count);
    let mut columns = Columns { sums: Xor::default(), floats: Vec::new(), whole: Vec::new(), deltas: Vec::new() };
    for index in 0..count {
        let time = times.read(&mut from, index)?;
        let width = sides.0 + sides.1;
        let read =
            if integer { columns.integers(&mut from, index, width) } else { columns.floats(&mut from, index, width) };
        let (counts, sum, buckets) = read?;
        let mut histogram = layout.clone();
        histogram.reset_hint = hint(index);
        if is_stale_nan(sum) {
            histogram = NativeHistogram { sum: STALE_NAN, integer, ..NativeHistogram::default() };
        } else {
            (histogram.count, histogram.zero_count, histogram.sum) = (counts[0], counts[1], sum);
            if integer {
                histogram.positive_buckets = running(&buckets[..sides.0]);
                histogram.negative_buckets = running(&buckets[sides.0..]);
            } else {
                histogram.positive_buckets = buckets[..sides.0].to_vec();
                histogram.negative_buckets = buckets[sides.0..].to_vec();
            }
        }
        samples.push((time, Arc::new(histogram)));
    }
    Ok(samples)
}

/// Differences to counts.
fn running(differences: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    differences
        .iter()
        .map(|d| {
            sum += d;
            sum
        })
        .collect()
}

#[derive(Default)]
struct Times {
    time: i64,
    delta: i64,
}

impl Times {
    fn read(&mut self, from: &mut BitReader<'_>, index: usize) -> Result<i64, ChunkError> {
        match index {
            0 => self.time = from.varbit_int()?,
            1 => self.delta = from.varbit_uint()? as i64,
            _ => self.delta = self.delta.wrapping_add(from.varbit_int()?),
        }
        self.time = self.time.wrapping_add(self.delta);
        Ok(self.time)
    }
}

struct Columns {
    sums: Xor,
    floats: Vec<Xor>,
    whole: Vec<i64>,
    deltas: Vec<i64>,
}

type Read = ([f64; 2], f64, Vec<f64>);

impl Columns {
    fn integers(&mut self, from: &mut BitReader<'_>, index: usize, width: usize) -> Result<Read, ChunkError> {
        if index == 0 {
            self.whole = vec![from.varbit_uint()? as i64, from.varbit_uint()? as i64];
            self.sums = Xor::starting(from.float()?);
            self.deltas = vec![0; width + 2];
        } else {
            self.advance(from, index, 0..2)?;
            self.sums.read(from)?;
        }
        // A marker has no buckets.
        if !is_stale_nan(self.sums.value) {
            if index == 0 {
                for _ in 0..width {
                    self.whole.push(from.varbit_int()?);
                }
            } else {
                self.advance(from, index, 2..width + 2)?;
            }
        }
        let buckets = self.whole[2..].iter().map(|v| *v as f64).collect();
        Ok(([self.whole[0] as f64, self.whole[1] as f64], self.sums.value, buckets))
    }

    fn advance(
        &mut self,
        from: &mut BitReader<'_>,
        index: usize,
        range: std::ops::Range<usize>,
    ) -> Result<(), ChunkError> {
        for at in range {
            let read = from.varbit_int()?;
            self.deltas[at] = if index == 1 { read } else { self.deltas[at].wrapping_add(read) };
            let value = self.whole.get_mut(at).ok_or(ChunkError::Number)?;
            *value = value.wrapping_add(self.deltas[at]);
        }
        Ok(())
    }

    fn floats(&mut self, from: &mut BitReader<'_>, index: usize, width: usize) -> Result<Read, ChunkError> {
        for at in 0..width + 3 {
            // The sum is the third column; behind a marker there are no buckets.
            if at > 2 && self.floats.get(2).is_some_and(|sum| is_stale_nan(sum.value)) {
                break;
            }
            if index == 0 {
                self.floats.push(Xor::starting(from.float()?));
            } else {
                self.floats.get_mut(at).ok_or(ChunkError::Number)?.read(from)?;
            }
        }
        let value = |at: usize| self.floats.get(at).map(|c| c.value).ok_or(ChunkError::Number);
        let buckets = self.floats[3..].iter().map(|c| c.value).collect();
        Ok(([value(0)?, value(1)?], value(2)?, buckets))
    }
}
