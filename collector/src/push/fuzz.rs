//! Hostile bodies: each must have an answer.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use vocab::Ctx;
use vocab::ports::Ingest;
use vocab::ports::ingest::{IngestProtocol, IngestRequest};

use super::Receiver;
use super::wire::{Exemplar2, Histogram, Label, Metadata, Request2, Sample, TimeSeries, TimeSeries2, WriteRequest};
use crate::testing::Bench;

/// A receiver is used for so many bodies: what they write stays in memory.
const BODIES_MAX: u32 = 1000;

const OTLP: [&str; 2] = ["application/x-protobuf", "application/json"];

/// What the bodies of one thread are given to.
struct Receiving {
    runtime: tokio::runtime::Runtime,
    receiver: Arc<Receiver>,
    _bench: Bench,
    num_bodies: u32,
}

thread_local! {
    static RECEIVING: RefCell<Option<Receiving>> = const { RefCell::new(None) };
}

impl Receiving {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let bench = runtime.block_on(async { Bench::new() });
        Self { receiver: bench.collector.receiver(), runtime, _bench: bench, num_bodies: 0 }
    }
}

fn receive(protocol: IngestProtocol, content_type: &str, encoding: &str, body: &[u8]) {
    RECEIVING.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|kept| kept.num_bodies >= BODIES_MAX) {
            *kept = None;
        }
        let receiving = kept.get_or_insert_with(Receiving::new);
        receiving.num_bodies += 1;
        let request = IngestRequest {
            protocol,
            content_type: content_type.to_owned(),
            content_encoding: encoding.to_owned(),
            params: Vec::new(),
            body: Bytes::copy_from_slice(body),
        };
        let answer = receiving.runtime.block_on(receiving.receiver.ingest(&Ctx::unlimited(), request));
        assert!(matches!(answer.status, 200 | 204 | 400), "{answer:?}");
    });
}

/// The first byte says the version (bit 0) and whether the rest is packed already (bit 1).
fn fuzz_remote_write(data: &[u8]) {
    let Some((mode, body)) = data.split_first() else { return };
    let version = if mode & 1 == 0 { "prometheus.WriteRequest" } else { "io.prometheus.write.v2.Request" };
    let content_type = format!("application/x-protobuf;proto={version}");
    if mode & 2 == 0 {
        let packed = snap::raw::Encoder::new().compress_vec(body).expect("packs");
        receive(IngestProtocol::RemoteWrite, &content_type, "snappy", &packed);
    } else {
        receive(IngestProtocol::RemoteWrite, &content_type, "snappy", body);
    }
}

/// The first byte says the encoding (bit 0) and what is meant (bit 1).
fn fuzz_otlp(data: &[u8]) {
    let Some((mode, body)) = data.split_first() else { return };
    let protocol = if mode & 2 == 0 { IngestProtocol::OtlpMetrics } else { IngestProtocol::OtlpLogs };
    receive(protocol, OTLP[usize::from(mode & 1)], "", body);
}

/// Lines that are imported one by one.
fn fuzz_import(data: &[u8]) {
    receive(IngestProtocol::PrometheusText, "text/plain; version=0.0.4", "", data);
}

fn remote_write_seeds() -> Vec<Vec<u8>> {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let histogram = |timestamp| Histogram {
        count_int: Some(6),
        sum: 12.0,
        positive_spans: vec![super::wire::BucketSpan { offset: 0, length: 3 }],
        positive_deltas: vec![1, 1, 1],
        timestamp,
        ..Histogram::default()
    };
    let sample = |(value, timestamp)| Sample { value, timestamp, ..Sample::default() };
    let one = WriteRequest {
        timeseries: vec![
            TimeSeries {
                labels: vec![label("__name__", "a"), label("x", "ü")],
                samples: [(1.5, 1000), (f64::NAN, 2000)].map(sample).to_vec(),
                ..TimeSeries::default()
            },
            TimeSeries {
                labels: vec![label("__name__", "h")],
                histograms: vec![histogram(5000)],
                ..TimeSeries::default()
            },
        ],
        metadata: vec![Metadata { kind: 1, metric_family_name: b"a".to_vec(), ..Metadata::default() }],
    };
    let symbols = ["", "__name__", "h", "trace_id", "t1"].map(|s| s.as_bytes().to_vec()).to_vec();
    let series = TimeSeries2 {
        labels_refs: vec![1, 2],
        histograms: vec![histogram(2000)],
        exemplars: vec![Exemplar2 { labels_refs: vec![3, 4], value: 1.0, timestamp: 2000 }],
        ..TimeSeries2::default()
    };
    let two = Request2 { symbols, timeseries: vec![series] };
    let packed = snap::raw::Encoder::new().compress_vec(&one.encode_to_vec()).expect("packs");
    vec![
        [&[0], &one.encode_to_vec()[..]].concat(),
        [&[1], &two.encode_to_vec()[..]].concat(),
        [&[2], &packed[..]].concat(),
    ]
}

/// OTLP's JSON bodies of the corpus in protobuf.
fn otlp_seeds(corpus: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(corpus).expect("the corpus").flatten();
    let bodies = files.filter_map(|file| std::fs::read(file.path()).ok());
    bodies.filter_map(|body| super::otlp::protobuf_of_json(body.split_first()?)).collect()
}

fn corpus(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(target)
}

#[test]
fn remote_write_bodies() {
    vocab::testing::fuzz::fuzz(&corpus("remote_write"), &remote_write_seeds(), fuzz_remote_write);
}

#[test]
fn otlp_bodies() {
    let corpus = corpus("otlp");
    let seeds = otlp_seeds(&corpus);
    assert!(seeds.len() >= 2, "metrics and logs");
    vocab::testing::fuzz::fuzz(&corpus, &seeds, fuzz_otlp);
}

#[test]
fn imported_lines() {
    vocab::testing::fuzz::fuzz(&corpus("import"), &[], fuzz_import);
}
