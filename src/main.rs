//! `tidewatch`: see `tidewatch --help`.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use tidewatch::app::{App, StartError};
use tidewatch::cli::{Cli, Command, LogFormat, OutputFormat, Serve};
use tidewatch::clock::SystemClock;
use tidewatch::signals::{Asked, Signals};
use tidewatch::{autoscale, client, config, export, import, k8s_manifest, logging, policy_client};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads' stacks: deep queries recurse, debug builds have large frames.
const STACK_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The only TLS provider; a second installation cannot happen here.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    if let Some(Command::Autoscale { command }) = &cli.command {
        return autoscale::run(command);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    runtime.block_on(async {
        match cli.command {
            None => serve(cli.serve).await,
            Some(command) => run(command).await,
        }
    })
}

/// Serves until it is asked to stop.
async fn serve(serve: Serve) -> ExitCode {
    let log = match logging::start(&serve.log, serve.log_format) {
        Ok(log) => log,
        Err(error) => return fail(error.message()),
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("signals cannot be listened to: {error}")),
    };
    let app = tokio::select! {
        started = App::start(&serve, Arc::new(SystemClock::new()), log) => match started {
            Ok(app) => app,
            Err(StartError::Config(problems)) => return fail(&problems.to_string()),
            Err(error) => return fail(&error.to_string()),
        },
        () = stop_asked(&mut signals) => return ExitCode::SUCCESS,
    };
    say(&format!("Tidewatch is at {}", app.url()));
    while signals.next().await == Asked::Reload {
        app.reload().await;
    }
    tracing::info!("draining");
    app.drain().await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

async fn stop_asked(signals: &mut Signals) {
    while signals.next().await != Asked::Stop {}
}

async fn run(command: Command) -> ExitCode {
    // A subcommand's answer goes to stdout; what it has to say beside goes to stderr.
    if let Err(error) = logging::start("warn", LogFormat::Text) {
        return fail(error.message());
    }
    let answer = match command {
        Command::CheckConfig { file, format } => return check_config(&file, format),
        Command::Query { expression, server, time, format } => {
            client::query(&server, &expression, time.as_deref(), format).await
        }
        Command::Report { server, last, language, out } => client::report(&server, &last, &language, &out).await,
        Command::Autoscale { command } => return autoscale::run(&command),
        Command::Policy { command } => policy_client::run(&command).await,
        Command::K8sManifest { ca_file, service, namespace, port } => {
            k8s_manifest::run(&ca_file, &service, &namespace, port)
        }
        Command::Import { source, server, format, restart } => import::import(&server, &source, format, restart).await,
        Command::Export { out, server, format, range } => export::export(&server, &out, format, &range).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tidewatch", &mut std::io::stdout());
            return ExitCode::SUCCESS;
        }
        Command::Version { format: OutputFormat::Json } => {
            Ok(format!("{{\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION")))
        }
        Command::Version { format: OutputFormat::Table } => Ok(format!("tidewatch {}", env!("CARGO_PKG_VERSION"))),
    };
    match answer {
        Ok(text) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn check_config(file: &std::path::Path, format: OutputFormat) -> ExitCode {
    let problems = match config::load(Some(file)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.list,
    };
    let code = if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match format {
        OutputFormat::Json => {
            let list: Vec<_> = problems
                .iter()
                .map(|p| serde_json::json!({"file": p.file, "line": p.line, "path": p.path, "message": p.message}))
                .collect();
            say(&serde_json::json!({ "problems": list }).to_string());
        }
        OutputFormat::Table if problems.is_empty() => say(&format!("{} is right", file.display())),
        OutputFormat::Table => {
            for problem in &problems {
                say(&problem.to_string());
            }
        }
    }
    code
}

#[allow(clippy::print_stdout, reason = "the answer of a command")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(clippy::print_stderr, reason = "one line that says what to do")]
fn fail(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::FAILURE
}
