//! Numbers as Kubernetes quantities.

/// A quantity with three digits behind the point, as metrics adapters write it: `1500m`. `None` when it is no number that a
/// quantity can be: no number is not a zero.
pub(super) fn quantity(value: f64) -> Option<String> {
    // Beyond this, thousandths do not fit the 64 bits that Kubernetes has.
    const WITH_MILLI_MAX: f64 = 9e15;
    if !value.is_finite() || value.abs() > 9e18 {
        return None;
    }
    if value.abs() > WITH_MILLI_MAX || (value.fract() == 0.0) {
        return Some(format!("{value:.0}"));
    }
    Some(format!("{:.0}m", (value * 1000.0).round()))
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn numbers_are_quantities() {
        for (value, expect) in [
            (0.0, Some("0")),
            (1.5, Some("1500m")),
            (-0.25, Some("-250m")),
            (42.0, Some("42")),
            (1e16, Some("10000000000000000")),
            (0.0004, Some("0m")),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e300, None),
        ] {
            assert_eq!(quantity(value).as_deref(), expect, "{value}");
        }
    }
}
