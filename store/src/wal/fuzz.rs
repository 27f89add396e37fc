//! Damaged and hostile logs: whatever stands in one, a start must not break.

use std::path::Path;

use vocab::histogram::Span;
use vocab::ports::append::{SeriesRef, WriteBatch};
use vocab::sample::{Exemplar, MetricMetadata, MetricType};
use vocab::{Labels, MemoryPool, NativeHistogram, TenantId};

use super::segment::MAGIC;
use super::{WalReport, frame, reader};
use crate::head::{Head, HeadLimits, Replay};
use crate::query::decode::Parts;
use crate::query::gather::Part;

/// An even first byte: the rest is a segment as it stands; an odd one: the rest is a record whose checksum fits.
fn fuzz_wal(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let mut segment = MAGIC.to_vec();
    if mode % 2 == 0 {
        segment.extend_from_slice(rest);
    } else if !rest.is_empty() {
        frame::push(&mut segment, rest);
    }
    let pool = MemoryPool::new("head", 1 << 30);
    let head = Head::new(10, &pool);
    let mut replay = Replay::new(&head);
    let mut report = WalReport::default();
    let broken = reader::read_segment(1, &segment, &mut report, &mut |_, record| replay.record(record));
    assert!(mode % 2 == 0 || broken.is_none(), "a whole record is read");
    let num_samples = replay.finish().num_samples;
    let mut num_read = 0;
    for tenant in head.tenants() {
        for series in tenant.select(&[], (i64::MIN, i64::MAX), Part::ALL, |_| Ok(())).expect("no bound") {
            let mut parts = Parts::default();
            for chunk in 0..series.data.chunks.len() {
                parts.compact(&series.data, chunk).expect("the head's own chunks can be read");
            }
            parts.snapshot_rest(&series.data);
            parts.sort();
            assert!(parts.times.is_sorted() && parts.times.len() == parts.values.len());
            num_read += (parts.times.len() + parts.histograms.len()) as u64;
        }
    }
    assert_eq!(num_read, num_samples, "what was added is there");
}

fn seeds() -> Vec<Vec<u8>> {
    let mut batch = WriteBatch::default();
    for host in 0..3 {
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("host", format!("h{host}"))]);
        for step in 0..3 {
            batch.push(labels.clone(), 1_767_268_800_000 + step * 15_000, (step * host) as f64 / 4.0);
        }
    }
    let plain = batch.clone();
    let series = batch.push_series(Labels::from_pairs([("__name__", "h"), ("ü", "é")]), SeriesRef::NONE);
    let histogram = NativeHistogram {
        schema: 3,
        count: 7.0,
        sum: 1.5,
        zero_threshold: 0.001,
        zero_count: 1.0,
        positive_spans: vec![Span { offset: -3, length: 2 }, Span { offset: 4, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 3.0],
        integer: true,
        ..NativeHistogram::default()
    };
    batch.histograms.push((series, 5, std::sync::Arc::new(histogram)));
    let labels = Labels::from_pairs([("trace_id", "abc")]);
    batch.exemplars.push((series, Exemplar { labels, value: 0.5, timestamp: 5 }));
    let (metric, help, unit) = ("h".to_owned(), "helps".to_owned(), "seconds".to_owned());
    batch.metadata.push(MetricMetadata { metric, metric_type: MetricType::Histogram, help, unit });
    let pool = MemoryPool::new("head", 1 << 30);
    let record = |batch: &WriteBatch| {
        let head = Head::new(10, &pool);
        head.prepare(&TenantId::default(), batch, &HeadLimits::default(), None).record.expect("there is news")
    };
    let records = [record(&plain), record(&batch)];
    let mut segment = vec![0];
    records.iter().for_each(|record| frame::push(&mut segment, record));
    let mut seeds = vec![segment];
    seeds.extend(records.iter().map(|record| [&[1], &record[..]].concat()));
    seeds
}

#[test]
fn logs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/wal");
    vocab::testing::fuzz::fuzz(&corpus, &seeds(), fuzz_wal);
}
