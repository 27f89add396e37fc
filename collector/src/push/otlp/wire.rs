//! OTLP's messages, as protobuf and as JSON. Members of a `oneof` are optional fields here, which is the same on the wire.

use super::json;

/// Derives what every message needs.
macro_rules! messages {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq, prost::Message, serde::Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub(in crate::push) struct $name { $($(#[$field_meta])* pub(in crate::push) $field: $type,)* }
        )*
    };
}

messages! {
    /// `ExportMetricsServiceRequest`.
    struct MetricsRequest {
        #[prost(message, repeated, tag = "1")]
        resource_metrics: Vec<ResourceMetrics>,
    }

    struct ResourceMetrics {
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        scope_metrics: Vec<ScopeMetrics>,
    }

    struct Resource {
        #[prost(message, repeated, tag = "1")]
        attributes: Vec<KeyValue>,
    }

    struct ScopeMetrics {
        #[prost(message, optional, tag = "1")]
        scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        metrics: Vec<Metric>,
        #[prost(string, tag = "3")]
        schema_url: String,
    }

    struct Scope {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        version: String,
        #[prost(message, repeated, tag = "3")]
        attributes: Vec<KeyValue>,
    }

    struct Metric {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        description: String,
        #[prost(string, tag = "3")]
        unit: String,
        #[prost(message, optional, tag = "5")]
        gauge: Option<Gauge>,
        #[prost(message, optional, tag = "7")]
        sum: Option<Sum>,
        #[prost(message, optional, tag = "9")]
        histogram: Option<Histogram>,
        #[prost(message, optional, tag = "10")]
        exponential_histogram: Option<ExponentialHistogram>,
        #[prost(message, optional, tag = "11")]
        summary: Option<Summary>,
    }

    struct Gauge {
        #[prost(message, repeated, tag = "1")]
        data_points: Vec<NumberPoint>,
    }

    struct Sum {
        #[prost(message, repeated, tag = "1")]
        data_points: Vec<NumberPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "json::temporality")]
        aggregation_temporality: i32,
        #[prost(bool, tag = "3")]
        is_monotonic: bool,
    }

    struct Histogram {
        #[prost(message, repeated, tag = "1")]
        data_points: Vec<HistogramPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "json::temporality")]
        aggregation_temporality: i32,
    }

    struct ExponentialHistogram {
        #[prost(message, repeated, tag = "1")]
        data_points: Vec<ExponentialPoint>,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "json::temporality")]
        aggregation_temporality: i32,
    }

    struct Summary {
        #[prost(message, repeated, tag = "1")]
        data_points: Vec<SummaryPoint>,
    }

    struct NumberPoint {
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(double, optional, tag = "4")]
        #[serde(deserialize_with = "json::optional")]
        as_double: Option<f64>,
        #[prost(message, repeated, tag = "5")]
        exemplars: Vec<Exemplar>,
        #[prost(sfixed64, optional, tag = "6")]
        #[serde(deserialize_with = "json::optional")]
        as_int: Option<i64>,
        #[prost(message, repeated, tag = "7")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "8")]
        #[serde(deserialize_with = "json::number")]
        flags: u32,
    }

    struct HistogramPoint {
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "json::number")]
        count: u64,
        #[prost(double, optional, tag = "5")]
        #[serde(deserialize_with = "json::optional")]
        sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")]
        #[serde(deserialize_with = "json::numbers")]
        bucket_counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")]
        #[serde(deserialize_with = "json::numbers")]
        explicit_bounds: Vec<f64>,
        #[prost(message, repeated, tag = "8")]
        exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "9")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "json::number")]
        flags: u32,
    }

    struct ExponentialPoint {
        #[prost(message, repeated, tag = "1")]
        attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "json::number")]
        count: u64,
        #[prost(double, optional, tag = "5")]
        #[serde(deserialize_with = "json::optional")]
        sum: Option<f64>,
        #[prost(sint32, tag = "6")]
        #[serde(deserialize_with = "json::number")]
        scale: i32,
        #[prost(fixed64, tag = "7")]
        #[serde(deserialize_with = "json::number")]
        zero_count: u64,
        #[prost(message, optional, tag = "8")]
        positive: Option<Buckets>,
        #[prost(message, optional, tag = "9")]
        negative: Option<Buckets>,
        #[prost(uint32, tag = "10")]
        #[serde(deserialize_with = "json::number")]
        flags: u32,
        #[prost(message, repeated, tag = "11")]
        exemplars: Vec<Exemplar>,
        #[prost(double, tag = "14")]
        #[serde(deserialize_with = "json::number")]
        zero_threshold: f64,
    }

    /// Consecutive buckets; the first has the index `offset`.
    struct Buckets {
        #[prost(sint32, tag = "1")]
        #[serde(deserialize_with = "json::number")]
        offset: i32,
        #[prost(uint64, repeated, tag = "2")]
        #[serde(deserialize_with = "json::numbers")]
        bucket_counts: Vec<u64>,
    }

    struct SummaryPoint {
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        #[serde(deserialize_with = "json::number")]
        count: u64,
        #[prost(double, tag = "5")]
        #[serde(deserialize_with = "json::number")]
        sum: f64,
        #[prost(message, repeated, tag = "6")]
        quantile_values: Vec<Quantile>,
        #[prost(message, repeated, tag = "7")]
        attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "8")]
        #[serde(deserialize_with = "json::number")]
        flags: u32,
    }

    struct Quantile {
        #[prost(double, tag = "1")]
        #[serde(deserialize_with = "json::number")]
        quantile: f64,
        #[prost(double, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        value: f64,
    }

    struct Exemplar {
        #[prost(fixed64, tag = "2")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(double, optional, tag = "3")]
        #[serde(deserialize_with = "json::optional")]
        as_double: Option<f64>,
        #[prost(bytes = "vec", tag = "4")]
        #[serde(deserialize_with = "json::hexadecimal")]
        span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        #[serde(deserialize_with = "json::hexadecimal")]
        trace_id: Vec<u8>,
        #[prost(sfixed64, optional, tag = "6")]
        #[serde(deserialize_with = "json::optional")]
        as_int: Option<i64>,
        #[prost(message, repeated, tag = "7")]
        filtered_attributes: Vec<KeyValue>,
    }

    struct KeyValue {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(message, optional, tag = "2")]
        value: Option<AnyValue>,
    }

    struct AnyValue {
        #[prost(string, optional, tag = "1")]
        string_value: Option<String>,
        #[prost(bool, optional, tag = "2")]
        bool_value: Option<bool>,
        #[prost(int64, optional, tag = "3")]
        #[serde(deserialize_with = "json::optional")]
        int_value: Option<i64>,
        #[prost(double, optional, tag = "4")]
        #[serde(deserialize_with = "json::optional")]
        double_value: Option<f64>,
        #[prost(message, optional, tag = "5")]
        array_value: Option<ArrayValue>,
        #[prost(message, optional, tag = "6")]
        kvlist_value: Option<KeyValueList>,
        #[prost(bytes = "vec", optional, tag = "7")]
        #[serde(deserialize_with = "json::base64")]
        bytes_value: Option<Vec<u8>>,
    }

    struct ArrayValue {
        #[prost(message, repeated, tag = "1")]
        values: Vec<AnyValue>,
    }

    struct KeyValueList {
        #[prost(message, repeated, tag = "1")]
        values: Vec<KeyValue>,
    }

    /// `ExportLogsServiceRequest`.
    struct LogsRequest {
        #[prost(message, repeated, tag = "1")]
        resource_logs: Vec<ResourceLogs>,
    }

    struct ResourceLogs {
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        scope_logs: Vec<ScopeLogs>,
    }

    struct ScopeLogs {
        #[prost(message, optional, tag = "1")]
        scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")]
        log_records: Vec<LogEntry>,
    }

    /// OTLP's `LogRecord`.
    struct LogEntry {
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "json::number")]
        time_unix_nano: u64,
        #[prost(int32, tag = "2")]
        #[serde(deserialize_with = "json::severity")]
        severity_number: i32,
        #[prost(string, tag = "3")]
        severity_text: String,
        #[prost(message, optional, tag = "5")]
        body: Option<AnyValue>,
        #[prost(message, repeated, tag = "6")]
        attributes: Vec<KeyValue>,
        #[prost(bytes = "vec", tag = "9")]
        #[serde(deserialize_with = "json::hexadecimal")]
        trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "10")]
        #[serde(deserialize_with = "json::hexadecimal")]
        span_id: Vec<u8>,
        #[prost(fixed64, tag = "11")]
        #[serde(deserialize_with = "json::number")]
        observed_time_unix_nano: u64,
        #[prost(string, tag = "12")]
        event_name: String,
    }
}

/// `ExportMetricsServiceResponse` and `ExportLogsServiceResponse`, which are the same on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::push) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(in crate::push) partial_success: Option<PartialSuccess>,
}

/// How much was refused, and the first reason.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::push) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(in crate::push) rejected: i64,
    #[prost(string, tag = "2")]
    pub(in crate::push) error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::push) struct Status {
    #[prost(int32, tag = "1")]
    pub(in crate::push) code: i32,
    #[prost(string, tag = "2")]
    pub(in crate::push) message: String,
}
