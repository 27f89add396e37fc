//! Stretches of time that a block never crosses: days, or longer ones where samples lie far apart.

use std::collections::BTreeSet;

use vocab::TimestampMs;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Lengths of stretches in days, each a multiple of the one before.
const WIDTHS: [i64; 6] = [1, 8, 64, 512, 4096, 32_768];

/// Most blocks that one flush or merge makes of one tenant.
const PARTITIONS_MAX: usize = 32;

/// A stretch of time: its length and its number since 1970. All time there is counts as one further stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Partition {
    width: u8,
    number: i64,
}

impl Partition {
    fn of(time: TimestampMs, width: u8) -> Self {
        let days = WIDTHS.get(usize::from(width));
        Self { width, number: days.map_or(0, |days| time.div_euclid(days * DAY_MS)) }
    }

    /// The smallest stretch that has both times.
    pub(crate) fn around(first: TimestampMs, last: TimestampMs) -> Self {
        let widths = 0..=u8::try_from(WIDTHS.len()).unwrap_or(u8::MAX);
        let found = widths.map(|w| (Self::of(first, w), Self::of(last, w))).find(|(a, b)| a == b);
        found.map_or(Self { width: u8::MAX, number: 0 }, |(partition, _)| partition)
    }

    /// Whether it is one day.
    pub(crate) fn is_day(self) -> bool {
        self.width == 0
    }

    /// The time at which it ends.
    pub(crate) fn end(self) -> TimestampMs {
        let days = WIDTHS.get(usize::from(self.width)).copied();
        days.map_or(TimestampMs::MAX, |days| (self.number + 1).saturating_mul(days * DAY_MS))
    }
}

/// Collects the stretches of some samples, in as few as allowed.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    width: u8,
    seen: BTreeSet<Partition>,
}

impl Partitions {
    pub(crate) fn add(&mut self, time: TimestampMs) {
        self.seen.insert(Partition::of(time, self.width));
        while self.seen.len() > PARTITIONS_MAX {
            self.width += 1;
            let wider = |p: &Partition| {
                let days = WIDTHS.get(usize::from(p.width)).copied().unwrap_or(1);
                Partition::of(p.number.saturating_mul(days * DAY_MS), self.width)
            };
            self.seen = self.seen.iter().map(wider).collect();
        }
    }

    /// The stretch of a time among those collected.
    pub(crate) fn of(&self, time: TimestampMs) -> Partition {
        Partition::of(time, self.width)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.seen.len()
    }
}

/// Cuts ascending times where a stretch ends; gives each stretch with its range of positions.
pub(crate) fn cut<'a>(
    times: &'a [TimestampMs],
    partitions: &'a Partitions,
) -> impl Iterator<Item = (Partition, std::ops::Range<usize>)> + 'a {
    let mut start = 0;
    std::iter::from_fn(move || {
        let partition = partitions.of(*times.get(start)?);
        let end = start + times[start..].partition_point(|&t| t < partition.end());
        let range = start..end.max(start + 1);
        start = range.end;
        Some((partition, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_far_apart_share_wider_stretches() {
        let mut days = Partitions::default();
        (0..30).for_each(|day| days.add(day * DAY_MS));
        assert_eq!(days.len(), 30);
        (0..3650).for_each(|day| days.add(day * DAY_MS));
        assert!(days.len() <= PARTITIONS_MAX);
        for time in [i64::MIN, -1, 0, i64::MAX] {
            days.add(time);
        }
        assert!(days.len() <= PARTITIONS_MAX);
    }

    #[test]
    fn times_are_cut_where_a_day_ends() {
        let times = [-1, 0, 1, DAY_MS - 1, DAY_MS, 3 * DAY_MS];
        let mut partitions = Partitions::default();
        times.iter().for_each(|&t| partitions.add(t));
        let ranges: Vec<_> = cut(&times, &partitions).map(|(_, range)| range).collect();
        assert_eq!(ranges, [0..1, 1..4, 4..5, 5..6]);
        assert_eq!(Partition::around(0, DAY_MS - 1), Partition { width: 0, number: 0 });
        assert_eq!(Partition::around(0, DAY_MS), Partition { width: 1, number: 0 });
        assert_eq!(Partition::around(-1, 0).width, 6);
    }
}
