use super::*;
use proptest::prelude::*;
use vocab::Matcher;
use vocab::ports::query::{FragmentAggregation, StepGrid};

fn fragment(op: Option<&str>, function: &str) -> Fragment {
    Fragment {
        matchers: vec![Matcher::equal("__name__", "m_total")],
        grid: StepGrid { start_ms: 0, end_ms: 100_000, step_ms: 10_000 },
        offset_ms: 0,
        at_ms: None,
        range_ms: (!function.is_empty()).then_some(30_000),
        lookback_ms: 20_000,
        function: function.to_owned(),
        args: Vec::new(),
        aggregation: op.map(|op| FragmentAggregation {
            op: op.to_owned(),
            grouping: vec!["job".to_owned()],
            without: false,
            param: 0,
        }),
    }
}

fn series() -> impl Strategy<Value = Vec<SeriesData>> {
    let samples = prop::collection::vec((1i64..20_000, -1e6f64..1e6), 0..20);
    prop::collection::vec((0u8..3, samples), 0..12).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(index, (job, samples))| {
                let labels =
                    [("__name__", "m_total".to_owned()), ("instance", index.to_string()), ("job", job.to_string())];
                let mut data = SeriesData { labels: Labels::from_pairs(labels), ..SeriesData::default() };
                let mut time = -20_000;
                for (gap, value) in samples {
                    time += gap;
                    data.timestamps.push(time);
                    data.values.push(value);
                }
                data
            })
            .collect()
    })
}

proptest! {
    /// However the data is cut into pieces, the merged result is that of all of it.
    #[test]
    fn pieces_merge_to_the_whole(
        data in series(),
        cut in 0usize..12,
        op in prop::sample::select(vec!["", "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]),
        function in prop::sample::select(vec!["", "rate", "max_over_time", "changes"]),
    ) {
        let fragment = fragment((!op.is_empty()).then_some(op), function);
        let cut = cut.min(data.len());
        let whole = evaluate(&fragment, &data);
        let pieces = vec![evaluate(&fragment, &data[cut..]), evaluate(&fragment, &data[..cut])];
        let merged = merge(&fragment, pieces);
        prop_assert_eq!(merged.num_samples, whole.num_samples);
        let sorted = |result| {
            let mut series = finish(&fragment, result);
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            series
        };
        let (a, b) = (sorted(whole), sorted(merged));
        prop_assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            prop_assert_eq!(&a.labels, &b.labels);
            for (x, y) in a.floats.iter().zip(&b.floats) {
                let close = (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1.0);
                prop_assert!(close || (x.is_nan() && y.is_nan()), "{} {}", x, y);
            }
        }
    }
}

#[test]
fn histograms_are_left_to_the_caller() {
    let histogram = std::sync::Arc::new(vocab::NativeHistogram::default());
    let data = SeriesData { histograms: vec![(0, histogram)], ..SeriesData::default() };
    assert!(evaluate(&fragment(Some("sum"), ""), [&data]).saw_histograms);
}

#[test]
fn an_unknown_fragment_is_left_to_the_caller() {
    let data = SeriesData::default();
    assert!(evaluate(&fragment(Some("sum"), "no_such_function"), [&data]).saw_histograms);
    assert!(!evaluate(&fragment(Some("sum"), "rate"), [&data]).saw_histograms);
}
