//! The systemd journal through `journalctl -f -o json`, with the journal's cursor as the position.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use vocab::{LogRecord, Severity};

use crate::error::SourceError;
use crate::log_sink::{BATCH_RECORDS_MAX, LINE_BYTES_MAX, LogSink};
use crate::parse_line::{ParsedLine, severity_of_text};
use crate::ticker;

/// Where journals are kept: on disk, and in memory.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Lines of the past at the very first start.
const LINES_AT_FIRST: &str = "1000";
/// Longest entry in its JSON form: a message of the longest kind, every byte of it written as a number.
const ENTRY_BYTES_MAX: usize = 6 * LINE_BYTES_MAX;
/// How long lines are gathered to one batch.
const GATHER: Duration = Duration::from_millis(200);
/// What is read of an entry, beside its cursor and time.
const FIELDS: [&str; 9] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "CONTAINER_NAME",
    "_SOURCE_REALTIME_TIMESTAMP",
    "_HOSTNAME",
    "_COMM",
    "_PID",
    "_SYSTEMD_UNIT",
];
const NAMESPACE: &str = "collector.journal";
const KEY: &str = "cursor";

/// Where the journal is and what reads it.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    /// `journalctl`, or what stands in for it in tests.
    pub(crate) program: PathBuf,
    /// Folders that hold journals, one folder per machine.
    pub(crate) folders: Vec<PathBuf>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { program: "journalctl".into(), folders: FOLDERS.map(PathBuf::from).to_vec() }
    }
}

impl Journal {
    /// Whether a journal with files is there and may be read; else why not.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let has_files = |folder: &PathBuf| {
            let machines = std::fs::read_dir(folder).into_iter().flatten().flatten();
            machines.filter_map(|m| std::fs::read_dir(m.path()).ok()).flatten().flatten().any(|f| is_journal(&f.path()))
        };
        if !self.folders.iter().any(has_files) {
            return Err("there is no journal".to_owned());
        }
        let mut command = Command::new(&self.program);
        match command.args(["-q", "-n", "1", "-o", "json"]).stdin(Stdio::null()).output().await {
            Err(error) => Err(format!("journalctl does not start: {error}")),
            Ok(output) if output.status.success() && !output.stdout.is_empty() => Ok(()),
            Ok(_) => Err("no permission to read the journal: add the user to group systemd-journal".to_owned()),
        }
    }

    /// Follows the journal, starting `journalctl` again when it ends.
    pub(crate) async fn run(&self, sink: Arc<LogSink>) {
        const PAUSE: Duration = Duration::from_secs(5);
        while let Err(error) = self.follow(&sink).await {
            sink.shared.metrics.source_failed(&sink.name);
            if sink.entry.failed(&error.to_string()) {
                tracing::warn!(error = %vocab::error::chain(&error), "journal not readable, trying again");
            }
            if !ticker::sleep(&sink.shared.clock, &sink.stop, PAUSE).await {
                return;
            }
        }
    }

    /// Follows the journal until the source is stopped; an end of `journalctl` is an error.
    async fn follow(&self, sink: &Arc<LogSink>) -> Result<(), SourceError> {
        let cursor = sink.shared.catalog.document(NAMESPACE, KEY).await?;
        let cursor = cursor.and_then(|d| d.value.as_str().map(str::to_owned));
        let mut child = self.start(cursor.as_deref())?;
        let stdout =
            child.stdout.take().ok_or_else(|| SourceError::Malformed("journalctl has no output".to_owned()))?;
        let mut reader = BufReader::with_capacity(64 << 10, stdout);
        let mut line = Vec::new();
        let mut batch: Vec<LogRecord> = Vec::new();
        let mut last_cursor = None;
        loop {
            let next = tokio::select! {
                biased;
                () = sink.stop.cancelled() => break,
                chunk = read_chunk(&mut reader, &mut line) => Some(chunk),
                () = sink.shared.clock.sleep(GATHER), if !batch.is_empty() => None,
            };
            let ended = match next {
                Some(Ok(Chunk::Line)) => {
                    take_line(sink, &line, &mut batch, &mut last_cursor);
                    line.clear();
                    false
                }
                Some(Ok(Chunk::Part)) | None => false,
                Some(Ok(Chunk::End) | Err(_)) => true,
            };
            let is_due = next_is_due(&batch, ended, &reader);
            if is_due && !flush(sink, &mut batch, last_cursor.as_deref()).await {
                break;
            }
            if ended {
                return Err(SourceError::Malformed("journalctl ended, starting it again".to_owned()));
            }
        }
        flush(sink, &mut batch, last_cursor.as_deref()).await;
        Ok(())
    }

    fn start(&self, cursor: Option<&str>) -> Result<Child, SourceError> {
        let mut command = Command::new(&self.program);
        // Only the fields that are read: others may hold whole core dumps.
        command.args(["-q", "-f", "-o", "json", "--all"]).arg(format!("--output-fields={}", FIELDS.join(",")));
        match cursor {
            Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
            None => command.args(["-n", LINES_AT_FIRST]),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| SourceError::Read { path: "journalctl".to_owned(), source: e })
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "journal")
}

/// A batch is written when it is full, when the stream ended, or when nothing more waits in the buffer.
fn next_is_due<R: AsyncRead + Unpin>(batch: &[LogRecord], ended: bool, reader: &BufReader<R>) -> bool {
    let nothing_waits = reader.buffer().is_empty();
    !batch.is_empty() && (ended || nothing_waits || batch.len() >= BATCH_RECORDS_MAX)
}

/// What one read brought.
enum Chunk {
    /// The line is complete.
    Line,
    /// More of it follows.
    Part,
    /// The stream ended.
    End,
}

/// Adds what the buffer holds of the current line. A line over the limit loses its rest and will not parse. Nothing is lost
/// when this is cancelled: only waiting for the buffer can be.
async fn read_chunk<R: AsyncRead + Unpin>(reader: &mut BufReader<R>, line: &mut Vec<u8>) -> std::io::Result<Chunk> {
    let buffer = reader.fill_buf().await?;
    if buffer.is_empty() {
        return Ok(Chunk::End);
    }
    let end = memchr::memchr(b'\n', buffer);
    let taken = end.map_or(buffer.len(), |at| at + 1);
    let room = ENTRY_BYTES_MAX.saturating_sub(line.len());
    line.extend_from_slice(&buffer[..taken.min(room)]);
    reader.consume(taken);
    Ok(if end.is_some() { Chunk::Line } else { Chunk::Part })
}

fn take_line(sink: &LogSink, line: &[u8], batch: &mut Vec<LogRecord>, cursor: &mut Option<String>) {
    match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(entry) => {
            if let Some(text) = entry.get("__CURSOR").and_then(Value::as_str) {
                *cursor = Some(text.to_owned());
            }
            batch.push(sink.record(read_entry(&entry), ""));
        }
        Err(_) => sink.entry.malformed(1),
    }
}

/// Writes the batch, then keeps the cursor.
async fn flush(sink: &LogSink, batch: &mut Vec<LogRecord>, cursor: Option<&str>) -> bool {
    if batch.is_empty() {
        return true;
    }
    if !sink.write(std::mem::take(batch), None).await {
        return false;
    }
    if let Some(cursor) = cursor {
        let saved = sink.shared.catalog.put_document(NAMESPACE, KEY, &Value::from(cursor), None).await;
        if let Err(error) = saved {
            tracing::warn!(error = %vocab::error::chain(&error), "journal cursor not saved");
        }
    }
    true
}

/// One entry of the journal's JSON form.
fn read_entry(entry: &Map<String, Value>) -> ParsedLine {
    let text = |key: &str| entry.get(key).map(value_text).unwrap_or_default();
    let mut parsed = ParsedLine::default();
    let micros = text("_SOURCE_REALTIME_TIMESTAMP").parse::<i64>().or_else(|_| text("__REALTIME_TIMESTAMP").parse());
    parsed.time_ns = micros.ok().and_then(|us| us.checked_mul(1000));
    parsed.body = text("MESSAGE");
    if parsed.body.len() > LINE_BYTES_MAX {
        parsed.body = parsed.body.chars().take(LINE_BYTES_MAX / 4).collect();
    }
    parsed.severity = match text("PRIORITY").parse() {
        Ok(number) => Severity::from_syslog(number),
        Err(_) => severity_of_text(&parsed.body),
    };
    parsed.host = Some(text("_HOSTNAME")).filter(|h| !h.is_empty());
    let identifier = text("SYSLOG_IDENTIFIER");
    let program = if identifier.is_empty() { text("_COMM") } else { identifier };
    // Containers that log to the journal say which they are; the resolver reads the name.
    let container = text("CONTAINER_NAME");
    parsed.service = Some(if container.is_empty() { program.clone() } else { container }).filter(|s| !s.is_empty());
    for (field, value) in [("pid", text("_PID")), ("program", program), ("unit", text("_SYSTEMD_UNIT"))] {
        parsed.field(field, value);
    }
    parsed
}

/// Journal fields that are not UTF-8 come as lists of bytes.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|b| u8::try_from(b.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::TenantId;
    use vocab::ports::views::SourceView;

    use crate::testing::{Bench, until};

    #[tokio::test]
    async fn the_cursor_is_kept_and_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("journal/machine")).expect("created");
        std::fs::write(folder.path().join("journal/machine/system.journal"), "").expect("written");
        let program = folder.path().join("journalctl");
        // Answers the probe; follows with two entries at first, and with one behind a cursor.
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {0}/calls\n\
             case \"$*\" in *-f*) ;; *) echo '{{}}'; exit 0;; esac\n\
             case \"$*\" in *--after-cursor=c2*) echo '{{\"__CURSOR\":\"c3\",\"MESSAGE\":\"three\"}}';;\n\
             *) echo '{{\"__CURSOR\":\"c1\",\"MESSAGE\":\"one\",\"PRIORITY\":\"3\"}}'; echo garbage\n\
             echo '{{\"__CURSOR\":\"c2\",\"MESSAGE\":\"two\"}}';; esac\nexec sleep 60\n",
            folder.path().display()
        );
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let journal = Journal { program, folders: vec![folder.path().join("journal")] };
        let mut bench = Bench::new();
        for count in [2, 3] {
            let stop = tokio_util::sync::CancellationToken::new();
            let config = crate::config::SystemLogsConfig { directory: "/nowhere".into(), journal: true };
            let shared = Arc::clone(&bench.collector.shared);
            let task = tokio::spawn(crate::system_logs::run_with(shared, config, journal.clone(), stop.clone()));
            until("the entries", async || bench.logs.dump(&TenantId::default()).len() == count).await;
            let source = bench.collector.sources().await.remove(0);
            assert_eq!((source.reading.as_str(), source.healthy), ("journal", true));
            stop.cancel();
            task.await.expect("ended");
            bench = bench.restarted();
        }
        let records = bench.logs.dump(&TenantId::default());
        assert_eq!(records[0].severity, Severity::Error);
        let calls = std::fs::read_to_string(folder.path().join("calls")).expect("called");
        assert!(calls.contains("-n 1000") && calls.contains("--after-cursor=c2"), "{calls}");
        let missing = Journal { program: "/nowhere/journalctl".into(), ..journal };
        assert!(missing.probe().await.is_err_and(|e| e.contains("does not start")));
        assert!(Journal { folders: Vec::new(), ..missing }.probe().await.is_err_and(|e| e == "there is no journal"));
    }

    #[test]
    fn an_entry_becomes_a_record() {
        let line = r#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1700000000000001","MESSAGE":[104,105],"PRIORITY":"4",
            "SYSLOG_IDENTIFIER":"sshd","_PID":"7","_HOSTNAME":"h","_SYSTEMD_UNIT":"ssh.service"}"#;
        let parsed = read_entry(&serde_json::from_str(line).expect("JSON"));
        assert_eq!(parsed.time_ns, Some(1_700_000_000_000_001_000));
        assert_eq!((parsed.body.as_str(), parsed.severity), ("hi", Severity::Warning));
        assert_eq!((parsed.service.as_deref(), parsed.host.as_deref()), (Some("sshd"), Some("h")));
        assert!(parsed.fields.contains(&("unit".to_owned(), "ssh.service".to_owned())));
    }
}
