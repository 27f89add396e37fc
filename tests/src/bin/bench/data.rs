//! The data: what agents send looks like counters that grow unevenly and levels with two decimals, and nothing repeats.

/// Series per host of the live data.
const PER_HOST: usize = 100;

/// A series that makes up its own values.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Labels, sorted by name.
    pub(crate) labels: Vec<(String, String)>,
    kind: Kind,
    seed: u64,
    value: f64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter {
        per_step: u64,
    },
    Level,
    /// A value with all its digits, as an average has.
    Ratio,
}

impl Series {
    /// The next sample's value.
    pub(crate) fn advance(&mut self) -> f64 {
        self.seed = mixed(self.seed);
        let drawn = self.seed >> 33;
        match self.kind {
            Kind::Counter { per_step } => self.value += (drawn % (2 * per_step + 1)) as f64,
            Kind::Level => self.value = ((self.value * 100.0 + (drawn % 41) as f64 - 20.0).round() / 100.0).abs(),
            Kind::Ratio => self.value = drawn as f64 / f64::from(u32::MAX),
        }
        self.value
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `count` series of `prefix`: a hundred for each host; four of five are counters, one of fifty has all its digits.
pub(crate) fn series(prefix: &str, count: usize) -> Vec<Series> {
    (0..count)
        .map(|number| {
            let (host, index) = (number / PER_HOST, number % PER_HOST);
            let seed = mixed(number as u64);
            let kind = match index {
                i if i % 50 == 49 => Kind::Ratio,
                i if i % 5 == 0 => Kind::Level,
                _ => Kind::Counter { per_step: 1 << (seed % 12) },
            };
            let stem = if matches!(kind, Kind::Counter { .. }) { "requests" } else { "level" };
            let total = if matches!(kind, Kind::Counter { .. }) { "_total" } else { "" };
            let labels = [
                ("__name__", format!("{prefix}_{stem}_{}{total}", index % 10)),
                ("host", format!("host-{host:05}")),
                ("index", index.to_string()),
                ("job", prefix.to_owned()),
            ];
            let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Series { labels, kind, seed, value: (seed % 10_000) as f64 }
        })
        .collect()
}
