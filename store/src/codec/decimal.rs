//! Values as whole mantissas times a power of ten, where that loses nothing.

/// Largest exponent that is tried: micro-units.
pub(crate) const EXPONENT_MAX: u8 = 6;

const POWERS: [f64; EXPONENT_MAX as usize + 1] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// Mantissas above this are not exact as `f64`.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;

/// The mantissa `m` for which `m / 10^exponent` is exactly this value, bit for bit.
#[inline]
pub(crate) fn mantissa(value: f64, exponent: u8) -> Option<i64> {
    let scaled = (value * POWERS[usize::from(exponent)]).round_ties_even();
    // Also false for NaN and infinities.
    if scaled.abs() > MANTISSA_MAX || scaled.is_nan() {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, reason = "whole and at most 2^53")]
    let mantissa = scaled as i64;
    // Minus zero, for one, does not come back from its mantissa.
    (self::value(mantissa, exponent).to_bits() == value.to_bits()).then_some(mantissa)
}

/// The value of a mantissa.
#[inline]
pub(crate) fn value(mantissa: i64, exponent: u8) -> f64 {
    mantissa as f64 / POWERS[usize::from(exponent)]
}

/// The smallest exponent from `at_least` on with which this value is whole.
#[inline]
pub(crate) fn exponent(value: f64, at_least: u8) -> Option<u8> {
    (at_least..=EXPONENT_MAX).find(|&e| mantissa(value, e).is_some())
}
