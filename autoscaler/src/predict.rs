//! The predictive planner: candidates replay the recorded load, the cheapest takes charge.
//!
//! The load does not depend on what we decide, so every candidate (a [`LoadMethod`], a price of idle replicas, a time to hold)
//! can be tried on the load as it comes, with the start-up delay and the guards that real decisions have. [`Predictor::tick`]
//! does that every fifteen seconds for all candidates, and lets the one that was the cheapest over the last day or so speak.

mod candidate;
mod codec;

use models::load::{
    Cell, Costs, LoadErrors, LoadHistory, LoadMethod, METHODS, Onsets, Outlook, TICK_MS, TICKS_PER_MINUTE, outlook,
};
use vocab::TimestampMs;

pub(crate) use self::candidate::TRIFLE_SHARE;
use self::candidate::{Candidate, HOLDS, HOLDS_EXACT, Hold, PRICES, Round};

/// A candidate takes over when its cost is below this share of that of the one in charge.
const BETTER_SHARE: f32 = 0.98;
/// A forecast that lately cost this much more than the naive one is not used.
const WORSE_SHARE: f32 = 1.1;
/// Who is in charge is looked at this often, in ticks.
const CONTEST_TICKS: i64 = 20;
/// Load that must have been seen before anyone but the plain rule may be in charge, in ticks: six hours.
const CONTEST_AFTER_TICKS: u32 = 1440;
/// Factors by which the plain rule multiplies the measured load, in place of prices.
const PLAIN_FACTORS: [f32; PRICES.len()] = [0.9, 0.925, 0.95, 1.0, 1.1];
/// The plain rule's place behind the methods.
const PLAIN: usize = METHODS.len();
/// Kinds of candidates.
const KINDS: usize = METHODS.len() + 1;
/// Candidates.
const CANDIDATES: usize = KINDS * PRICES.len() * HOLDS.len();
/// Who is in charge at first: the plain rule with the third factor, held for five minutes.
const FIRST: usize = (PLAIN * PRICES.len() + 2) * HOLDS.len() + 1;
/// A method that said this much more than came, one start-up ago, has disappointed.
const DISAPPOINTED: f32 = 1.4;
/// Longest delay that candidates are tried with, in ticks: ten minutes.
const DELAY_TICKS_MAX: i64 = 40;
/// Ticks that make a level: ten minutes.
const LEVEL_TICKS: usize = 40;
/// A load this many times that of the minute before is a crowd: it is answered at once …
const CROWD_FACTOR: f32 = 1.5;
/// … if it is at least this many replicas more …
const CROWD_REPLICAS: f32 = 2.0;
/// … and may still grow: this share of it is provided for.
const CROWD_SHARE: f32 = 1.05;
/// An unknown load is foreseen for this long, in ticks: fifteen minutes.
const FORESEEN_TICKS: i64 = 60;
/// Measured load counts for this long as a need that is given back slowly, in ticks: twenty minutes.
const MEASURED_TICKS: i64 = 20 * TICKS_PER_MINUTE;

/// What the planner asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish {
    /// Replicas to have at least, from now on.
    pub up: u32,
    /// Replicas not to fall below.
    pub keep: u32,
    /// Load that is expected when replicas asked for now are ready.
    pub soon: f32,
    /// The candidate in charge.
    chosen: u16,
}

/// A forecast that was made, until it comes due.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    tick: i64,
    loads: [f32; METHODS.len()],
    cells: [Cell; METHODS.len()],
}

/// Everything the planner remembers of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictor {
    last_tick: i64,
    seen_ticks: u32,
    history: LoadHistory,
    onsets: Onsets,
    errors: Vec<LoadErrors>,
    said: Vec<Said>,
    candidates: Vec<Candidate>,
    holds: Vec<Hold>,
    measured: Hold,
    chosen: u16,
    /// Whether a naive candidate is in charge because the best one was worse than it lately.
    fell_back: bool,
    wish: Option<Wish>,
}

/// What the planner is told each round.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Now.
    pub now: TimestampMs,
    /// The load; `None` when it is unknown or not believed.
    pub load: Option<f64>,
    /// Replicas asked for.
    pub replicas: u32,
    /// Time from asking for a replica to its being ready, in milliseconds.
    pub delay_ms: i64,
    /// Lags of the last seven days in minutes.
    pub days: &'a [i64; 7],
    /// Most replicas.
    pub max: u32,
}

impl Predictor {
    /// A planner that has seen nothing.
    pub fn new(now: TimestampMs, costs: &Costs) -> Self {
        let tick = now.div_euclid(TICK_MS);
        Self {
            last_tick: tick - 1,
            seen_ticks: 0,
            history: LoadHistory::new(tick.div_euclid(TICKS_PER_MINUTE), costs.capacity / 64.0),
            onsets: Onsets::default(),
            errors: vec![LoadErrors::default(); METHODS.len()],
            said: Vec::new(),
            candidates: Vec::new(),
            holds: vec![Hold::default(); CANDIDATES],
            measured: Hold::default(),
            chosen: FIRST as u16,
            fell_back: false,
            wish: None,
        }
    }

    /// What was asked for last.
    pub fn wish(&self) -> Option<Wish> {
        self.wish
    }

    /// Replicas that the measured load needed within the last twenty minutes: more were added by forecasts only.
    pub fn measured(&self) -> u32 {
        u32::from(self.measured.highest(MEASURED_TICKS))
    }

    /// Who is in charge, in words.
    pub fn words(&self) -> String {
        let (kind, price, hold) = parts(usize::from(self.chosen));
        let minutes = hold_ticks(kind, hold) as f64 / TICKS_PER_MINUTE as f64;
        match METHODS.get(kind) {
            Some(method) => format!("{} at idle price {}, held {minutes} min", method.as_str(), PRICES[price]),
            None => format!("the measured load × {}, held {minutes} min", PLAIN_FACTORS[price]),
        }
    }

    /// Whether forecasts are not used because lately they were worse than the naive one.
    pub fn fell_back(&self) -> bool {
        self.fell_back
    }

    /// The mean load of the last ten minutes.
    pub fn level(&self) -> f64 {
        f64::from(self.history.mean_recent(LEVEL_TICKS))
    }

    /// The load that is usual at this time of day: the median of the last three days; `None` before a day was seen.
    pub fn usual(&self, now: TimestampMs, days: &[i64; 7]) -> Option<f64> {
        let minute = now.div_euclid(TICK_MS * TICKS_PER_MINUTE);
        let mut seen: Vec<f32> =
            days[..3].iter().filter_map(|lag| self.history.mean(minute - lag - 2, minute - lag + 2)).collect();
        seen.sort_by(f32::total_cmp);
        seen.get(seen.len() / 2).map(|v| f64::from(*v))
    }

    /// Takes in a round. Does nothing more than once in fifteen seconds.
    pub fn tick(&mut self, seen: &Seen<'_>, costs: &Costs) {
        let tick = seen.now.div_euclid(TICK_MS);
        let Some(load) = seen.load else { return self.foresee(tick, seen, costs) };
        if tick <= self.last_tick {
            return;
        }
        self.last_tick = tick;
        self.seen_ticks = self.seen_ticks.saturating_add(1);
        let load = load as f32;
        let delay_ticks = delay_ticks(seen);
        self.history.push(tick.div_euclid(TICKS_PER_MINUTE), load);
        self.onsets.note(tick, self.history.recent(), costs.capacity);
        let looks = outlook(&self.history, &self.onsets, tick, delay_ticks, seen.days);
        let cells = self.learn(tick, delay_ticks, load, &looks, costs);
        let most = seen.max.min(u32::from(u16::MAX));
        let needs = self.needs(&looks, &cells, load, costs, most);
        let measured = ceil_div(load, costs.capacity * costs.knee, most);
        let measured = self.measured.push(tick, MEASURED_TICKS, measured as u16);
        let round = Round::new(tick, delay_ticks, load, measured);
        if self.candidates.is_empty() {
            self.candidates = vec![Candidate::start(seen.replicas.min(most) as u16); CANDIDATES];
        }
        for (index, candidate) in self.candidates.iter_mut().enumerate() {
            let (kind, price, hold) = parts(index);
            let (up, keep) = needs[kind][price];
            let keep = self.holds[index].push(tick, hold_ticks(kind, hold), up).max(keep);
            candidate.play(&round, up, keep, costs);
        }
        if self.seen_ticks >= CONTEST_AFTER_TICKS && tick.rem_euclid(CONTEST_TICKS) == 0 {
            self.contest();
        }
        let (kind, price, hold) = parts(usize::from(self.chosen));
        let (up, keep) = needs[kind][price];
        let held = self.holds[usize::from(self.chosen)].highest(hold_ticks(kind, hold));
        self.wish = Some(Wish {
            up: u32::from(up),
            keep: u32::from(held.max(keep)),
            soon: looks.get(kind).map_or(load, |l| l.soon),
            chosen: self.chosen,
        });
    }

    /// Goes on from the last load that was believed, for as long as an unknown one usually lasts: what comes at this time
    /// every day comes also when nobody sees it. Nothing is learnt, and nothing planned is given back.
    fn foresee(&mut self, tick: i64, seen: &Seen<'_>, costs: &Costs) {
        let Some(wish) = self.wish.filter(|_| (1..=FORESEEN_TICKS).contains(&(tick - self.last_tick))) else { return };
        let delay_ticks = delay_ticks(seen);
        let looks = outlook(&self.history, &self.onsets, tick, delay_ticks, seen.days);
        let now = self.history.mean_recent(2);
        let cells = std::array::from_fn(|method| Cell::of(looks[method].soon, now, false, costs));
        let most = seen.max.min(u32::from(u16::MAX));
        let (kind, price, _) = parts(usize::from(self.chosen));
        let (up, keep) = self.needs(&looks, &cells, now, costs, most)[kind][price];
        let soon = looks.get(kind).map_or(now, |l| l.soon);
        self.wish = Some(Wish { up: u32::from(up), keep: wish.keep.max(u32::from(keep)), soon, chosen: self.chosen });
    }

    /// Learns from the forecasts that come due now, and remembers those that are made now.
    fn learn(
        &mut self,
        tick: i64,
        delay_ticks: i64,
        load: f32,
        looks: &[Outlook; METHODS.len()],
        costs: &Costs,
    ) -> [Cell; METHODS.len()] {
        let due = tick - delay_ticks - 2;
        let came = self.said.iter().rposition(|s| s.tick <= due);
        let past = came.map(|last| self.said.drain(..=last).next_back()).unwrap_or_default();
        if let Some(past) = past.filter(|s| s.tick == due) {
            for (errors, (cell, said)) in self.errors.iter_mut().zip(past.cells.iter().zip(past.loads)) {
                errors.learn(*cell, said, load, costs);
            }
        }
        let now = self.history.mean_recent(2);
        let cells = std::array::from_fn(|method| {
            let said_for_now = past.map_or(load, |p| p.loads[method]);
            let is_off = (said_for_now + costs.capacity) > DISAPPOINTED * (load + costs.capacity);
            Cell::of(looks[method].soon, now, is_off, costs)
        });
        self.said.push(Said { tick, loads: looks.map(|l| l.soon), cells });
        cells
    }

    /// What each kind of candidate asks for at each price: at least, and not to fall below.
    fn needs(
        &self,
        looks: &[Outlook; METHODS.len()],
        cells: &[Cell; METHODS.len()],
        load: f32,
        costs: &Costs,
        most: u32,
    ) -> [[(u16, u16); PRICES.len()]; KINDS] {
        let floor = floor(f64::from(load), costs, most).max(self.crowd(load, costs, most)) as u16;
        let now = self.history.mean_recent(2);
        std::array::from_fn(|kind| {
            let Some(look) = looks.get(kind) else {
                return PLAIN_FACTORS.map(|factor| {
                    let need = ceil_div(now * factor, costs.capacity * costs.knee, most) as u16;
                    (need.max(floor), need.max(floor))
                });
            };
            let errors = &self.errors[kind];
            let soon = errors.cheapest(cells[kind], look.soon, now, costs, &PRICES, most);
            let later = if look.later > look.soon {
                errors.cheapest(cells[kind], look.later, now, costs, &PRICES, most)
            } else {
                soon
            };
            std::array::from_fn(|price| {
                let up = (soon[price] as u16).max(floor);
                (up, (later[price] as u16).max(up))
            })
        })
    }

    /// Replicas for a crowd that has just come, in one call; 0 when there is none.
    fn crowd(&self, load: f32, costs: &Costs, most: u32) -> u32 {
        let recent = self.history.recent();
        let Some(before) =
            recent.len().checked_sub(1 + TICKS_PER_MINUTE as usize).map(|from| &recent[from..recent.len() - 1])
        else {
            return 0;
        };
        let before = before.iter().sum::<f32>() / before.len() as f32;
        let has_come = load > CROWD_FACTOR * before && load > before + CROWD_REPLICAS * costs.capacity;
        if has_come { ceil_div(load * CROWD_SHARE, costs.capacity * costs.knee, most) } else { 0 }
    }

    fn contest(&mut self) {
        let cheapest = |is_eligible: &dyn Fn(usize) -> bool| {
            let costs = self.candidates.iter().enumerate().filter(|(index, _)| is_eligible(*index));
            costs.min_by(|a, b| a.1.cost.total_cmp(&b.1.cost))
        };
        let is_naive = |index: usize| matches!(parts(index).0, 0 | PLAIN);
        let (Some(best), Some(naive)) = (cheapest(&|_| true), cheapest(&is_naive)) else { return };
        let Some(in_charge) = self.candidates.get(usize::from(self.chosen)) else { return };
        let chosen = if best.1.cost < BETTER_SHARE * in_charge.cost { best.0 } else { usize::from(self.chosen) };
        self.fell_back = !is_naive(chosen) && self.candidates[chosen].recent > WORSE_SHARE * naive.1.recent;
        self.chosen = if self.fell_back { naive.0 } else { chosen } as u16;
    }
}

/// The start-up delay in ticks, rounded up.
fn delay_ticks(seen: &Seen<'_>) -> i64 {
    (seen.delay_ms.saturating_add(TICK_MS - 1) / TICK_MS).clamp(0, DELAY_TICKS_MAX)
}

/// Kind, price and time to hold of a candidate.
fn parts(index: usize) -> (usize, usize, usize) {
    (index / (PRICES.len() * HOLDS.len()), index / HOLDS.len() % PRICES.len(), index % HOLDS.len())
}

/// How long a kind of candidate holds what it planned, in ticks.
fn hold_ticks(kind: usize, hold: usize) -> i64 {
    if METHODS.get(kind) == Some(&LoadMethod::Onset) { HOLDS_EXACT[hold] } else { HOLDS[hold] }
}

/// Share of saturation up to which the measured load alone asks for nothing: beyond it no forecast is waited for.
pub(crate) const FLOOR_SHARE: f32 = 0.95;

/// Replicas that the measured load needs, whatever is expected.
pub(crate) fn floor(load: f64, costs: &Costs, most: u32) -> u32 {
    ceil_div(load as f32, costs.capacity * FLOOR_SHARE, most)
}

fn ceil_div(load: f32, per_replica: f32, most: u32) -> u32 {
    ((load / per_replica - 1e-6).ceil().max(1.0) as u32).min(most.max(1))
}

#[cfg(test)]
mod tests;
