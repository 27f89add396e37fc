//! Raw shapes: what the YAML says, nothing checked. Every field is optional, and unknown keys are collected instead of
//! ending the reading, so that the check can report all of them at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A list that may also be written as one value.
type Texts = Vec<String>;
/// A map of texts.
type TextMap = BTreeMap<String, String>;

/// Defines a struct of optional fields whose reader collects unknown keys. A derived reader would stop at the first
/// unknown key, and `flatten` would guess types (label `version: 1.10` would become `1.1`).
macro_rules! raw_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: Option<$type>,)*
            /// Keys that do not exist.
            pub unknown: Vec<String>,
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl<'de> Visitor<'de> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a mapping")
                    }
                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok($name::default())
                    }
                    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                        let mut out = $name::default();
                        while let Some(key) = map.next_key::<String>()? {
                            match key.as_str() {
                                $($key => out.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                    out.unknown.push(key);
                                }
                            }
                        }
                        Ok(out)
                    }
                }
                deserializer.deserialize_map(Reader)
            }
        }
    };
}

raw_struct! {
    /// The collector's top-level sections.
    RawCollector {
        /// Defaults of all scrape jobs.
        global: RawGlobal = "global",
        /// The scrape jobs.
        scrape_configs: Vec<RawScrapeConfig> = "scrape_configs",
        /// The built-in sources that are on.
        sources: RawSources = "sources",
        /// Where this machine stands.
        host: RawHostIdentity = "host",
        /// HAProxy instances.
        haproxy: Vec<RawHaproxy> = "haproxy",
        /// Log files.
        logs: Vec<RawLogSource> = "logs",
        /// The syslog receiver.
        syslog: RawSyslog = "syslog",
        /// How pushed OpenTelemetry metrics become series.
        otlp: RawOtlp = "otlp",
    }
}

raw_struct! {
    /// Prometheus's `otlp`.
    RawOtlp {
        /// How names are translated, default `UnderscoreEscapingWithSuffixes`.
        translation_strategy: String = "translation_strategy",
        /// Resource attributes that become labels of every series.
        promote_resource_attributes: Texts = "promote_resource_attributes",
        /// Whether all of them do.
        promote_all_resource_attributes: bool = "promote_all_resource_attributes",
        /// Those that do not, when all others do.
        ignore_resource_attributes: Texts = "ignore_resource_attributes",
        /// Whether `service.name` and the like stand in `target_info`, too.
        keep_identifying_resource_attributes: bool = "keep_identifying_resource_attributes",
        /// Whether explicit histograms become native ones with custom buckets.
        convert_histograms_to_nhcb: bool = "convert_histograms_to_nhcb",
        /// Whether the scope becomes labels of every series.
        promote_scope_metadata: bool = "promote_scope_metadata",
    }
}

raw_struct! {
    /// Prometheus's `global`. The keys that other rooms use are read here too, so that the section has one shape.
    RawGlobal {
        /// Default `15s` here, as in Prometheus' shipped file (its built-in default is 1m).
        scrape_interval: String = "scrape_interval",
        /// Default 10s, at most the interval.
        scrape_timeout: String = "scrape_timeout",
        /// Interval of rule groups; used by the rules.
        evaluation_interval: String = "evaluation_interval",
        /// Delay of rule queries; used by the rules.
        rule_query_offset: String = "rule_query_offset",
        /// Added where data leaves the process; used by notifications.
        external_labels: TextMap = "external_labels",
        /// Largest decompressed body.
        body_size_limit: String = "body_size_limit",
        /// Most samples of a scrape.
        sample_limit: u64 = "sample_limit",
        /// Most targets of a job.
        target_limit: u64 = "target_limit",
        /// Most labels of a sample.
        label_limit: u64 = "label_limit",
        /// Longest label name.
        label_name_length_limit: u64 = "label_name_length_limit",
        /// Longest label value.
        label_value_length_limit: u64 = "label_value_length_limit",
        /// Most dropped targets that are remembered per job.
        keep_dropped_targets: u64 = "keep_dropped_targets",
        /// Formats to ask for, best first.
        scrape_protocols: Texts = "scrape_protocols",
        /// Whether native histograms are scraped; `true` asks for them, `false` leaves them out, by default they are taken
        /// where a target answers with them.
        scrape_native_histograms: bool = "scrape_native_histograms",
        /// Whether the classic series are scraped beside native histograms, default false.
        always_scrape_classic_histograms: bool = "always_scrape_classic_histograms",
        /// `utf8` or `legacy`.
        metric_name_validation_scheme: String = "metric_name_validation_scheme",
    }
}

raw_struct! {
    /// One entry of `scrape_configs`.
    RawScrapeConfig {
        /// Its name.
        job_name: String = "job_name",
        /// How often.
        scrape_interval: String = "scrape_interval",
        /// How long a scrape may take.
        scrape_timeout: String = "scrape_timeout",
        /// Path, default `/metrics`.
        metrics_path: String = "metrics_path",
        /// `http` or `https`.
        scheme: String = "scheme",
        /// Query parameters.
        params: BTreeMap<String, Texts> = "params",
        /// Whether labels of the exposition win over the target's.
        honor_labels: bool = "honor_labels",
        /// Whether times of the exposition count.
        honor_timestamps: bool = "honor_timestamps",
        /// Whether series with times of their own get staleness markers.
        track_timestamps_staleness: bool = "track_timestamps_staleness",
        /// Whether redirects are followed.
        follow_redirects: bool = "follow_redirects",
        /// Whether HTTP/2 may be used.
        enable_http2: bool = "enable_http2",
        /// Whether compressed answers are asked for.
        enable_compression: bool = "enable_compression",
        /// Largest decompressed body.
        body_size_limit: String = "body_size_limit",
        /// Most samples of a scrape.
        sample_limit: u64 = "sample_limit",
        /// Most targets of the job.
        target_limit: u64 = "target_limit",
        /// Most labels of a sample.
        label_limit: u64 = "label_limit",
        /// Longest label name.
        label_name_length_limit: u64 = "label_name_length_limit",
        /// Longest label value.
        label_value_length_limit: u64 = "label_value_length_limit",
        /// Most dropped targets that are remembered.
        keep_dropped_targets: u64 = "keep_dropped_targets",
        /// Formats to ask for, best first.
        scrape_protocols: Texts = "scrape_protocols",
        /// Whether native histograms are scraped.
        scrape_native_histograms: bool = "scrape_native_histograms",
        /// Whether the classic series are scraped beside native histograms.
        always_scrape_classic_histograms: bool = "always_scrape_classic_histograms",
        /// Older name of `always_scrape_classic_histograms`.
        scrape_classic_histograms: bool = "scrape_classic_histograms",
        /// Format of answers without a usable content type.
        fallback_scrape_protocol: String = "fallback_scrape_protocol",
        /// `utf8` or `legacy`.
        metric_name_validation_scheme: String = "metric_name_validation_scheme",
        /// Targets written out.
        static_configs: Vec<RawStaticConfig> = "static_configs",
        /// Targets in files.
        file_sd_configs: Vec<RawFileSd> = "file_sd_configs",
        /// Changes to targets.
        relabel_configs: Vec<RawRelabel> = "relabel_configs",
        /// Changes to samples.
        metric_relabel_configs: Vec<RawRelabel> = "metric_relabel_configs",
        /// User and password.
        basic_auth: RawBasicAuth = "basic_auth",
        /// Authorization header.
        authorization: RawAuthorization = "authorization",
        /// Older way to write `authorization: {credentials}`.
        bearer_token: String = "bearer_token",
        /// Older way to write `authorization: {credentials_file}`.
        bearer_token_file: String = "bearer_token_file",
        /// TLS.
        tls_config: RawTlsConfig = "tls_config",
    }
}

raw_struct! {
    /// One entry of `static_configs`, and of a discovery file.
    RawStaticConfig {
        /// `host:port`.
        targets: Texts = "targets",
        /// Labels of all of them.
        labels: TextMap = "labels",
    }
}

raw_struct! {
    /// One entry of `file_sd_configs`.
    RawFileSd {
        /// Files or patterns.
        files: Texts = "files",
        /// How often they are looked at.
        refresh_interval: String = "refresh_interval",
    }
}

raw_struct! {
    /// One relabelling step.
    RawRelabel {
        /// Labels whose values are joined.
        source_labels: Texts = "source_labels",
        /// Between them.
        separator: String = "separator",
        /// Label to write.
        target_label: String = "target_label",
        /// Pattern for the joined value.
        regex: String = "regex",
        /// Number of buckets of `hashmod`.
        modulus: u64 = "modulus",
        /// What to write.
        replacement: String = "replacement",
        /// What to do.
        action: String = "action",
    }
}

raw_struct! {
    /// User and password.
    RawBasicAuth {
        /// The user.
        username: String = "username",
        /// A file with the user.
        username_file: String = "username_file",
        /// The password.
        password: String = "password",
        /// A file with the password.
        password_file: String = "password_file",
    }
}

raw_struct! {
    /// Authorization header.
    RawAuthorization {
        /// Its first word, default `Bearer`.
        kind: String = "type",
        /// The rest.
        credentials: String = "credentials",
        /// A file with the rest.
        credentials_file: String = "credentials_file",
    }
}

raw_struct! {
    /// TLS.
    RawTlsConfig {
        /// A PEM file with authorities to trust beside the system's.
        ca_file: String = "ca_file",
        /// Whether any certificate will do.
        insecure_skip_verify: bool = "insecure_skip_verify",
    }
}

/// The built-in sources; a key that is present, even without a value, turns its source on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawSources {
    /// Metrics of this machine.
    pub host: Option<RawHost>,
    /// Metrics of the containers on it.
    pub containers: Option<RawContainers>,
    /// Tidewatch's own metrics.
    pub self_metrics: Option<RawSelf>,
    /// The system's log.
    pub system_logs: Option<RawSystemLogs>,
    /// Keys that do not exist.
    pub unknown: Vec<String>,
}

impl<'de> Deserialize<'de> for RawSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = RawSources;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of host, containers, self, system_logs")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(RawSources::default())
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut out = RawSources::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "host" => out.host = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                        "containers" => out.containers = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                        "self" => out.self_metrics = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                        "system_logs" => out.system_logs = Some(map.next_value::<Option<_>>()?.unwrap_or_default()),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            out.unknown.push(key);
                        }
                    }
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl RawSources {
    /// All sources on with their defaults: what runs without a configuration file.
    pub fn all() -> Self {
        Self {
            host: Some(RawHost::default()),
            containers: Some(RawContainers::default()),
            self_metrics: Some(RawSelf::default()),
            system_logs: Some(RawSystemLogs::default()),
            unknown: Vec::new(),
        }
    }
}

raw_struct! {
    /// `sources.host`.
    RawHost {
        /// How often, default 15s.
        interval: String = "interval",
        /// Where procfs is mounted.
        procfs: String = "procfs",
        /// Where sysfs is mounted.
        sysfs: String = "sysfs",
    }
}

raw_struct! {
    /// `sources.containers`.
    RawContainers {
        /// How often, default 15s.
        interval: String = "interval",
        /// Where the cgroups are mounted.
        cgroup_root: String = "cgroup_root",
        /// Where procfs is mounted.
        procfs: String = "procfs",
        /// The Docker API's socket, for names and labels.
        docker_socket: String = "docker_socket",
    }
}

raw_struct! {
    /// `sources.self`.
    RawSelf {
        /// How often, default 15s.
        interval: String = "interval",
    }
}

raw_struct! {
    /// `sources.system_logs`.
    RawSystemLogs {
        /// Folder of the text logs that are read when there is no journal.
        directory: String = "directory",
        /// Whether the journal is tried first, default true.
        journal: bool = "journal",
    }
}

raw_struct! {
    /// Where this machine stands: labels of its entity, of its metrics and of its logs.
    RawHostIdentity {
        /// Its name, default the system's host name.
        name: String = "name",
        /// The room.
        room: String = "room",
        /// The rack.
        rack: String = "rack",
        /// Further labels.
        labels: TextMap = "labels",
    }
}

raw_struct! {
    /// One HAProxy; exactly one of `url`, `csv_url`, `socket` is given.
    RawHaproxy {
        /// The instance's name.
        name: String = "name",
        /// Its Prometheus endpoint.
        url: String = "url",
        /// Its stats page in CSV form (`http://…/;csv`).
        csv_url: String = "csv_url",
        /// Its runtime socket: a path, or `host:port`.
        socket: String = "socket",
        /// How often, default 15s.
        interval: String = "interval",
        /// The cluster its backends belong to.
        cluster: String = "cluster",
        /// Further labels of its series.
        labels: TextMap = "labels",
    }
}

raw_struct! {
    /// One entry of `logs`.
    RawLogSource {
        /// Files or patterns.
        paths: Texts = "paths",
        /// The service that writes them.
        service: String = "service",
        /// Labels of its records.
        labels: TextMap = "labels",
        /// How lines are read, default `auto`.
        parser: String = "parser",
        /// How lines are joined to records.
        multiline: RawMultiline = "multiline",
        /// Whether files found at the first start are read from their beginning, default true.
        from_beginning: bool = "from_beginning",
    }
}

raw_struct! {
    /// How lines are joined.
    RawMultiline {
        /// A record begins with a line that matches.
        start: String = "start",
        /// A record that is not continued ends after this time, default 1s.
        timeout: String = "timeout",
    }
}

raw_struct! {
    /// The syslog receiver.
    RawSyslog {
        /// UDP address.
        listen: String = "listen",
        /// Service of records whose program name says none.
        service: String = "service",
        /// Labels of its records.
        labels: TextMap = "labels",
    }
}
