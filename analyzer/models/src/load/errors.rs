//! How wrong a method was in like circumstances, and the capacity that is the cheapest in view of that.

use std::sync::LazyLock;

/// Bins of the ratio of what came to what was said, finest around 1.
const BINS: usize = 33;
/// The bin of a ratio of 1.
const MIDDLE: i32 = 16;
/// The finest ratio that is told apart.
const FINEST: f32 = 0.01;
/// Bins per unit of the area sine, on which ratios are spread.
const SPREAD: f32 = 2.5;
/// Circumstances that are told apart: how much more than now was said, whether in vain so far, and at what load.
const JUMPS: usize = 6;
const LEVELS: usize = 3;
/// From this jump on it matters whether it is late.
const JUMP_ANNOUNCED: u8 = 2;
/// Jumps from there on, for each of which there is a place for those that are late.
const JUMPS_ANNOUNCED: u8 = 2;
const CELLS: usize = JUMPS * LEVELS;
/// What one outcome adds to its bin.
const UNIT: u16 = 16;
/// A bin this full halves its cell, which thereby forgets.
const FULL: u16 = 60_000;
/// How many outcomes of other circumstances count as much as what was seen in these.
const POOLED_WEIGHT: f32 = 30.0;
/// How many outcomes the first guess counts for.
const GUESS_WEIGHT: f32 = 50.0;
/// How far above the larger of forecast and present load an outcome is believed.
const OUTCOME_HIGH: f32 = 4.0;

/// Expected costs that are kept while the cheapest number is looked for.
const KNOWN: usize = 64;

/// What capacity costs, and what lacking it does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// Load at which a replica is saturated.
    pub capacity: f32,
    /// Up to this share of it no request is slow.
    pub knee: f32,
    /// Cost of one bad request against that of the capacity to serve it.
    pub bad: f32,
}

impl Costs {
    /// Share of requests that are bad at a utilisation: none up to the knee, then slowly more to 2 % at saturation, then all
    /// that is over.
    #[inline]
    pub fn bad_share(&self, utilisation: f32) -> f32 {
        if utilisation <= self.knee {
            0.0
        } else if utilisation <= 1.0 {
            let over = (utilisation - self.knee) / (1.0 - self.knee);
            0.02 * over * over
        } else {
            1.0 - 0.98 / utilisation
        }
    }

    /// Cost of bad requests, in replicas, at a load on a number of replicas.
    #[inline]
    pub fn short(&self, load: f32, replicas: u32) -> f32 {
        let needed = load / self.capacity;
        self.bad * needed * self.bad_share(needed / replicas.max(1) as f32)
    }
}

/// Histograms of one method's errors.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadErrors {
    counts: Vec<u16>,
}

impl Default for LoadErrors {
    fn default() -> Self {
        Self { counts: vec![0; Self::COUNTS] }
    }
}

/// The circumstances of a forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell(u8);

impl Cell {
    /// Its number, for storing.
    pub fn number(self) -> u8 {
        self.0
    }

    /// From its number; `None` when there is no such cell.
    pub fn numbered(number: u8) -> Option<Self> {
        (usize::from(number) < CELLS).then_some(Self(number))
    }

    /// From what was said (no method says less than the load now), the load now, and whether what the method said for now has
    /// not come.
    pub fn of(said: f32, now: f32, is_late: bool, costs: &Costs) -> Self {
        let jump = match (said + costs.capacity) / (now + costs.capacity) {
            j if j < 1.1 => 0,
            j if j < 1.4 => 1,
            j if j < 2.2 => 2,
            _ => 3,
        };
        let place = if is_late && jump >= JUMP_ANNOUNCED { jump + JUMPS_ANNOUNCED } else { jump };
        let level = match said / costs.capacity {
            l if l < 2.0 => 0,
            l if l < 8.0 => 1,
            _ => 2,
        };
        Self(place * LEVELS as u8 + level)
    }
}

#[inline]
fn bin_of(ratio: f32) -> usize {
    let place = ((ratio.max(1e-9).ln() / FINEST).asinh() * SPREAD).round() as i32;
    (place.clamp(-MIDDLE, MIDDLE) + MIDDLE) as usize
}

/// The ratio each bin stands for.
static RATIOS: LazyLock<[f32; BINS]> =
    LazyLock::new(|| std::array::from_fn(|bin| (FINEST * ((bin as i32 - MIDDLE) as f32 / SPREAD).sinh()).exp()));

/// The first guess, as chances.
static GUESSES: LazyLock<[f32; BINS]> = LazyLock::new(|| {
    let guesses: [f32; BINS] = std::array::from_fn(guess);
    let sum: f32 = guesses.iter().sum();
    guesses.map(|g| g / sum)
});

/// The first guess, before anything was seen: near 1, with long tails.
fn guess(bin: usize) -> f32 {
    let log = RATIOS[bin].ln();
    let width = if bin == 0 || bin == BINS - 1 { 0.0 } else { (RATIOS[bin + 1] / RATIOS[bin - 1]).ln() / 2.0 };
    if log.abs() > 1.1 { 0.0 } else { width / (1.0 + (log / 0.05).powi(2)) }
}

impl LoadErrors {
    /// How many counts there are.
    pub const COUNTS: usize = CELLS * BINS;

    /// Notes what came of a forecast.
    pub fn learn(&mut self, cell: Cell, said: f32, came: f32, costs: &Costs) {
        let bin = bin_of((came + costs.capacity) / (said + costs.capacity));
        let counts = &mut self.counts[cell.0 as usize * BINS..][..BINS];
        counts[bin] += UNIT;
        if counts[bin] >= FULL {
            counts.iter_mut().for_each(|c| *c /= 2);
        }
    }

    /// How likely each ratio is: what was seen in like circumstances, leaning on all others as long as that is little.
    fn chances(&self, cell: Cell) -> [f32; BINS] {
        let mut all = [0.0f32; BINS];
        for counts in self.counts.chunks_exact(BINS) {
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += f32::from(*count);
            }
        }
        let unit = f32::from(UNIT);
        let all_sum: f32 = all.iter().sum::<f32>() / unit;
        let own = &self.counts[cell.0 as usize * BINS..][..BINS];
        let own_sum = own.iter().map(|c| f32::from(*c)).sum::<f32>() / unit;
        std::array::from_fn(|bin| {
            let guessed = GUESS_WEIGHT * GUESSES[bin];
            let pooled = (all[bin] / unit + guessed) / (all_sum + GUESS_WEIGHT);
            (f32::from(own[bin]) / unit + POOLED_WEIGHT * pooled) / (own_sum + POOLED_WEIGHT)
        })
    }

    /// The number of replicas that is the cheapest in expectation, for each price of an idle replica (1: it is paid for one
    /// tick only; more: it cannot be given back that fast). Between 1 and `most`.
    pub fn cheapest<const N: usize>(
        &self,
        cell: Cell,
        said: f32,
        now: f32,
        costs: &Costs,
        idle: &[f32; N],
        most: u32,
    ) -> [u32; N] {
        let top = OUTCOME_HIGH * said.max(now).max(costs.capacity);
        let chances = self.chances(cell);
        let mut outcomes = [(0.0f32, 0.0f32); BINS];
        for (bin, outcome) in outcomes.iter_mut().enumerate() {
            let came = (said + costs.capacity) * RATIOS[bin] - costs.capacity;
            *outcome = (came.clamp(0.0, top), chances[bin]);
        }
        let carried = costs.capacity * costs.knee;
        // Prices lie close to each other, so that the same numbers are asked for again and again.
        let mut known = [(u32::MAX, 0.0f32); KNOWN];
        let mut short = |replicas: u32| {
            let place = &mut known[replicas as usize % KNOWN];
            if place.0 == replicas {
                return place.1;
            }
            let most_carried = replicas as f32 * carried;
            let over = outcomes.iter().rev().take_while(|(came, _)| *came > most_carried).filter(|o| o.1 > 0.0);
            *place = (replicas, over.map(|(came, chance)| chance * costs.short(*came, replicas)).sum::<f32>());
            place.1
        };
        let enough = ((top / carried).ceil() as u32).clamp(1, most.max(1));
        // What one more replica saves falls as replicas are added: where it is worth it no more is found in leaps from
        // where it is likely, and then by halving.
        let mut saves = |replicas: u32| short(replicas) - short(replicas + 1);
        let mut likely = ((said / carried).ceil() as u32).clamp(1, enough);
        idle.map(|price| {
            let (mut low, mut high) = (1, enough);
            let mut leap = 1;
            if saves(likely) > price {
                low = (likely + 1).min(enough);
                while low + leap < high {
                    if saves(low + leap) > price {
                        low += leap + 1
                    } else {
                        high = low + leap
                    }
                    leap *= 2;
                }
                low = low.min(high);
            } else {
                high = likely;
                while high > low + leap {
                    if saves(high - leap) > price {
                        low = high - leap + 1
                    } else {
                        high -= leap
                    }
                    leap *= 2;
                }
            }
            while low < high {
                let middle = low + (high - low) / 2;
                if saves(middle) > price { low = middle + 1 } else { high = middle }
            }
            likely = low;
            low
        })
    }

    /// The counts, for storing.
    pub fn counts(&self) -> &[u16] {
        &self.counts
    }

    /// From stored counts; `None` when they are not as many as there should be.
    pub fn from_counts(counts: Vec<u16>) -> Option<Self> {
        (counts.len() == Self::COUNTS).then_some(Self { counts })
    }
}
