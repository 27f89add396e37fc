//! A histogram as a list of populated buckets.

use super::bounds::exponential_bound;
use vocab::NativeHistogram;
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, ResetHint, Span};

/// Exponential and custom buckets cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// What is worth telling about a combination of two histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Combined {
    /// Custom bounds differed and only common ones are left.
    pub(crate) reconciled: bool,
    /// One side said that a reset happened, the other that none did.
    pub(crate) reset_conflict: bool,
}

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
    /// Whether it is the zero bucket.
    pub(crate) zero: bool,
}

/// A native histogram; buckets ascend by index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sparse {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: f64,
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) positive: Vec<(i32, f64)>,
    pub(crate) negative: Vec<(i32, f64)>,
    pub(crate) custom: Vec<f64>,
    pub(crate) hint: ResetHint,
}

fn read(spans: &[Span], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut out = Vec::with_capacity(counts.len());
    let mut index = 0i32;
    let mut counts = counts.iter();
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.next() else { return out };
            if *count != 0.0 {
                out.push((index, *count));
            }
            index = index.saturating_add(1);
        }
    }
    out
}

fn write(buckets: &[(i32, f64)]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut counts = Vec::with_capacity(buckets.len());
    let mut next = 0i32;
    for &(index, count) in buckets.iter().filter(|b| b.1 != 0.0) {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
        }
        next = index.saturating_add(1);
        counts.push(count);
    }
    (spans, counts)
}

impl From<&NativeHistogram> for Sparse {
    fn from(h: &NativeHistogram) -> Self {
        Self {
            schema: h.schema,
            // A width that is no number cannot be compared with another.
            zero_threshold: if h.zero_threshold.is_nan() { 0.0 } else { h.zero_threshold },
            zero_count: h.zero_count,
            count: h.count,
            sum: h.sum,
            positive: read(&h.positive_spans, &h.positive_buckets),
            negative: read(&h.negative_spans, &h.negative_buckets),
            custom: h.custom_values.clone(),
            hint: h.reset_hint,
        }
    }
}

impl From<Sparse> for NativeHistogram {
    fn from(h: Sparse) -> Self {
        let (positive_spans, positive_buckets) = write(&h.positive);
        let (negative_spans, negative_buckets) = write(&h.negative);
        Self {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count: h.zero_count,
            count: h.count,
            sum: h.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: h.custom,
            reset_hint: h.hint,
            integer: false,
        }
    }
}

/// Upper bound of the bucket with an index.
pub(crate) fn bound(index: i32, schema: i32, custom: &[f64]) -> f64 {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(i) => custom.get(i).copied().unwrap_or(f64::INFINITY),
        };
    }
    exponential_bound(i64::from(index), schema)
}

fn add_bucket(buckets: &mut Vec<(i32, f64)>, index: i32, count: f64) {
    match buckets.binary_search_by_key(&index, |b| b.0) {
        Ok(at) => buckets[at].1 += count,
        Err(at) => buckets.insert(at, (index, count)),
    }
}

fn merge(into: &mut Vec<(i32, f64)>, other: &[(i32, f64)], factor: f64) {
    if into.is_empty() {
        into.extend(other.iter().map(|(i, c)| (*i, c * factor)));
        return;
    }
    let mut out = Vec::with_capacity(into.len() + other.len());
    let (mut a, mut b) = (into.iter().peekable(), other.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.0 == y.0 => {
                out.push((x.0, x.1 + y.1 * factor));
                a.next();
                b.next();
            }
            (Some(x), Some(y)) if x.0 < y.0 => {
                out.push(**x);
                a.next();
            }
            (_, Some(y)) => {
                out.push((y.0, y.1 * factor));
                b.next();
            }
            (Some(x), None) => {
                out.push(**x);
                a.next();
            }
            (None, None) => break,
        }
    }
    *into = out;
}

/// Bounds that both have.
fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().copied().filter(|x| b.contains(x)).collect()
}

impl Sparse {
    /// Whether its bounds are custom.
    pub(crate) fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    fn reduce(&mut self, schema: i32) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        // Beyond this everything of a sign is in one bucket.
        let shift = self.schema.saturating_sub(schema).min(31);
        for buckets in [&mut self.positive, &mut self.negative] {
            let mut out: Vec<(i32, f64)> = Vec::with_capacity(buckets.len());
            for &(index, count) in buckets.iter() {
                let target = (index.saturating_sub(1) >> shift).saturating_add(1);
                match out.last_mut() {
                    Some(last) if last.0 == target => last.1 += count,
                    _ => out.push((target, count)),
                }
            }
            *buckets = out;
        }
        self.schema = schema;
    }

    /// Merges buckets so that only the given bounds, all of them own ones, are left.
    fn rebound(&mut self, bounds: &[f64]) {
        let mut out: Vec<(i32, f64)> = Vec::new();
        for &(index, count) in &self.positive {
            let upper = bound(index, self.schema, &self.custom);
            let target = bounds.partition_point(|b| *b < upper);
            add_bucket(&mut out, i32::try_from(target).unwrap_or(i32::MAX), count);
        }
        self.positive = out;
        self.custom = bounds.to_vec();
    }

    /// Widens the zero bucket to at least `threshold`; it grows to the end of a populated bucket that it would cut.
    fn widen_zero(&mut self, mut threshold: f64) {
        if threshold <= self.zero_threshold {
            return;
        }
        loop {
            let cut = [&self.positive, &self.negative]
                .into_iter()
                .flatten()
                .filter(|(i, c)| {
                    *c != 0.0
                        && bound(i.saturating_sub(1), self.schema, &[]) < threshold
                        && bound(*i, self.schema, &[]) > threshold
                })
                .map(|(i, _)| bound(*i, self.schema, &[]))
                .fold(threshold, f64::max);
            if cut == threshold {
                break;
            }
            threshold = cut;
        }
        self.fold_into_zero(threshold);
    }

    fn fold_into_zero(&mut self, threshold: f64) {
        let schema = self.schema;
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|(i, c)| {
                let inside = bound(i.saturating_sub(1), schema, &[]) < threshold;
                if inside {
                    self.zero_count += c;
                }
                !inside
            });
        }
        self.zero_threshold = threshold;
    }

    /// Brings both to the same schema, bounds and zero bucket; true when custom bounds were given up.
    pub(crate) fn reconcile(&mut self, other: &mut Self) -> Result<bool, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        if self.is_custom() {
            if self.custom == other.custom {
                return Ok(false);
            }
            let bounds = common_bounds(&self.custom, &other.custom);
            self.rebound(&bounds);
            other.rebound(&bounds);
            return Ok(true);
        }
        while self.zero_threshold != other.zero_threshold {
            self.widen_zero(other.zero_threshold);
            other.widen_zero(self.zero_threshold);
        }
        let schema = self.schema.min(other.schema);
        self.reduce(schema);
        other.reduce(schema);
        Ok(false)
    }

    /// A histogram of the same layout without observations.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            hint: ResetHint::Unknown,
            ..self.clone()
        }
    }

    /// Changes every count and the sum.
    pub(crate) fn each(&mut self, mut change: impl FnMut(&mut f64)) {
        change(&mut self.zero_count);
        change(&mut self.count);
        change(&mut self.sum);
        self.positive.iter_mut().chain(&mut self.negative).for_each(|b| change(&mut b.1));
    }

    /// Whether some count or the sum is infinite.
    pub(crate) fn overflows(&self) -> bool {
        [self.zero_count, self.count, self.sum].iter().any(|v| v.is_infinite())
            || self.positive.iter().chain(&self.negative).any(|b| b.1.is_infinite())
    }

    /// Takes the layout of another histogram, which is coarser in everything.
    pub(crate) fn lay_out_as(&mut self, other: &Self) {
        if self.is_custom() {
            if self.custom != other.custom {
                self.rebound(&other.custom);
            }
            return;
        }
        let threshold = other.zero_threshold;
        if threshold > self.zero_threshold {
            self.fold_into_zero(threshold);
        }
        self.reduce(other.schema);
    }

    /// What is known of resets after adding a histogram; true when both sides contradict each other.
    pub(crate) fn join_hint(&mut self, other: ResetHint) -> bool {
        let (hint, conflict) = match (self.hint, other) {
            (a, b) if a == b => (a, false),
            (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
            (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
            _ => (ResetHint::Unknown, true),
        };
        self.hint = hint;
        conflict
    }

    /// Adds `factor` (1 or -1) times another histogram.
    pub(crate) fn combine(&mut self, other: &Self, factor: f64) -> Result<Combined, Incompatible> {
        let mut other = other.clone();
        let reconciled = self.reconcile(&mut other)?;
        let reset_conflict = self.join_hint(other.hint);
        self.zero_count += factor * other.zero_count;
        self.count += factor * other.count;
        self.sum += factor * other.sum;
        merge(&mut self.positive, &other.positive, factor);
        merge(&mut self.negative, &other.negative, factor);
        Ok(Combined { reconciled, reset_conflict })
    }

    /// Whether some count is smaller than in `previous`, which only a reset explains.
    pub(super) fn lacks(mut self, previous: &Self) -> bool {
        let mut previous = previous.clone();
        if self.is_custom() != previous.is_custom() {
            return true;
        }
        if !self.is_custom() {
            if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
                return true;
            }
            let threshold = self.zero_threshold;
            previous.widen_zero(threshold);
            if previous.zero_threshold != threshold {
                return true;
            }
        }
        if self.reconcile(&mut previous).is_err() || self.zero_count < previous.zero_count {
            return true;
        }
        let smaller = |now: &[(i32, f64)], before: &[(i32, f64)]| {
            before.iter().any(|(index, count)| {
                let current = now.binary_search_by_key(index, |b| b.0).map_or(0.0, |at| now[at].1);
                current < *count
            })
        };
        smaller(&self.positive, &previous.positive) || smaller(&self.negative, &previous.negative)
    }

    /// All populated buckets in ascending order; those beside the zero bucket begin where it ends.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        let mut out = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        for &(index, count) in self.negative.iter().rev() {
            let lower = -bound(index, self.schema, &[]);
            let upper = (-bound(index.saturating_sub(1), self.schema, &[])).min(-self.zero_threshold);
            out.push(Bucket { lower, upper, count, zero: false });
        }
        if self.zero_count > 0.0 {
            let threshold = self.zero_threshold;
            out.push(Bucket { lower: -threshold, upper: threshold, count: self.zero_count, zero: true });
        }
        for &(index, count) in &self.positive {
            let mut lower = bound(index.saturating_sub(1), self.schema, &self.custom);
            if !self.is_custom() {
                lower = lower.max(self.zero_threshold);
            }
            out.push(Bucket { lower, upper: bound(index, self.schema, &self.custom), count, zero: false });
        }
        out
    }
}
