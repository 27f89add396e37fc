//! Reads what earlier runs left in a log, and sets damage aside.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, Frame};
use super::segment::{self, MAGIC};
use super::{WalConfig, WalPosition};
use crate::metrics::Metrics;

/// The segments of earlier runs.
#[derive(Debug)]
pub struct WalReader {
    config: WalConfig,
    segments: Vec<u64>,
    metrics: Arc<Metrics>,
}

/// What a replay met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WalReport {
    /// Intact records.
    pub num_records: u64,
    /// Their bytes.
    pub num_bytes: u64,
    /// Segments read.
    pub num_segments: u64,
    /// One sentence for each torn end that was cut.
    pub torn: Vec<String>,
    /// One sentence for each damaged part that was set aside.
    pub damaged: Vec<String>,
}

/// Where and why a segment stops being readable.
pub(super) struct Break {
    offset: usize,
    torn: bool,
    why: &'static str,
}

impl WalReader {
    pub(super) fn new(config: WalConfig, segments: Vec<u64>, metrics: Arc<Metrics>) -> Self {
        Self { config, segments, metrics }
    }

    /// Numbers of the segments that will be read, ascending.
    pub fn segments(&self) -> &[u64] {
        &self.segments
    }

    /// Hands every intact record to `visit` in the order of writing, with the position at which it ends. Blocks on file
    /// operations.
    ///
    /// An incomplete record at the end of the last segment is what a crash leaves: it was never acknowledged and is cut.
    /// Any other damage sets the rest of its segment aside in a file beside it (`.damaged`) and goes on with the next segment.
    pub fn replay(self, mut visit: impl FnMut(WalPosition, &[u8])) -> WalReport {
        let mut report = WalReport::default();
        for (index, &number) in self.segments.iter().enumerate() {
            let path = segment::path(&self.config.dir, number);
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.damaged(&mut report, format!("{} cannot be read: {error}", path.display()));
                    continue;
                }
            };
            report.num_segments += 1;
            if let Some(found) = read_segment(number, &bytes, &mut report, &mut visit) {
                self.repair(&path, &bytes, &found, index + 1 == self.segments.len(), &mut report);
            }
        }
        report
    }

    fn repair(&self, path: &Path, bytes: &[u8], found: &Break, is_last: bool, report: &mut WalReport) {
        let Break { offset, torn, why } = *found;
        let rest = bytes.len() - offset;
        if torn && is_last {
            let text = format!("{}: cut {rest} bytes of an incomplete record at offset {offset}", path.display());
            tracing::warn!(wal = self.config.name, "{text}");
            report.torn.push(text);
        } else {
            let aside = aside_path(path);
            let kept = std::fs::write(&aside, bytes.get(offset..).unwrap_or_default());
            let text = match kept {
                Ok(()) => format!(
                    "{}: {why} at offset {offset}; {rest} bytes from there on were set aside in {}",
                    path.display(),
                    aside.display()
                ),
                Err(error) => {
                    format!(
                        "{}: {why} at offset {offset}; {rest} bytes could not be set aside: {error}",
                        path.display()
                    )
                }
            };
            let could_keep = kept_file(&aside, rest);
            self.damaged(report, text);
            if !could_keep {
                // Without a copy the segment stays as it is; the next start says the same again.
                return;
            }
        }
        let shortened = OpenOptions::new().write(true).open(path).and_then(|file| {
            file.set_len(offset as u64)?;
            file.sync_all()
        });
        if let Err(error) = shortened {
            tracing::warn!(wal = self.config.name, path = %path.display(), %error, "cannot shorten the segment");
        }
    }

    fn damaged(&self, report: &mut WalReport, text: String) {
        tracing::error!(wal = self.config.name, "{text}");
        self.metrics.wal_damage(self.config.name);
        report.damaged.push(text);
    }
}

fn aside_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

fn kept_file(path: &Path, length: usize) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() == length as u64)
}

/// Visits the records of one segment; says where it stops being readable.
pub(super) fn read_segment(
    number: u64,
    bytes: &[u8],
    report: &mut WalReport,
    visit: &mut impl FnMut(WalPosition, &[u8]),
) -> Option<Break> {
    if bytes.is_empty() {
        return None;
    }
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        let torn = MAGIC.starts_with(bytes) || bytes.iter().all(|&b| b == 0);
        return Some(Break {
            offset: 0,
            torn,
            why: "the segment's first bytes are not those of a log of this version",
        });
    };
    loop {
        let offset = bytes.len() - rest.len();
        match frame::read(rest) {
            Frame::Record(record, after) => {
                let end = bytes.len() - after.len();
                report.num_records += 1;
                report.num_bytes += record.len() as u64;
                visit(WalPosition { segment: number, offset: end as u64 }, record);
                rest = after;
            }
            Frame::End => return None,
            Frame::Torn => return Some(Break { offset, torn: true, why: "an incomplete record" }),
            Frame::Damaged => return Some(Break { offset, torn: false, why: "a checksum that does not fit" }),
        }
    }
}
