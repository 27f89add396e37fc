//! A query that asks for too much is refused; one that is not wanted any more ends.

use promql::{Engine, EngineOptions, ParseOptions, QueryError};
use vocab::ports::query::StepGrid;
use vocab::{Ctx, ErrorKind, Labels, MemoryBudget, TenantId};

use crate::memory::{Memory, Sample};

fn memory() -> Memory {
    let mut memory = Memory::default();
    for series in 0..50 {
        for minute in 0..60 {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("id", series.to_string())]);
            memory.insert(labels, minute * 60_000, Sample::Float(1.0));
        }
    }
    memory
}

fn ask(text: &str, ctx: &Ctx, options: EngineOptions) -> Result<(), QueryError> {
    let expr = promql::parse(text, &ParseOptions::default())?;
    let grid = StepGrid { start_ms: 0, end_ms: 3_600_000, step_ms: 1_000 };
    futures::executor::block_on(Engine::new(options).range(&memory(), ctx, &expr, grid)).map(|_| ())
}

#[test]
fn memory_is_counted_and_given_back() {
    let pool = MemoryBudget::new(100_000, &[("queries", 1.0)]).pool("queries");
    let ctx = Ctx::new(TenantId::default(), pool.reservation("query"));
    for fragments in [true, false] {
        let options = EngineOptions { fragments, ..EngineOptions::default() };
        for text in ["m", "rate(m[5m])", "m + m", "max_over_time(m[10m:1s])", "sort(m)"] {
            let error = ask(text, &ctx, options.clone()).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::Limit, "{text}: {error}");
            assert!(error.to_string().contains("\"queries\""), "{error}");
            assert_eq!(ctx.memory.bytes(), 0, "{text}");
        }
        ask("sum(rate(m{id=\"1\"}[5m]))", &ctx, options).expect("a light query goes on");
        assert_eq!(ctx.memory.bytes(), 0);
    }
}

#[test]
fn limits_are_named() {
    let ctx = Ctx::unlimited();
    let few = EngineOptions { max_samples: 100, ..EngineOptions::default() };
    for text in ["m", "sum(m)", "rate(m[5m])"] {
        let error = ask(text, &ctx, few.clone()).expect_err(text);
        assert_eq!((error.kind(), error.to_string().contains("too many samples")), (ErrorKind::Limit, true), "{error}");
    }
    let error = ask("max_over_time(m[100y:1ms])", &ctx, EngineOptions::default()).expect_err("too many steps");
    assert!(error.to_string().starts_with("subquery has"), "{error}");
}

#[test]
fn cancelling_ends_a_query() {
    let ctx = Ctx::unlimited();
    ctx.cancel.time_out();
    let error = ask("rate(m[5m])", &ctx, EngineOptions::default()).expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

/// The deepest expressions that parse are evaluated on the stack that threads of a runtime have.
#[test]
fn depth_fits_the_stack() {
    let nested = |n: usize| format!("{}m{}", "abs((-".repeat(n), "))".repeat(n));
    let chain = |n: usize| format!("m{}", " or m".repeat(n));
    let inside = |n: usize| format!("{}m{}", "sum(".repeat(n), ")".repeat(n));
    let deepest = |make: &dyn Fn(usize) -> String| {
        let parses = |n: &usize| promql::parse(&make(*n), &ParseOptions::default()).is_ok();
        make((1..=promql::DEPTH_MAX).take_while(parses).last().unwrap())
    };
    let texts = [deepest(&nested), deepest(&chain), deepest(&inside)];
    let run = move || {
        for text in texts {
            let expr = promql::parse(&text, &ParseOptions::default()).unwrap();
            let engine = Engine::new(EngineOptions::default());
            let (memory, ctx) = (memory(), Ctx::unlimited());
            futures::executor::block_on(engine.instant(&memory, &ctx, &expr, 0)).expect("evaluates");
        }
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().expect("no overflow");
}
