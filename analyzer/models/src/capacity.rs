//! How much load a replica carries, learned from what was seen: load per replica against CPU, latency and errors.

/// Fewest samples from which anything is learned.
const SAMPLES_MIN: usize = 30;
/// Groups that samples are sorted into by load.
const GROUPS: usize = 20;
/// CPU follows the load well enough when the line explains this share of its variance.
const EXPLAINED_MIN: f64 = 0.5;
/// A line is believed up to this multiple of the highest load seen.
const EXTRAPOLATED_MAX: f64 = 3.0;

/// What was seen at one time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CapacitySample {
    /// Load per ready replica.
    pub load: f64,
    /// Share of its CPU that a replica used.
    pub cpu: Option<f64>,
    /// Latency, in seconds, at the quantile that matters.
    pub latency: Option<f64>,
    /// Share of requests that failed.
    pub errors: Option<f64>,
}

/// What a replica may be driven to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityLimits {
    /// Share of its CPU.
    pub cpu: f64,
    /// Latency in seconds.
    pub latency: f64,
    /// Share of requests that fail.
    pub errors: f64,
}

/// What sets the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityBy {
    /// CPU would pass its limit.
    Cpu,
    /// Latency passes its limit.
    Latency,
    /// Errors pass their limit.
    Errors,
    /// Nothing has yet: a replica carries at least the highest load that was seen.
    AtLeast,
}

/// How much a replica carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Load per replica.
    pub per_replica: f64,
    /// What sets it.
    pub by: CapacityBy,
}

impl Capacity {
    /// Load that a number of replicas carries: with those that are ready now, or with those that the quota allows.
    pub fn of(&self, replicas: u32) -> f64 {
        self.per_replica * f64::from(replicas)
    }
}

/// Learns the capacity of a replica: the lowest load at which any signal passes its limit. Samples without a finite, positive
/// load do not count; `None` when fewer than thirty are left.
pub fn capacity(samples: &[CapacitySample], limits: &CapacityLimits) -> Option<Capacity> {
    let mut sorted: Vec<CapacitySample> =
        samples.iter().copied().filter(|s| s.load.is_finite() && s.load > 0.0).collect();
    if sorted.len() < SAMPLES_MIN {
        return None;
    }
    sorted.sort_by(|a, b| a.load.total_cmp(&b.load));
    let highest = sorted.last()?.load;
    let pairs = |signal: fn(&CapacitySample) -> Option<f64>| -> Vec<(f64, f64)> {
        let known = sorted.iter().filter_map(|s| Some((s.load, signal(s)?)));
        known.filter(|(_, value)| value.is_finite() && *value >= 0.0).collect()
    };
    let found = [
        (CapacityBy::Cpu, by_line(&pairs(|s| s.cpu), limits.cpu, highest)),
        (CapacityBy::Latency, by_knee(&pairs(|s| s.latency), limits.latency)),
        (CapacityBy::Errors, by_knee(&pairs(|s| s.errors), limits.errors)),
    ];
    let lowest = found.into_iter().filter_map(|(by, load)| Some(Capacity { per_replica: load?, by }));
    let lowest = lowest.min_by(|a, b| a.per_replica.total_cmp(&b.per_replica));
    Some(lowest.unwrap_or(Capacity { per_replica: highest, by: CapacityBy::AtLeast }))
}

/// CPU grows in a line with the load: where it meets the limit.
fn by_line(pairs: &[(f64, f64)], limit: f64, highest: f64) -> Option<f64> {
    if pairs.len() < SAMPLES_MIN {
        return None;
    }
    let count = pairs.len() as f64;
    let (mean_x, mean_y) = pairs.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / count, m.1 + p.1 / count));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xx += (x - mean_x).powi(2);
        xy += (x - mean_x) * (y - mean_y);
        yy += (y - mean_y).powi(2);
    }
    let explained = xy * xy / (xx * yy);
    if explained.is_nan() || explained < EXPLAINED_MIN || xy <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    let load = mean_x + (limit - mean_y) / slope;
    (load > 0.0 && load <= EXTRAPOLATED_MAX * highest).then_some(load)
}

/// Latency and errors stay low and then rise: halfway between the last load that was good and the first from which on none
/// was. `None` when even the highest was good, or the lowest was not (then load is not the reason).
fn by_knee(pairs: &[(f64, f64)], limit: f64) -> Option<f64> {
    if pairs.len() < SAMPLES_MIN {
        return None;
    }
    let groups: Vec<&[(f64, f64)]> = pairs.chunks(pairs.len().div_ceil(GROUPS)).collect();
    let is_bad = |group: &&[(f64, f64)]| {
        let mut values: Vec<f64> = group.iter().map(|p| p.1).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).is_some_and(|median| *median > limit)
    };
    let last_good = groups.iter().rposition(|group| !is_bad(group))?;
    let first_bad = groups.get(last_good + 1)?;
    Some((groups[last_good].last()?.0 + first_bad.first()?.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CapacityLimits = CapacityLimits { cpu: 0.8, latency: 0.5, errors: 0.01 };

    /// Loads from 1 to 100 with signals made of them.
    fn seen(signals: impl Fn(f64) -> CapacitySample) -> Vec<CapacitySample> {
        (1..=100).map(|load| CapacitySample { load: f64::from(load), ..signals(f64::from(load)) }).collect()
    }

    fn check(name: &str, samples: &[CapacitySample], by: CapacityBy, from: f64, to: f64) {
        let learned = capacity(samples, &LIMITS).expect("enough samples");
        assert_eq!(learned.by, by, "{name}: {learned:?}");
        assert!((from..=to).contains(&learned.per_replica), "{name}: {learned:?}");
    }

    #[test]
    fn the_lowest_limit_counts() {
        let noise = |load: f64| 0.02 * (load * 12.9).sin();
        let cpu = |load: f64| CapacitySample { cpu: Some(0.05 + load / 200.0 + noise(load)), ..Default::default() };
        check("cpu beyond what was seen", &seen(cpu), CapacityBy::Cpu, 145.0, 155.0);
        let latency = |load: f64| CapacitySample {
            latency: Some(if load > 60.0 { 0.9 } else { 0.1 } + noise(load)),
            ..cpu(load)
        };
        check("latency before cpu", &seen(latency), CapacityBy::Latency, 57.0, 63.0);
        let errors = |load: f64| CapacitySample { errors: Some(if load > 40.0 { 0.2 } else { 0.0 }), ..latency(load) };
        check("errors before latency", &seen(errors), CapacityBy::Errors, 38.0, 43.0);
        let calm =
            |_: f64| CapacitySample { cpu: Some(0.3), latency: Some(0.1), errors: Some(0.0), ..Default::default() };
        check("nothing passes", &seen(calm), CapacityBy::AtLeast, 100.0, 100.0);
        let down = |_: f64| CapacitySample { errors: Some(1.0), ..Default::default() };
        check("broken at any load", &seen(down), CapacityBy::AtLeast, 100.0, 100.0);
        let spike =
            |load: f64| CapacitySample { latency: Some(if load < 10.0 { 2.0 } else { 0.1 }), ..Default::default() };
        check("slow when idle is not load", &seen(spike), CapacityBy::AtLeast, 100.0, 100.0);
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(capacity(&[], &LIMITS), None);
        let broken = vec![CapacitySample { load: f64::NAN, cpu: Some(0.1), ..Default::default() }; 100];
        assert_eq!(capacity(&broken, &LIMITS), None);
        let learned = Capacity { per_replica: 80.0, by: CapacityBy::Cpu };
        assert_eq!((learned.of(5), learned.of(0)), (400.0, 0.0));
    }
}
