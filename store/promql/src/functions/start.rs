//! What start timestamps say: whether a counter began anew between two samples, and whether its source makes sense.

/// Whether the counter was reset between a sample and the next one, by what they say about since when they count.
pub(crate) fn is_reset(start: i64, time: i64, next_start: i64, next_time: i64) -> bool {
    if next_start == 0 || next_start >= next_time || next_start < time {
        // Not known, not possible, or not known in OpenTelemetry's way; or counting since before the earlier sample.
        return false;
    }
    if next_start > time {
        return true;
    }
    // It counts since the earlier sample: that is a delta when the earlier one had a start of its own, and a counter whose start
    // is not known when that had none.
    start != 0 && start < time
}

/// [`is_reset`] of the sample at `index` against the one before it, which is in the same list.
pub(crate) fn is_reset_at(starts: &[i64], index: usize, time: i64, next_time: i64) -> bool {
    let pair = index.checked_sub(1).and_then(|before| starts.get(before).zip(starts.get(index)));
    pair.is_some_and(|(start, next_start)| is_reset(*start, time, *next_start, next_time))
}

/// Whether some sample says that it counts since before its predecessor, but since another time than that one.
pub(crate) fn overlaps(starts: &[i64], time: impl Fn(usize) -> i64) -> bool {
    starts.windows(2).enumerate().any(|(i, pair)| pair[1] != 0 && pair[1] < time(i) && pair[1] != pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_told_by_starts() {
        // (start, time) of two samples.
        let check = |first: (i64, i64), second: (i64, i64), expect: bool| {
            assert_eq!(is_reset(first.0, first.1, second.0, second.1), expect, "{first:?} {second:?}");
        };
        check((0, 100), (0, 200), false);
        check((50, 100), (50, 200), false);
        check((50, 100), (150, 200), true);
        check((0, 100), (150, 200), true);
        check((50, 100), (200, 200), false);
        check((50, 100), (250, 200), false);
        // Deltas, and a counter whose start is not known.
        check((50, 100), (100, 200), true);
        check((0, 100), (100, 200), false);
        check((100, 100), (100, 200), false);
        check((150, 100), (100, 200), false);
    }

    #[test]
    fn overlaps_are_told() {
        let check = |samples: &[(i64, i64)], expect: bool| {
            let starts: Vec<i64> = samples.iter().map(|s| s.0).collect();
            assert_eq!(overlaps(&starts, |i| samples[i].1), expect, "{samples:?}");
        };
        check(&[(0, 100), (0, 200)], false);
        check(&[(50, 100), (50, 200), (200, 300)], false);
        check(&[(50, 100), (60, 200)], true);
        check(&[(0, 100), (60, 200)], true);
        check(&[], false);
    }
}
