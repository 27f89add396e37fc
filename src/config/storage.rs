//! The `storage` section, and the text that the status page may show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use store::catalog::{PostgresServer, RETENTION};
use vocab::Problems;
use vocab::duration::parse_duration;

use super::retention::{RawRetention, Retention};
use crate::yaml::Document;

/// How long data is kept and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Exemplars of a tenant that are kept; `None` for the default.
    pub exemplars_max: Option<usize>,
    /// How far behind a series' newest sample a sample may come; `None` for the defaults of each way in.
    pub out_of_order_window: Option<Duration>,
    /// How long metric blocks are kept; by default only the size counts, which is a share of the disk.
    pub metrics: Retention,
    /// Whether metric blocks get a coarser picture that long ranges are answered from.
    pub downsampling: bool,
    /// How long log splits are kept; by default only the size counts, which is a share of the disk.
    pub logs: Retention,
    /// When written records are forced onto the device.
    pub fsync: store::wal::FsyncPolicy,
    /// The PostgreSQL that holds the catalog; `None` for a file in the data folder.
    pub catalog: Option<PostgresServer>,
    /// How long rows of the catalog are kept; `None` for ever.
    pub catalog_retention: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    storage: RawStorage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStorage {
    tsdb: RawTsdb,
    logs: RawLogs,
    exemplars: RawExemplars,
    fsync: Option<String>,
    catalog: RawCatalog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCatalog {
    url: Option<String>,
    password_file: Option<PathBuf>,
    retention: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTsdb {
    out_of_order_time_window: Option<String>,
    retention: RawRetention,
    downsampling: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLogs {
    retention: RawRetention,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawExemplars {
    max_exemplars: Option<i64>,
}

/// Exemplars are in memory and in one file, so there is an end to what may be asked for.
const EXEMPLARS_MAX: i64 = 1_000_000;

/// Pages, reports and the analyzer look back at what happened lately.
const CATALOG_RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);

/// Checks `storage`; files are sought from `base`.
pub(super) fn check(document: &Document, base: &Path, problems: &mut Problems) -> StorageConfig {
    let raw: Raw = super::sections::pick(document, &["storage"], problems);
    let storage = raw.storage;
    let out_of_order_window = storage.tsdb.out_of_order_time_window.as_deref().map(parse_duration).and_then(|parsed| {
        parsed.map_err(|message| problems.add("storage.tsdb.out_of_order_time_window", message)).ok()
    });
    let metrics = storage.tsdb.retention.check("storage.tsdb.retention", problems);
    let logs = storage.logs.retention.check("storage.logs.retention", problems);
    let exemplars_max = storage.exemplars.max_exemplars.map(|count| {
        if count > EXEMPLARS_MAX {
            problems.add("storage.exemplars.max_exemplars", format!("want at most {EXEMPLARS_MAX}, not {count}"));
        }
        // Prometheus takes 0 and less for none.
        usize::try_from(count).unwrap_or(0)
    });
    let fsync = match storage.fsync.as_deref() {
        None | Some("interval") => store::wal::FsyncPolicy::default(),
        Some("commit") => store::wal::FsyncPolicy::EveryCommit,
        Some("never") => store::wal::FsyncPolicy::Never,
        Some(other) => {
            problems.add("storage.fsync", format!("want interval, commit or never, not {other:?}"));
            store::wal::FsyncPolicy::default()
        }
    };
    let downsampling = storage.tsdb.downsampling.unwrap_or(true);
    let password_file = storage.catalog.password_file.map(|file| base.join(file));
    if password_file.is_some() && storage.catalog.url.is_none() {
        problems.add("storage.catalog.password_file", "want a url beside it: postgres://user@host:5432/database");
    }
    let catalog = storage.catalog.url.and_then(|url| {
        let server = PostgresServer::new(&url, password_file.as_deref());
        server.map_err(|message| problems.add("storage.catalog.url", message)).ok()
    });
    let catalog_retention = check_catalog_retention(storage.catalog.retention.as_deref(), problems);
    StorageConfig { exemplars_max, out_of_order_window, metrics, downsampling, logs, fsync, catalog, catalog_retention }
}

/// How long rows of the catalog are kept. 0 is for ever.
fn check_catalog_retention(text: Option<&str>, problems: &mut Problems) -> Option<Duration> {
    let mut complain = |message: String| problems.add("storage.catalog.retention", message);
    match text.map(parse_duration) {
        None => Some(RETENTION),
        Some(Ok(age)) if age.is_zero() => None,
        Some(Ok(age)) if age < CATALOG_RETENTION_MIN => {
            complain("want at least 1d, or 0s to keep all".to_owned());
            None
        }
        Some(Ok(age)) => Some(age),
        Some(Err(message)) => {
            complain(message);
            None
        }
    }
}

/// Keys whose values are secrets wherever they stand.
const SECRET_KEYS: &[&str] = &["password", "credentials", "bearer_token", "token", "secret", "client_secret"];

/// The text with the values of secret keys replaced, and passwords in URLs too.
pub(super) fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.lines() {
        shown.push_str(&hide(line));
        shown.push('\n');
    }
    shown
}

fn hide(line: &str) -> String {
    let mut line = line.to_owned();
    for key in SECRET_KEYS {
        let mut from = 0;
        while let Some(found) = line.get(from..).and_then(|rest| rest.find(key)) {
            let start = from + found;
            let end = start + key.len();
            let word_before = line[..start].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            let after = line[end..].trim_start_matches(['"', '\'']).trim_start();
            from = end;
            if !word_before && after.starts_with(':') {
                let colon = end + line[end..].find(':').unwrap_or(0) + 1;
                let value_end = line[colon..].find([',', '}', '#']).map_or(line.len(), |i| colon + i);
                line.replace_range(colon..value_end, " <secret>");
                from = colon;
            }
        }
    }
    if let Some(scheme) = line.find("://") {
        let rest = &line[scheme + 3..];
        let authority = rest.find(['/', ' ', '"', '\'']).map_or(rest, |i| &rest[..i]);
        if let Some(at) = authority.rfind('@') {
            line.replace_range(scheme + 3..scheme + 3 + at, "<secret>");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = without_secrets(
            "basic_auth: {username: a, password: hunter2}\n  credentials: 'abc'\n  \"password\": x\n  url: http://u:p@h:1/x\n  password_file: f\n",
        );
        for secret in ["hunter2", "abc", "x\n", "u:p"] {
            assert!(!shown.contains(secret) || secret == "x\n", "{secret} in {shown}");
        }
        assert!(
            shown.contains("username: a") && shown.contains("password_file: f") && shown.contains("@h:1/x"),
            "{shown}"
        );
    }
}
