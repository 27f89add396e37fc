//! Folders of Prometheus's blocks: a snapshot, or a data folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dashboards::block::{BlockMeta, BlockReader};
use dashboards::transfer::write_request;
use vocab::sample::SeriesData;

use super::{Progress, Sender, bar};

/// Samples of a request.
const REQUEST_SAMPLES: usize = 20_000;
/// Series of a request.
const REQUEST_SERIES: usize = 2_000;

/// The blocks of a folder, which may be one itself, by their first time.
pub(super) fn find(folder: &Path) -> Result<Vec<(PathBuf, BlockMeta)>> {
    let mut folders = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        folders.push(entry?.path());
    }
    let mut blocks = Vec::new();
    for folder in folders.into_iter().filter(|f| f.join("meta.json").is_file()) {
        let meta = BlockReader::open(&folder)?.meta().clone();
        blocks.push((folder, meta));
    }
    blocks.sort_by(|a, b| (a.1.min_time, &a.1.ulid).cmp(&(b.1.min_time, &b.1.ulid)));
    if blocks.is_empty() {
        bail!("{} holds no block: want a folder of Prometheus's blocks, such as a snapshot", folder.display());
    }
    Ok(blocks)
}

pub(super) async fn import(sender: &mut Sender, source: &Path, progress: &mut Progress) -> Result<String> {
    let blocks = find(source)?;
    let bar = bar(blocks.iter().map(|b| b.1.stats.num_series).sum(), "importing");
    let mut samples = 0u64;
    for (folder, meta) in &blocks {
        if progress.position.blocks.contains(&meta.ulid) {
            bar.inc(meta.stats.num_series);
            continue;
        }
        if progress.position.block != meta.ulid {
            progress.position.block.clone_from(&meta.ulid);
            progress.position.series = 0;
        }
        samples += block(sender, folder, progress, &bar).await?;
        progress.position.blocks.push(meta.ulid.clone());
        progress.save()?;
    }
    bar.finish_and_clear();
    Ok(format!("{samples} samples of {} blocks are imported", blocks.len()))
}

async fn block(
    sender: &mut Sender,
    folder: &Path,
    progress: &mut Progress,
    bar: &indicatif::ProgressBar,
) -> Result<u64> {
    let mut reader = BlockReader::open(folder)?;
    let (mut batch, mut in_batch, mut samples) = (Vec::new(), 0, 0u64);
    let mut series_read = 0u64;
    while let Some(series) = reader.next_series()? {
        series_read += 1;
        bar.inc(1);
        if series_read <= progress.position.series {
            continue;
        }
        for part in parts(reader.samples(&series)?) {
            in_batch += part.num_samples();
            samples += part.num_samples() as u64;
            batch.push(part);
            if in_batch >= REQUEST_SAMPLES || batch.len() >= REQUEST_SERIES {
                send(sender, &mut batch, &mut in_batch).await?;
                // The series in work may go on in the next request.
                progress.position.series = series_read - 1;
                progress.save()?;
            }
        }
    }
    send(sender, &mut batch, &mut in_batch).await?;
    Ok(samples)
}

/// A series in pieces that a request can hold.
fn parts(series: SeriesData) -> Vec<SeriesData> {
    if series.num_samples() <= REQUEST_SAMPLES {
        return vec![series];
    }
    let mut parts = Vec::new();
    let labels = &series.labels;
    for (times, values) in series.timestamps.chunks(REQUEST_SAMPLES).zip(series.values.chunks(REQUEST_SAMPLES)) {
        let (timestamps, values) = (times.to_vec(), values.to_vec());
        parts.push(SeriesData { labels: labels.clone(), timestamps, values, ..SeriesData::default() });
    }
    for histograms in series.histograms.chunks(REQUEST_SAMPLES) {
        parts.push(SeriesData { labels: labels.clone(), histograms: histograms.to_vec(), ..SeriesData::default() });
    }
    parts
}

async fn send(sender: &mut Sender, batch: &mut Vec<SeriesData>, in_batch: &mut usize) -> Result<()> {
    if *in_batch > 0 {
        let body = write_request(batch)?;
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        sender.send("/api/v1/write", &headers, body).await?;
    }
    batch.clear();
    *in_batch = 0;
    Ok(())
}
