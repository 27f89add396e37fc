use std::sync::Arc;

use proptest::prelude::*;
use vocab::NativeHistogram;
use vocab::histogram::{ResetHint, Span};
use vocab::sample::STALE_NAN_BITS;

use super::shared_times::{SharedTimes, SharedTimesWriter};
use super::{compact, dense, histogram, varint};

/// Values of all kinds: any bits, decimals, counters, special ones.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-100_000i64..100_000, 0..7i32).prop_map(|(m, e)| m as f64 / 10f64.powi(e)),
        (0u32..1000).prop_map(f64::from),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            f64::from_bits(STALE_NAN_BITS),
            f64::MIN_POSITIVE,
            f64::MAX,
            9_007_199_254_740_993.0,
        ]),
    ]
}

fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let irregular = prop::collection::vec((any::<i64>(), value()), 1..300);
    let regular = (any::<i32>(), 1i64..100_000, prop::collection::vec((0i64..3, value()), 1..300)).prop_map(
        |(start, step, values)| {
            (0i64..)
                .zip(values)
                .map(|(i, (jitter, v))| (i64::from(start) + i * step + if jitter == 2 { 1 } else { 0 }, v))
                .collect()
        },
    );
    let counter = (any::<i32>(), prop::collection::vec(0u32..500, 1..300)).prop_map(|(start, steps)| {
        let mut total = 0.0;
        (0i64..)
            .zip(steps)
            .map(|(i, step)| {
                total += f64::from(step) / 4.0;
                (i64::from(start) + i * 15_000, total)
            })
            .collect()
    });
    prop_oneof![irregular, regular, counter].prop_map(|mut samples: Vec<(i64, f64)>| {
        samples.sort_by_key(|s| s.0);
        samples.dedup_by_key(|s| s.0);
        samples
    })
}

/// Start times: some moment, not known, or (`None`) just before the sample.
fn starts() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(
        prop_oneof![Just(Some(0)), Just(None), (0i64..3).prop_map(Some), any::<i64>().prop_map(Some)],
        1..300,
    )
}

fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(t, v)| (*t, v.to_bits())).collect()
}

proptest! {
    #[test]
    fn a_compact_chunk_gives_back_every_bit_and_can_be_continued(samples in samples(), cut in any::<prop::sample::Index>()) {
        let mut buffer = Vec::new();
        let mut state = compact::push_first(&mut buffer, samples[0].0, samples[0].1);
        let cut = cut.index(samples.len());
        for (index, &(time, value)) in samples.iter().enumerate().skip(1) {
            compact::push(&mut buffer, &mut state, time, value);
            if index == cut {
                let mut decoder = compact::Decoder::new(&buffer);
                prop_assert!(decoder.by_ref().all(|s| s.is_ok()));
                prop_assert_eq!(decoder.state(), state);
            }
        }
        let decoded: Result<Vec<_>, _> = compact::Decoder::new(&buffer).collect();
        prop_assert_eq!(bits(&decoded.unwrap()), bits(&samples));
    }

    #[test]
    fn a_dense_chunk_gives_back_every_bit(samples in samples(), starts in prop::option::of(starts())) {
        let (times, values): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        let since: Vec<i64> = times.iter().zip(starts.iter().flatten().cycle()).map(|(t, s)| s.unwrap_or(t.wrapping_sub(1))).collect();
        // The second chunk with the same times has them written elsewhere, and the third names them as well.
        let mut shared = SharedTimesWriter::default();
        let payloads = [(); 3].map(|()| {
            let mut payload = Vec::new();
            dense::encode(&times, &values, &since, &mut shared, &mut payload).unwrap();
            payload
        });
        prop_assert_eq!(&payloads[1], &payloads[2]);
        prop_assert_eq!(shared.is_empty(), payloads[0] == payloads[1]);
        let mut table = Vec::new();
        shared.push_table(&mut table);
        for payload in &payloads {
            let (mut times_back, mut values_back, mut since_back) = (vec![7], vec![7.0], Vec::new());
            let of = (times.len(), times[0]);
            dense::decode(payload, of, || SharedTimes::parse(&table), &mut times_back, &mut values_back, &mut since_back).unwrap();
            prop_assert_eq!(since_back.get(1..).unwrap_or_default(), &since[..]);
            prop_assert_eq!(&times_back[1..], &times[..]);
            let back: Vec<_> = values_back[1..].iter().map(|v| v.to_bits()).collect();
            let there: Vec<_> = values.iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(back, there);
        }
    }

    #[test]
    fn bytes_that_are_no_chunk_are_refused_or_read_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), table in prop::collection::vec(any::<u8>(), 0..60), n in 0usize..100) {
        let shared = || SharedTimes::parse(&table);
        let _refused_or_read = dense::decode(&bytes, (n, 0), shared, &mut Vec::new(), &mut Vec::new(), &mut Vec::new());
        let _refused_or_read = histogram::decode_chunk(&bytes);
        let _count = compact::Decoder::new(&bytes).take_while(Result::is_ok).count();
    }

    #[test]
    fn integers_of_any_size_come_back(unsigned in any::<u64>(), signed in any::<i64>()) {
        let mut buffer = Vec::new();
        varint::push(&mut buffer, unsigned);
        varint::push_signed(&mut buffer, signed);
        let mut reader = varint::Reader::new(&buffer);
        prop_assert_eq!((reader.unsigned().unwrap(), reader.signed().unwrap()), (unsigned, signed));
    }

    #[test]
    fn histograms_come_back_whole(schema in -53i32..9, numbers in prop::collection::vec(any::<u64>(), 0..20), hint in 0u8..4, integer: bool, starts in prop::option::of(any::<[i64; 2]>())) {
        let floats: Vec<f64> = numbers.iter().map(|b| f64::from_bits(*b)).collect();
        let sample = NativeHistogram {
            schema,
            zero_threshold: 1e-128,
            zero_count: 2.0,
            count: 17.5,
            sum: f64::from_bits(STALE_NAN_BITS),
            positive_spans: vec![Span { offset: -7, length: 2 }, Span { offset: 3, length: u32::MAX }],
            positive_buckets: floats.clone(),
            negative_spans: Vec::new(),
            negative_buckets: vec![1.0],
            custom_values: floats,
            reset_hint: [ResetHint::Unknown, ResetHint::Reset, ResetHint::NoReset, ResetHint::Gauge][usize::from(hint)],
            integer,
        };
        let samples = vec![(-5, Arc::new(sample.clone())), (i64::MAX, Arc::new(sample))];
        let since: Vec<i64> = starts.into_iter().flatten().collect();
        let (back, since_back) = histogram::decode_chunk(&histogram::encode_chunk(&samples, &since).unwrap()).unwrap();
        prop_assert_eq!(since_back, since);
        prop_assert_eq!(format!("{back:?}"), format!("{samples:?}"));
        prop_assert_eq!(back[0].1.sum.to_bits(), STALE_NAN_BITS);
    }
}

#[test]
fn a_counter_and_a_constant_are_small() {
    let times: Vec<i64> = (0..5760).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let counter: Vec<f64> = (0..5760u32).map(|i| f64::from(i * 3 + i % 7)).collect();
    let mut payload = Vec::new();
    let shared = &mut SharedTimesWriter::default();
    let shape = dense::encode(&times, &counter, &[], shared, &mut payload).unwrap();
    assert_eq!((shape.codec, shape.exponent), (1, 0));
    assert!(payload.len() < 3000, "{} bytes", payload.len());
    let mut payload = Vec::new();
    dense::encode(&times, &vec![1.5; 5760], &[], shared, &mut payload).unwrap();
    assert!(payload.len() < 20, "{} bytes", payload.len());
    assert!(shared.is_empty(), "what is short stands by itself");
}

#[test]
fn times_that_series_have_alike_are_written_twice_at_most() {
    let times: Vec<i64> = (0..5760).map(|i| i * 15_000 + if i % 20 == 0 { i * 7 % 19 } else { 0 }).collect();
    let mut shared = SharedTimesWriter::default();
    let mut sizes = Vec::new();
    for series in 0..100 {
        let values: Vec<f64> = (0..5760).map(|i| f64::from(i % (series + 2))).collect();
        let mut alone = Vec::new();
        dense::encode(&times, &values, &[], &mut SharedTimesWriter::default(), &mut alone).unwrap();
        let mut payload = Vec::new();
        dense::encode(&times, &values, &[], &mut shared, &mut payload).unwrap();
        sizes.push((alone.len(), payload.len()));
    }
    let mut table = Vec::new();
    shared.push_table(&mut table);
    assert_eq!(sizes[0].0, sizes[0].1, "the first one cannot know");
    assert!(sizes[1..].iter().all(|(alone, with)| alone - with > 150), "{sizes:?}");
    assert!(table.len() < 400, "{} bytes", table.len());
    // A number that is not there, a table that is cut.
    let mut payload = Vec::new();
    dense::encode(&times, &vec![1.0; 5760], &[], &mut shared, &mut payload).unwrap();
    let decode = |table: &[u8]| {
        let shared = || SharedTimes::parse(table);
        dense::decode(&payload, (5760, 0), shared, &mut Vec::new(), &mut Vec::new(), &mut Vec::new())
    };
    assert!(decode(&table).is_ok());
    assert!(decode(&table[..table.len() - 1]).is_err());
    assert!(decode(&[0, 0]).is_err());
}
