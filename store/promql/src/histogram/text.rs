//! Histograms as text.

use vocab::NativeHistogram;

use super::Sparse;
use crate::number::format_g;

/// `{count:3, sum:2, [-0.5,0.5]:1, (1,2]:2}`, as Prometheus shows them.
pub(crate) fn text(h: &NativeHistogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", format_g(h.count), format_g(h.sum));
    for bucket in Sparse::from(h).buckets() {
        let (open, close) = if bucket.zero {
            ('[', ']')
        } else if bucket.upper <= 0.0 && bucket.lower.is_finite() && h.custom_values.is_empty() {
            ('[', ')')
        } else {
            ('(', ']')
        };
        out.push_str(&format!(
            ", {open}{},{}{close}:{}",
            format_g(bucket.lower),
            format_g(bucket.upper),
            format_g(bucket.count)
        ));
    }
    out.push('}');
    out
}
