//! Checked values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vocab::resolve::ResolverConfig;

use crate::exposition::HistogramChoice;
use crate::multiline::Multiline;
use crate::parse_line::LineFormat;
use crate::relabel::RelabelStep;

/// Everything the collector is to do.
#[derive(Debug, Clone, Default)]
pub struct CollectorConfig {
    /// How source labels become cluster, service and replica.
    pub resolver: ResolverConfig,
    /// The scrape jobs.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Where this machine stands.
    pub host: HostIdentity,
    /// The built-in sources.
    pub sources: SourcesConfig,
    /// HAProxy instances.
    pub haproxy: Vec<HaproxyConfig>,
    /// Log files.
    pub logs: Vec<LogSourceConfig>,
    /// The syslog receiver.
    pub syslog: Option<SyslogConfig>,
    /// How pushed OpenTelemetry metrics become series.
    pub otlp: super::OtlpConfig,
}

impl CollectorConfig {
    /// Makes relative file names (discovery, authorities, credentials, logs) relative to the folder of the configuration
    /// file, as in Prometheus.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
        let pattern = |text: &mut String| *text = folder.join(&*text).display().to_string();
        for job in &mut self.scrape_configs {
            job.file_sd.iter_mut().flat_map(|f| &mut f.files).for_each(pattern);
            job.http.tls.ca_file.as_mut().map(absolute);
            let texts = match &mut job.http.authorization {
                Secret::None => vec![],
                Secret::Basic { username, password } => vec![username, password],
                Secret::Scheme { credentials, .. } => vec![credentials],
            };
            for text in texts {
                if let TextOrFile::File(path) = text {
                    absolute(path);
                }
            }
        }
        self.logs.iter_mut().flat_map(|l| &mut l.paths).for_each(pattern);
    }
}

/// One scrape job.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeConfig {
    /// Its name.
    pub job_name: String,
    /// How often.
    pub interval: Duration,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// Path.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// Whether labels of the exposition win over the target's.
    pub honor_labels: bool,
    /// Whether times of the exposition count.
    pub honor_timestamps: bool,
    /// Whether series with times of their own get staleness markers.
    pub track_timestamps_staleness: bool,
    /// Limits.
    pub limits: ScrapeLimits,
    /// The `Accept` header.
    pub accept: String,
    /// How histograms that are native and classic are read.
    pub histograms: HistogramChoice,
    /// Format of answers without a usable content type.
    pub fallback: Option<crate::exposition::Format>,
    /// Targets written out.
    pub static_groups: Vec<StaticGroup>,
    /// Targets in files.
    pub file_sd: Vec<FileSdConfig>,
    /// Changes to targets.
    pub relabel: Vec<RelabelStep>,
    /// Changes to samples.
    pub metric_relabel: Vec<RelabelStep>,
    /// How the target is reached.
    pub http: HttpConfig,
}

/// Limits of a scrape; 0 means none, but for the body, whose default is [`crate::fetch::BODY_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrapeLimits {
    /// Decompressed bytes of a body.
    pub body_bytes: u64,
    /// Samples after relabelling.
    pub samples: u64,
    /// Targets of the job.
    pub targets: u64,
    /// Labels of a sample.
    pub labels: u64,
    /// Bytes of a label name.
    pub label_name_bytes: u64,
    /// Bytes of a label value.
    pub label_value_bytes: u64,
    /// Dropped targets that are remembered.
    pub dropped_targets_kept: u64,
}

/// Targets with common labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StaticGroup {
    /// `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, String>,
}

/// Discovery files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSdConfig {
    /// Files or patterns.
    pub files: Vec<String>,
    /// How often they are looked at.
    pub refresh_interval: Duration,
}

/// How a target is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Value of the `Authorization` header; empty for none. Never shown.
    pub authorization: Secret,
    /// TLS.
    pub tls: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be used.
    pub http2: bool,
    /// Whether compressed answers are asked for.
    pub compression: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            authorization: Secret::default(),
            tls: TlsConfig::default(),
            follow_redirects: true,
            http2: true,
            compression: true,
        }
    }
}

/// Credentials of a request, read anew from their files for every scrape so that a rotated secret takes effect.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Secret {
    /// None.
    #[default]
    None,
    /// User and password.
    Basic {
        /// The user.
        username: TextOrFile,
        /// The password.
        password: TextOrFile,
    },
    /// A scheme such as `Bearer`, and what follows it.
    Scheme {
        /// `Bearer`.
        scheme: String,
        /// The rest.
        credentials: TextOrFile,
    },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::None { "none" } else { "<secret>" })
    }
}

/// A text, or a file that holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum TextOrFile {
    /// The text.
    Text(String),
    /// The file.
    File(PathBuf),
}

impl std::fmt::Debug for TextOrFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// TLS towards a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// PEM authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
}

/// Where this machine stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostIdentity {
    /// Its name; empty for the system's host name.
    pub name: String,
    /// `room`, `rack` and further labels.
    pub labels: BTreeMap<String, String>,
}

/// The built-in sources that are on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourcesConfig {
    /// Metrics of this machine.
    pub host: Option<HostConfig>,
    /// Metrics of the containers on it.
    pub containers: Option<ContainersConfig>,
    /// Tidewatch's own metrics.
    pub self_metrics: Option<SelfConfig>,
    /// The system's log.
    pub system_logs: Option<SystemLogsConfig>,
}

/// `sources.host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// How often.
    pub interval: Duration,
    /// Where procfs is mounted.
    pub procfs: PathBuf,
    /// Where sysfs is mounted.
    pub sysfs: PathBuf,
}

/// `sources.containers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainersConfig {
    /// How often.
    pub interval: Duration,
    /// Where the cgroups are mounted.
    pub cgroup_root: PathBuf,
    /// Where procfs is mounted.
    pub procfs: PathBuf,
    /// The Docker API's socket.
    pub docker_socket: PathBuf,
}

/// `sources.self`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfConfig {
    /// How often.
    pub interval: Duration,
}

/// `sources.system_logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemLogsConfig {
    /// Folder of the text logs.
    pub directory: PathBuf,
    /// Whether the journal is tried first.
    pub journal: bool,
}

/// One HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaproxyConfig {
    /// The instance's name.
    pub name: String,
    /// Where its numbers are.
    pub endpoint: HaproxyEndpoint,
    /// How often.
    pub interval: Duration,
    /// The cluster its backends belong to.
    pub cluster: Option<String>,
    /// Further labels of its series.
    pub labels: BTreeMap<String, String>,
}

/// The three ways to HAProxy's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaproxyEndpoint {
    /// The Prometheus endpoint.
    Prometheus(String),
    /// The stats page in CSV form.
    Csv(String),
    /// The runtime socket in the file system.
    Unix(PathBuf),
    /// The runtime socket on TCP, `host:port`.
    Tcp(String),
}

/// Log files.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSourceConfig {
    /// Files or patterns.
    pub paths: Vec<String>,
    /// The service that writes them; empty for "ask the resolver".
    pub service: String,
    /// Labels of its records.
    pub labels: BTreeMap<String, String>,
    /// How lines are read.
    pub format: LineFormat,
    /// How lines are joined.
    pub multiline: Option<Multiline>,
    /// Whether files found at the first start are read from their beginning.
    pub from_beginning: bool,
}

/// The syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// UDP address.
    pub listen: SocketAddr,
    /// Service of records whose program name says none.
    pub service: String,
    /// Labels of its records.
    pub labels: BTreeMap<String, String>,
}
