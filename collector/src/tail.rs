//! Follows log files: new ones by pattern, rotation by renaming and by copying and truncating, positions kept in the catalog.
//!
//! A position only moves after the store has taken what stands before it, so nothing is lost and at most the last batch is
//! sent again, which the store recognises by its position.

mod checkpoint;
mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::LogRecord;
use vocab::ports::logs::SourcePosition;

use crate::config::LogSourceConfig;
use crate::log_sink::{BATCH_RECORDS_MAX, LogSink, RecordShape};
use crate::multiline::Multiline;
use crate::parse_line::LineFormat;
use crate::shared::Shared;
use crate::ticker::Ticker;
use checkpoint::Checkpoints;
use file::{TailedFile, identify};

/// How often files are looked at for new lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How often the patterns are looked at for new files, in rounds of [`LOOK_INTERVAL`].
const ROUNDS_PER_SCAN: u64 = 4;
/// Most files of one source that are followed at once.
const FILES_MAX: usize = 1000;
/// A file that was renamed or removed is followed for this many idle rounds: its writer may not have reopened yet.
const IDLE_ROUNDS_MAX: u32 = 40;
/// Most batches of one file in one round, so that one busy file does not starve the others.
const BATCHES_PER_ROUND_MAX: usize = 8;

/// Where a file begins that is seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At its beginning.
    Beginning,
    /// At its end if it is there when Tidewatch starts, else at its beginning.
    End,
    /// This many bytes before its end.
    Recent(u64),
}

/// What one source follows.
#[derive(Debug, Clone)]
pub(crate) struct TailConfig {
    pub(crate) patterns: Vec<String>,
    pub(crate) format: LineFormat,
    pub(crate) multiline: Option<Multiline>,
    pub(crate) start: Start,
}

/// The files of one source.
#[derive(Debug)]
pub(crate) struct Tail {
    sink: Arc<LogSink>,
    config: TailConfig,
    checkpoints: Checkpoints,
    files: Vec<TailedFile>,
    is_first_scan: bool,
}

impl Tail {
    pub(crate) fn new(sink: Arc<LogSink>, config: TailConfig) -> Self {
        let checkpoints = Checkpoints::new(&sink.shared, &sink.name);
        Self { sink, config, checkpoints, files: Vec::new(), is_first_scan: true }
    }

    /// Follows until the source is stopped.
    pub(crate) async fn run(mut self) {
        while let Err(error) = self.checkpoints.load().await {
            // Without positions everything would be read twice: wait for the catalog.
            self.sink.entry.failed(&format!("cannot read file positions: {error}"));
            if !crate::ticker::sleep(&self.sink.shared.clock, &self.sink.stop, Duration::from_secs(1)).await {
                return;
            }
        }
        let mut ticker = Ticker::new(&self.sink.shared.clock, &self.sink.stop, Duration::ZERO, LOOK_INTERVAL);
        let mut round = 0u64;
        while ticker.tick().await {
            if round.is_multiple_of(ROUNDS_PER_SCAN) {
                self.scan().await;
            }
            round += 1;
            if !self.read_all().await {
                return;
            }
        }
    }

    /// Finds new, renamed and truncated files.
    async fn scan(&mut self) {
        let patterns = self.config.patterns.clone();
        let found = tokio::task::spawn_blocking(move || look(&patterns)).await.unwrap_or_default();
        if let Some(problem) = &found.problem
            && self.sink.entry.failed(problem)
        {
            tracing::warn!(source = %self.sink.name, problem, "log file not readable");
        }
        for file in &mut self.files {
            file.is_listed = found.files.values().any(|seen| seen.inode == file.identity.inode);
        }
        let inodes: Vec<_> = found.files.values().map(|seen| (seen.inode, seen.clone())).collect();
        for (path, seen) in found.files {
            if let Some(open) = self.files.iter_mut().find(|f| f.identity.inode == seen.inode) {
                if open.continues_as(&seen) {
                    open.path = path;
                    continue;
                }
                // Truncated in place: what stands there now is another file with the same inode.
                let gone = open.identity.source.clone();
                self.files.retain(|f| f.identity.source != gone);
            }
            if self.files.len() >= FILES_MAX {
                self.sink.entry.note(&format!("more than {FILES_MAX} files match, following the first"));
                break;
            }
            let now_ms = self.sink.shared.clock.now_ms();
            let known = self.checkpoints.find(&seen, &inodes);
            let file = match known {
                Some(checkpoint) => TailedFile::resume(path, &seen, checkpoint),
                None => {
                    let offset = match self.config.start {
                        Start::End if self.is_first_scan => seen.length,
                        Start::Recent(bytes) if self.is_first_scan => seen.length.saturating_sub(bytes),
                        _ => 0,
                    };
                    TailedFile::begin(path, &seen, offset, now_ms)
                }
            };
            match file {
                Ok(file) => self.files.push(file),
                Err(error) => {
                    self.sink.entry.failed(&error.to_string());
                }
            }
        }
        self.is_first_scan = false;
        let listed: Vec<_> = self.files.iter().map(|f| f.path.display().to_string()).collect();
        if !listed.is_empty() {
            self.sink.entry.reading(&listed.join(", "));
        }
    }

    /// Reads what is new; `false` when the source was stopped meanwhile.
    async fn read_all(&mut self) -> bool {
        let mut index = 0;
        while index < self.files.len() {
            let mut had_data = false;
            for _ in 0..BATCHES_PER_ROUND_MAX {
                match self.read_batch(index).await {
                    Ok(true) => had_data = true,
                    Ok(false) => break,
                    Err(Stopped) => return false,
                }
            }
            let file = &mut self.files[index];
            file.idle_rounds = if had_data { 0 } else { file.idle_rounds.saturating_add(1) };
            if !file.is_listed && file.idle_rounds > IDLE_ROUNDS_MAX {
                // Rotated away and silent: what is left without a line end is a line too.
                if self.finish_file(index).await.is_err() {
                    return false;
                }
                self.files.remove(index);
            } else {
                index += 1;
            }
        }
        true
    }

    /// Reads and writes one batch of one file; `Ok(false)` when there was nothing new.
    async fn read_batch(&mut self, index: usize) -> Result<bool, Stopped> {
        let file = &mut self.files[index];
        let lines = match file.read_lines().await {
            Ok(lines) => lines,
            Err(error) => {
                self.sink.entry.failed(&error.to_string());
                return Ok(false);
            }
        };
        self.sink.shared.metrics.log_lines_cut.inc_by(lines.num_cut);
        let now = self.sink.shared.clock.monotonic();
        let rule = self.config.multiline.as_ref();
        let mut joined = Vec::with_capacity(lines.lines.len());
        for (line, end) in &lines.lines {
            joined.extend(file.joiner.push(rule, line, *end, crate::log_sink::LINE_BYTES_MAX));
        }
        if lines.lines.is_empty() {
            let waited = now.saturating_sub(file.last_data);
            if rule.is_some_and(|r| file.joiner.is_open() && waited >= r.timeout) {
                joined.extend(file.joiner.flush());
            }
        } else {
            file.last_data = now;
        }
        let had_data = lines.has_more || !lines.lines.is_empty();
        self.write(index, joined).await?;
        Ok(had_data)
    }

    async fn finish_file(&mut self, index: usize) -> Result<(), Stopped> {
        let rule = self.config.multiline.clone();
        let file = &mut self.files[index];
        let mut joined = Vec::new();
        if let Ok(Some((line, end))) = file.read_rest().await {
            joined.extend(file.joiner.push(rule.as_ref(), &line, end, crate::log_sink::LINE_BYTES_MAX));
        }
        joined.extend(file.joiner.flush());
        self.write(index, joined).await
    }

    /// Writes complete records and then moves the position.
    async fn write(&mut self, index: usize, joined: Vec<crate::multiline::Joined>) -> Result<(), Stopped> {
        let (source, path) = {
            let file = &self.files[index];
            (file.identity.source.clone(), file.path.display().to_string())
        };
        for part in joined.chunks(BATCH_RECORDS_MAX) {
            let records: Vec<LogRecord> = part
                .iter()
                .filter(|j| !j.text.trim().is_empty())
                .map(|j| self.sink.record_of_line(&j.text, self.config.format, &path))
                .collect();
            let Some(last) = part.last() else { continue };
            let position = SourcePosition { source: source.clone(), offset: last.end };
            if !records.is_empty() && !self.sink.write(records, Some(position)).await {
                return Err(Stopped);
            }
            let checkpoint = self.files[index].checkpoint(last.end);
            self.checkpoints.save(&source, checkpoint).await;
        }
        Ok(())
    }
}

/// The source was stopped before the store took the records.
struct Stopped;

/// The name of a configured source: its place in the list and its first pattern.
pub(crate) fn source_name(index: usize, config: &LogSourceConfig) -> String {
    format!("logs/{index}/{}", config.paths.first().map_or("", String::as_str))
}

/// Follows the files of a configured source until it is stopped.
pub(crate) async fn run(shared: Arc<Shared>, name: String, config: LogSourceConfig, stop: CancellationToken) {
    let entry = shared.sources.open(&name, "logs", &config.paths.join(", "));
    let shape = RecordShape { source: "file", service: config.service, labels: config.labels };
    // Positions are kept by pattern, so that another order of the list does not lose them.
    let sink = Arc::new(LogSink::new(&shared, Arc::clone(&entry), &config.paths.join(","), shape, &stop));
    let start = if config.from_beginning { Start::Beginning } else { Start::End };
    let tail = TailConfig { patterns: config.paths, format: config.format, multiline: config.multiline, start };
    Tail::new(sink, tail).run().await;
    shared.sources.close(&name, &entry);
}

/// What a look at the patterns found.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<PathBuf, file::Seen>,
    problem: Option<String>,
}

fn look(patterns: &[String]) -> Found {
    let mut found = Found::default();
    for path in patterns.iter().filter_map(|p| glob::glob(p).ok()).flatten() {
        let seen = path.map_err(|e| e.to_string()).and_then(|path| Ok((identify(&path)?, path)));
        match seen {
            Ok((Some(seen), path)) if !is_hard_link_of(&found, &seen, &path) => {
                found.files.insert(path, seen);
            }
            Ok(_) => {}
            Err(problem) => found.problem = Some(problem),
        }
    }
    found
}

fn is_hard_link_of(found: &Found, seen: &file::Seen, path: &Path) -> bool {
    found.files.iter().any(|(other, known)| known.inode == seen.inode && other != path)
}

#[cfg(test)]
mod tests;
