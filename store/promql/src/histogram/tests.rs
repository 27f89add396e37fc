use proptest::prelude::*;
use vocab::histogram::Span;

use super::sparse::bound;
use super::*;

fn buckets(schema: i32, zero_threshold: f64, positive: &[(i32, f64)]) -> NativeHistogram {
    let count = positive.iter().map(|b| b.1).sum();
    NativeHistogram::from(Sparse {
        schema,
        zero_threshold,
        zero_count: 0.0,
        count,
        sum: count,
        positive: positive.to_vec(),
        negative: Vec::new(),
        custom: Vec::new(),
        hint: ResetHint::Unknown,
    })
}

#[test]
fn bounds_are_powers() {
    for (index, schema, expect) in [
        (0, 0, 1.0),
        (1, 0, 2.0),
        (-1, 0, 0.5),
        (2, 1, 2.0),
        (1, -1, 4.0),
        (1024, 0, f64::MAX),
        (1025, 0, f64::INFINITY),
        (-1074, 0, 5e-324),
    ] {
        assert_eq!(bound(index, schema, &[]), expect, "{index} {schema}");
    }
    assert_eq!(
        [-1, 0, 1, 2].map(|i| bound(i, CUSTOM_SCHEMA, &[5.0, 10.0])),
        [f64::NEG_INFINITY, 5.0, 10.0, f64::INFINITY]
    );
}

#[test]
fn sums_take_the_coarser_layout() {
    let mut fine = Sparse::from(&buckets(1, 0.0, &[(1, 1.0), (2, 2.0), (3, 4.0)]));
    let combined = fine.combine(&Sparse::from(&buckets(0, 0.0, &[(1, 10.0)])), 1.0);
    assert_eq!(combined.map(|c| c.reconciled), Ok(false));
    assert_eq!((fine.schema, fine.positive), (0, vec![(1, 13.0), (2, 4.0)]));

    // (1,2] is populated and would be cut: the zero bucket grows to its end.
    let mut narrow = Sparse::from(&buckets(0, 0.0, &[(0, 1.0), (1, 1.0), (2, 1.0)]));
    let wide = Sparse::from(&buckets(0, 1.5, &[(3, 1.0)]));
    assert!(narrow.combine(&wide, 1.0).is_ok());
    assert_eq!((narrow.zero_threshold, narrow.zero_count), (2.0, 2.0));
    assert_eq!(narrow.positive, vec![(2, 1.0), (3, 1.0)]);
}

#[test]
fn resets_show_in_any_bucket() {
    let before = buckets(0, 0.0, &[(1, 3.0), (2, 1.0)]);
    for (after, expect) in [
        (buckets(0, 0.0, &[(1, 3.0), (2, 1.0)]), false),
        (buckets(0, 0.0, &[(1, 9.0), (2, 1.0)]), false),
        (buckets(0, 0.0, &[(1, 2.0), (2, 9.0)]), true),
        (buckets(0, 0.0, &[(2, 9.0)]), true),
        (buckets(1, 0.0, &[(2, 9.0), (4, 9.0)]), true),
        (buckets(-1, 0.0, &[(1, 4.0)]), false),
    ] {
        assert_eq!(detect_reset(&after, &before), expect, "{after:?}");
    }
}

fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
    let spans = || prop::collection::vec((any::<i32>(), 0u32..5), 0..4);
    let counts = || prop::collection::vec(prop_oneof![0.0f64..100.0, prop::num::f64::ANY], 0..8);
    let custom = prop::collection::vec(prop::num::f64::ANY, 0..4);
    let schema = prop_oneof![-4i32..=8, Just(CUSTOM_SCHEMA), any::<i32>()];
    (schema, prop::array::uniform4(prop::num::f64::ANY), spans(), counts(), spans(), counts(), custom).prop_map(
        |(schema, [zero_threshold, zero_count, count, sum], ps, pb, ns, nb, custom_values)| {
            let spans =
                |list: Vec<(i32, u32)>| list.into_iter().map(|(offset, length)| Span { offset, length }).collect();
            NativeHistogram {
                schema,
                zero_threshold,
                zero_count,
                count,
                sum,
                positive_spans: spans(ps),
                positive_buckets: pb,
                negative_spans: spans(ns),
                negative_buckets: nb,
                custom_values,
                reset_hint: ResetHint::Unknown,
                integer: false,
            }
        },
    )
}

proptest! {
    /// Whatever a sender calls a histogram, arithmetic on it ends and does not panic.
    #[test]
    fn odd_histograms_are_harmless(a in any_histogram(), b in any_histogram(), limit in prop::num::f64::ANY) {
        let _ = detect_reset(&a, &b);
        let _ = same(&a, &b);
        let _ = text::text(&a);
        let _ = trim::trim(&a, limit, true);
        let _ = trim::trim(&a, limit, false);
        let sparse = Sparse::from(&a);
        let _ = quantile::quantile(0.3, &sparse);
        let _ = quantile::fraction(-1.0, limit, &sparse);
        let _ = quantile::variance(&sparse);
        let mut sum = fold::HistogramSum::new(&a, true);
        let _ = sum.add(&b);
        let _ = sum.finish();
    }
}
