use vocab::STALE_NAN;
use vocab::ports::query::StepGrid;

use super::*;
use crate::block::tests::meta;

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_stretch_is_open_on_the_left_and_keeps_what_it_promises() {
    let times: Vec<i64> = (0..=40).map(|i| i * 15_000).collect();
    let mut values: Vec<f64> = (0..=40).map(|i| f64::from(i % 7)).collect();
    values[20] = f64::NAN;
    values[40] = STALE_NAN;
    let starts: Vec<i64> = times.iter().map(|t| t - 1).collect();
    let [last, min, max, sum, count] = columns(&times, &values, &starts, 1000, Resolution::FiveMinutes).unwrap();
    // The sample at 0 is the end of the stretch before, the one at 300 s that of the first.
    assert_eq!(last.times, [0, 300_000, 585_000, 600_000]);
    assert_eq!(last.starts, [-1, 299_999, 584_999, 599_999]);
    assert!(last.values[1].is_nan() && is_stale_nan(last.values[3]));
    assert_eq!((last.values[0], last.values[2]), (0.0, 4.0));
    assert_eq!(
        (min.values, max.values),
        (vec![0.0, 0.0, 0.0], vec![0.0, 6.0, 6.0]),
        "NaN only when nothing else is there"
    );
    assert_eq!(count.values, [1.0, 20.0, 19.0], "staleness markers do not count");
    assert_eq!((count.times, sum.times), (vec![0, 300_000, 585_000], vec![0, 300_000, 585_000]));
    assert!(sum.values[1].is_nan());
    assert_eq!(sum.values[2], values[21..40].iter().sum::<f64>());
}

#[test]
fn what_rounding_loses_of_a_sum_is_kept() {
    let times: Vec<i64> = (1..=10).map(|i| i * 1000).collect();
    let values = [1e17, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let [.., sum, _] = columns(&times, &values, &[], 1000, Resolution::Hour).unwrap();
    assert_eq!((sum.times, sum.values), (vec![9000, 10_000], vec![9.0, 1e17]));
}

#[test]
fn few_samples_and_huge_ones_and_small_payloads_get_no_columns() {
    let check = |step_ms: i64, value: f64, raw_bytes: usize, expect: bool| {
        let times: Vec<i64> = (0..1000).map(|i| i * step_ms).collect();
        let found = columns(&times, &vec![value; 1000], &[], raw_bytes, Resolution::FiveMinutes);
        assert_eq!(found.is_some(), expect, "{step_ms} {value} {raw_bytes}");
    };
    check(15_000, 1.0, 1500, true);
    check(15_000, 1.0, 500, false);
    check(15_000, f64::INFINITY, 1500, true);
    check(60_000, 1.0, 9000, false);
    check(15_000, -1e291, 1500, false);
    assert!(columns(&[], &[], &[], 1000, Resolution::Hour).is_none());
}

#[test]
fn only_whole_stretches_are_taken_for_their_samples() {
    let check =
        |function: &str, range_ms: Option<i64>, (start_ms, step_ms, offset_ms): (i64, i64, i64), expect: &str| {
            let fragment = Fragment {
                matchers: Vec::new(),
                grid: StepGrid { start_ms, end_ms: start_ms + 10 * step_ms, step_ms },
                offset_ms,
                at_ms: None,
                range_ms,
                lookback_ms: 300_000,
                function: function.to_owned(),
                args: Vec::new(),
                aggregation: None,
            };
            let found = choose(&fragment).map(|c| format!("{:?} {:?}", c.resolution, c.columns));
            assert_eq!(found.unwrap_or_default(), expect, "{function} {range_ms:?} {start_ms} {step_ms} {offset_ms}");
        };
    let minutes = 60_000;
    check("", None, (0, HOUR_MS, 0), "Hour [Last]");
    check("", None, (5 * minutes, HOUR_MS, 0), "FiveMinutes [Last]");
    check("", None, (-HOUR_MS, 10 * minutes, 55 * minutes), "FiveMinutes [Last]");
    check("", None, (1, HOUR_MS, 0), "");
    check("", None, (0, HOUR_MS, 1000), "");
    check("", None, (0, 6 * minutes, 0), "");
    check("avg_over_time", Some(HOUR_MS), (0, HOUR_MS, 0), "Hour [Sum, Count]");
    check("avg_over_time", Some(10 * minutes), (0, HOUR_MS, 0), "FiveMinutes [Sum, Count]");
    check("max_over_time", Some(6 * minutes), (0, HOUR_MS, 0), "");
    for function in ["rate", "increase", "delta", "quantile_over_time", "first_over_time", "changes", "resets", "deriv"]
    {
        check(function, Some(HOUR_MS), (0, HOUR_MS, 0), "");
    }
}

#[test]
fn a_block_is_due_when_it_is_alone_settled_and_old() {
    let day_ms = 24 * HOUR_MS;
    let now_ms = 10 * day_ms;
    let check = |blocks: &[BlockMeta], series_max: u64, expect: Option<u64>| {
        let found = due(&blocks.iter().collect::<Vec<_>>(), now_ms, series_max).map(|m| m.ulid.timestamp_ms());
        assert_eq!(found, expect);
    };
    let old = meta(1, 0, 1000);
    check(&[], 10, None);
    check(std::slice::from_ref(&old), 10, Some(1));
    check(std::slice::from_ref(&old), 2, None);
    check(&[old.clone(), meta(2, 500, 2000)], 10, None);
    check(&[old.clone(), meta(2, 1001, 2000)], 10, Some(1));
    check(&[BlockMeta { downsampled: true, ..old.clone() }], 10, None);
    check(&[BlockMeta { created_at_ms: now_ms - AFTER_MS + 1, ..old }], 10, None);
    check(&[meta(1, now_ms - HOUR_MS, now_ms)], 10, None);
}
