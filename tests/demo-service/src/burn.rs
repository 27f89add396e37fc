//! CPU work of a known size.
//!
//! A loop that watches the clock would burn less when the machine is busy, and then load would make requests cheaper. So the
//! work is a number of rounds, measured once at the start: the fastest of several short runs, which the scheduler disturbed
//! least.

use std::hint::black_box;
use std::time::Duration;

use crate::time;

/// Rounds of one measuring run: some 0.1 ms.
const MEASURED_ROUNDS: u64 = 100_000;
/// Measuring runs; the fastest counts.
const MEASURING_RUNS: usize = 20;

/// A fixed amount of CPU work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burn {
    rounds: u64,
}

impl Burn {
    /// Work that takes `cpu_ms` milliseconds of an undisturbed core.
    pub(crate) fn calibrated(cpu_ms: f64) -> Self {
        let fastest = (0..MEASURING_RUNS)
            .map(|_| {
                let start = time::now();
                spin(MEASURED_ROUNDS);
                start.elapsed()
            })
            .min()
            .unwrap_or(Duration::from_micros(100));
        let rounds_per_ms = MEASURED_ROUNDS as f64 / (fastest.as_secs_f64() * 1000.0).max(1e-6);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both factors are checked to be small and not negative"
        )]
        let rounds = (cpu_ms * rounds_per_ms) as u64;
        Self { rounds }
    }

    /// Does the work; the result depends on every round, so that nothing is optimised away.
    pub(crate) fn run(self) -> u64 {
        spin(self.rounds)
    }
}

fn spin(rounds: u64) -> u64 {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..rounds {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_grows_with_the_wish() {
        let (small, large) = (Burn::calibrated(0.1), Burn::calibrated(10.0));
        assert!(small.rounds > 0);
        // The two were measured apart; a factor of 100 was asked for, and a busy machine blurs it.
        assert!(large.rounds > 10 * small.rounds, "{small:?} {large:?}");
        assert_eq!(Burn::calibrated(0.0).rounds, 0);
        assert_ne!(small.run(), 0);
    }
}
