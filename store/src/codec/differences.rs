//! How often numbers should be replaced by the differences of neighbours before they are packed: gauges often not at all, counters
//! once, counters of a steady rate twice.

/// Differences are taken at most this often.
const ORDER_MAX: usize = 2;

/// With at most so many distinct numbers their frequencies say what they cost.
const DISTINCT_MAX: usize = 64;

/// Bits that a packer needs to describe one distinct number.
const BITS_PER_DISTINCT: f64 = 24.0;

/// A packer divides many numbers into about so many bins of equal counts; what lies in one costs its width.
const BINS: usize = 32;

/// A bin has at least so many numbers, or it would cost more than it saves.
const BIN_NUMBERS_MIN: usize = 8;

/// Bits that a packer needs to describe a bin.
const BITS_PER_BIN: f64 = 40.0;

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

/// Roughly the bits that a packer needs which knows either the frequencies of few numbers or in which bins many lie.
fn estimated_bits(numbers: &[i64], scratch: &mut Vec<i64>) -> f64 {
    scratch.clear();
    scratch.extend_from_slice(numbers);
    scratch.sort_unstable();
    let binned = binned_bits(scratch);
    let num_distinct = scratch.chunk_by(|a, b| a == b).take(DISTINCT_MAX + 1).count();
    if num_distinct > DISTINCT_MAX {
        return binned;
    }
    let total = scratch.len() as f64;
    let of_run = |count: f64| count * (total / count).log2() + BITS_PER_DISTINCT;
    let frequencies: f64 = scratch.chunk_by(|a, b| a == b).map(|run| of_run(run.len() as f64)).sum();
    frequencies.min(binned)
}

/// Of each number in `sorted` the bits that name its bin, and those of its place in it. Equal numbers share a bin; when they would
/// fill one, they are one: the idle steps of a counter, far from those in which it counts.
fn binned_bits(sorted: &[i64]) -> f64 {
    let total = sorted.len();
    let num_bins = BINS.min(total.div_ceil(BIN_NUMBERS_MIN)).max(1);
    let of_bin = |bin: &[i64]| {
        let (Some(first), Some(last)) = (bin.first(), bin.last()) else { return 0.0 };
        let width = last.wrapping_sub(*first).cast_unsigned() as f64;
        let count = bin.len() as f64;
        count * ((total as f64 / count).log2() + (width + 1.0).log2()) + BITS_PER_BIN
    };
    let (mut bits, mut start) = (0.0, 0);
    for number in 1..=num_bins {
        let usual_end = total * number / num_bins;
        if usual_end <= start {
            continue;
        }
        let last = sorted[usual_end - 1];
        let end = usual_end + sorted[usual_end..].partition_point(|n| *n == last);
        let (others, equal) = sorted[start..end].split_at(sorted[start..end].partition_point(|n| *n < last));
        bits +=
            if equal.len() * num_bins > total { of_bin(others) + of_bin(equal) } else { of_bin(&sorted[start..end]) };
        start = end;
    }
    bits
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
        let idle_or_not: Vec<i64> = (0..5760)
            .scan(0, |total, i| {
                *total += if noise(i) % 5 < 2 { 0 } else { 400_000 + noise(i * 7 + 3) * 8_000 };
                Some(*total)
            })
            .collect();
        assert_eq!(best_order(&idle_or_not), 1, "a counter that rests in two of five steps");
        check("a counter of a growing rate", &|i| i * i * 1000, 2);
        assert_eq!(best_order(&[]), 0);
        let ends = |i| if noise(i) % 2 == 0 { i64::MIN } else { i64::MAX };
        check("differences that do not fit wrap", &ends, 0);
    }
}
