//! Text files, cut into pieces between points.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail};
use collector::exposition::{Entry, Format, Parser};
use vocab::Labels;
use vocab::labels::METRIC_NAME;
use vocab::time::Clock;

use super::{Progress, Sender, bar};
use crate::cli::TextFormat;

/// A piece is sent when it is this long and a point ends: what says since when it counts may come last.
const PIECE_BYTES: usize = 4 << 20;
/// A piece is sent when it is this long; no real point has so many samples.
const PIECE_BYTES_MAX: usize = 32 << 20;
/// Longest line.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Bytes at the end of a file in which `# EOF` is looked for.
const TAIL_BYTES: u64 = 16;

/// The lines that describe the family in work; every piece begins with them, because types decide how samples are read.
#[derive(Debug, Default)]
pub(super) struct Family {
    name: Vec<u8>,
    pub(super) lines: Vec<u8>,
}

impl Family {
    /// Takes a line; says whether it describes a family.
    pub(super) fn take(&mut self, line: &[u8]) -> bool {
        let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty());
        let is_described = words.next() == Some(b"#") && matches!(words.next(), Some(b"HELP" | b"TYPE" | b"UNIT"));
        let Some(name) = words.next().filter(|_| is_described) else { return false };
        let name = name.trim_ascii();
        if name != self.name {
            self.name = name.to_vec();
            self.lines.clear();
        }
        self.lines.extend_from_slice(line);
        true
    }
}

fn is_openmetrics(file: &mut File) -> Result<bool> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(tail.trim_ascii_end().ends_with(b"# EOF"))
}

pub(super) async fn import(
    sender: &mut Sender,
    source: &Path,
    format: TextFormat,
    progress: &mut Progress,
) -> Result<String> {
    let mut file = File::open(source).with_context(|| format!("cannot read {}", source.display()))?;
    let length = file.metadata()?.len();
    let openmetrics = match format {
        TextFormat::Auto => is_openmetrics(&mut file)?,
        TextFormat::Openmetrics => true,
        TextFormat::Prometheus => false,
    };
    if progress.position.offset > 0 && progress.position.file_bytes != length {
        bail!("{} is not the file whose import was begun; --restart begins anew", source.display());
    }
    progress.position.file_bytes = length;
    let default_ms = *progress.position.default_ms.get_or_insert(sender.clock.now_ms());
    // Where the format has words for it, the file says since when its counters count.
    let path = format!("/api/v1/import/prometheus?timestamp={default_ms}&created=start");
    let content_type =
        if openmetrics { "application/openmetrics-text; version=1.0.0" } else { "text/plain; version=0.0.4" };

    let bar = bar(length, "importing");
    let mut reader = BufReader::new(file);
    let (mut at, mut lines) = (0u64, 0u64);
    let mut family = Family::default();
    let (mut piece, mut samples) = (Vec::new(), 0u64);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)? as u64;
        if read > LINE_BYTES_MAX {
            bail!("line {} of {} is over the limit of {LINE_BYTES_MAX} bytes", lines + 1, source.display());
        }
        if at >= progress.position.offset && !piece.is_empty() && (read == 0 || ends_here(&piece, &last, &line)) {
            if !piece.ends_with(b"\n") {
                piece.push(b'\n');
            }
            if openmetrics {
                piece.extend_from_slice(b"# EOF\n");
            }
            // The family goes on in what is still to be sent.
            let body = std::mem::replace(&mut piece, family.lines.clone());
            sender.send(&path, &[("content-type", content_type)], body).await?;
            progress.position.offset = at;
            progress.save()?;
            bar.set_position(at);
        }
        if read == 0 {
            break;
        }
        let is_new = at >= progress.position.offset;
        at += read;
        lines += 1;
        if line.trim_ascii() == b"# EOF" {
            continue;
        }
        let described = family.take(&line);
        if is_new {
            piece.extend_from_slice(&line);
            samples += u64::from(!described);
        } else {
            piece.clone_from(&family.lines);
        }
        std::mem::swap(&mut line, &mut last);
    }
    bar.finish_and_clear();
    Ok(format!("{samples} lines of {} are imported", source.display()))
}

/// Whether a piece is long enough and may end between these lines.
fn ends_here(piece: &[u8], last: &[u8], next: &[u8]) -> bool {
    let is_one_point = || point_of(last).is_some_and(|point| Some(point) == point_of(next));
    piece.len() >= PIECE_BYTES_MAX || (piece.len() >= PIECE_BYTES && !is_one_point())
}

/// What the samples of one point have in common: their labels but for those that tell them apart, and their time.
pub(super) fn point_of(line: &[u8]) -> Option<(Labels, Option<i64>)> {
    let mut parser = Parser::new(line, Format::OpenMetrics);
    let Ok(Some(Entry::Series(found))) = parser.next_entry() else { return None };
    let labels = parser.labels().ok()?;
    Some((labels.without(&[METRIC_NAME, "le", "quantile"]), found.timestamp_ms))
}
