use std::sync::Arc;

use proptest::prelude::*;
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, ResetHint, Span};
use vocab::{STALE_NAN, TimestampMs};

use super::*;

fn bits(samples: &[(TimestampMs, f64)]) -> Vec<(TimestampMs, u64)> {
    samples.iter().map(|(t, v)| (*t, v.to_bits())).collect()
}

/// Written down by hand from the format's description.
#[test]
fn a_small_chunk_has_the_expected_bytes() {
    let chunk = encode_xor([(1000, 1.0), (2000, 1.0), (3000, 2.0)]);
    let expect = [
        0,
        3, // three samples
        0xd0,
        0x0f, // 1000, its sign in the lowest bit
        0x3f,
        0xf0,
        0,
        0,
        0,
        0,
        0,
        0, // 1.0
        0xe8,
        0x07, // 1000 later
        // 0: same value; 0: same step; 11: new window; 00001: one leading zero; 001011: eleven bits;
        // 11111111111: the difference of 1.0 and 2.0
        0b0011_0000,
        0b1001_0111,
        0b1111_1111,
        0b1100_0000,
    ];
    assert_eq!(chunk, expect);
    assert_eq!(decode_xor(&chunk), Ok(vec![(1000, 1.0), (2000, 1.0), (3000, 2.0)]));
}

#[test]
fn every_float_and_every_step_comes_back() {
    let mut samples = vec![(-5, f64::NAN), (0, STALE_NAN), (1, -0.0), (2, f64::INFINITY), (3, f64::MIN_POSITIVE)];
    for step in [1i64, 8191, 8192, 8193, 65535, 65536, 65537, 524_287, 524_288, 524_289, 1 << 40] {
        for _ in 0..2 {
            let last = samples[samples.len() - 1].0;
            samples.push((last + step, last as f64));
        }
    }
    assert_eq!(decode_xor(&encode_xor(samples.iter().copied())).map(|s| bits(&s)), Ok(bits(&samples)));
}

fn histogram(integer: bool, counts: &[u32], base: f64, custom: bool) -> NativeHistogram {
    let factor = if integer { 1.0 } else { 0.5 };
    let number = |c: &u32| f64::from(*c) * factor;
    let half = counts.len() / 2;
    let span = |length: usize, offset| Span { offset, length: u32::try_from(length).expect("small") };
    NativeHistogram {
        schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { 3 },
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: factor,
        count: counts.iter().map(number).sum::<f64>() + factor,
        sum: base,
        positive_spans: vec![span(half, -3)],
        positive_buckets: counts[..half].iter().map(number).collect(),
        negative_spans: vec![span(1, 0), span(counts.len() - half - 1, 700)],
        negative_buckets: counts[half..].iter().map(number).collect(),
        custom_values: if custom { vec![0.5, 1.0 / 3.0, 40_000.0] } else { Vec::new() },
        reset_hint: ResetHint::Unknown,
        integer,
    }
}

type Sample = (TimestampMs, Arc<NativeHistogram>);

/// Encodes all, in as many chunks as it takes, and decodes them again.
fn round(samples: &[Sample]) -> (usize, Vec<Sample>) {
    let (mut rest, mut chunks, mut read) = (samples, 0, Vec::new());
    while !rest.is_empty() {
        let run = histogram_run(rest);
        let (integer, chunk) = encode_histograms(&rest[..run]);
        read.extend(decode_histograms(&chunk, integer).expect("valid"));
        rest = &rest[run..];
        chunks += 1;
    }
    (chunks, read)
}

fn without_hint(samples: &[Sample]) -> Vec<(TimestampMs, NativeHistogram)> {
    let bare = |h: &NativeHistogram| NativeHistogram { reset_hint: ResetHint::Unknown, ..h.clone() };
    samples.iter().map(|(t, h)| (*t, bare(h))).collect()
}

#[test]
fn layouts_resets_and_markers_cut_chunks() {
    let one = |counts: &[u32]| Arc::new(histogram(true, counts, 1.0, false));
    let stale = || Arc::new(NativeHistogram { sum: STALE_NAN, integer: true, ..NativeHistogram::default() });
    let gauge = |counts: &[u32]| {
        Arc::new(NativeHistogram { reset_hint: ResetHint::Gauge, ..histogram(false, counts, 1.0, true) })
    };
    let samples = vec![
        (10, one(&[1, 2, 3, 4])),
        (20, one(&[1, 2, 3, 5])),
        (35, one(&[9, 9, 9, 9])),
        (40, one(&[1, 1, 1, 1])),
        (50, stale()),
        (60, one(&[1, 1, 1, 1, 1, 1])),
        (70, gauge(&[5, 5, 5, 5])),
        (80, gauge(&[1, 1, 1, 1])),
    ];
    let (chunks, read) = round(&samples);
    assert_eq!(chunks, 5);
    let hints: Vec<_> = read.iter().map(|s| s.1.reset_hint).collect();
    use ResetHint::{Gauge, NoReset, Unknown};
    assert_eq!(hints, [Unknown, NoReset, NoReset, Unknown, Unknown, Unknown, Gauge, Gauge]);
    assert!(vocab::is_stale_nan(read[4].1.sum));
    let rest = |all: &[Sample]| {
        let mut all = without_hint(all);
        all.remove(4);
        all
    };
    assert_eq!(rest(&read), rest(&samples));
}

#[test]
fn damaged_chunks_are_told() {
    let whole = encode_xor([(1, 1.0), (2, 2.5), (9, 3.0)]);
    for cut in 0..whole.len() {
        assert!(decode_xor(&whole[..cut]).is_err(), "{cut}");
    }
    let (_, whole) = encode_histograms(&[(5, Arc::new(histogram(true, &[1, 2, 3, 4], 2.0, true)))]);
    for cut in 0..whole.len() - 1 {
        assert!(decode_histograms(&whole[..cut], true).is_err(), "{cut}");
    }
}

proptest! {
    #[test]
    fn floats_come_back(
        start in any::<i32>(),
        steps in prop::collection::vec((0i64..1 << 34, prop_oneof![any::<f64>(), (0..100i32).prop_map(f64::from)]), 0..150),
    ) {
        let mut time = i64::from(start);
        let samples: Vec<_> = steps.into_iter().map(|(step, value)| { time += step; (time, value) }).collect();
        prop_assert_eq!(decode_xor(&encode_xor(samples.iter().copied())).map(|s| bits(&s)), Ok(bits(&samples)));
    }

    #[test]
    fn histograms_come_back(
        integer in any::<bool>(),
        custom in any::<bool>(),
        rows in prop::collection::vec((1i64..100_000, prop::collection::vec(0u32..1 << 30, 6)), 1..12),
        sorted in any::<bool>(),
    ) {
        let (mut time, mut samples) = (0, Vec::new());
        let mut counts = vec![0u32; 6];
        for (step, row) in rows {
            time += step;
            counts = if sorted { counts.iter().zip(&row).map(|(a, b)| a.saturating_add(b >> 5)).collect() } else { row };
            samples.push((time, Arc::new(histogram(integer, &counts, f64::from(counts[0]) * 0.1, custom))));
        }
        let (chunks, read) = round(&samples);
        prop_assert_eq!(without_hint(&read), without_hint(&samples));
        prop_assert!(!sorted || chunks == 1);
    }

    #[test]
    fn garbage_is_harmless(garbage in prop::collection::vec(any::<u8>(), 0..120), integer in any::<bool>()) {
        let _ours = decode_xor(&garbage);
        let _ours = decode_histograms(&garbage, integer);
    }
}
