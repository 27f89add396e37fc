use super::*;
use crate::block::tests::meta;

const HOUR_MS: i64 = 3_600_000;

/// Blocks with so many samples each, one after the other in the hours of one day.
fn hours(sizes: &[u64]) -> Vec<BlockMeta> {
    (0i64..)
        .zip(sizes)
        .map(|(hour, &num_samples)| {
            let number = u64::try_from(hour).unwrap() + 1;
            BlockMeta { num_samples, ..meta(number, hour * HOUR_MS, hour * HOUR_MS + 1) }
        })
        .collect()
}

fn check(metas: &[BlockMeta], now_ms: i64, eagerness: Eagerness, expect: Option<&[usize]>) {
    let chosen = choose(&metas.iter().collect::<Vec<_>>(), now_ms, eagerness, u64::MAX);
    let expected = expect.map(|places| places.iter().map(|&p| metas[p].ulid).collect::<Vec<_>>());
    assert_eq!(chosen, expected);
}

#[test]
fn in_the_background_blocks_of_one_size_are_merged() {
    let noon = 12 * HOUR_MS;
    check(&hours(&[]), noon, Eagerness::Background, None);
    check(&hours(&[100, 100, 100]), noon, Eagerness::Background, None);
    check(&hours(&[100, 150, 120, 399]), noon, Eagerness::Background, Some(&[0, 1, 2, 3]));
    check(&hours(&[100, 150, 120, 400]), noon, Eagerness::Background, None);
    check(&hours(&[9000, 100, 100, 100, 100]), noon, Eagerness::Background, Some(&[1, 2, 3, 4]));
}

#[test]
fn what_would_not_fit_into_memory_is_not_merged() {
    let many: Vec<_> = hours(&[100; 5]).into_iter().map(|m| BlockMeta { num_series: 10, ..m }).collect();
    let check = |series_max, eagerness, expect: Option<usize>| {
        let chosen = choose(&many.iter().collect::<Vec<_>>(), 0, eagerness, series_max);
        assert_eq!(chosen.map(|c| c.len()), expect, "{series_max} {eagerness:?}");
    };
    check(40, Eagerness::Background, Some(4));
    check(39, Eagerness::Background, None);
    check(39, Eagerness::Full, Some(3));
    check(19, Eagerness::Full, None);
}

#[test]
fn a_day_that_is_over_becomes_one_block_and_days_stay_apart() {
    let days = [meta(1, 0, 1), meta(2, HOUR_MS, HOUR_MS + 1), meta(3, 25 * HOUR_MS, 26 * HOUR_MS)];
    check(&days, 26 * HOUR_MS, Eagerness::Background, None);
    check(&days, 28 * HOUR_MS, Eagerness::Background, Some(&[0, 1]));
    check(&days, 0, Eagerness::Full, Some(&[0, 1]));
    check(&days[1..], i64::MAX, Eagerness::Full, None);
}
