//! Checks `logs` and `syslog`.

use vocab::Problems;

use super::checked::{LogSourceConfig, SyslogConfig};
use super::raw::{RawLogSource, RawSyslog};
use super::scrape::{duration, unknown_keys};
use crate::multiline::Multiline;
use crate::parse_line::LineFormat;

pub(super) fn check_logs(raw: &[RawLogSource], problems: &mut Problems) -> Vec<LogSourceConfig> {
    raw.iter().enumerate().map(|(index, entry)| check_log(entry, &format!("logs[{index}]"), problems)).collect()
}

fn check_log(raw: &RawLogSource, path: &str, problems: &mut Problems) -> LogSourceConfig {
    unknown_keys(path, &raw.unknown, problems);
    let paths = raw.paths.clone().unwrap_or_default();
    if paths.is_empty() {
        problems.add(path, "paths is missing");
    }
    for (index, pattern) in paths.iter().enumerate() {
        if let Err(error) = glob::Pattern::new(pattern) {
            problems.add(format!("{path}.paths[{index}]"), format!("{pattern:?} is not a valid pattern: {error}"));
        }
    }
    let format = raw.parser.as_deref().map_or(Some(LineFormat::Auto), LineFormat::parse);
    if format.is_none() {
        problems.add(
            format!("{path}.parser"),
            format!(
                "unknown parser {:?}: want one of {}",
                raw.parser.as_deref().unwrap_or(""),
                LineFormat::NAMES.join(", ")
            ),
        );
    }
    let multiline = raw.multiline.as_ref().and_then(|multiline| {
        let at = format!("{path}.multiline");
        unknown_keys(&at, &multiline.unknown, problems);
        let timeout = duration(multiline.timeout.as_ref(), &format!("{at}.timeout"), problems);
        match Multiline::new(multiline.start.as_deref().unwrap_or(""), timeout) {
            Ok(multiline) => Some(multiline),
            Err(message) => {
                problems.add(format!("{at}.start"), message);
                None
            }
        }
    });
    LogSourceConfig {
        paths,
        service: raw.service.clone().unwrap_or_default(),
        labels: raw.labels.clone().unwrap_or_default(),
        format: format.unwrap_or(LineFormat::Auto),
        multiline,
        from_beginning: raw.from_beginning.unwrap_or(true),
    }
}

pub(super) fn check_syslog(raw: &RawSyslog, problems: &mut Problems) -> Option<SyslogConfig> {
    unknown_keys("syslog", &raw.unknown, problems);
    let text = raw.listen.as_deref().unwrap_or("127.0.0.1:5140");
    match text.parse() {
        Ok(listen) => Some(SyslogConfig {
            listen,
            service: raw.service.clone().unwrap_or_default(),
            labels: raw.labels.clone().unwrap_or_default(),
        }),
        Err(_) => {
            problems.add("syslog.listen", format!("{text:?} is not an address such as 127.0.0.1:5140"));
            None
        }
    }
}
