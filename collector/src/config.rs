//! The collector's part of the configuration: raw shapes as they stand in the file, checked values as the program
//! uses them, and the check between the two, which notes every mistake with its key path.
//!
//! Prometheus's own keys are `global`, `scrape_configs` and `otlp`; ours are `sources`, `host`, `haproxy`, `logs` and `syslog`.

mod checked;
mod logs;
mod otlp;
mod raw;
mod scrape;
mod sources;

pub use checked::{
    CollectorConfig, ContainersConfig, FileSdConfig, HaproxyConfig, HaproxyEndpoint, HostConfig, HostIdentity,
    HttpConfig, LogSourceConfig, ScrapeConfig, ScrapeLimits, Secret, SelfConfig, SourcesConfig, StaticGroup,
    SyslogConfig, SystemLogsConfig, TextOrFile, TlsConfig,
};
pub use otlp::{OtlpConfig, Translation};
pub use raw::{
    RawAuthorization, RawBasicAuth, RawCollector, RawContainers, RawFileSd, RawGlobal, RawHaproxy, RawHost,
    RawHostIdentity, RawLogSource, RawMultiline, RawOtlp, RawRelabel, RawScrapeConfig, RawSelf, RawSources,
    RawStaticConfig, RawSyslog, RawSystemLogs, RawTlsConfig,
};

use vocab::Problems;
use vocab::resolve::ResolverConfig;

/// Checks the raw sections; everything wrong goes to `problems`, and what is returned then must not be used.
///
/// `resolver` is the `cluster` and `services:` part of the configuration, which the root package owns.
pub fn check(raw: &RawCollector, resolver: ResolverConfig, problems: &mut Problems) -> CollectorConfig {
    scrape::unknown_keys("", &raw.unknown, problems);
    let global = scrape::check_global(&raw.global.clone().unwrap_or_default(), problems);
    CollectorConfig {
        resolver,
        scrape_configs: scrape::check_jobs(raw.scrape_configs.as_deref().unwrap_or_default(), &global, problems),
        host: sources::check_identity(&raw.host.clone().unwrap_or_default(), problems),
        sources: sources::check_sources(&raw.sources.clone().unwrap_or_default(), problems),
        haproxy: sources::check_haproxy(raw.haproxy.as_deref().unwrap_or_default(), problems),
        logs: logs::check_logs(raw.logs.as_deref().unwrap_or_default(), problems),
        otlp: otlp::check_otlp(&raw.otlp.clone().unwrap_or_default(), problems),
        syslog: raw.syslog.as_ref().and_then(|s| logs::check_syslog(s, problems)),
    }
}

#[cfg(test)]
mod tests;
