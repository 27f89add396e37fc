//! `tidewatch autoscale …`: the planner without a running Tidewatch. It opens no store and starts no runtime.

use std::process::ExitCode;

use clap::Subcommand;

/// What the planner can do alone.
#[derive(Debug, Subcommand)]
pub enum Autoscale {
    /// Answer one line per tick on stdin with a decision on stdout, with every default of a service nobody tuned.
    Step,
}

/// Runs a command of the planner.
pub fn run(command: &Autoscale) -> ExitCode {
    let result = match command {
        Autoscale::Step => autoscaler::step::serve(std::io::stdin().lock(), std::io::stdout().lock())
            .map_err(|error| vocab::error::chain(&error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "one line that says what to do")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
