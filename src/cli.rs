//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where Tidewatch listens when nobody says otherwise: loopback, Prometheus's port.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9090";

/// Watches container platforms, understands what it sees, and acts.
#[derive(Debug, Parser)]
#[command(name = "tidewatch", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without a subcommand Tidewatch serves.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// Flags of a serving Tidewatch: what needs a restart. What can be reloaded stands in the configuration file.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Configuration file (YAML). Without one, this machine is watched with every built-in source.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for all data. Default: $XDG_DATA_HOME/tidewatch or ~/.local/share/tidewatch.
    #[arg(long, value_name = "DIR", env = "TIDEWATCH_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on. Beyond loopback only with --auth-token-file.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Rooms to run, separated by commas.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', value_enum,
          default_values_t = [Role::Collector, Role::Store, Role::Analyzer, Role::Autoscaler, Role::Dashboards])]
    pub roles: Vec<Role>,
    /// Memory to live within: bytes, or with a unit (1GiB, 512MiB). Default: 60 % of the machine's or the cgroup's.
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// File whose lines are accepted as bearer token or as password of basic authentication.
    #[arg(long, value_name = "FILE")]
    pub auth_token_file: Option<PathBuf>,
    /// Host names beside loopback and the listen address that requests may be addressed to.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// Allow deleting series and taking snapshots through the API (/api/v1/admin/tsdb).
    #[arg(long, alias = "web.enable-admin-api")]
    pub enable_admin_api: bool,
    /// What to log: error, warn, info, debug, or per room (info,store=debug).
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TIDEWATCH_LOG")]
    pub log: String,
    /// How to log.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// A room of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Sources and scraping.
    Collector,
    /// Metrics, logs, catalog.
    Store,
    /// Rules, scores, forecasts, reports.
    Analyzer,
    /// Scaling.
    Autoscaler,
    /// API and web UI.
    Dashboards,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns.
    Table,
    /// JSON.
    Json,
}

/// How an imported text file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// As its end says.
    Auto,
    /// OpenMetrics: times in seconds.
    Openmetrics,
    /// Prometheus text: times in milliseconds.
    Prometheus,
}

/// What an export writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// OpenMetrics text.
    Openmetrics,
    /// Prometheus's blocks.
    Tsdb,
    /// A Parquet file with one row a sample.
    Parquet,
}

/// Which samples are exported.
#[derive(Debug, Clone, Args)]
pub struct ExportRange {
    /// Only series that this selector matches: {job="api"}.
    #[arg(long = "match", value_name = "SELECTOR")]
    pub matching: Option<String>,
    /// From this time (RFC 3339 or Unix seconds). Default: from the first sample.
    #[arg(long)]
    pub start: Option<String>,
    /// Up to this time, included. Default: now.
    #[arg(long)]
    pub end: Option<String>,
    /// How much is read at once, and the length of a block.
    #[arg(long, default_value = "1d")]
    pub window: String,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration file and everything it names; report all mistakes at once.
    CheckConfig {
        /// The file.
        file: PathBuf,
        /// How mistakes are printed.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
    /// Evaluate a PromQL expression on a running Tidewatch.
    Query {
        /// The expression.
        expression: String,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
        /// Evaluate at this time (RFC 3339 or Unix seconds) instead of now.
        #[arg(long)]
        time: Option<String>,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
    /// Write an inspection report on a running Tidewatch.
    Report {
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
        /// How far back the report looks (1h, 7d).
        #[arg(long, default_value = "1d")]
        last: String,
        /// en or zh.
        #[arg(long, default_value = "en", value_parser = ["en", "zh"])]
        language: String,
        /// File to write; .md gives Markdown, anything else HTML.
        #[arg(long, value_name = "FILE", default_value = "tidewatch-report.html")]
        out: PathBuf,
    },
    /// Run the autoscaler's planner alone, without a store.
    Autoscale {
        /// What to do.
        #[command(subcommand)]
        command: crate::autoscale::Autoscale,
    },
    /// List, show, keep and remove scaling policies of a running Tidewatch.
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Print the objects that make a Kubernetes cluster ask Tidewatch for its metrics.
    K8sManifest {
        /// PEM authority of the certificate in section `metrics_api`.
        #[arg(long, value_name = "FILE")]
        ca_file: PathBuf,
        /// Name of the Service.
        #[arg(long, default_value = "tidewatch")]
        service: String,
        /// Its namespace.
        #[arg(long, default_value = "tidewatch")]
        namespace: String,
        /// Port of `metrics_api.listen`.
        #[arg(long, default_value_t = 6443)]
        port: u16,
    },
    /// Import a file of OpenMetrics or Prometheus text, or a folder of Prometheus's blocks (a snapshot), into a running
    /// Tidewatch. Goes on where it broke off.
    Import {
        /// The file or folder.
        source: PathBuf,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
        /// How a file is written; a file that ends with `# EOF` is OpenMetrics.
        #[arg(long, value_enum, default_value_t = TextFormat::Auto)]
        format: TextFormat,
        /// Begin anew instead of going on where an earlier import broke off.
        #[arg(long)]
        restart: bool,
    },
    /// Export samples of a running Tidewatch.
    Export {
        /// The file (openmetrics, parquet) or folder (tsdb) to write.
        out: PathBuf,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
        /// openmetrics: text, native histograms as classic ones; tsdb: blocks that Prometheus opens; parquet: one row a sample.
        #[arg(long, value_enum, default_value_t = ExportFormat::Openmetrics)]
        format: ExportFormat,
        /// What to export.
        #[command(flatten)]
        range: ExportRange,
    },
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version {
        /// How it is printed.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
}

/// What to do with scaling policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print policies made of HorizontalPodAutoscalers and KEDA ScaledObjects, or of marathon-lb-autoscale's flags.
    Import {
        /// YAML or JSON; - for standard input.
        #[arg(value_name = "FILE", required_unless_present = "flags", conflicts_with = "flags")]
        file: Option<PathBuf>,
        /// The flags of marathon-lb-autoscale: -- --apps nginx_10000 --target-rps 100
        #[arg(last = true, value_name = "FLAGS")]
        flags: Vec<String>,
    },
    /// Keep the policies of a file, each as its next version.
    Apply {
        /// YAML with one policy, a list of them, or a section `autoscaling`.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
    },
    /// List all policies.
    List {
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
        format: OutputFormat,
    },
    /// Show a policy and its versions.
    Get {
        /// Its name.
        name: String,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
    },
    /// Remove a policy that is not in the configuration file.
    Delete {
        /// Its name.
        name: String,
        /// Which Tidewatch.
        #[command(flatten)]
        server: Server,
    },
}

/// Which Tidewatch a subcommand talks to.
#[derive(Debug, Clone, Args)]
pub struct Server {
    /// Its address.
    #[arg(long, default_value = "http://127.0.0.1:9090", env = "TIDEWATCH_URL")]
    pub url: String,
    /// File with the bearer token, when it wants one.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Tenant.
    #[arg(long, default_value = "default")]
    pub tenant: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_replay_wants_one_load() {
        let parse = |rest: &[&str]| {
            let line = ["tidewatch", "autoscale", "replay", "--policy", "p.yaml"];
            Cli::try_parse_from(line.iter().chain(rest)).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(parse(&["--trace", "load.csv"]), Ok(()));
        assert_eq!(parse(&["--from", "7d", "--to", "1d"]), Ok(()));
        let missing = parse(&[]).expect_err("no load");
        assert!(missing.contains("--trace <FILE>|--from <TIME>"), "{missing}");
        assert!(
            parse(&["--trace", "load.csv", "--from", "7d"]).expect_err("two loads").contains("cannot be used with")
        );
        let until = parse(&["--trace", "load.csv", "--to", "1d"]).expect_err("a file has its own end");
        assert!(until.contains("cannot be used with"), "{until}");
    }

    #[test]
    fn it_serves_without_a_subcommand() {
        let cli = Cli::try_parse_from(["tidewatch", "--listen", "127.0.0.1:0", "--roles", "store,dashboards"])
            .expect("valid");
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.roles, [Role::Store, Role::Dashboards]);
        assert!(Cli::try_parse_from(["tidewatch", "--listen", "nonsense"]).is_err());
    }
}
