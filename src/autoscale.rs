//! `tidewatch autoscale …`: the planner without a running Tidewatch. It opens no store; only a replay of what was
//! recorded asks a running one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use autoscaler::policy::Policy;
use autoscaler::replay::{Trace, recorded};
use clap::{ArgGroup, Subcommand};
use vocab::time::Clock;

use crate::cli::Server;
use crate::client::Client;
use crate::clock::SystemClock;

/// What the planner can do alone.
#[derive(Debug, Subcommand)]
pub enum Autoscale {
    /// Answer one line per tick on stdin with a decision on stdout, with every default of a service nobody tuned.
    Step,
    /// Replay a policy on a recorded load, beside the Horizontal Pod Autoscaler at 70 % and a fixed number of replicas.
    #[command(group(ArgGroup::new("load").required(true).args(["trace", "from"])))]
    Replay {
        /// The policy: one entry of the section `autoscaling`, alone in a YAML file.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The load of the policy's first target: lines of seconds,value.
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
        /// Replay what a running Tidewatch has recorded from here on: RFC 3339, Unix seconds, or how long ago (7d).
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// … until here; now by default.
        #[arg(long, value_name = "TIME", requires = "from", conflicts_with = "trace")]
        to: Option<String>,
        /// The server that has recorded it.
        #[command(flatten)]
        server: Server,
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
        Autoscale::Replay { policy, trace, from, to, server, out } => {
            let load = |checked: &Policy| match (trace, from) {
                (Some(trace), _) => from_file(trace),
                (None, Some(from)) => recorded(checked, from, to.as_deref(), server),
                (None, None) => Err("want --trace or --from".to_owned()),
            };
            replay(policy, load, out.as_deref())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn named(file: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.display())
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| named(file, error))
}

/// Replays, prints the table and writes the page.
#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn replay(policy: &Path, load: impl Fn(&Policy) -> Result<Trace, String>, out: Option<&Path>) -> Result<(), String> {
    let checked = autoscaler::config::policy_alone(&read(policy)?).map_err(|error| named(policy, error))?;
    let outcomes = autoscaler::replay::replay(&checked, &load(&checked)?)?;
    print!("{}", autoscaler::replay::table(&outcomes));
    if let Some(out) = out {
        let page = autoscaler::replay::html(&format!("Replay of {}", checked.name), &outcomes);
        std::fs::write(out, page).map_err(|error| named(out, error))?;
    }
    Ok(())
}

/// A load from a file.
fn from_file(trace: &Path) -> Result<Trace, String> {
    Trace::parse(&read(trace)?).map_err(|error| named(trace, error))
}

/// A load that a running Tidewatch has recorded.
#[allow(clippy::print_stderr, reason = "a word about what was recorded, beside the answer")]
fn recorded(policy: &Policy, from: &str, to: Option<&str>, server: &Server) -> Result<Trace, String> {
    let now_ms = SystemClock::new().now_ms();
    let start_ms = recorded::moment(from, now_ms)?;
    let end_ms = to.map_or(Ok(now_ms), |to| recorded::moment(to, now_ms))?;
    let questions = recorded::questions(policy, start_ms, end_ms)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let load = runtime.block_on(async {
        let client = Client::new(server).map_err(|error| format!("{error:#}"))?;
        let mut load = recorded::Recorded::default();
        for question in &questions {
            let seconds = |at_ms: i64| format!("{}.{:03}", at_ms.div_euclid(1000), at_ms.rem_euclid(1000));
            let (start, end) = (seconds(question.start_ms), seconds(question.end_ms));
            let step = question.step_seconds.to_string();
            let query = [
                ("query", question.query.as_str()),
                ("start", start.as_str()),
                ("end", end.as_str()),
                ("step", step.as_str()),
            ];
            let answer = client.ask("/api/v1/query_range", &query).await.map_err(|error| format!("{error:#}"))?;
            load.take(&answer)?;
        }
        Ok::<_, String>(load)
    })?;
    if let Some(gaps) = load.gaps() {
        eprintln!("{gaps}");
    }
    load.trace()
}

#[allow(clippy::print_stderr, reason = "one line that says what to do")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
