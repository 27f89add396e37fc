//! Remote read, as Prometheus and its clients ask.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use prost::Message;
use tower::ServiceExt;
use vocab::histogram::{NativeHistogram, Span};
use vocab::ports::Appender;
use vocab::ports::append::{SeriesRef, WriteBatch};
use vocab::{Ctx, Labels};

use super::{Bench, NOW_MS};
use crate::chunk::{ENCODING_HISTOGRAM, ENCODING_XOR, decode_histograms, decode_xor};
use crate::prometheus::read::wire::{ChunkedResponse, LabelMatcher, Query, ReadRequest, ReadResponse};

pub(super) async fn post(bench: &Bench, body: Vec<u8>) -> (u16, HeaderMap, Vec<u8>) {
    let request = Request::post("/api/v1/read")
        .header("host", "127.0.0.1:9090")
        .header("content-length", body.len())
        .header("content-encoding", "snappy")
        .header("content-type", "application/x-protobuf")
        .extension(ConnectInfo(bench.peer))
        .body(Body::from(body))
        .expect("a request");
    let response = bench.router.clone().oneshot(request).await.expect("never fails");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
    (parts.status.as_u16(), parts.headers, bytes.to_vec())
}

pub(super) fn packed(request: &ReadRequest) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("packs")
}

pub(super) fn matcher(kind: i32, name: &str, value: &str) -> LabelMatcher {
    LabelMatcher { kind, name: name.to_owned(), value: value.to_owned() }
}

pub(super) fn request(matchers: Vec<LabelMatcher>, accepted_response_types: Vec<i32>) -> ReadRequest {
    let query = Query { start_timestamp_ms: NOW_MS - 600_000, end_timestamp_ms: NOW_MS, matchers, ..Query::default() };
    ReadRequest { queries: vec![query], accepted_response_types }
}

async fn bench() -> Bench {
    let bench =
        Bench::with(|config| *config.external_labels.write() = Labels::from_pairs([("region", "eu"), ("x", "other")]));
    for step in 0..200 {
        for x in ["2", "1"] {
            bench.store.put(&[("__name__", "a"), ("x", x)], NOW_MS - 600_000 + step * 1000, step as f64);
        }
    }
    let histogram = NativeHistogram {
        schema: 1,
        count: 3.0,
        sum: 4.0,
        positive_spans: vec![Span { offset: 2, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        integer: true,
        ..NativeHistogram::default()
    };
    let mut batch = WriteBatch::default();
    let series = batch.push_series(Labels::from_pairs([("__name__", "h")]), SeriesRef::NONE);
    batch.histograms.push((series, NOW_MS, Arc::new(histogram)));
    bench.store.append(&Ctx::unlimited(), &batch).await.expect("taken");
    bench
}

#[tokio::test]
async fn samples_come_in_one_message() {
    let bench = bench().await;
    let all = request(vec![matcher(2, "__name__", "a|h"), matcher(0, "region", "eu")], vec![]);
    let (status, headers, body) = post(&bench, packed(&all)).await;
    assert_eq!(
        (status, &headers["content-type"], &headers["content-encoding"]),
        (200, &"application/x-protobuf".parse().expect("text"), &"snappy".parse().expect("text"))
    );
    let plain = snap::raw::Decoder::new().decompress_vec(&body).expect("snappy");
    let response = ReadResponse::decode(&plain[..]).expect("a response");
    let series = &response.results[0].timeseries;
    let shown: Vec<String> = series
        .iter()
        .map(|s| {
            let labels: Vec<_> = s.labels.iter().map(|l| format!("{}={}", l.name, l.value)).collect();
            format!("{} {} {}", labels.join(","), s.samples.len(), s.histograms.len())
        })
        .collect();
    assert_eq!(
        shown,
        ["__name__=a,region=eu,x=1 200 0", "__name__=a,region=eu,x=2 200 0", "__name__=h,region=eu,x=other 0 1"]
    );
    assert_eq!((series[0].samples[7].timestamp, series[0].samples[7].value), (NOW_MS - 593_000, 7.0));
    let native = &series[2].histograms[0];
    assert_eq!((native.count_int, native.count_float, &native.positive_deltas[..]), (Some(3), None, &[1i64, 1][..]));
}

#[tokio::test]
async fn chunks_come_in_frames_with_checksums() {
    let bench = bench().await;
    let all = request(vec![matcher(3, "__name__", "other")], vec![7, 1, 0]);
    let (status, headers, body) = post(&bench, packed(&all)).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
    let (mut rest, mut shown) = (&body[..], Vec::new());
    while !rest.is_empty() {
        let length = usize::try_from(prost::encoding::decode_varint(&mut rest).expect("a length")).expect("fits");
        let (sum, after) = rest.split_at(4);
        let (frame, after) = after.split_at(length);
        assert_eq!(u32::from_be_bytes(sum.try_into().expect("four bytes")), crc32c::crc32c(frame));
        rest = after;
        let message = ChunkedResponse::decode(frame).expect("a frame");
        assert_eq!(message.query_index, 0);
        for series in message.chunked_series {
            let mut samples = Vec::new();
            for chunk in &series.chunks {
                let times: Vec<i64> = match u8::try_from(chunk.kind).expect("small") {
                    ENCODING_XOR => decode_xor(&chunk.data).expect("valid").iter().map(|s| s.0).collect(),
                    ENCODING_HISTOGRAM => {
                        decode_histograms(&chunk.data, true).expect("valid").iter().map(|s| s.0).collect()
                    }
                    other => panic!("unexpected encoding {other}"),
                };
                assert_eq!((times.first(), times.last()), (Some(&chunk.min_time_ms), Some(&chunk.max_time_ms)));
                samples.push(times.len());
            }
            shown.push((series.labels.last().map(|l| l.value.clone()).unwrap_or_default(), samples));
        }
    }
    assert_eq!(
        shown,
        [("1".to_owned(), vec![120, 80]), ("2".to_owned(), vec![120, 80]), ("other".to_owned(), vec![1])]
    );
}

#[tokio::test]
async fn mistakes_are_told_in_plain_words() {
    let bench = bench().await;
    for (body, part) in [
        (b"not snappy".to_vec(), "damaged remote read request"),
        (snap::raw::Encoder::new().compress_vec(b"\xff\xff").expect("packs"), "damaged remote read request"),
        (packed(&request(vec![matcher(9, "a", "b")], vec![])), "invalid matcher type 9"),
        (packed(&request(vec![matcher(2, "a", "(")], vec![])), "regex"),
        (packed(&request(vec![], vec![5])), "none of the accepted response types"),
        (
            packed(&ReadRequest { queries: vec![Query::default(); 65], ..ReadRequest::default() }),
            "over the limit of 64",
        ),
        (vec![0xff, 0xff, 0xff, 0x7f], "over the limit"),
    ] {
        let (status, _, text) = post(&bench, body).await;
        let text = String::from_utf8_lossy(&text);
        assert!(status == 400 && text.contains(part), "{status} {text} should contain {part}");
    }
}
