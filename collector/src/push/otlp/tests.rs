use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};
use vocab::ports::Ingest;
use vocab::{PortError, TenantId};

use super::wire::{LogsRequest, MetricsRequest, Response, Status};
use super::*;
use crate::config::{OtlpConfig, Translation};
use crate::testing::Bench;

/// A receiver that keeps its deltas between requests, and where its data goes.
struct Otlp {
    bench: Bench,
    receiver: std::sync::Arc<Receiver>,
}

fn request(protocol: IngestProtocol, content_type: &str, body: impl Into<Bytes>) -> IngestRequest {
    IngestRequest {
        protocol,
        content_type: content_type.to_owned(),
        content_encoding: String::new(),
        params: Vec::new(),
        body: body.into(),
    }
}

impl Otlp {
    fn new() -> Self {
        let bench = Bench::new();
        let receiver = bench.collector.receiver();
        Self { bench, receiver }
    }

    fn configure(&self, config: OtlpConfig) {
        *self.receiver.shared.otlp.write() = std::sync::Arc::new(config);
    }

    async fn send(&self, request: IngestRequest) -> IngestResponse {
        self.receiver.ingest(&Ctx::unlimited(), request).await
    }

    async fn metrics(&self, body: &Value) -> Value {
        let answer = self.send(request(IngestProtocol::OtlpMetrics, JSON, body.to_string())).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, JSON), "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    fn dump(&self) -> Vec<String> {
        let all = self.bench.store.dump(&TenantId::default());
        all.iter()
            .map(|s| {
                let points: Vec<_> = s.timestamps.iter().zip(&s.values).map(|(t, v)| format!("{t}={v}")).collect();
                let native: Vec<_> = s.histograms.iter().map(|(t, h)| format!("{t}=#{}/{}", h.count, h.sum)).collect();
                format!("{} {}", s.labels, points.into_iter().chain(native).collect::<Vec<_>>().join(" "))
            })
            .collect()
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn body(resource: &[Value], metrics: &Value) -> Value {
    let scope = json!({"name": "lib", "version": "1", "attributes": [attribute("a.b", "c")]});
    json!({"resourceMetrics": [{"resource": {"attributes": resource}, "scopeMetrics": [{"scope": scope, "metrics": metrics}]}]})
}

/// One second as OTLP writes it.
fn at(seconds: u64) -> String {
    format!("{}000000000", seconds)
}

#[tokio::test]
async fn gauges_and_sums_with_their_resource() {
    let otlp = Otlp::new();
    let resource = [
        attribute("service.namespace", "shop"),
        attribute("service.name", "cart"),
        attribute("service.instance.id", "i-1"),
        attribute("cloud.region", "eu"),
    ];
    let point = json!({"attributes": [attribute("path", "/x"), json!({"key": "n", "value": {"intValue": "7"}})],
        "timeUnixNano": at(10), "asDouble": 3.5});
    let count = json!({"timeUnixNano": at(10), "asInt": "9", "exemplars": [
        {"timeUnixNano": at(9), "asDouble": 1.0, "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "", "filteredAttributes": [attribute("u", "v")]}]});
    let answer = otlp
        .metrics(&body(
            &resource,
            &json!([
                {"name": "otl.queue.depth", "description": "d", "gauge": {"dataPoints": [point]}},
                {"name": "otl.request.time", "unit": "s", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [count]}},
                {"name": "updown", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE", "dataPoints": [{"timeUnixNano": at(11), "asInt": -1}, {"timeUnixNano": at(12), "flags": 1}]}},
            ]),
        ))
        .await;
    assert_eq!(answer, json!({}));
    let all = otlp.dump();
    assert_eq!(
        all[..3],
        [
            r#"otl_queue_depth{instance="i-1", job="shop/cart", n="7", path="/x"} 10000=3.5"#,
            r#"otl_request_time_seconds_total{instance="i-1", job="shop/cart"} 10000=9"#,
            r#"target_info{cloud_region="eu", instance="i-1", job="shop/cart"} 10000=1 12000=1"#,
        ]
    );
    assert!(all[3].starts_with(r#"updown{instance="i-1", job="shop/cart"} 11000=-1 12000=NaN"#), "{all:?}");
    let last = otlp.bench.store.dump(&TenantId::default())[3].values[1];
    assert!(vocab::is_stale_nan(last), "a point without a value ends the series");
}

#[tokio::test]
async fn start_times_come_along_and_deltas_add_up_since_the_first() {
    let otlp = Otlp::new();
    let number = |start, end| json!({"startTimeUnixNano": at(start), "timeUnixNano": at(end), "asInt": "2"});
    let histogram = |start, end| {
        json!({"startTimeUnixNano": at(start), "timeUnixNano": at(end), "count": 1, "sum": 1, "bucketCounts": [1, 0], "explicitBounds": [1],
            "scale": 1, "positive": {"bucketCounts": [1]}, "quantileValues": [{"quantile": 0.5, "value": 1}]})
    };
    let points = [number(10, 20), number(20, 30)];
    otlp.metrics(&body(
        &[],
        &json!([
            {"name": "a_gauge", "gauge": {"dataPoints": points}},
            {"name": "b_sum", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points}},
            {"name": "c_updown", "sum": {"aggregationTemporality": 2, "dataPoints": points}},
            {"name": "d_delta", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": points}},
            {"name": "e_explicit", "histogram": {"aggregationTemporality": 1, "dataPoints": [histogram(10, 20), histogram(20, 30)]}},
            {"name": "f_native", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [histogram(10, 20)]}},
            {"name": "g_summary", "summary": {"dataPoints": [histogram(10, 20)]}},
        ]),
    ))
    .await;
    let all = otlp.bench.store.dump(&TenantId::default());
    let found: Vec<String> = all
        .iter()
        .map(|s| {
            let starts = s.starts.as_deref().cloned().unwrap_or_default();
            format!("{} {:?}", s.labels.metric_name(), [starts.floats, starts.histograms].concat())
        })
        .collect();
    assert_eq!(
        found,
        [
            "a_gauge []",
            "b_sum_total [10000, 20000]",
            "c_updown []",
            "d_delta_total [10000, 10000]",
            "e_explicit_bucket [10000, 10000]",
            "e_explicit_bucket [10000, 10000]",
            "e_explicit_count [10000, 10000]",
            "e_explicit_sum [10000, 10000]",
            "f_native [10000]",
            "g_summary [10000]",
            "g_summary_count [10000]",
            "g_summary_sum [10000]",
        ]
    );
}

#[tokio::test]
async fn configuration_decides_names_and_labels() {
    let otlp = Otlp::new();
    otlp.configure(OtlpConfig {
        translation: Translation::NoTranslation,
        listed_attributes: ["service.name".to_owned()].into(),
        promote_all: true,
        promote_scope_metadata: true,
        keep_identifying_resource_attributes: true,
        convert_histograms_to_nhcb: true,
    });
    let resource = [attribute("service.name", "cart"), attribute("cloud.region", "eu")];
    let histogram = json!({"timeUnixNano": at(10), "count": "3", "sum": 4.5, "bucketCounts": ["1", "2", "0"], "explicitBounds": [1, 2]});
    otlp.metrics(&body(
        &resource,
        &json!([{"name": "h.x", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": [histogram]}}]),
    ))
    .await;
    assert_eq!(
        otlp.dump(),
        [
            r#"h.x{cloud.region="eu", job="cart", otel_scope_a.b="c", otel_scope_name="lib", otel_scope_version="1"} 10000=#3/4.5"#,
            r#"target_info{cloud.region="eu", job="cart", service.name="cart"} 10000=1"#,
        ]
    );
    let native = &otlp.bench.store.dump(&TenantId::default())[0].histograms[0].1;
    assert_eq!(
        (native.schema, &native.custom_values[..], &native.positive_buckets[..]),
        (-53, &[1.0, 2.0][..], &[1.0, 2.0][..])
    );
}

#[tokio::test]
async fn histograms_and_summaries_become_their_series() {
    let otlp = Otlp::new();
    let explicit = json!({"timeUnixNano": at(10), "count": 3, "sum": 4.5, "bucketCounts": [1, 1, 1], "explicitBounds": [0.5, 1],
        "exemplars": [{"timeUnixNano": at(9), "asDouble": 0.7, "filteredAttributes": [attribute("u", "v")]}]});
    let exponential = json!({"timeUnixNano": at(10), "count": 7, "sum": 4, "scale": 9, "zeroCount": 1,
        "positive": {"offset": 0, "bucketCounts": [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]}});
    let summary =
        json!({"timeUnixNano": at(10), "count": 2, "sum": 3, "quantileValues": [{"quantile": 0.5, "value": 1}]});
    otlp.metrics(&body(
        &[],
        &json!([
            {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [explicit]}},
            {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [exponential]}},
            {"name": "s", "summary": {"dataPoints": [summary]}},
        ]),
    ))
    .await;
    assert_eq!(
        otlp.dump(),
        [
            "e 10000=#7/4",
            r#"h_bucket{le="+Inf"} 10000=3"#,
            r#"h_bucket{le="0.5"} 10000=1"#,
            r#"h_bucket{le="1"} 10000=2"#,
            "h_count 10000=3",
            "h_sum 10000=4.5",
            r#"s{quantile="0.5"} 10000=1"#,
            "s_count 10000=2",
            "s_sum 10000=3",
        ]
    );
    let native = &otlp.bench.store.dump(&TenantId::default())[0].histograms[0].1;
    // Scale 9 is merged down to 8: buckets 0 and 1 become one, bucket 9 becomes the fifth.
    assert_eq!((native.schema, native.zero_count), (8, 1.0));
    assert_eq!(native.positive_buckets, [3.0, 3.0]);
    let spans: Vec<_> = native.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
    assert_eq!(spans, [(1, 1), (3, 1)]);
}

#[tokio::test]
async fn deltas_become_totals_and_mistakes_cost_only_themselves() {
    let otlp = Otlp::new();
    let delta = |seconds: u64, value: i64| {
        let point = json!({"timeUnixNano": at(seconds), "asInt": value});
        let histogram = json!({"timeUnixNano": at(seconds), "count": 2, "sum": value, "bucketCounts": [1, 1], "explicitBounds": [1]});
        let exponential = json!({"timeUnixNano": at(seconds), "count": 1, "sum": value, "scale": 0, "positive": {"offset": 1, "bucketCounts": [1]}});
        body(
            &[],
            &json!([
                {"name": "d", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [point]}},
                {"name": "dh", "histogram": {"aggregationTemporality": 1, "dataPoints": [histogram]}},
                {"name": "de", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [exponential]}},
                {"name": "", "gauge": {"dataPoints": [point]}},
                {"name": "t", "sum": {"dataPoints": [point]}},
            ]),
        )
    };
    for (seconds, value) in [(10, 1), (20, 2), (20, 2), (30, 4)] {
        let answer = otlp.metrics(&delta(seconds, value)).await;
        assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "2", "{answer}");
        assert!(
            answer["partialSuccess"]["errorMessage"].as_str().is_some_and(|m| m.contains("metric name")),
            "{answer}"
        );
    }
    let old = otlp.metrics(&delta(5, 1)).await;
    assert_eq!(old["partialSuccess"]["rejectedDataPoints"], "5", "{old}");
    assert_eq!(
        otlp.dump(),
        [
            "d_total 10000=1 20000=3 30000=7",
            "de 10000=#1/1 20000=#2/3 30000=#3/7",
            r#"dh_bucket{le="+Inf"} 10000=2 20000=4 30000=6"#,
            r#"dh_bucket{le="1"} 10000=1 20000=2 30000=3"#,
            "dh_count 10000=2 20000=4 30000=6",
            "dh_sum 10000=1 20000=3 30000=7",
        ]
    );
}

#[tokio::test]
async fn answers_are_in_the_requests_encoding() {
    let otlp = Otlp::new();
    let good: MetricsRequest = serde_json::from_value(body(
        &[],
        &json!([{"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": at(1), "asInt": 1}]}}, {"name": "é", "gauge": {}}]),
    ))
    .expect("valid");
    let answer = otlp.send(request(IngestProtocol::OtlpMetrics, PROTOBUF, good.encode_to_vec())).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, PROTOBUF));
    let partial = Response::decode(answer.binary).expect("a response").partial_success.expect("partial");
    assert_eq!(partial.rejected, 1);
    assert_eq!(otlp.dump(), ["a 1000=1"]);
    let empty = otlp.send(request(IngestProtocol::OtlpMetrics, "application/x-protobuf", Bytes::new())).await;
    assert_eq!((empty.status, empty.binary.len(), empty.body.as_str()), (200, 0, ""));

    let damaged = otlp.send(request(IngestProtocol::OtlpMetrics, PROTOBUF, &b"\x0a\xff"[..])).await;
    let status = Status::decode(damaged.binary).expect("a status");
    assert_eq!((damaged.status, status.code), (400, 3));
    assert!(status.message.contains("damaged protobuf body"), "{status:?}");
    let damaged = otlp
        .send(request(IngestProtocol::OtlpMetrics, "application/json; charset=utf-8", "{\"resourceMetrics\": 1}"))
        .await;
    assert_eq!(damaged.status, 400);
    assert!(damaged.body.contains("\"code\":3") && damaged.body.contains("line 1 column"), "{}", damaged.body);
    let unknown = otlp.send(request(IngestProtocol::OtlpMetrics, "text/plain", "x")).await;
    assert_eq!((unknown.status, unknown.content_type.as_str()), (400, PROTOBUF));
    let mut zipped = request(IngestProtocol::OtlpMetrics, JSON, "not gzip");
    zipped.content_encoding = "gzip".to_owned();
    assert!(otlp.send(zipped).await.body.contains("damaged gzip body"));
    otlp.bench.store.refuse_writes(Some(PortError::new(ErrorKind::Unavailable, "not now")));
    let busy = otlp.send(request(IngestProtocol::OtlpMetrics, PROTOBUF, good.encode_to_vec())).await;
    assert_eq!((busy.status, Status::decode(busy.binary).expect("a status").code), (503, 14));
    assert!(busy.headers.iter().any(|h| h.0 == "Retry-After"));
}

#[test]
fn what_a_limit_refused_is_to_be_sent_again() {
    let outcome = Outcome {
        accepted: 5,
        rejected: 2,
        first_mistake: Some("older than the window".to_owned()),
        limit: Some("one series too many (max_series)".to_owned()),
        ..Outcome::default()
    };
    let want = "one series too many (max_series) (2 refused, 5 taken)";
    let (mut metrics, outcome) = (request(IngestProtocol::OtlpMetrics, JSON, ""), Ok(outcome));
    let json = answer(&metrics, &outcome);
    assert_eq!((json.status, json.body), (429, json!({"code": 8, "message": want}).to_string()));
    PROTOBUF.clone_into(&mut metrics.content_type);
    let protobuf = answer(&metrics, &outcome);
    assert_eq!(Status::decode(protobuf.binary).expect("a status"), Status { code: 8, message: want.to_owned() });
    assert!(protobuf.headers.iter().any(|h| h.0 == "Retry-After") && protobuf.status == 429);
}

#[tokio::test]
async fn log_records_keep_their_service_severity_and_attributes() {
    let otlp = Otlp::new();
    let records = json!([
        {"timeUnixNano": at(10), "severityNumber": 17, "body": {"stringValue": "boom"}, "traceId": "01", "attributes": [
            {"key": "code", "value": {"intValue": 500}}, {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"boolValue": true}]}}}]},
        {"observedTimeUnixNano": at(11), "severityText": "WARN", "body": {"kvlistValue": {"values": [attribute("k", "v")]}}},
        {"timeUnixNano": "18446744073709551615", "body": {"stringValue": "x"}},
    ]);
    let resource = json!({"attributes": [attribute("service.name", "cart"), attribute("host.name", "h1"), attribute("os.type", "linux")]});
    let body = json!({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": records}]}]});
    let answer = otlp.send(request(IngestProtocol::OtlpLogs, JSON, body.to_string())).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#""rejectedLogRecords":"1""#), "{}", answer.body);
    let mut all = otlp.bench.logs.dump(&TenantId::default());
    all.sort_by_key(|r| r.time_ns);
    let [first, second] = &all[..] else { panic!("two records: {all:?}") };
    assert_eq!((first.service.as_str(), first.severity, first.body.as_str()), ("cart", vocab::Severity::Error, "boom"));
    assert_eq!(
        (first.labels.get("host"), first.field("code"), first.field("list")),
        (Some("h1"), Some("500"), Some("[1,true]"))
    );
    assert_eq!(
        (first.field("os.type"), first.field("scope"), first.field("trace_id")),
        (Some("linux"), Some("lib"), Some("01"))
    );
    assert_eq!(
        (second.severity, second.body.as_str(), second.time_ns),
        (vocab::Severity::Warning, r#"{"k":"v"}"#, 11_000_000_000)
    );
}

#[test]
fn numbers_of_attributes_are_written_as_go_does() {
    for (value, expect) in [
        (1.0, "1"),
        (0.5, "0.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-7, "1e-7"),
        (f64::INFINITY, "+Inf"),
        (-0.25, "-0.25"),
    ] {
        let any = wire::AnyValue { double_value: Some(value), ..wire::AnyValue::default() };
        assert_eq!(attributes::text_of(&any), expect);
    }
}

/// Bodies near enough to right ones to come far into the decoders.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let right = body(
        &[attribute("service.name", "s")],
        &json!([
            {"name": "a", "gauge": {"dataPoints": [{"timeUnixNano": at(1), "asDouble": 1.5}]}},
            {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": at(1), "count": 3, "bucketCounts": [1, 2], "explicitBounds": [1]}]}},
            {"name": "e", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": at(1), "count": 3, "scale": 3, "positive": {"offset": -4, "bucketCounts": [1, 2]}}]}},
        ]),
    );
    let right: MetricsRequest = serde_json::from_value(right).expect("valid");
    let bytes = right.encode_to_vec();
    let len = bytes.len();
    (Just(bytes), prop::collection::vec((0..len, any::<u8>()), 0..6), 0..len).prop_map(|(mut bytes, edits, cut)| {
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut / 4);
        bytes
    })
}

proptest! {
    #[test]
    fn no_input_is_dangerous(garbage in prop::collection::vec(any::<u8>(), 0..300), near in nearly_right(), json in "[\\[\\]{}\":,0-9a-zA-Z]{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let otlp = Otlp::new();
            for (content_type, body) in [(PROTOBUF, garbage.clone()), (PROTOBUF, near), (JSON, garbage), (JSON, json.into_bytes())] {
                for protocol in [IngestProtocol::OtlpMetrics, IngestProtocol::OtlpLogs] {
                    let answer = otlp.send(request(protocol, content_type, body.clone())).await;
                    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
                }
            }
        });
    }

    #[test]
    fn json_and_protobuf_say_the_same(value in any::<i64>(), nanos in any::<u64>(), bound in -1e9f64..1e9, name in "[a-z.]{1,8}") {
        let json = body(&[], &json!([
            {"name": name, "sum": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": nanos.to_string(), "asInt": value.to_string()}]}},
            {"name": name, "histogram": {"dataPoints": [{"explicitBounds": [bound], "bucketCounts": [nanos.to_string(), 0]}]}},
        ]));
        let read: MetricsRequest = serde_json::from_value(json).expect("valid");
        let again = MetricsRequest::decode(&read.encode_to_vec()[..]).expect("valid");
        prop_assert_eq!(&read, &again);
        let metrics = &read.resource_metrics[0].scope_metrics[0].metrics;
        let point = &metrics[0].sum.as_ref().expect("a sum").data_points[0];
        prop_assert_eq!((point.as_int, point.time_unix_nano), (Some(value), nanos));
        prop_assert_eq!(&metrics[1].histogram.as_ref().expect("one").data_points[0].explicit_bounds[..], &[bound][..]);
    }
}

#[test]
fn an_empty_log_request_is_right() {
    let read: LogsRequest = decode(Encoding::Json, b"").expect("empty");
    assert!(read.resource_logs.is_empty());
}
