//! `make demo`: the closed loop on loopback, with a line per event.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use demo::run::{Options, Outcome, run};
use demo::scenario::{Orchestrator, Scenario};
use demo::swarm::Engine;

/// Runs the closed loop: a service behind HAProxy, load that rises and falls, Tidewatch in the middle.
#[derive(Debug, Parser)]
struct Args {
    /// Who runs the service: auto takes Docker Swarm when an engine answers as its manager.
    #[arg(long, default_value = "auto", value_parser = ["auto", "process", "swarm"])]
    orchestrator: String,
    /// Folder for configurations, logs, data and the report.
    #[arg(long, default_value = "target/demo")]
    dir: PathBuf,
    /// The shortened run of the end-to-end tests.
    #[arg(long)]
    short: bool,
    /// Port of Tidewatch; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The Docker engine's socket.
    #[arg(long, default_value = "/var/run/docker.sock")]
    docker_socket: PathBuf,
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "a line per event is what this command is for")]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Two demos in one process would ask twice; the second answer is the same provider.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let bin = std::env::current_exe()?.parent().context("this program is in no folder")?.to_path_buf();
    let orchestrator = match args.orchestrator.as_str() {
        "process" => Orchestrator::Process,
        "swarm" => Orchestrator::Swarm,
        _ => choose(&args.docker_socket).await,
    };
    std::fs::create_dir_all(&args.dir)?;
    let dir = args.dir.canonicalize()?;
    let data = dir.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot clear {}", data.display()))?;
    }
    let options = Options {
        scenario: if args.short { Scenario::short() } else { Scenario::full() },
        orchestrator,
        dir,
        tidewatch: bin.join("tidewatch"),
        service: bin.join("demo-service"),
        docker_socket: args.docker_socket,
        port: if args.port == 0 { demo::servers::free_port()? } else { args.port },
    };
    println!("orchestrator: {}", orchestrator.as_str());
    let outcome = run(&options, &mut |line| println!("{line}")).await?;
    println!("{}", summary(&outcome));
    ensure!(outcome.requests_failed == 0, "{} requests failed: {:?}", outcome.requests_failed, outcome.failures);
    Ok(())
}

async fn choose(socket: &Path) -> Orchestrator {
    match Engine::at(socket) {
        Ok(engine) if socket.exists() && engine.is_manager().await => Orchestrator::Swarm,
        _ => Orchestrator::Process,
    }
}

fn summary(outcome: &Outcome) -> String {
    let most = outcome.replicas.iter().map(|r| r.2).max().unwrap_or(0);
    format!(
        "{} requests, {} failed; at most {most} replicas ready; {} decisions, {} alerts, {} tickets\nreport: {} (Markdown beside it)",
        outcome.requests_sent,
        outcome.requests_failed,
        outcome.decisions.len(),
        outcome.alerts.len(),
        outcome.tickets.len(),
        outcome.report_html.display()
    )
}
