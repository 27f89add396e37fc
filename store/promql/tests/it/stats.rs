//! What a query costs is counted as Prometheus counts it.

use std::sync::Arc;

use promql::{Engine, EngineOptions, ParseOptions, QueryDetail};
use vocab::ports::query::StepGrid;
use vocab::testing::SimClock;
use vocab::{Ctx, Labels};

use crate::memory::{Memory, Sample};

/// `one` is one series and `three` are three, a sample every ten seconds.
fn memory() -> Memory {
    let mut memory = Memory::default();
    for (name, id) in [("one", 0), ("three", 1), ("three", 2), ("three", 3)] {
        for step in 0..=100 {
            let labels = Labels::from_pairs([("__name__", name.to_owned()), ("id", id.to_string())]);
            memory.insert(labels, step * 10_000, Sample::Float(step as f64));
        }
    }
    memory
}

fn check(text: &str, (start, end, step): (i64, i64, i64), steps: &[u64], peak: u64) {
    let expr = promql::parse(text, &ParseOptions::default()).expect(text);
    let engine = Engine::new(EngineOptions { detail: Some(Arc::new(SimClock::at(0))), ..EngineOptions::default() });
    let (memory, ctx) = (memory(), Ctx::unlimited());
    let grid = StepGrid { start_ms: start * 1000, end_ms: end * 1000, step_ms: step * 1000 };
    let output = if step == 0 {
        futures::executor::block_on(engine.instant(&memory, &ctx, &expr, grid.start_ms))
    } else {
        futures::executor::block_on(engine.range(&memory, &ctx, &expr, grid))
    };
    let detail = output.expect(text).detail.expect("it was asked for");
    let times = (0..).map(|i| (start + i * step) * 1000);
    let want: Vec<(i64, u64)> = times.zip(steps.iter().copied()).collect();
    assert_eq!((&detail.samples_per_step, detail.peak_samples), (&want, peak), "{text}");
}

#[test]
fn samples_count_at_every_step_that_looks_at_them() {
    let instant = (201, 201, 0);
    check("1", instant, &[0], 0);
    check("one", instant, &[1], 1);
    check("three", instant, &[3], 3);
    check("sum(three) + one", instant, &[4], 4);
    check("timestamp(three)", instant, &[3], 3);
    check("one[60s]", instant, &[6], 6);
    check("one[60s] @ 30", instant, &[4], 4);
    check("sum_over_time(three[60s])", instant, &[18], 18);
    let range = (201, 220, 5);
    check("one", range, &[1, 1, 1, 1], 4);
    check("sum(three)", range, &[3, 3, 3, 3], 12);
    check("sum(three @ 30)", range, &[3, 3, 3, 3], 4);
    check("timestamp(one @ 30)", range, &[1, 1, 1, 1], 4);
    check("rate(one[60s])", range, &[6, 6, 6, 6], 7);
    check("one offset 2000s", range, &[0, 0, 0, 0], 0);
}

#[test]
fn of_a_subquery_counts_what_is_looked_at_of_its_result() {
    check("max_over_time(one[59s])[20s:5s]", (201, 201, 0), &[24], 8);
    check("sum_over_time(max_over_time(one[60s])[60s:5s])", (201, 201, 0), &[12], 12);
    check("sum_over_time(sum_over_time(three[60s])[60s:5s])", (201, 206, 5), &[36, 36], 36);
    check("sum_over_time(sum_over_time(one[60s])[60s:5s] @ 100)", (201, 206, 5), &[12, 12], 11);
}

#[test]
fn nothing_is_counted_unless_it_is_asked_for() {
    let expr = promql::parse("one", &ParseOptions::default()).expect("valid");
    let answer = Engine::default();
    let output = futures::executor::block_on(answer.instant(&memory(), &Ctx::unlimited(), &expr, 0)).expect("answers");
    assert_eq!(output.detail, None::<QueryDetail>);
}
