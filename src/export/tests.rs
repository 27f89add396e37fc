use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use collector::{Collector, CollectorDeps};
use dashboards::chunk::{ENCODING_XOR, encode_xor};
use dashboards::openmetrics::{Counts, FamilyText};
use dashboards::transfer::{PartChunk, SeriesPart};
use proptest::prelude::*;
use vocab::budget::MemoryPool;
use vocab::ports::Ingest;
use vocab::ports::ingest::{IngestProtocol, IngestRequest};
use vocab::sample::{MetricMetadata, MetricType, SeriesData, StartTimes};
use vocab::telemetry::Telemetry;
use vocab::testing::{MemCatalog, MemLogs, MemStore, SimClock};
use vocab::{Clock, Ctx, Labels, TenantId};

use super::*;

#[test]
fn windows_are_aligned_and_cover_everything_once() {
    let wanted = Wanted { matchers: Vec::new(), start: -50, end: 250, window_ms: 100 };
    assert_eq!(wanted.windows(), [(-50, -1), (0, 99), (100, 199), (200, 250)]);
    assert_eq!(halves((0, 119_999)), Some([(0, 59_999), (60_000, 119_999)]));
    assert_eq!(halves((0, 10)), None);
}

#[test]
fn times_are_seconds_or_rfc_3339() {
    assert_eq!(parse_time("1.5").expect("seconds"), 1500);
    assert_eq!(parse_time("2026-01-01T00:00:00Z").expect("RFC 3339"), 1_767_225_600_000);
    assert!(parse_time("yesterday").is_err_and(|e| e.to_string().contains("neither")));
}

/// What a text holds once it is imported.
async fn imported(text: Vec<u8>) -> Vec<SeriesData> {
    let store = Arc::new(MemStore::default());
    let clock: Arc<dyn Clock> = Arc::new(SimClock::at(0));
    // The clients of HTTP in it want a provider.
    let _again = rustls::crypto::ring::default_provider().install_default();
    let collector = Collector::new(
        CollectorDeps {
            appender: Arc::<MemStore>::clone(&store),
            log_appender: Arc::new(MemLogs::default()),
            catalog: Arc::new(MemCatalog::new(Arc::clone(&clock))),
            clock,
            telemetry: Telemetry::new(),
            memory: MemoryPool::new("ingest", 1 << 30),
            limits: Arc::default(),
            self_metrics: Arc::new(String::new),
            replicas: Arc::new(Vec::new),
        },
        TenantId::default(),
    );
    let request = IngestRequest {
        protocol: IngestProtocol::PrometheusText,
        content_type: "application/openmetrics-text; version=1.0.0".to_owned(),
        content_encoding: String::new(),
        params: vec![("created".to_owned(), "start".to_owned())],
        body: text.into(),
    };
    let answer = collector.receiver().ingest(&Ctx::unlimited(), request).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let mut all = store.dump(&TenantId::default());
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

/// The text of a series' samples as the server sends them.
fn part(series: &SeriesData) -> SeriesPart {
    let starts = series.starts.as_deref().map_or(&[][..], |s| &s.floats);
    let (first, last) = (series.timestamps[0], series.timestamps[series.timestamps.len() - 1]);
    let chunk = PartChunk {
        min_time: first,
        max_time: last,
        encoding: ENCODING_XOR,
        data: encode_xor(series.timestamps.iter().copied().zip(series.values.iter().copied())),
        starts: series.timestamps.iter().copied().zip(starts.iter().copied()).collect(),
        ..PartChunk::default()
    };
    SeriesPart { labels: series.labels.clone(), chunks: vec![chunk] }
}

/// Samples of one point: distance in time to the last one, since when they count, and a value.
type Samples = Vec<(i64, i64, f64)>;

fn samples() -> impl Strategy<Value = Samples> {
    let start = prop_oneof![Just(0i64), -5000i64..5000, 1_700_000_000_000i64..1_700_000_100_000];
    let value = prop_oneof![any::<i16>().prop_map(f64::from), -1e300..1e300f64, Just(f64::INFINITY)];
    proptest::collection::vec((1i64..100_000, start, value), 1..20)
}

/// The series of one point of a family: by name and further label.
fn series_of(family: MetricType, name: &str, point: usize, samples: &Samples) -> Vec<SeriesData> {
    let series: &[(&str, &str, &str)] = match family {
        MetricType::Counter => &[("_total", "", "")],
        MetricType::Histogram => {
            &[("_bucket", "le", "0.5"), ("_bucket", "le", "+Inf"), ("_count", "", ""), ("_sum", "", "")]
        }
        _ => &[("", "quantile", "0.5"), ("", "quantile", "0.9"), ("_count", "", ""), ("_sum", "", "")],
    };
    let one = |(suffix, label, value): &(&str, &str, &str)| {
        let point = format!("p \"{point}\"");
        let labels = [("__name__", format!("{name}{suffix}")), ("point", point), (*label, (*value).to_owned())];
        let mut data = SeriesData {
            labels: Labels::from_pairs(labels.into_iter().filter(|l| !l.0.is_empty())),
            ..SeriesData::default()
        };
        let (mut starts, mut time) = (StartTimes::default(), -3000);
        for (distance, start, value) in samples {
            time += distance;
            StartTimes::note(&mut starts.floats, data.timestamps.len(), *start);
            data.timestamps.push(time);
            data.values.push(*value);
        }
        if !starts.is_empty() {
            starts.floats.resize(data.timestamps.len(), 0);
            data.starts = Some(Box::new(starts));
        }
        data
    };
    series.iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn an_exported_text_is_imported_with_its_start_times(
        families in proptest::collection::vec((0usize..3, proptest::collection::vec(samples(), 1..4)), 1..4),
    ) {
        const TYPES: [MetricType; 3] = [MetricType::Counter, MetricType::Histogram, MetricType::Summary];
        let (mut expected, mut metadata) = (Vec::new(), BTreeMap::new());
        for (number, (family, points)) in families.iter().enumerate() {
            let metric = format!("m{number}_seconds");
            for (point, samples) in points.iter().enumerate() {
                expected.extend(series_of(TYPES[*family], &metric, point, samples));
            }
            let known = MetricMetadata { metric: metric.clone(), metric_type: TYPES[*family], ..Default::default() };
            metadata.insert(metric, known);
        }
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut names: Vec<String> = expected.iter().map(|s| s.labels.metric_name().to_owned()).collect();
        names.sort();
        names.dedup();
        let (mut text, mut counts) = (Vec::new(), Counts::default());
        for family in &dashboards::openmetrics::families(&names, &metadata) {
            let mut written = FamilyText::new(family);
            for series in expected.iter().filter(|s| family.members.iter().any(|m| m == s.labels.metric_name())) {
                written.add(part(series));
            }
            counts.add(written.write(&mut text).expect("written"));
        }
        text.extend_from_slice(b"# EOF\n");
        let num_samples: usize = expected.iter().map(SeriesData::num_samples).sum();
        prop_assert_eq!(counts, Counts { samples: num_samples as u64, ..Counts::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let shown = String::from_utf8_lossy(&text).into_owned();
        let found = runtime.block_on(imported(text));
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(found, expected, "{}", shown);
        }
    }
}

#[test]
fn what_an_export_could_not_keep_is_told() {
    let counts = Counts { samples: 9, converted: 2, native: 1, unfit: 3, starts: 4 };
    let said = openmetrics::summary(&counts, Path::new("x.om"));
    for part in [
        "9 samples are in x.om; 2 native histograms became classic ones",
        "1 native histograms are left out",
        "3 numbers",
        "4 start times",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let nothing = Counts { samples: 9, ..Counts::default() };
    assert_eq!(openmetrics::summary(&nothing, Path::new("x.om")), "9 samples are in x.om");
}
