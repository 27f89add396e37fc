//! What every metric store does.

use std::sync::Arc;

use futures::StreamExt;

use crate::budget::MemoryReservation;
use crate::context::Ctx;
use crate::error::ErrorKind;
use crate::histogram::{NativeHistogram, Span};
use crate::labels::Labels;
use crate::matcher::{MatchOp, Matcher};
use crate::ports::append::{Appender, RejectReason, SeriesRef, WriteBatch};
use crate::ports::query::{Querier, SelectHints, SelectRequest, SeriesFilter};
use crate::sample::{Exemplar, MetricMetadata, MetricType, STALE_NAN, SeriesData, is_stale_nan};
use crate::tenant::TenantId;

/// A moment around which the suite writes: 2026-01-01.
const BASE_MS: i64 = 1_767_225_600_000;
/// Distance of its samples.
const STEP_MS: i64 = 15_000;
/// Samples per series.
const NUM_SAMPLES: i64 = 40;

/// The suite: everything that was appended is read back, whole, and only by its own tenant.
///
/// # Panics
/// When the store does not do what the ports say.
pub async fn metrics(appender: &dyn Appender, querier: &dyn Querier) {
    let ctx = Ctx::new(TenantId::new("suite-a").expect("a valid name"), MemoryReservation::unlimited());
    let other = Ctx::new(TenantId::new("suite-b").expect("a valid name"), MemoryReservation::unlimited());
    writes(appender, &ctx).await;
    samples(querier, &ctx).await;
    labels(querier, &ctx).await;
    extras(querier, &ctx).await;
    repetitions(appender, querier, &ctx).await;
    starts(appender, querier, &ctx).await;
    manners(querier, &ctx, &other).await;
}

fn series(code: &str) -> Labels {
    Labels::from_pairs([("__name__", "requests_total"), ("code", code), ("host", "h1")])
}

fn histogram() -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram {
        count: 5.0,
        sum: 12.5,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![2.0, 3.0],
        integer: true,
        ..NativeHistogram::default()
    })
}

async fn writes(appender: &dyn Appender, ctx: &Ctx) {
    let mut batch = WriteBatch::default();
    for code in ["200", "500"] {
        let index = batch.push_series(series(code), SeriesRef::NONE);
        for step in 0..NUM_SAMPLES {
            let sample = crate::ports::append::BatchSample {
                series: index,
                timestamp: BASE_MS + step * STEP_MS,
                value: step as f64,
            };
            batch.samples.push(sample);
        }
        let exemplar =
            Exemplar { labels: Labels::from_pairs([("trace_id", code)]), value: 0.5, timestamp: BASE_MS + STEP_MS };
        batch.exemplars.push((index, exemplar));
    }
    batch.push(Labels::from_pairs([("__name__", "gone")]), BASE_MS, 1.0);
    let gone = u32::try_from(batch.series.len() - 1).expect("few series");
    let mut stale = batch.samples[batch.samples.len() - 1];
    (stale.timestamp, stale.value) = (BASE_MS + STEP_MS, STALE_NAN);
    batch.samples.push(stale);
    assert_eq!(stale.series, gone);
    let latency = batch.push_series(Labels::from_pairs([("__name__", "latency")]), SeriesRef::NONE);
    batch.histograms.push((latency, BASE_MS, histogram()));
    batch.metadata.push(MetricMetadata {
        metric: "requests_total".into(),
        metric_type: MetricType::Counter,
        help: "Requests \"served\"".into(),
        unit: String::new(),
    });
    let outcome = appender.append(ctx, &batch).await.expect("taken");
    let expected = u64::try_from(2 * NUM_SAMPLES + 3).expect("positive");
    assert_eq!((outcome.accepted, outcome.rejected), (expected, 0), "{:?}", outcome.rejections);
    assert_eq!(outcome.refs.len(), batch.series.len());
}

async fn select(
    querier: &dyn Querier,
    ctx: &Ctx,
    matchers: Vec<Matcher>,
    start_ms: i64,
    end_ms: i64,
) -> Vec<SeriesData> {
    let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
    let mut stream = querier.select(ctx, request).await.expect("selected");
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        all.append(&mut batch.expect("a good batch"));
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

async fn samples(querier: &dyn Querier, ctx: &Ctx) {
    let name = || Matcher::equal("__name__", "requests_total");
    let end = BASE_MS + NUM_SAMPLES * STEP_MS;
    let both = select(querier, ctx, vec![name()], BASE_MS, end).await;
    assert_eq!(both.iter().map(|s| s.labels.clone()).collect::<Vec<_>>(), [series("200"), series("500")]);
    for data in &both {
        assert_eq!(data.timestamps, (0..NUM_SAMPLES).map(|i| BASE_MS + i * STEP_MS).collect::<Vec<_>>());
        assert_eq!(data.values, (0..NUM_SAMPLES).map(|i| i as f64).collect::<Vec<_>>());
    }
    let not_200 = Matcher::new(MatchOp::NotEqual, "code", "200").expect("a matcher");
    let part = select(querier, ctx, vec![name(), not_200], BASE_MS + STEP_MS, BASE_MS + 3 * STEP_MS).await;
    assert_eq!(part.len(), 1);
    assert_eq!(
        (part[0].labels.clone(), part[0].values.clone()),
        (series("500"), vec![1.0, 2.0, 3.0]),
        "both ends count"
    );
    let pattern = Matcher::new(MatchOp::Regex, "code", "2..|3..").expect("a matcher");
    assert_eq!(select(querier, ctx, vec![name(), pattern], BASE_MS, end).await.len(), 1);
    let absent = Matcher::equal("nope", "");
    assert_eq!(select(querier, ctx, vec![name(), absent], BASE_MS, end).await.len(), 2, "an absent label is empty");
    let gone = select(querier, ctx, vec![Matcher::equal("__name__", "gone")], BASE_MS, end).await;
    assert_eq!(gone[0].values[0], 1.0);
    assert!(is_stale_nan(gone[0].values[1]), "the staleness marker comes back as it is");
    let latency = select(querier, ctx, vec![Matcher::equal("__name__", "latency")], BASE_MS, end).await;
    assert_eq!(latency[0].histograms.len(), 1);
    assert_eq!((latency[0].histograms[0].0, latency[0].histograms[0].1.count), (BASE_MS, 5.0));
    assert_eq!(latency[0].histograms[0].1.positive_buckets, [2.0, 3.0]);
    assert!(latency[0].timestamps.is_empty());
}

async fn labels(querier: &dyn Querier, ctx: &Ctx) {
    let filter = |any_of: Vec<Vec<Matcher>>| SeriesFilter {
        any_of,
        start_ms: BASE_MS,
        end_ms: BASE_MS + NUM_SAMPLES * STEP_MS,
        limit: 0,
    };
    let all = querier.series(ctx, filter(Vec::new())).await.expect("listed");
    assert_eq!(all.len(), 4);
    assert!(all.is_sorted(), "{all:?}");
    let either = vec![vec![Matcher::equal("code", "200")], vec![Matcher::equal("__name__", "gone")]];
    let some = querier.series(ctx, filter(either)).await.expect("listed");
    assert_eq!(some, [Labels::from_pairs([("__name__", "gone")]), series("200")]);
    let limited = SeriesFilter { limit: 1, ..filter(Vec::new()) };
    assert_eq!(querier.series(ctx, limited.clone()).await.expect("listed").len(), 1);
    assert_eq!(querier.label_names(ctx, filter(Vec::new())).await.expect("listed"), ["__name__", "code", "host"]);
    let gone = filter(vec![vec![Matcher::equal("__name__", "gone")]]);
    assert_eq!(querier.label_names(ctx, gone).await.expect("listed"), ["__name__"]);
    assert_eq!(querier.label_values(ctx, "code", filter(Vec::new())).await.expect("listed"), ["200", "500"]);
    assert_eq!(querier.label_values(ctx, "code", limited).await.expect("listed"), ["200"]);
    assert!(querier.label_values(ctx, "nope", filter(Vec::new())).await.expect("listed").is_empty());
}

async fn extras(querier: &dyn Querier, ctx: &Ctx) {
    let metadata = querier.metadata(ctx, Some("requests_total")).await.expect("read");
    assert_eq!(metadata.len(), 1);
    assert_eq!((metadata[0].metric_type, metadata[0].help.as_str()), (MetricType::Counter, "Requests \"served\""));
    assert_eq!(querier.metadata(ctx, None).await.expect("read").len(), 1);
    assert!(querier.metadata(ctx, Some("nope")).await.expect("read").is_empty());
    let filter = |start_ms, end_ms| SeriesFilter {
        any_of: vec![vec![Matcher::equal("code", "500")]],
        start_ms,
        end_ms,
        limit: 0,
    };
    let found = querier.exemplars(ctx, filter(BASE_MS, BASE_MS + 2 * STEP_MS)).await.expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].exemplars[0].labels, Labels::from_pairs([("trace_id", "500")]));
    let later = querier.exemplars(ctx, filter(BASE_MS + 2 * STEP_MS, BASE_MS + 3 * STEP_MS)).await.expect("read");
    assert!(later.is_empty(), "exemplars outside the range stay out");
}

async fn repetitions(appender: &dyn Appender, querier: &dyn Querier, ctx: &Ctx) {
    let last = BASE_MS + (NUM_SAMPLES - 1) * STEP_MS;
    let mut batch = WriteBatch::default();
    batch.push(series("200"), last, (NUM_SAMPLES - 1) as f64);
    let outcome = appender.append(ctx, &batch).await.expect("taken");
    assert_eq!((outcome.accepted, outcome.rejected), (1, 0), "an exact repetition is fine");
    let mut batch = WriteBatch::default();
    batch.push(series("200"), last, -1.0);
    batch.push(series("404"), last, 4.0);
    batch.push(Labels::empty(), last, 1.0);
    let outcome = appender.append(ctx, &batch).await.expect("the good part is taken");
    assert_eq!((outcome.accepted, outcome.rejected), (1, 2), "{:?}", outcome.rejections);
    let mut reasons: Vec<_> = outcome.rejections.iter().map(|r| (r.series, r.reason)).collect();
    reasons.sort_by_key(|r| r.0);
    assert_eq!(reasons, [(0, RejectReason::Duplicate), (2, RejectReason::InvalidLabels)]);
    assert_eq!(outcome.refs[2], SeriesRef::NONE);
    let kept = select(querier, ctx, vec![Matcher::equal("code", "200")], last, last).await;
    assert_eq!(kept[0].values, [(NUM_SAMPLES - 1) as f64], "the first value stays");
    assert_eq!(select(querier, ctx, vec![Matcher::equal("code", "404")], last, last).await.len(), 1);
    // A reference that belongs to another series never leads to a wrong write.
    let mut batch = WriteBatch::default();
    let index = batch.push_series(series("418"), outcome.refs[1]);
    batch.samples.push(crate::ports::append::BatchSample { series: index, timestamp: last, value: 8.0 });
    appender.append(ctx, &batch).await.expect("taken");
    let teapot = select(querier, ctx, vec![Matcher::equal("code", "418")], last, last).await;
    assert_eq!((teapot.len(), teapot[0].values.as_slice()), (1, [8.0].as_slice()));
    let not_found = select(querier, ctx, vec![Matcher::equal("code", "404")], last, last).await;
    assert_eq!(not_found[0].values, [4.0]);
}

/// Since when samples count comes back with exactly those that said so.
async fn starts(appender: &dyn Appender, querier: &dyn Querier, ctx: &Ctx) {
    let time = |step: i64| BASE_MS + step * STEP_MS;
    let expected = [0, time(0) - 5, time(0) - 5, time(3) - 1, 0, time(4)];
    let mut batch = WriteBatch::default();
    let labels = Labels::from_pairs([("__name__", "counted_total")]);
    let counted = batch.push_series(labels, SeriesRef::NONE);
    for (step, start) in (0..).zip(expected) {
        let sample = crate::ports::append::BatchSample { series: counted, timestamp: time(step), value: step as f64 };
        batch.samples.push(sample);
        batch.start_of_last_sample(start);
        batch.histograms.push((counted, time(step) + 1, histogram()));
        batch.start_of_last_histogram(-start);
    }
    let without = batch.push_series(Labels::from_pairs([("__name__", "without_total")]), SeriesRef::NONE);
    let sample = crate::ports::append::BatchSample { series: without, timestamp: BASE_MS, value: 1.0 };
    batch.samples.push(sample);
    let outcome = appender.append(ctx, &batch).await.expect("taken");
    assert_eq!(outcome.rejected, 0, "{:?}", outcome.rejections);
    let named = |name: &str| vec![Matcher::equal("__name__", name)];
    let whole = select(querier, ctx, named("counted_total"), time(0), time(9)).await;
    let found = whole[0].starts.as_deref().expect("they were written");
    assert_eq!(found.floats, expected);
    assert_eq!(found.histograms, expected.map(|start| -start));
    let part = select(querier, ctx, named("counted_total"), time(2), time(3)).await;
    let found = part[0].starts.as_deref().expect("they were written");
    assert_eq!((found.floats.as_slice(), found.histograms.as_slice()), (&expected[2..4], &[-expected[2]][..]));
    assert_eq!(select(querier, ctx, named("without_total"), time(0), time(9)).await[0].starts, None);
}

async fn manners(querier: &dyn Querier, ctx: &Ctx, other: &Ctx) {
    let end = BASE_MS + NUM_SAMPLES * STEP_MS;
    let name = Matcher::equal("__name__", "requests_total");
    assert!(select(querier, other, vec![name.clone()], BASE_MS, end).await.is_empty(), "tenants are apart");
    assert!(querier.metadata(other, None).await.expect("read").is_empty(), "tenants are apart");
    let gone = Ctx::new(ctx.tenant.clone(), MemoryReservation::unlimited());
    gone.cancel.cancel();
    let request = SelectRequest { matchers: vec![name], start_ms: BASE_MS, end_ms: end, hints: SelectHints::default() };
    let mut error = None;
    match querier.select(&gone, request).await {
        Err(e) => error = Some(e),
        Ok(mut stream) => {
            while let Some(batch) = stream.next().await {
                error = error.or(batch.err());
            }
        }
    }
    assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::Cancelled), "a raised flag ends the query");
}
