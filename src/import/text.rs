//! Text files, cut into pieces at line ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail};
use vocab::time::Clock;

use super::{Progress, Sender, bar};
use crate::cli::TextFormat;

/// A piece is sent when it is this long.
const PIECE_BYTES: usize = 4 << 20;
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
    let path = format!("/api/v1/import/prometheus?timestamp={default_ms}");
    let content_type =
        if openmetrics { "application/openmetrics-text; version=1.0.0" } else { "text/plain; version=0.0.4" };

    let bar = bar(length, "importing");
    let mut reader = BufReader::new(file);
    let (mut at, mut lines) = (0u64, 0u64);
    let mut family = Family::default();
    let (mut piece, mut samples) = (Vec::new(), 0u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line)? as u64;
        if read > LINE_BYTES_MAX {
            bail!("line {} of {} is over the limit of {LINE_BYTES_MAX} bytes", lines + 1, source.display());
        }
        let is_new = at >= progress.position.offset;
        at += read;
        lines += 1;
        if line.trim_ascii() == b"# EOF" {
            continue;
        }
        let described = family.take(&line);
        if is_new && read > 0 {
            piece.extend_from_slice(&line);
            samples += u64::from(!described);
        }
        if piece.len() >= PIECE_BYTES || (read == 0 && !piece.is_empty()) {
            if !piece.ends_with(b"\n") {
                piece.push(b'\n');
            }
            if openmetrics {
                piece.extend_from_slice(b"# EOF\n");
            }
            let body = std::mem::replace(&mut piece, family.lines.clone());
            sender.send(&path, &[("content-type", content_type)], body).await?;
            progress.position.offset = at;
            progress.save()?;
            bar.set_position(at);
        } else if !is_new {
            // The family goes on in what is still to be sent.
            piece.clone_from(&family.lines);
        }
        if read == 0 {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(format!("{samples} lines of {} are imported", source.display()))
}
