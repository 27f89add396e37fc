//! How often numbers should be replaced by the differences of neighbours before they are packed: gauges often not at all, counters
//! once, counters of a steady rate twice.

/// Differences are taken at most this often.
const ORDER_MAX: usize = 2;

/// With at most so many distinct numbers their frequencies say what they cost; with more their spread does.
const DISTINCT_MAX: usize = 64;

/// Bits that a packer needs to describe one distinct number.
const BITS_PER_DISTINCT: f64 = 24.0;

/// The order of differences that promises the smallest result.
pub(super) fn best_order(numbers: &[i64]) -> usize {
    let mut current = numbers.to_vec();
    let mut scratch = Vec::with_capacity(current.len());
    let mut best = (0, f64::INFINITY);
    for order in 0..=ORDER_MAX {
        if order > 0 {
            for at in 1..current.len() {
                current[at - 1] = current[at].wrapping_sub(current[at - 1]);
            }
            current.pop();
        }
        let bits = estimated_bits(&current, &mut scratch);
        // The cost has one minimum on real data.
        if bits >= best.1 {
            break;
        }
        best = (order, bits);
    }
    best.0
}

/// Roughly the bits that a packer needs which knows either the frequencies of few numbers or the middle of many.
fn estimated_bits(numbers: &[i64], scratch: &mut Vec<i64>) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(numbers);
    scratch.sort_unstable();
    let Some(&middle) = scratch.get(scratch.len() / 2) else { return 0.0 };
    let spread: u32 = scratch.iter().map(|n| 64 - n.wrapping_sub(middle).unsigned_abs().leading_zeros()).sum();
    let num_distinct = scratch.chunk_by(|a, b| a == b).take(DISTINCT_MAX + 1).count();
    if num_distinct > DISTINCT_MAX {
        return f64::from(spread);
    }
    let total = scratch.len() as f64;
    let of_run = |count: f64| count * (total / count).log2() + BITS_PER_DISTINCT;
    let frequencies: f64 = scratch.chunk_by(|a, b| a == b).map(|run| of_run(run.len() as f64)).sum();
    frequencies.min(f64::from(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_steadily_is_differenced_and_what_wanders_is_not() {
        let noise = |i: i64| {
            let mixed = i.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed >> 40) % 97).cast_signed()
        };
        let check = |name: &str, number: &dyn Fn(i64) -> i64, expect: usize| {
            let numbers: Vec<i64> = (0..240).map(number).collect();
            assert_eq!(best_order(&numbers), expect, "{name}");
        };
        check("a gauge around a level", &|i| 1_000_000 + noise(i), 0);
        check(
            "few values far apart",
            &|i| [0, 5, 70_000, 70_000][usize::from(noise(i) % 2 == 0) + usize::from(noise(i) > 48)],
            0,
        );
        check("a counter of a varying rate", &|i| i * 1000 + noise(i) * i / 40, 1);
        check("a counter of a steady rate", &|i| i * 1000, 1);
        check("a counter of a growing rate", &|i| i * i * 1000, 2);
        assert_eq!(best_order(&[]), 0);
        assert_eq!(best_order(&[i64::MAX, i64::MIN, i64::MAX]), 0, "differences that do not fit wrap");
    }
}
