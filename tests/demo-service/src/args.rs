//! Flags and environment; a flag wins over its variable.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "demo-service: answers HTTP requests after burning some CPU

  --listen ADDR          address to listen on [127.0.0.1] (DEMO_LISTEN)
  --port N               port, 0 for a free one [0] (DEMO_PORT)
  --cpu-ms N             CPU time burnt per request, in milliseconds [2] (DEMO_CPU_MS)
  --log FILE             access log, one JSON object a line [none] (DEMO_LOG)
  --linger-seconds N     after SIGTERM: fail /health at once, answer for N more seconds [0] (DEMO_LINGER_SECONDS)

/ burns and answers, /health says 200 or (while leaving) 503, /metrics shows Prometheus text; after a POST
to /fail / answers 500.";

/// Most CPU time that a request may burn, in milliseconds: a typing mistake should not hang the machine.
const CPU_MS_MAX: f64 = 10_000.0;
/// Longest lingering: an orchestrator kills what takes longer anyway.
const LINGER_SECONDS_MAX: f64 = 3600.0;

/// Checked arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Args {
    pub(crate) listen: IpAddr,
    pub(crate) port: u16,
    /// CPU time per request in milliseconds.
    pub(crate) cpu_ms: f64,
    pub(crate) log: Option<PathBuf>,
    pub(crate) linger: Duration,
}

impl Args {
    /// Reads the process's own arguments and environment; `None` when help was asked for.
    pub(crate) fn from_process() -> Result<Option<Self>, String> {
        Self::parse(std::env::args().skip(1), |name| std::env::var(name).ok())
    }

    fn parse(
        flags: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let mut given = Vec::new();
        let mut flags = flags.peekable();
        while let Some(flag) = flags.next() {
            if flag == "--help" || flag == "-h" {
                return Ok(None);
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (flag.clone(), flags.next()),
            };
            if !["--listen", "--port", "--cpu-ms", "--log", "--linger-seconds"].contains(&name.as_str()) {
                return Err(format!("unknown argument `{name}`"));
            }
            given.push((name.clone(), value.ok_or_else(|| format!("{name} needs a value"))?));
        }
        let value = |flag: &str, name: &str, default: &str| {
            let from_flag = given.iter().rev().find(|g| g.0 == flag).map(|g| g.1.clone());
            from_flag.or_else(|| variable(name)).unwrap_or_else(|| default.to_owned())
        };
        let listen = value("--listen", "DEMO_LISTEN", "127.0.0.1");
        let port = value("--port", "DEMO_PORT", "0");
        let log = value("--log", "DEMO_LOG", "");
        Ok(Some(Self {
            listen: listen.parse().map_err(|_| format!("--listen wants an IP address, not {listen:?}"))?,
            port: port.parse().map_err(|_| format!("--port wants a number from 0 to 65535, not {port:?}"))?,
            cpu_ms: number("--cpu-ms", &value("--cpu-ms", "DEMO_CPU_MS", "2"), CPU_MS_MAX)?,
            log: (!log.is_empty()).then(|| PathBuf::from(log)),
            linger: Duration::from_secs_f64(number(
                "--linger-seconds",
                &value("--linger-seconds", "DEMO_LINGER_SECONDS", "0"),
                LINGER_SECONDS_MAX,
            )?),
        }))
    }
}

fn number(flag: &str, text: &str, max: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=max).contains(&number) => Ok(number),
        _ => Err(format!("{flag} wants a number from 0 to {max}, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str], variables: &[(&str, &str)]) -> Result<Option<Args>, String> {
        Args::parse(flags.iter().map(|f| (*f).to_owned()), |name| {
            variables.iter().find(|v| v.0 == name).map(|v| v.1.to_owned())
        })
    }

    #[test]
    fn flags_win_over_the_environment() {
        let args = parse(&["--port", "81", "--cpu-ms=0.5"], &[("DEMO_PORT", "80"), ("DEMO_LINGER_SECONDS", "3")]);
        let args = args.expect("valid").expect("no help");
        assert_eq!((args.port, args.cpu_ms, args.linger), (81, 0.5, Duration::from_secs(3)));
        assert_eq!((args.listen.to_string().as_str(), args.log), ("127.0.0.1", None));
        assert_eq!(parse(&["-h"], &[]), Ok(None));
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (flags, expect) in [
            (&["--port", "x"][..], "--port wants a number from 0 to 65535, not \"x\""),
            (&["--cpu-ms", "nan"], "--cpu-ms wants a number from 0 to 10000, not \"nan\""),
            (&["--port"], "--port needs a value"),
            (&["--colour", "x"], "unknown argument `--colour`"),
        ] {
            assert_eq!(parse(flags, &[]).expect_err("wrong"), expect);
        }
    }
}
