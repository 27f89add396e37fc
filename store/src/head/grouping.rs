//! A batch's series by shard and its samples by series, so that each shard is locked once and each series looked up once.

use vocab::ports::append::WriteBatch;

use super::shard::{NUM_SHARDS, shard_of};

/// Series of a batch by shard, each with the hash of its labels.
#[derive(Debug)]
pub(super) struct SeriesByShard {
    members: Vec<(u32, u64)>,
    ends: [usize; NUM_SHARDS],
}

impl SeriesByShard {
    pub(super) fn new(batch: &WriteBatch) -> Self {
        let hashes: Vec<u64> = batch.series.iter().map(|s| s.labels.stable_hash()).collect();
        let mut next = [0; NUM_SHARDS];
        for &hash in &hashes {
            next[shard_of(hash)] += 1;
        }
        let mut start = 0;
        for count in &mut next {
            start += std::mem::replace(count, start);
        }
        let mut members = vec![(0, 0); hashes.len()];
        for (index, hash) in (0u32..).zip(hashes) {
            let place = &mut next[shard_of(hash)];
            members[*place] = (index, hash);
            *place += 1;
        }
        Self { members, ends: next }
    }

    /// Numbers of the shards that occur, with their series: index in the batch and hash.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[(u32, u64)])> {
        let starts = [0].into_iter().chain(self.ends);
        let parts = starts.zip(self.ends).map(|(start, end)| &self.members[start..end]);
        parts.enumerate().filter(|(_, members)| !members.is_empty())
    }
}

/// Places of a batch's float samples by series, in the order in which they came.
#[derive(Debug)]
pub(super) struct SamplesBySeries {
    /// Empty when the samples stand series by series in the batch already.
    order: Vec<u32>,
    /// Where the samples of each series begin, and behind the last where they end.
    starts: Vec<u32>,
    /// Samples whose series is not in the batch.
    pub(super) num_strays: usize,
}

impl SamplesBySeries {
    pub(super) fn new(batch: &WriteBatch) -> Self {
        let num_series = batch.series.len();
        let mut starts = vec![0u32; num_series + 1];
        let (mut num_strays, mut in_order, mut previous) = (0, true, 0);
        for sample in &batch.samples {
            match starts.get_mut(sample.series as usize + 1) {
                Some(count) => *count += 1,
                None => num_strays += 1,
            }
            in_order &= sample.series >= previous;
            previous = sample.series;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        if in_order {
            // Strays have the highest numbers, so they come last and no range reaches them.
            return Self { order: Vec::new(), starts, num_strays };
        }
        let mut next = starts.clone();
        let mut order = vec![0; batch.samples.len() - num_strays];
        for (place, sample) in (0u32..).zip(&batch.samples) {
            if (sample.series as usize) < num_series {
                let at = &mut next[sample.series as usize];
                order[*at as usize] = place;
                *at += 1;
            }
        }
        Self { order, starts, num_strays }
    }

    /// Places of a series' samples in the batch.
    pub(super) fn places(&self, series: u32) -> impl Iterator<Item = u32> + '_ {
        let (start, end) = (self.starts[series as usize], self.starts[series as usize + 1]);
        (start..end).map(|at| self.order.get(at as usize).copied().unwrap_or(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Labels;
    use vocab::ports::append::{BatchSample, SeriesRef};

    fn batch(num_series: u32, samples: &[u32]) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for number in 0..num_series {
            batch.push_series(Labels::from_pairs([("n", number.to_string())]), SeriesRef::NONE);
        }
        batch.samples = samples.iter().map(|&series| BatchSample { series, timestamp: 0, value: 0.0 }).collect();
        batch
    }

    #[test]
    fn samples_are_found_by_series_in_their_order() {
        let check = |samples: &[u32], expect: [&[u32]; 3], num_strays: usize| {
            let groups = SamplesBySeries::new(&batch(3, samples));
            for (series, expect) in (0..).zip(expect) {
                assert_eq!(groups.places(series).collect::<Vec<_>>(), expect, "{samples:?}");
            }
            assert_eq!(groups.num_strays, num_strays, "{samples:?}");
        };
        check(&[], [&[], &[], &[]], 0);
        check(&[0, 0, 2], [&[0, 1], &[], &[2]], 0);
        check(&[2, 0, 1, 0], [&[1, 3], &[2], &[0]], 0);
        check(&[0, 2, 7, 9], [&[0], &[], &[1]], 2);
        check(&[7, 2, 0], [&[2], &[], &[1]], 1);
    }

    #[test]
    fn every_series_is_in_its_shard_once() {
        let batch = batch(100, &[]);
        let grouped = SeriesByShard::new(&batch);
        let mut seen: Vec<u32> = Vec::new();
        for (number, members) in grouped.iter() {
            for &(index, hash) in members {
                assert_eq!((hash, shard_of(hash)), (batch.series[index as usize].labels.stable_hash(), number));
                seen.push(index);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
    }
}
