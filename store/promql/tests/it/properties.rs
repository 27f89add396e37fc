//! However a query is evaluated, its answer is the same.

use promql::value::{QueryOutput, QueryValue};
use promql::{Engine, EngineOptions, ParseOptions};
use proptest::prelude::*;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{Ctx, Labels};

use crate::memory::{Memory, Sample};

fn memory() -> impl Strategy<Value = Memory> {
    let value = prop_oneof![
        8 => (0i32..1000).prop_map(f64::from),
        1 => Just(vocab::STALE_NAN),
        1 => Just(f64::NAN),
        1 => -1e9f64..1e9,
    ];
    let samples = prop::collection::vec((1i64..90_000, value), 0..40);
    prop::collection::vec((0u8..3, 0u8..4, samples), 1..8).prop_map(|list| {
        let mut memory = Memory::default();
        for (job, instance, samples) in list {
            let labels = Labels::from_pairs([
                ("__name__", "m_total".to_owned()),
                ("instance", instance.to_string()),
                ("job", job.to_string()),
            ]);
            let mut time = 0;
            for (gap, value) in samples {
                time += gap;
                memory.insert(labels.clone(), time, Sample::Float(value));
            }
        }
        memory
    })
}

fn query() -> impl Strategy<Value = String> {
    let function = prop::sample::select(vec![
        "rate",
        "increase",
        "delta",
        "irate",
        "changes",
        "resets",
        "deriv",
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "stddev_over_time",
        "last_over_time",
        "present_over_time",
        "quantile_over_time",
    ]);
    let range = prop::sample::select(vec!["30s", "1m", "5m", "17m"]);
    let modifier = prop::sample::select(vec!["", " offset 1m", " offset -30s", " @ 600", " @ end()"]);
    let op = prop::sample::select(vec!["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]);
    let grouping = prop::sample::select(vec!["", " by (job)", " without (instance)", " by (__name__, job)"]);
    let call = (function, range, modifier.clone()).prop_map(|(f, r, m)| {
        let quantile = if f == "quantile_over_time" { "0.9, " } else { "" };
        format!("{f}({quantile}m_total[{r}]{m})")
    });
    let inner = prop_oneof![call.clone(), modifier.prop_map(|m| format!("m_total{m}"))];
    prop_oneof![call, (op, grouping, inner).prop_map(|(op, grouping, inner)| format!("{op}{grouping} ({inner})")),]
}

fn ask(memory: &Memory, text: &str, fragments: bool, grid: StepGrid) -> Result<QueryOutput, String> {
    let engine = Engine::new(EngineOptions { fragments, ..EngineOptions::default() });
    let expr = promql::parse(text, &ParseOptions::default()).map_err(|e| e.to_string())?;
    let ctx = Ctx::unlimited();
    let answer = engine.range(memory, &ctx, &expr, grid);
    futures::executor::block_on(answer).map_err(|e| e.to_string())
}

fn series(output: QueryOutput) -> Vec<SeriesData> {
    match output.value {
        QueryValue::Matrix(series) => series,
        other => panic!("a range query answered {other:?}"),
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn with_and_without_fragments(memory in memory(), text in query(), step in 1i64..200_000, start in 0i64..900_000) {
        let grid = StepGrid { start_ms: start, end_ms: start + 900_000, step_ms: step.max(5_000) };
        let (a, b) = (ask(&memory, &text, true, grid), ask(&memory, &text, false, grid));
        prop_assert_eq!(a.as_ref().err(), b.as_ref().err(), "{}", text);
        let (Ok(a), Ok(b)) = (a, b) else { return Ok(()) };
        prop_assert_eq!(&a.annotations, &b.annotations, "{}", text);
        let (a, b) = (series(a), series(b));
        prop_assert_eq!(a.len(), b.len(), "{}", text);
        for (a, b) in a.iter().zip(&b) {
            prop_assert_eq!(&a.labels, &b.labels, "{}", text);
            prop_assert_eq!(&a.timestamps, &b.timestamps, "{}", text);
            for (x, y) in a.values.iter().zip(&b.values) {
                prop_assert!(close(*x, *y), "{}: {} {}", text, x, y);
            }
        }
    }

    /// A step of a range query is the instant query of that time: windows slide, lookups walk, neither may matter.
    #[test]
    fn range_and_instant(memory in memory(), text in query(), step in 5_000i64..200_000) {
        let grid = StepGrid { start_ms: 0, end_ms: 900_000, step_ms: step };
        prop_assume!(!text.contains("end()"));
        let Ok(whole) = ask(&memory, &text, false, grid) else { return Ok(()) };
        let whole = series(whole);
        for time in grid.times().step_by(7) {
            let one = StepGrid { start_ms: time, end_ms: time, step_ms: 1 };
            let Ok(instant) = ask(&memory, &text, false, one) else { continue };
            let instant = series(instant);
            for series in &whole {
                let value = series.timestamps.iter().position(|t| *t == time).map(|i| series.values[i]);
                let alone = instant.iter().find(|s| s.labels == series.labels).map(|s| s.values[0]);
                let same = match (value, alone) {
                    (None, None) => true,
                    (Some(a), Some(b)) => close(a, b),
                    _ => false,
                };
                prop_assert!(same, "{} at {}: {:?} {:?}", text, time, value, alone);
            }
        }
    }
}
