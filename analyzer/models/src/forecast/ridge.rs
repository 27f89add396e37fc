//! Ridge regression on lags, Fourier terms and time, run forward step by step.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_elasticnet::ElasticNet;
use ndarray::{Array1, Array2};

/// Rows that are learnt from; older ones weigh little anyway.
const ROWS_MAX: usize = 4_000;
/// Fewest rows for each feature: with fewer the fit is noise.
const ROWS_PER_FEATURE: usize = 3;
/// Harmonics of the season.
const HARMONICS: usize = 2;
/// A row's weight shrinks by this factor a step into the past.
const FORGETTING: f64 = 0.9995;
/// Penalty on the squared weights, in units of one row.
const PENALTY: f64 = 1.0;
/// Coordinate descent stops here at the latest; it is well past the point where forecasts still change.
const ITERATIONS_MAX: u32 = 300;

/// Fitted weights.
#[derive(Debug, Clone)]
pub(super) struct Ridge {
    lags: Vec<usize>,
    season: Option<usize>,
    mean: f64,
    weights: Vec<f64>,
}

impl Ridge {
    /// Fits the weights, or `None` when the history is too short.
    pub(super) fn fit(history: &[f64], season: Option<usize>) -> Option<Self> {
        let lags = lags(history.len(), season);
        let longest = *lags.last()?;
        let start = longest.max(history.len().saturating_sub(ROWS_MAX));
        let mean = history.iter().sum::<f64>() / history.len() as f64;
        let mut ridge = Self { lags, season, mean, weights: Vec::new() };
        let width = ridge.num_features();
        if history.len() < longest + ROWS_PER_FEATURE * width {
            return None;
        }
        // The rows enter as the triangle of their normal equations, so that the solver's work does not depend on the length of
        // the history: |Xw - y|² and |Rw - z|² differ by a constant when R'R = X'X and R'z = X'y.
        let mut gram = vec![0.0; width * width];
        let mut moment = vec![0.0; width];
        let mut row = vec![0.0; width];
        for index in start..history.len() {
            ridge.features(history, index, &mut row);
            let weight = FORGETTING.powf((history.len() - 1 - index) as f64);
            let target = weight * (history[index] - mean);
            for (i, &x) in row.iter().enumerate() {
                moment[i] += x * target;
                let scaled = weight * x;
                for (slot, y) in gram[i * width..=i * width + i].iter_mut().zip(&row) {
                    *slot += scaled * y;
                }
            }
        }
        let (triangle, targets) = triangular(gram, &moment, width)?;
        let rows = Dataset::new(Array2::from_shape_vec((width, width), triangle).ok()?, Array1::from_vec(targets));
        let model = ElasticNet::<f64>::ridge()
            .penalty(PENALTY / width as f64)
            .with_intercept(false)
            .max_iterations(ITERATIONS_MAX)
            .fit(&rows)
            .ok()?;
        ridge.weights = model.hyperplane().to_vec();
        ridge.weights.iter().all(|w| w.is_finite()).then_some(ridge)
    }

    /// Runs forward, each step from the steps before it.
    pub(super) fn predict(&self, history: &[f64], horizon: usize) -> Vec<f64> {
        let mut values = history.to_vec();
        let mut row = vec![0.0; self.num_features()];
        for _ in 0..horizon {
            let index = values.len();
            self.features(&values, index, &mut row);
            let z: f64 = row.iter().zip(&self.weights).map(|(x, w)| x * w).sum();
            values.push(self.mean + z);
        }
        values.split_off(history.len())
    }

    fn num_features(&self) -> usize {
        self.lags.len() + if self.season.is_some() { 2 * HARMONICS } else { 0 } + 1
    }

    /// Lagged values, then Fourier terms, then time (in units of the longest history, so that its weight stays small).
    fn features(&self, values: &[f64], index: usize, row: &mut [f64]) {
        let lagged = self.lags.iter().map(|&lag| index.checked_sub(lag).map_or(0.0, |i| values[i] - self.mean));
        let fourier = self.season.into_iter().flat_map(|m| {
            let angle = (index % m) as f64 / m as f64 * std::f64::consts::TAU;
            (1..=HARMONICS).flat_map(move |k| [(angle * k as f64).sin(), (angle * k as f64).cos()])
        });
        let time = index as f64 / ROWS_MAX as f64;
        for (slot, value) in row.iter_mut().zip(lagged.chain(fourier).chain([time])) {
            *slot = value;
        }
    }
}

/// Recent lags, and those around one, two and seven periods ago.
fn lags(n: usize, season: Option<usize>) -> Vec<usize> {
    let mut lags: Vec<usize> = match season {
        None => (1..=24.min(n / 5)).collect(),
        Some(m) => {
            let near = m.min(24);
            let around = |center: usize, reach: usize| center.saturating_sub(reach).max(1)..=center + reach;
            let mut lags: Vec<usize> = (1..=near).chain(around(m, 2)).collect();
            if n > 4 * m {
                lags.extend(around(2 * m, 1));
            }
            if n > 10 * m {
                lags.extend(around(7 * m, 1));
            }
            lags
        }
    };
    lags.sort_unstable();
    lags.dedup();
    lags
}

/// `R` (upper triangle, row by row) with `R'R = gram` and `z` with `R'z = moment`; `None` when the features are not
/// numbers. `gram` has its lower half filled.
fn triangular(mut gram: Vec<f64>, moment: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let diagonal = (0..n).map(|i| gram[i * n + i]).fold(0.0, f64::max);
    // A little on the diagonal keeps features that repeat each other from breaking the factorisation.
    let jitter = diagonal * 1e-9 + 1e-12;
    for j in 0..n {
        let mut pivot = gram[j * n + j] + jitter;
        for k in 0..j {
            pivot -= gram[j * n + k] * gram[j * n + k];
        }
        let root = pivot.max(jitter).sqrt();
        if !root.is_finite() {
            return None;
        }
        gram[j * n + j] = root;
        for i in j + 1..n {
            let mut value = gram[i * n + j];
            for k in 0..j {
                value -= gram[i * n + k] * gram[j * n + k];
            }
            gram[i * n + j] = value / root;
        }
    }
    let mut targets = vec![0.0; n];
    for i in 0..n {
        let below: f64 = (0..i).map(|k| gram[i * n + k] * targets[k]).sum();
        targets[i] = (moment[i] - below) / gram[i * n + i];
    }
    let mut upper = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            upper[j * n + i] = gram[i * n + j];
        }
    }
    targets.iter().chain(&upper).all(|v| v.is_finite()).then_some((upper, targets))
}
