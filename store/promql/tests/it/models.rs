//! `forecast` and `anomaly_score` say what the models say.

use models::{ForecastOptions, anomaly_score, detect_seasons, forecast};
use promql::value::{QueryOutput, QueryValue, SampleValue};
use promql::{Engine, EngineOptions, ParseOptions, QueryError};
use vocab::ports::query::StepGrid;
use vocab::{Ctx, ErrorKind, Labels};

use crate::memory::{Memory, Sample};

const STEP_MS: i64 = 1_800_000;
/// Half-hour steps of a day.
const DAY: usize = 48;
const STEPS: usize = 6 * DAY;

/// A day's wave on a slope, with a little noise that is the same each time.
fn wave(step: usize) -> f64 {
    let angle = step as f64 / DAY as f64 * std::f64::consts::TAU;
    100.0 + 40.0 * angle.sin() + step as f64 / 100.0 + (step * 7919 % 13) as f64 / 10.0
}

fn memory() -> Memory {
    let mut memory = Memory::default();
    for step in 0..STEPS {
        // Scrapes are never quite regular.
        let time = step as i64 * STEP_MS + (step * 31 % 7) as i64;
        memory.insert(Labels::from_pairs([("__name__", "m"), ("pod", "a")]), time, Sample::Float(wave(step)));
        if step % 50 == 0 {
            memory.insert(Labels::from_pairs([("__name__", "few"), ("pod", "a")]), time, Sample::Float(1.0));
        }
    }
    memory
}

fn ask(text: &str, grid: StepGrid) -> Result<QueryOutput, QueryError> {
    let expr = promql::parse(text, &ParseOptions::default())?;
    let engine = Engine::new(EngineOptions::default());
    let (memory, ctx) = (memory(), Ctx::unlimited());
    if grid.start_ms == grid.end_ms {
        futures::executor::block_on(engine.instant(&memory, &ctx, &expr, grid.start_ms))
    } else {
        futures::executor::block_on(engine.range(&memory, &ctx, &expr, grid))
    }
}

/// The time of the newest sample.
fn newest() -> i64 {
    (STEPS as i64 - 1) * STEP_MS + ((STEPS - 1) * 31 % 7) as i64
}

fn at(time: i64) -> StepGrid {
    StepGrid { start_ms: time, end_ms: time, step_ms: 1 }
}

fn single(output: &QueryOutput) -> Option<f64> {
    let QueryValue::Vector(samples) = &output.value else { panic!("{:?}", output.value) };
    samples.iter().for_each(|s| assert_eq!(s.labels.to_string(), "{pod=\"a\"}"));
    samples.first().map(|s| match s.value {
        SampleValue::Float(v) => v,
        SampleValue::Histogram(_) => panic!("a histogram"),
    })
}

fn value(text: &str, time: i64) -> f64 {
    single(&ask(text, at(time)).expect(text)).expect(text)
}

#[test]
fn a_forecast_is_that_of_the_models() {
    let values: Vec<f64> = (0..STEPS).map(wave).collect();
    let now = newest();
    let made = |season| forecast(&values, ForecastOptions { horizon: DAY, season }).unwrap().mean[DAY - 1];
    let (given, found) = (made(Some(DAY)), made(None));
    let check = |text: &str, time: i64, expect: f64| {
        let got = value(text, time);
        // Scrapes are not quite a step apart, so neither is a day quite so many steps.
        assert!((got - expect).abs() < 0.02, "{text}: {got}, expected {expect}");
    };
    check("forecast(m[7d], 86400, 86400)", now, given);
    check("forecast(m[7d], 1d, 1d)", now, given);
    // The season is found, too.
    check("forecast(m[7d], 86400)", now, found);
    check("forecast(m[7d], 86400, 0)", now, found);
    // The horizon counts from the evaluation time.
    check("forecast(m[7d], 84600)", now + STEP_MS, found);
    let truth = wave(STEPS - 1 + DAY);
    let got = value("forecast(m[7d], 1d)", now);
    assert!((got - truth).abs() < 10.0, "{got} is far from {truth}");
    assert_eq!(value("forecast(m[7d], 0)", now), wave(STEPS - 1));
    // Half way between two steps.
    let (a, b) = (value("forecast(m[7d], 1800)", now), value("forecast(m[7d], 3600)", now));
    let between = value("forecast(m[7d], 2700)", now);
    assert!(between > a.min(b) - 1.0 && between < a.max(b) + 1.0, "{a} {between} {b}");
    // What was to be expected for now, an hour ago.
    let earlier = value("forecast(m[5d] offset 1h, 0)", now);
    assert!((earlier - wave(STEPS - 1)).abs() < 10.0, "{earlier}");
}

#[test]
fn a_score_is_that_of_the_models() {
    let values: Vec<f64> = (0..STEPS).map(wave).collect();
    let now = newest();
    let score = |season| anomaly_score(&values, season).unwrap().score;
    assert_eq!(value("anomaly_score(m[7d], 86400)", now), score(Some(DAY)));
    assert_eq!(value("anomaly_score(m[7d])", now), score(detect_seasons(&values, 1).first().copied()));
    assert!(score(Some(DAY)) < 3.5);
    // A subquery is a range vector like any other.
    let end = now - now % STEP_MS + STEP_MS;
    assert!(value("anomaly_score((m * 1)[7d:30m], 1d)", end) < 3.5);
    let jumped =
        format!("anomaly_score((m + 200 * (timestamp(m) > bool {}))[7d:30m], 1d)", (now - 1000) as f64 / 1000.0);
    assert!(value(&jumped, end) > 3.5, "{}", value(&jumped, end));
}

#[test]
fn a_step_of_a_range_query_is_the_instant_query_of_its_time() {
    for text in ["forecast(m[3d], 1h)", "anomaly_score(m[3d])", "forecast(m[3d] @ 400000, 3600)"] {
        let grid = StepGrid { start_ms: newest() - 3_600_000, end_ms: newest(), step_ms: 400_000 };
        let output = ask(text, grid).expect(text);
        let QueryValue::Matrix(series) = output.value else { panic!("{text}") };
        assert_eq!(series[0].values.len(), grid.num_steps(), "{text}");
        for (time, got) in series[0].timestamps.iter().zip(&series[0].values).step_by(3) {
            assert_eq!(value(text, *time), *got, "{text} at {time}");
        }
    }
}

#[test]
fn what_cannot_be_known_is_left_out_with_a_remark() {
    let check = |text: &str, remark: &str| {
        let output = ask(text, at(newest())).expect(text);
        assert_eq!(output.annotations.render(text, 10).1, [remark], "{text}");
        single(&output)
    };
    let few = check(
        "forecast(few[7d], 60)",
        "PromQL info: forecast needs at least 10 samples in its range for metric name \"few\" (1:10)",
    );
    assert_eq!(few, None);
    let text = "anomaly_score(few[7d])";
    let remark = "PromQL info: anomaly_score needs at least 13 samples in its range for metric name \"few\" (1:15)";
    assert_eq!(check(text, remark), None);
    let remark = "PromQL info: season of forecast is shorter than a few samples or longer than half of the range, it is not \
                  used for metric name \"m\" (1:10)";
    assert!(check("forecast(m[3d], 60, 1w)", remark).is_some());
}

#[test]
fn mistakes_are_named() {
    let check = |text: &str, kind: ErrorKind, message: &str| {
        let error = ask(text, at(newest())).expect_err(text);
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message), "{text}");
    };
    let execution = ErrorKind::Execution;
    check("forecast(m[7d], -1)", execution, "horizon of forecast must be 0 or more seconds, got -1");
    check("forecast(m[7d], NaN)", execution, "horizon of forecast must be 0 or more seconds, got NaN");
    check("forecast(m[7d], 1, Inf)", execution, "season of forecast must be 0 or more seconds, got +Inf");
    check("anomaly_score(m[7d], -5)", execution, "season of anomaly_score must be 0 or more seconds, got -5");
    check(
        "anomaly_score(m[7d] smoothed)",
        execution,
        "smoothed modifier can only be used with: delta, increase, rate - not with anomaly_score",
    );
    check(
        "forecast(m[7d])",
        ErrorKind::Invalid,
        "1:1: parse error: expected at least 2 argument(s) in call to \"forecast\", got 1",
    );
    check(
        "anomaly_score(m)",
        ErrorKind::Invalid,
        "1:15: parse error: expected type range vector in call to function \"anomaly_score\", got instant vector",
    );
    let grid = StepGrid { start_ms: newest() - 345_600_000, end_ms: newest(), step_ms: 1_000 };
    let error = ask("forecast(last_over_time(m[30m])[4d:1m], 60)", grid).expect_err("too much work");
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().starts_with("forecast would look at more than 4000000 values"), "{error}");
}

#[test]
fn they_print_as_they_parse() {
    for text in ["forecast(m[1w], 3600)", "forecast(m[1w], 3600, 86400)", "anomaly_score(m[1w] offset 5m, 3600)"] {
        let expr = promql::parse(text, &ParseOptions::default()).expect(text);
        assert_eq!(expr.to_string(), text);
    }
}
