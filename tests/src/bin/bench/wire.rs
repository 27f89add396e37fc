//! The wire form of the data: Prometheus remote write 1.0 (protobuf in snappy), written by hand so that the load generator's own
//! cost stays small.

use crate::data::Series;

/// What every request says of itself.
pub(crate) const HEADERS: [(&str, &str); 3] = [
    ("content-type", "application/x-protobuf"),
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag << 3 | 2);
    varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// One compressed request: the next sample of each series at each of `timestamps_ms`.
///
/// # Errors
/// When the body cannot be compressed.
pub(crate) fn remote_write(series: &mut [Series], timestamps_ms: &[i64]) -> anyhow::Result<Vec<u8>> {
    let mut request = Vec::with_capacity(series.len() * (100 + 20 * timestamps_ms.len()));
    let (mut one, mut part) = (Vec::new(), Vec::new());
    for series in series {
        one.clear();
        for (name, value) in &series.labels {
            part.clear();
            message(&mut part, 1, name.as_bytes());
            message(&mut part, 2, value.as_bytes());
            message(&mut one, 1, &part);
        }
        for timestamp_ms in timestamps_ms {
            part.clear();
            part.push(1 << 3 | 1);
            part.extend_from_slice(&series.advance().to_le_bytes());
            part.push(2 << 3);
            varint(&mut part, *timestamp_ms as u64);
            message(&mut one, 2, &part);
        }
        message(&mut request, 1, &one);
    }
    Ok(snap::raw::Encoder::new().compress_vec(&request)?)
}
