//! Kubernetes quantities: `500m`, `2`, `1.5Gi`, `100k`, `1e3`.

use serde_json::Value;

/// A quantity as a number; `None` when it is none.
pub(crate) fn parse(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let suffixes: [(&str, f64); 16] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("", 1.0),
    ];
    suffixes.iter().find_map(|(suffix, factor)| {
        let number = text.strip_suffix(suffix)?;
        let is_number = number.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
        let parsed: f64 = number.parse().ok().filter(|_| is_number)?;
        Some(parsed * factor)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    #[test]
    fn quantities_are_numbers() {
        for (given, expect) in [
            (json!("500m"), Some(0.5)),
            (json!("2"), Some(2.0)),
            (json!(3), Some(3.0)),
            (json!("1.5Gi"), Some(1_610_612_736.0)),
            (json!("100k"), Some(100_000.0)),
            (json!("1e3"), Some(1000.0)),
            (json!("2E"), Some(2e18)),
            (json!("x"), None),
            (json!("inf"), None),
            (json!("m"), None),
            (json!(null), None),
        ] {
            assert_eq!(parse(&given), expect, "{given}");
        }
    }
}
