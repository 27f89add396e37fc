//! One candidate's replay: what it would have run, and what that would have cost.

use models::load::Costs;

/// Prices of an idle replica: what is added cannot be given back at once, so that it costs more than one tick.
pub(super) const PRICES: [f32; 5] = [1.0, 1.6, 2.5, 4.5, 8.0];
/// Times to hold what was planned, in ticks: 2, 5 and 15 minutes. What was measured is held by the guards.
pub(super) const HOLDS: [i64; 3] = [8, 20, 60];
/// The same for what is planned to the tick: half a minute, 2 and 5 minutes.
pub(super) const HOLDS_EXACT: [i64; 3] = [2, 8, 20];
/// No scale-in for this long after scale-out, in ticks: ten minutes, and not a tick sooner.
const TURN_TICKS: u8 = 41;
/// Less than this share is not worth a change of direction: it is kept.
pub(crate) const TRIFLE_SHARE: f64 = 0.05;
/// A change of direction this soon after the last change is a reversal, in ticks …
const REVERSAL_TICKS: u8 = 40;
/// … and costs this share of the replicas for a tick: of candidates that cost nearly the same the calm one is taken.
const REVERSAL_COST: f32 = 2.0;
/// Scale-in happens once in this many ticks, a minute …
const PACE_TICKS: i64 = 4;
/// … by one replica or this share.
const PACE_SHARE: f32 = 0.1;
/// Blocks of the past that are kept to know what was ready.
pub(super) const BLOCKS: usize = 11;
/// Blocks that the start-up delay is cut into.
const DELAY_BLOCKS: i64 = 8;
/// What a start costs, in replica-ticks: it keeps candidates from flapping.
const START_COST: f32 = 4.0;
/// After this many ticks a cost counts half: a day.
const COST_HALF_TICKS: f32 = 5760.0;
/// After this many ticks a recent cost counts half: three hours.
const RECENT_HALF_TICKS: f32 = 720.0;

/// The highest of the last so many ticks, in six pieces at most: a fifth more than asked, at least a tick.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Hold {
    pub(super) pieces: [u16; Self::PIECES],
}

impl Hold {
    pub(super) const PIECES: usize = 6;

    /// Adds a value of a tick; `ticks` is the time to hold.
    pub(super) fn push(&mut self, tick: i64, ticks: i64, value: u16) -> u16 {
        let piece = (ticks / (Self::PIECES as i64 - 1)).max(1);
        if tick.rem_euclid(piece) == 0 {
            self.pieces.rotate_right(1);
            self.pieces[0] = value;
        } else {
            self.pieces[0] = self.pieces[0].max(value);
        }
        self.highest(ticks)
    }

    /// The highest value of the time to hold.
    pub(super) fn highest(&self, ticks: i64) -> u16 {
        let pieces = usize::try_from(ticks).unwrap_or(0).saturating_add(1);
        self.pieces.iter().take(pieces).copied().max().unwrap_or(0)
    }
}

/// A round's numbers, the same for all candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) tick: i64,
    pub(super) delay_ticks: i64,
    pub(super) load: f32,
    /// What the measured load needed in the last minutes: more than that was added by forecasts only.
    pub(super) measured: u16,
    decay: f32,
    recent_decay: f32,
}

impl Round {
    pub(super) fn new(tick: i64, delay_ticks: i64, load: f32, measured: u16) -> Self {
        let decay = 0.5f32.powf(1.0 / COST_HALF_TICKS);
        let recent_decay = 0.5f32.powf(1.0 / RECENT_HALF_TICKS);
        Self { tick, delay_ticks, load, measured, decay, recent_decay }
    }
}

/// What a candidate would have done so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Candidate {
    /// Replicas it would have asked for by now.
    pub(super) replicas: u16,
    /// Ticks since it added some.
    pub(super) since_out: u8,
    /// Ticks since it gave some back.
    pub(super) since_in: u8,
    /// Its decayed cost, in replica-ticks.
    pub(super) cost: f32,
    /// The same, forgotten sooner.
    pub(super) recent: f32,
    /// The fewest replicas of each block of ticks, newest first.
    pub(super) blocks: [u16; BLOCKS],
}

impl Candidate {
    /// Begins with a number of replicas.
    pub(super) fn start(replicas: u16) -> Self {
        let calm = REVERSAL_TICKS.max(TURN_TICKS) + 1;
        Self { replicas, since_out: calm, since_in: calm, cost: 0.0, recent: 0.0, blocks: [replicas; BLOCKS] }
    }

    /// Plays one tick: decides, and pays for what the load that is seen now found ready.
    pub(super) fn play(&mut self, round: &Round, up: u16, keep: u16, costs: &Costs) {
        let before = self.replicas;
        let reversed = if self.decide(round, up, keep) { REVERSAL_COST * f32::from(before) } else { 0.0 };
        let stride = (round.delay_ticks + DELAY_BLOCKS - 1) / DELAY_BLOCKS;
        if stride <= 1 || round.tick.rem_euclid(stride) == 0 {
            self.blocks.rotate_right(1);
            self.blocks[0] = self.replicas;
        } else {
            self.blocks[0] = self.blocks[0].min(self.replicas);
        }
        // The load seen now was there two ticks ago; ready then was what had been asked for all the start-up time before.
        let newest = if stride <= 1 { 2 } else { 0 };
        let count = if stride <= 1 { round.delay_ticks + 1 } else { DELAY_BLOCKS + 1 };
        let ready = self.blocks.iter().skip(newest).take(count.max(1) as usize).copied().min().unwrap_or(0);
        let added = f32::from(self.replicas.saturating_sub(before));
        let paid = f32::from(self.blocks[newest]) + START_COST * added + reversed;
        let cost = paid + costs.short(round.load, u32::from(ready));
        self.cost = self.cost * round.decay + cost;
        self.recent = self.recent * round.recent_decay + cost;
    }

    /// Changes the number as the guards would; `true` when that is a reversal.
    fn decide(&mut self, round: &Round, up: u16, keep: u16) -> bool {
        let before = self.replicas;
        self.since_out = self.since_out.saturating_add(1);
        self.since_in = self.since_in.saturating_add(1);
        let (since_out, since_in) = (self.since_out, self.since_in);
        if up > before {
            self.replicas = up;
            self.since_out = 0;
            return since_in < since_out && since_in <= REVERSAL_TICKS;
        }
        if f64::from(before.saturating_sub(keep)) < TRIFLE_SHARE * f64::from(before) {
            return false;
        }
        if round.measured < before {
            self.replicas = keep.max(round.measured);
        } else if since_out >= TURN_TICKS && round.tick.rem_euclid(PACE_TICKS) == 0 {
            let pace = (f32::from(before) * PACE_SHARE) as u16;
            self.replicas = keep.max(before - pace.max(1));
        }
        if self.replicas == before {
            return false;
        }
        self.since_in = 0;
        since_out < since_in && since_out <= REVERSAL_TICKS
    }
}
