//! A small web service for demonstrations and tests of the closed loop.
//!
//! It burns a set amount of CPU per request, shows its own numbers at `/metrics`, writes an access log, and leaves politely:
//! after SIGTERM its `/health` answers 503 at once while requests are still answered for `--linger-seconds`, so that a load
//! balancer moves on before anything is refused.
//!
//! It runs in an image made `FROM scratch` when it is linked statically on the gnu target:
//! `cargo rustc -p demo-service --target-dir target/static -- -C target-feature=+crt-static`
//! (the flag reaches this crate only, so nothing else is built again).
//!
//! [`args`] reads flags and environment, [`burn`] is the work, [`request`] parses, [`server`] accepts and answers,
//! [`access_log`] and [`numbers`] write down what happened, [`lifetime`] is the way to the exit, [`time`] the only clock.

mod access_log;
mod args;
mod burn;
mod lifetime;
mod numbers;
mod request;
mod server;
mod time;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let args = match args::Args::from_process() {
        Ok(Some(args)) => args,
        Ok(None) => return say(&mut std::io::stdout(), args::HELP, ExitCode::SUCCESS),
        Err(problem) => {
            return say(&mut std::io::stderr(), &format!("{problem}; see --help"), ExitCode::from(2));
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => say(&mut std::io::stderr(), &problem, ExitCode::FAILURE),
    }
}

fn run(args: &args::Args) -> Result<(), String> {
    // Before any thread starts, so that all inherit it: SIGTERM and SIGINT wait for the one thread that asks for them.
    let signals = lifetime::block_signals()?;
    let log = access_log::AccessLog::open(args.log.as_deref())?;
    let service = Arc::new(server::Service {
        burn: burn::Burn::calibrated(args.cpu_ms),
        numbers: numbers::Numbers::default(),
        log,
        lifetime: lifetime::Lifetime::default(),
        fails: std::sync::atomic::AtomicBool::default(),
    });
    let listener = std::net::TcpListener::bind((args.listen, args.port))
        .map_err(|e| format!("cannot listen on {}:{}: {e}", args.listen, args.port))?;
    let address = listener.local_addr().map_err(|e| format!("cannot read the own address: {e}"))?;
    // The one line on stdout: whoever starts this reads the port from it.
    let _closed = writeln!(std::io::stdout(), "http://{address}");
    server::start(Arc::clone(&service), listener)?;
    lifetime::wait_for_signal(&signals)?;
    service.lifetime.leave(args.linger);
    lifetime::wait_until_idle(|| service.numbers.num_in_flight());
    Ok(())
}

/// Writes a line for a person; a closed pipe is no reason to fail.
fn say(to: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _closed = writeln!(to, "{text}");
    code
}
