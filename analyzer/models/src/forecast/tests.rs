use proptest::prelude::*;

use super::*;

fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
        .collect()
}

fn wave(t: usize, period: f64) -> f64 {
    (t as f64 / period * std::f64::consts::TAU).sin()
}

fn error(forecast: &Forecast, truth: &[f64]) -> f64 {
    forecast.mean.iter().zip(truth).map(|(f, t)| (f - t).abs()).sum::<f64>() / truth.len() as f64
}

#[test]
fn a_daily_wave_goes_on() {
    let noise = noise(5, 2000);
    let series: Vec<f64> = (0..2000).map(|t| 200.0 + 80.0 * wave(t, 144.0) + 4.0 * noise[t]).collect();
    let got = forecast(&series[..1856], ForecastOptions { horizon: 144, season: None }).expect("long enough");
    assert!(got.season.is_some_and(|m| m.abs_diff(144) <= 2), "{:?}", got.season);
    assert!(error(&got, &series[1856..]) < 3.0, "{} by {:?}", error(&got, &series[1856..]), got.methods);
    let inside = got.lower95.iter().zip(&got.upper95).zip(&series[1856..]).filter(|((l, u), t)| *l <= t && t <= u);
    assert!(inside.count() >= 130);
    assert!(got.relative_error.is_some_and(|e| e < 0.2), "{:?}", got.relative_error);
}

#[test]
fn a_line_goes_on_and_a_step_stays() {
    let line: Vec<f64> = (0..200).map(|t| 10.0 + t as f64).collect();
    let got = forecast(&line, ForecastOptions { horizon: 10, season: None }).expect("long enough");
    assert!((got.mean[9] - 219.0).abs() < 4.0, "{:?} {:?}", got.mean, got.methods);
    let mut step = vec![1.0; 100];
    step.extend(vec![9.0; 40]);
    let got = forecast(&step, ForecastOptions { horizon: 5, season: None }).expect("long enough");
    assert!(got.mean.iter().all(|m| (m - 9.0).abs() < 1.0), "{:?} {:?}", got.mean, got.methods);
}

#[test]
fn intervals_cover_what_they_say() {
    let (mut in80, mut in95, mut all) = (0, 0, 0);
    for seed in 1..30 {
        let noise = noise(seed, 700);
        let mut level = 0.0;
        let series: Vec<f64> = (0..700)
            .map(|t| {
                level += noise[t];
                50.0 + level + 5.0 * wave(t, 24.0)
            })
            .collect();
        let got = forecast(&series[..676], ForecastOptions { horizon: 24, season: None }).expect("long enough");
        for (h, truth) in series[676..].iter().enumerate() {
            all += 1;
            in80 += usize::from(got.lower80[h] <= *truth && *truth <= got.upper80[h]);
            in95 += usize::from(got.lower95[h] <= *truth && *truth <= got.upper95[h]);
        }
    }
    let part = |n: usize| n as f64 / all as f64;
    assert!((0.65..0.93).contains(&part(in80)), "80 %: {}", part(in80));
    assert!((0.85..=1.0).contains(&part(in95)), "95 %: {}", part(in95));
}

#[test]
fn a_short_history_is_honest() {
    let got = forecast(&[f64::NAN, 40.0], ForecastOptions { horizon: 3, season: None }).expect("one value");
    assert_eq!(got.mean, vec![40.0; 3]);
    assert!(got.upper95[0] - got.lower95[0] > 10.0 && got.upper95[2] > got.upper95[0], "{got:?}");
    assert_eq!(got.methods, vec![(Method::Naive, 1.0)]);
    assert_eq!(forecast(&[], ForecastOptions { horizon: 3, season: None }), None);
    assert_eq!(forecast(&[1.0], ForecastOptions::default()), None);
    let got = forecast(&[0.0; 100], ForecastOptions { horizon: 2, season: None }).expect("a constant");
    assert_eq!((got.mean, got.lower95), (vec![0.0; 2], vec![0.0; 2]));
}

#[test]
fn gaps_do_not_hurt() {
    let mut series: Vec<f64> = (0..600).map(|t| 100.0 + 20.0 * wave(t, 48.0)).collect();
    let truth: Vec<f64> = (600..648).map(|t| 100.0 + 20.0 * wave(t, 48.0)).collect();
    for t in (0..600).step_by(7) {
        series[t] = f64::NAN;
    }
    let got = forecast(&series, ForecastOptions { horizon: 48, season: Some(48) }).expect("long enough");
    assert!(error(&got, &truth) < 2.0, "{}", error(&got, &truth));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_forecast_is_finite_and_in_order(
        values in prop::collection::vec(prop_oneof![6 => -10.0..10.0f64, 1 => -1e300..1e300f64, 1 => Just(f64::NAN), 2 => Just(0.0)], 0..160),
        horizon in 0usize..30,
        season in prop::option::of(0usize..50),
    ) {
        if let Some(got) = forecast(&values, ForecastOptions { horizon, season }) {
            prop_assert_eq!(got.mean.len(), horizon);
            let non_negative = values.iter().filter(|v| v.is_finite()).all(|&v| v >= 0.0);
            for h in 0..horizon {
                let row = [got.lower95[h], got.lower80[h], got.mean[h], got.upper80[h], got.upper95[h]];
                prop_assert!(row.iter().all(|v| v.is_finite()), "{row:?}");
                prop_assert!(row.windows(2).all(|w| w[0] <= w[1]), "{row:?}");
                prop_assert!(!non_negative || row[0] >= 0.0);
            }
        } else {
            prop_assert!(horizon == 0 || values.iter().all(|v| !v.is_finite()));
        }
    }
}
