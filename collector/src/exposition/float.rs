//! Numbers as the formats write them: Go's float syntax without hexadecimal and without digit separators.

/// Reads a value; `None` when it is not a number or does not fit a double.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    match unsigned.first()? {
        b'0'..=b'9' | b'.' => {
            let value: f64 = fast_float2::parse(text).ok()?;
            // Digits that overflow are a mistake of the target, not an infinity it meant.
            value.is_finite().then_some(value)
        }
        b'i' | b'I' => {
            let infinite = unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
            infinite.then_some(if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        // One canonical NaN: a payload could otherwise pass for the staleness marker.
        _ => text.eq_ignore_ascii_case(b"nan").then_some(f64::NAN),
    }
}

/// Writes a float as OpenMetrics wants it in `le` and `quantile`: always with a point or an exponent (`1.0`, `1e+06`).
pub fn format_openmetrics_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let scientific = format!("{value:e}");
    // Rust's `{:e}` always has an `e`, and its exponent is a small integer.
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's %g with the shortest precision writes an exponent below 1e-4 and from 1e6 on, and Prometheus uses that.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}
