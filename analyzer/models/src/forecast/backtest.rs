//! Rolling origins: which method would have done best, and how far off it would have been.

use super::{Fitted, Method, bounded};
use crate::stats::{quantile_sorted, spread};

/// Origins tried at most; they lie a quarter of a horizon apart.
const ORIGINS_MAX: usize = 24;
/// Origins needed before a method is trusted over the last value.
const ORIGINS_MIN: usize = 3;
/// A method this close to the best one is blended in.
const BLEND_WITHIN: f64 = 1.15;
/// Errors of the past are a little smaller than those to come, since the choice was made on them.
const OPTIMISM: f64 = 1.08;

/// Errors of one method: one list per origin, one error (truth - forecast) per step.
#[derive(Debug)]
struct Errors {
    method: Method,
    by_origin: Vec<Vec<f64>>,
    mean_absolute: f64,
}

/// What the rolling origins showed.
#[derive(Debug)]
pub(super) struct Backtest {
    naive_error: f64,
    blend: Vec<(Method, f64)>,
    blend_errors: Vec<Vec<f64>>,
}

/// How far the intervals reach at one step, in scaled units; all at least 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Width {
    pub(super) below80: f64,
    pub(super) above80: f64,
    pub(super) below95: f64,
    pub(super) above95: f64,
}

impl Backtest {
    /// Forecasts from earlier origins with every method that fits; `None` when the history is too short.
    pub(super) fn run(z: &[f64], horizon: usize, season: Option<usize>) -> Option<Self> {
        let tested = horizon.min(z.len() / 4);
        let step = (tested / 4).max(1);
        let first_train = season.map_or(12, |m| 2 * m + 8).max(z.len() / 3);
        let room = z.len().checked_sub(tested)?.checked_sub(first_train)?;
        let origins = (room / step + 1).min(ORIGINS_MAX);
        if tested == 0 || origins < ORIGINS_MIN {
            return None;
        }
        let ends: Vec<usize> = (0..origins).map(|k| z.len() - tested - k * step).collect();
        let train = &z[..ends[origins - 1]];
        let tried: Vec<Errors> = Method::ALL
            .into_iter()
            .filter_map(|method| {
                let fitted = Fitted::fit(method, train, season)?;
                Some(Errors::of(method, &fitted, z, &ends, tested))
            })
            .collect();
        let naive_error = tried.first()?.mean_absolute;
        let best = tried.iter().map(|e| e.mean_absolute).fold(f64::INFINITY, f64::min);
        let chosen: Vec<&Errors> = tried
            .iter()
            .filter(|e| {
                e.mean_absolute <= best * BLEND_WITHIN && (e.mean_absolute < naive_error || e.method == Method::Naive)
            })
            .collect();
        let weight = |e: &Errors| (e.mean_absolute.max(1e-12)).powi(-2);
        let total: f64 = chosen.iter().map(|e| weight(e)).sum();
        let blend: Vec<(Method, f64)> = chosen.iter().map(|e| (e.method, weight(e) / total)).collect();
        let blend_errors = (0..origins)
            .map(|origin| {
                (0..tested)
                    .map(|step| chosen.iter().zip(&blend).map(|(e, b)| b.1 * e.by_origin[origin][step]).sum())
                    .collect()
            })
            .collect();
        Some(Self { naive_error, blend, blend_errors })
    }

    /// The chosen methods and their weights.
    pub(super) fn blend(&self) -> Vec<(Method, f64)> {
        self.blend.clone()
    }

    /// The blend's mean absolute error over that of the last value.
    pub(super) fn relative_error(&self) -> f64 {
        let all: Vec<f64> = self.blend_errors.iter().flatten().map(|e| e.abs()).collect();
        let own = all.iter().sum::<f64>() / all.len().max(1) as f64;
        if self.naive_error > 0.0 { own / self.naive_error } else { 1.0 }
    }

    /// Reach of the intervals: quantiles of the errors, each in units of the usual error at its distance.
    pub(super) fn widths(&self, horizon: usize) -> Vec<Width> {
        let scales = self.scales();
        let mut relative: Vec<f64> = Vec::new();
        for errors in &self.blend_errors {
            relative.extend(errors.iter().zip(&scales).map(|(e, s)| e / s.max(1e-12)));
        }
        relative.sort_unstable_by(f64::total_cmp);
        let mut absolute: Vec<f64> = relative.iter().map(|e| e.abs()).collect();
        absolute.sort_unstable_by(f64::total_cmp);
        // Half by the side's own quantile, half by both sides together: skewed errors show, few errors do not mislead.
        let reach = |part: f64, upper: bool| {
            let tail = (1.0 - part) / 2.0;
            let own = quantile_sorted(&relative, if upper { 1.0 - tail } else { tail }).unwrap_or(0.0);
            let own = if upper { own } else { -own };
            let both = quantile_sorted(&absolute, part).unwrap_or(0.0);
            let few = 1.0 + 2.0 / self.blend_errors.len() as f64;
            (0.5 * own.max(0.0) + 0.5 * both) * OPTIMISM * few.sqrt()
        };
        let unit = Width {
            below80: reach(0.8, false),
            above80: reach(0.8, true),
            below95: reach(0.95, false).max(reach(0.8, false)),
            above95: reach(0.95, true).max(reach(0.8, true)),
        };
        (0..horizon)
            .map(|step| {
                let scale = match scales.get(step) {
                    Some(scale) => *scale,
                    // Beyond what could be tried, uncertainty goes on growing as that of a random walk.
                    None => {
                        scales.last().copied().unwrap_or(1.0) * ((step + 1) as f64 / scales.len().max(1) as f64).sqrt()
                    }
                };
                unit.times(scale)
            })
            .collect()
    }

    /// The usual error at each distance: root mean square over origins and neighbouring steps, never shrinking by much.
    fn scales(&self) -> Vec<f64> {
        let steps = self.blend_errors.first().map_or(0, Vec::len);
        let squares: Vec<f64> = (0..steps)
            .map(|step| {
                let sum: f64 = self.blend_errors.iter().map(|e| e[step] * e[step]).sum();
                sum / self.blend_errors.len() as f64
            })
            .collect();
        let mut largest: f64 = 0.0;
        (0..steps)
            .map(|step| {
                let reach = (step / 2).min(12);
                let near = &squares[step - reach..=(step + reach).min(steps - 1)];
                let scale = (near.iter().sum::<f64>() / near.len() as f64).sqrt();
                largest = largest.max(scale);
                scale.max(0.8 * largest)
            })
            .collect()
    }
}

impl Errors {
    fn of(method: Method, fitted: &Fitted, z: &[f64], ends: &[usize], horizon: usize) -> Self {
        let by_origin: Vec<Vec<f64>> = ends
            .iter()
            .map(|&end| {
                let predicted = bounded(fitted.predict(&z[..end], horizon), &z[..end]);
                z[end..end + horizon].iter().zip(predicted).map(|(truth, p)| truth - p).collect()
            })
            .collect();
        let count = (ends.len() * horizon).max(1) as f64;
        let mean_absolute = by_origin.iter().flatten().map(|e: &f64| e.abs()).sum::<f64>() / count;
        Self { method, by_origin, mean_absolute }
    }
}

impl Width {
    fn times(self, scale: f64) -> Self {
        Self {
            below80: self.below80 * scale,
            above80: self.above80 * scale,
            below95: self.below95 * scale,
            above95: self.above95 * scale,
        }
    }
}

/// Reach around the last value when nothing could be tried: a random walk with twice the steps seen so far, and with fewer
/// than three values a part of the level itself.
pub(super) fn naive_widths(z: &[f64], level: f64, horizon: usize) -> Vec<Width> {
    let steps: Vec<f64> = z.windows(2).map(|w| w[1] - w[0]).collect();
    let largest = steps.iter().map(|s| s.abs()).fold(0.0, f64::max);
    let usual = spread(&steps).unwrap_or(0.0).max(0.5 * largest);
    let step_size = if z.len() < 3 { (0.2 * level).max(usual) } else { 2.0 * usual };
    (0..horizon)
        .map(|step| {
            let reach = step_size * ((step + 1) as f64).sqrt();
            let (near, far) = (1.2816 * reach, 1.96 * reach);
            Width { below80: near, above80: near, below95: far, above95: far }
        })
        .collect()
}
