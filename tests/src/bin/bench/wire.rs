//! The wire form of the data: Prometheus remote write 1.0 (protobuf in snappy), written by hand so that the load generator's own
//! cost stays small.

/// A series of the data set.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Labels, sorted by name.
    pub(crate) labels: Vec<(String, String)>,
    /// How its value moves: the step between two samples.
    pub(crate) step: f64,
}

/// `num_hosts` hosts with `per_host` series each: four of five are counters.
pub(crate) fn data_set(num_hosts: usize, per_host: usize) -> Vec<Series> {
    let mut all = Vec::with_capacity(num_hosts * per_host);
    for host in 0..num_hosts {
        for index in 0..per_host {
            let counter = index % 5 != 0;
            let name = if counter {
                format!("bench_requests_{}_total", index % 10)
            } else {
                format!("bench_level_{}", index % 10)
            };
            all.push(Series {
                labels: vec![
                    ("__name__".into(), name),
                    ("host".into(), format!("host-{host:05}")),
                    ("index".into(), index.to_string()),
                    ("job".into(), "bench".into()),
                ],
                step: if counter { 1.0 + ((host * 7 + index) % 13) as f64 } else { 0.25 },
            });
        }
    }
    all
}

/// The value of a series' sample number `n`.
pub(crate) fn value(series: &Series, n: u64) -> f64 {
    if series.step < 1.0 { 20.0 + f64::from((n % 17) as u32) * series.step } else { series.step * n as f64 }
}

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

/// One compressed request: one sample of each series at `timestamp_ms`.
///
/// # Errors
/// When the body cannot be compressed.
pub(crate) fn remote_write(series: &[Series], n: u64, timestamp_ms: i64) -> anyhow::Result<Vec<u8>> {
    let mut request = Vec::with_capacity(series.len() * 120);
    let (mut one, mut part) = (Vec::new(), Vec::new());
    for series in series {
        one.clear();
        for (name, value) in &series.labels {
            part.clear();
            message(&mut part, 1, name.as_bytes());
            message(&mut part, 2, value.as_bytes());
            message(&mut one, 1, &part);
        }
        part.clear();
        part.push(1 << 3 | 1);
        part.extend_from_slice(&value(series, n).to_le_bytes());
        part.push(2 << 3);
        varint(&mut part, timestamp_ms as u64);
        message(&mut one, 2, &part);
        message(&mut request, 1, &one);
    }
    Ok(snap::raw::Encoder::new().compress_vec(&request)?)
}
