//! The system's log: the journal where there is one, else the text files of `/var/log`, else the kernel's messages. When none
//! can be read, the source's status says which permission is missing.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::SystemLogsConfig;
use crate::journal::Journal;
use crate::kmsg;
use crate::log_sink::{LogSink, RecordShape};
use crate::parse_line::LineFormat;
use crate::shared::Shared;
use crate::tail::{Start, Tail, TailConfig};

/// Text logs by name; binary ones (`wtmp`, `lastlog`) are none.
const NAMES: [&str; 14] = [
    "syslog",
    "messages",
    "auth.log",
    "secure",
    "kern.log",
    "daemon.log",
    "user.log",
    "dpkg.log",
    "alternatives.log",
    "cron.log",
    "mail.log",
    "boot.log",
    "cloud-init.log",
    "apt/history.log",
];
/// How much of each file's past is read at the first start.
const RECENT_BYTES: u64 = 128 << 10;
/// The kernel's messages.
const KMSG: &str = "/dev/kmsg";
/// The source's name.
pub(crate) const NAME: &str = "system_logs";

/// Reads until the source is stopped.
pub(crate) async fn run(shared: Arc<Shared>, config: SystemLogsConfig, stop: CancellationToken) {
    run_with(shared, config, Journal::default(), stop).await;
}

/// The same with a journal of the caller's.
pub(crate) async fn run_with(shared: Arc<Shared>, config: SystemLogsConfig, journal: Journal, stop: CancellationToken) {
    let entry = shared.sources.open(NAME, "logs", "");
    let sink = |source: &'static str| {
        let shape = RecordShape { source, ..RecordShape::default() };
        Arc::new(LogSink::new(&shared, Arc::clone(&entry), NAME, shape, &stop))
    };
    let journal_problem = if config.journal { journal.probe().await.err() } else { Some(String::new()) };
    if journal_problem.is_none() {
        entry.reading("journal");
        journal.run(sink("journal")).await;
    } else if let Some(patterns) = readable_files(&config.directory) {
        entry.reading(&patterns.join(", "));
        let tail =
            TailConfig { patterns, format: LineFormat::Auto, multiline: None, start: Start::Recent(RECENT_BYTES) };
        Tail::new(sink("file"), tail).run().await;
    } else {
        match kmsg::open(Path::new(KMSG)) {
            Ok(file) => {
                entry.reading(KMSG);
                kmsg::run(sink("kernel"), KMSG.into(), file, "/proc".into()).await;
            }
            Err(error) => {
                let journal = journal_problem.filter(|p| !p.is_empty()).map(|p| format!("{p}; ")).unwrap_or_default();
                let problem = format!(
                    "{journal}no text log in {} can be read: add the user to group adm; {KMSG}: {error}: allow it with sysctl kernel.dmesg_restrict=0 or run as root",
                    config.directory.display()
                );
                tracing::warn!(problem = %problem, "no system log can be read");
                entry.failed(&problem);
                stop.cancelled().await;
            }
        }
    }
    shared.sources.close(NAME, &entry);
}

/// The known logs, when at least one of them is there and can be read.
fn readable_files(directory: &Path) -> Option<Vec<String>> {
    let paths: Vec<_> = NAMES.iter().map(|name| directory.join(name)).collect();
    let any = paths.iter().any(|p| p.is_file() && std::fs::File::open(p).is_ok());
    any.then(|| paths.iter().map(|p| glob::Pattern::escape(&p.display().to_string())).collect())
}
