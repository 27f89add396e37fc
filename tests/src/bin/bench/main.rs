//! `make bench`: Tidewatch and its peers on the same data in one run, taken in turn; medians of five with their spread.

mod data;
mod figures;
mod logs;
mod queries;
mod scaling;
mod scrape;
mod target;
mod wire;
mod writes;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use figures::{Figures, page};
use target::Program;
use writes::{HISTORY, LIVE, NEW};

/// Repetitions where nothing else is said (`bench 3`).
const REPETITIONS: usize = 5;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the table is what this command is for")]
async fn main() -> Result<()> {
    tests::install_crypto();
    let repetitions = match std::env::args().nth(1) {
        Some(number) => number.parse().with_context(|| format!("`{number}` is no number of repetitions"))?,
        None => REPETITIONS,
    };
    let mut figures = Figures::default();
    for repetition in 0..repetitions {
        for program in [Program::Tidewatch, Program::VictoriaMetrics, Program::Prometheus] {
            metrics(program, &mut figures).await.with_context(|| program.name())?;
            progress(repetition, repetitions, program.name());
        }
        logs::run(tests::scratch()?.path(), &mut figures).await?;
        progress(repetition, repetitions, "logs");
        scaling::run(tests::scratch()?.path(), &mut figures).await?;
        progress(repetition, repetitions, "scaling");
    }
    let table = figures.table();
    println!("{table}");
    let docs = tests::workspace_root().join("docs/benchmarks.md");
    std::fs::write(&docs, page(&table, repetitions, &workloads()))?;
    println!("written to docs/benchmarks.md");
    Ok(())
}

async fn metrics(program: Program, figures: &mut Figures) -> Result<()> {
    let dir = tests::scratch()?;
    let taken = writes::run(LIVE, program, dir.path(), figures).await?;
    queries::run(&taken, program, figures).await?;
    writes::note_disk(&taken, LIVE.name, program, figures).await?;
    drop(taken);
    for shape in [HISTORY, NEW] {
        let dir = tests::scratch()?;
        let taken = writes::run(shape, program, dir.path(), figures).await?;
        writes::note_disk(&taken, shape.name, program, figures).await?;
    }
    writes::crash(program, tests::scratch()?.path(), figures).await?;
    scrape::run(program, tests::scratch()?.path(), figures).await
}

/// The time now in Unix milliseconds.
#[allow(clippy::disallowed_methods, reason = "measures real time")]
fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn workloads() -> String {
    let told =
        |shape: writes::Shape| format!("`{}` {} series × {} samples", shape.name, shape.num_series, shape.num_times);
    format!(
        "Workloads: {} by remote write, every series each 15 s; {}, half an hour of a series at a time; {}; `scrape` 10 targets × \
         10,000 series each second; `query` on the live data; `crash` a kill -9 right after the last answer; `logs` 200,000 lines; `scaling` a step of 100 \
         processes when 60,000 transactions a minute are passed.",
        told(LIVE),
        told(HISTORY),
        told(NEW)
    )
}

#[allow(clippy::print_stderr, reason = "progress of a long command")]
fn progress(repetition: usize, of: usize, what: &str) {
    eprintln!("{} of {of}: {what}", repetition + 1);
}
