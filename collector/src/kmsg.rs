//! The kernel's messages from `/dev/kmsg`, with their sequence number as the position.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vocab::Severity;
use vocab::ports::logs::SourcePosition;

use crate::error::SourceError;
use crate::log_sink::{BATCH_RECORDS_MAX, LogSink};
use crate::parse_line::ParsedLine;
use crate::ticker::Ticker;

/// Longest message the kernel gives.
const MESSAGE_BYTES_MAX: usize = 8192;
/// How often new messages are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Opens the device for reading without waiting.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let mut file = File::options().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path)?;
    // The kernel checks the permission at the first read.
    let mut buffer = [0u8; MESSAGE_BYTES_MAX];
    match file.read(&mut buffer) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => {
            use std::io::Seek;
            file.rewind()?;
            Ok(file)
        }
    }
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    sequence: u64,
    level: u8,
    since_boot_us: i64,
    text: String,
}

/// `6,1234,5678901,-;text` and further lines with key-value pairs, which are left out.
fn parse(line: &str) -> Option<Message> {
    let (head, text) = line.split_once(';')?;
    let mut parts = head.split(',');
    let priority: u32 = parts.next()?.parse().ok()?;
    let sequence = parts.next()?.parse().ok()?;
    let since_boot_us = parts.next()?.parse().ok()?;
    let text = text.lines().next().unwrap_or("").to_owned();
    Some(Message { sequence, level: (priority & 7) as u8, since_boot_us, text })
}

/// Messages that are there now.
fn read_some(mut file: &File) -> std::io::Result<Vec<Message>> {
    let mut buffer = [0u8; MESSAGE_BYTES_MAX];
    let mut messages = Vec::new();
    while messages.len() < BATCH_RECORDS_MAX {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => messages.extend(parse(&String::from_utf8_lossy(&buffer[..count]))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // Messages were overwritten before they were read; the next read goes on behind the gap.
            Err(error) if error.kind() == ErrorKind::BrokenPipe || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(messages)
}

/// Reads until the source is stopped.
pub(crate) async fn run(sink: Arc<LogSink>, path: PathBuf, file: File, procfs: PathBuf) {
    let file = Arc::new(file);
    let boot_id = std::fs::read_to_string(procfs.join("sys/kernel/random/boot_id")).unwrap_or_default();
    let source = format!("kmsg:{}", boot_id.trim());
    let mut ticker = Ticker::new(&sink.shared.clock, &sink.stop, Duration::ZERO, LOOK_INTERVAL);
    while ticker.tick().await {
        let reader = Arc::clone(&file);
        let read = tokio::task::spawn_blocking(move || read_some(&reader)).await;
        let messages = match read.unwrap_or_else(|e| Err(std::io::Error::other(e))) {
            Ok(messages) => messages,
            Err(error) => {
                sink.entry.failed(&SourceError::read(&path, error).to_string());
                continue;
            }
        };
        let Some(last) = messages.last().map(|m| m.sequence) else { continue };
        let boot_ns = boot_time_ns(&procfs, sink.now_ns());
        let records = messages.into_iter().map(|m| sink.record(to_parsed(m, boot_ns), "")).collect();
        // Sequence numbers begin at 0 and positions are ascending from above 0.
        let position = SourcePosition { source: source.clone(), offset: last + 1 };
        if !sink.write(records, Some(position)).await {
            return;
        }
    }
}

fn to_parsed(message: Message, boot_ns: i64) -> ParsedLine {
    ParsedLine {
        time_ns: Some(boot_ns.saturating_add(message.since_boot_us.saturating_mul(1000))),
        severity: Severity::from_syslog(message.level),
        body: message.text,
        service: Some("kernel".to_owned()),
        ..ParsedLine::default()
    }
}

/// When the machine started: now less its uptime.
fn boot_time_ns(procfs: &Path, now_ns: i64) -> i64 {
    let uptime = std::fs::read_to_string(procfs.join("uptime")).unwrap_or_default();
    let seconds: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0.0);
    now_ns - (seconds * 1e9) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read() {
        let line = "4,312,5140900,-;EXT4-fs error\n SUBSYSTEM=block\n";
        let expect = Message { sequence: 312, level: 4, since_boot_us: 5_140_900, text: "EXT4-fs error".to_owned() };
        assert_eq!(parse(line), Some(expect));
        assert_eq!(parse("garbage"), None);
    }
}
