//! Moments at which the load rose at once, to the tick: what is started by a clock comes again at the same moment.

/// Most onsets remembered: five days of what comes twelve times a day.
const ONSETS_MAX: usize = 60;
/// A load this many times the mean of the minute before has risen at once …
const RISE_FACTOR: f32 = 1.5;
/// … if it is more by at least what so many replicas carry.
const RISE_REPLICAS: f32 = 2.0;
/// Values that make the minute before.
const BEFORE: usize = 4;
/// A rise goes on for up to so many ticks, two minutes; until then it is the same onset.
const RISE_TICKS: i64 = 8;
/// What came this often at a moment is expected there again: once is chance.
const TIMES_MIN: usize = 2;
/// It comes so many ticks sooner or later, at most.
const JITTER_TICKS: i64 = 3;

/// The load rose at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Onset {
    /// Number of the tick at which it was seen.
    pub tick: i64,
    /// The highest load of its first two minutes.
    pub peak: f32,
}

/// The newest onsets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Onsets {
    /// Oldest first.
    seen: Vec<Onset>,
}

impl Onsets {
    /// Looks at the newest of the `recent` values, which is that of a tick. `capacity` is the load that saturates a replica.
    pub fn note(&mut self, tick: i64, recent: &[f32], capacity: f32) {
        let Some((load, before)) = recent.split_last() else { return };
        if let Some(last) = self.seen.last_mut().filter(|last| tick - last.tick < RISE_TICKS) {
            last.peak = last.peak.max(*load);
            return;
        }
        let Some(before) = before.last_chunk::<BEFORE>() else { return };
        let before = before.iter().sum::<f32>() / BEFORE as f32;
        if *load > RISE_FACTOR * before && *load > before + RISE_REPLICAS * capacity {
            if self.seen.len() == ONSETS_MAX {
                self.seen.remove(0);
            }
            self.seen.push(Onset { tick, peak: *load });
        }
    }

    /// The highest load when each of the ticks `from..=to` is due, if the onsets come again `lags` ticks later; 0 where none is
    /// expected.
    pub(super) fn expected(&self, from: i64, to: i64, lags: &[i64]) -> Vec<f32> {
        let may_come = from - JITTER_TICKS..=to + JITTER_TICKS;
        let again = self.seen.iter().flat_map(|onset| lags.iter().map(|lag| (onset.tick + *lag, onset.peak)));
        let coming: Vec<(i64, f32)> = again.filter(|(tick, _)| may_come.contains(tick)).collect();
        let at = |tick: i64| {
            let near = coming.iter().filter(|(comes, _)| comes.abs_diff(tick) <= JITTER_TICKS.unsigned_abs());
            let (times, peak) = near.fold((0, 0.0f32), |(times, peak), (_, next)| (times + 1, peak.max(*next)));
            if times >= TIMES_MIN { peak } else { 0.0 }
        };
        (from..=to).map(at).collect()
    }

    /// The onsets, oldest first, for storing.
    pub fn seen(&self) -> &[Onset] {
        &self.seen
    }

    /// From stored onsets; `None` when they are too many, out of order or no loads.
    pub fn from_seen(seen: Vec<Onset>) -> Option<Self> {
        let fits = seen.len() <= ONSETS_MAX
            && seen.is_sorted_by_key(|onset| onset.tick)
            && seen.iter().all(|onset| onset.peak.is_finite() && onset.peak >= 0.0);
        fits.then_some(Self { seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 240;

    /// Onsets of a load of 100 that is 900 for five minutes, from the tick of each hour on that `offsets` names.
    fn after(offsets: &[i64]) -> Onsets {
        let mut onsets = Onsets::default();
        let load = |tick: i64| {
            let since = offsets.get(tick.div_euclid(HOUR) as usize).map(|offset| tick.rem_euclid(HOUR) - offset);
            if since.is_some_and(|since| (0..20).contains(&since)) { 900.0 } else { 100.0 }
        };
        for tick in 4..offsets.len() as i64 * HOUR {
            let recent: Vec<f32> = (tick - 4..=tick).map(load).collect();
            onsets.note(tick, &recent, 100.0);
        }
        onsets
    }

    #[test]
    fn what_came_twice_at_a_moment_is_expected_there() {
        let lags = [HOUR, 2 * HOUR];
        let check = |offsets: &[i64], at: i64, expect: f32| {
            let onsets = after(offsets);
            assert_eq!(onsets.seen().len(), offsets.len(), "{offsets:?}");
            let due = offsets.len() as i64 * HOUR + at;
            assert_eq!(onsets.expected(due, due, &lags), [expect], "{offsets:?} {at}");
        };
        check(&[100], 100, 0.0);
        check(&[100, 100], 100, 900.0);
        check(&[100, 102], 101, 900.0);
        check(&[100, 100], 96, 0.0);
        check(&[100, 100], 104, 0.0);
        check(&[100, 120], 110, 0.0);
        let due = 2 * HOUR + 100;
        assert_eq!(after(&[100, 100]).expected(due - 4, due - 2, &lags), [0.0, 900.0, 900.0]);
    }

    #[test]
    fn a_slow_rise_or_a_small_one_is_no_onset() {
        let mut onsets = Onsets::default();
        onsets.note(5, &[100.0, 100.0, 100.0, 100.0, 260.0], 100.0);
        onsets.note(6, &[1000.0, 1000.0, 1000.0, 1000.0, 1450.0], 100.0);
        onsets.note(7, &[100.0, 900.0], 100.0);
        assert_eq!(onsets, Onsets::default());
        // What goes on to rise is the same onset.
        onsets.note(8, &[100.0, 100.0, 100.0, 100.0, 400.0], 100.0);
        onsets.note(9, &[100.0, 100.0, 100.0, 400.0, 900.0], 100.0);
        assert_eq!(onsets.seen(), [Onset { tick: 8, peak: 900.0 }]);
    }

    #[test]
    fn only_so_many_are_kept_and_stored_ones_are_checked() {
        let onsets = after(&[10; 200]);
        assert_eq!((onsets.seen().len(), onsets.seen()[0].tick), (ONSETS_MAX, 140 * HOUR + 10));
        assert_eq!(Onsets::from_seen(onsets.seen().to_vec()), Some(onsets.clone()));
        let twisted = onsets.seen().iter().rev().copied().collect();
        assert_eq!(Onsets::from_seen(twisted), None);
        assert_eq!(Onsets::from_seen(vec![Onset { tick: 1, peak: f32::NAN }]), None);
        assert_eq!(Onsets::from_seen(vec![Onset { tick: 1, peak: 1.0 }; ONSETS_MAX + 1]), None);
    }
}
