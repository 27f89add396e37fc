//! `tidewatch autoscale …`: the planner without a running Tidewatch. It opens no store and starts no runtime.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoscaler::replay::Trace;
use clap::Subcommand;

/// What the planner can do alone.
#[derive(Debug, Subcommand)]
pub enum Autoscale {
    /// Answer one line per tick on stdin with a decision on stdout, with every default of a service nobody tuned.
    Step,
    /// Replay a policy on a recorded load, beside the Horizontal Pod Autoscaler at 70 % and a fixed number of replicas.
    Replay {
        /// The policy: one entry of the section `autoscaling`, alone in a YAML file.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The load of the policy's first target: lines of seconds,value.
        #[arg(long, value_name = "FILE")]
        trace: PathBuf,
        /// Where to write a page with a plot.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Runs a command of the planner.
pub fn run(command: &Autoscale) -> ExitCode {
    let result = match command {
        Autoscale::Step => autoscaler::step::serve(std::io::stdin().lock(), std::io::stdout().lock())
            .map_err(|error| vocab::error::chain(&error)),
        Autoscale::Replay { policy, trace, out } => replay(policy, trace, out.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Replays, prints the table and writes the page.
#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn replay(policy: &Path, trace: &Path, out: Option<&Path>) -> Result<(), String> {
    let read = |file: &Path| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    let named = |file: &Path, error: String| format!("{}: {error}", file.display());
    let checked = autoscaler::config::policy_alone(&read(policy)?).map_err(|error| named(policy, error))?;
    let load = Trace::parse(&read(trace)?).map_err(|error| named(trace, error))?;
    let outcomes = autoscaler::replay::replay(&checked, &load).map_err(|error| named(trace, error))?;
    print!("{}", autoscaler::replay::table(&outcomes));
    if let Some(out) = out {
        let page = autoscaler::replay::html(&format!("Replay of {}", checked.name), &outcomes);
        std::fs::write(out, page).map_err(|error| named(out, error.to_string()))?;
    }
    Ok(())
}

#[allow(clippy::print_stderr, reason = "one line that says what to do")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
