//! Export to blocks that Prometheus opens.

use std::path::Path;

use anyhow::{Context, Result, bail};
use dashboards::block::BlockWriter;
use ulid::Ulid;

use super::{Wanted, Window, halves, read};
use crate::client::Client;

pub(super) async fn export(client: &Client, out: &Path, wanted: &Wanted) -> Result<String> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot write {}", out.display()))?;
    let mut waiting = wanted.windows();
    waiting.reverse();
    let bar = crate::import::bar(waiting.len() as u64, "exporting");
    let (mut blocks, mut samples) = (0u64, 0u64);
    while let Some(window) = waiting.pop() {
        // Each window is a block of its own; a name of this form is what Prometheus looks for.
        let ulid = Ulid::new().to_string();
        let mut writer = BlockWriter::create(out, &ulid)?;
        let answered = read(client, &wanted.matchers, window, |part| {
            for chunk in &part.chunks {
                let times = (chunk.min_time, chunk.max_time);
                writer.chunk(&part.labels, times, chunk.encoding, &chunk.data, chunk.num_samples())?;
            }
            Ok(())
        })
        .await;
        if matches!(answered, Ok(Window::Whole)) {
            if let Some(meta) = writer.finish()? {
                blocks += 1;
                samples += meta.stats.num_samples;
            }
            bar.inc(1);
            continue;
        }
        drop(writer);
        let unfinished = out.join(&ulid);
        std::fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
        answered?;
        match halves(window) {
            Some([first, second]) => {
                bar.inc_length(1);
                waiting.extend([second, first]);
            }
            None => {
                bail!("a minute of samples is over the server's memory share of a query: choose fewer with --match")
            }
        }
    }
    bar.finish_and_clear();
    Ok(format!("{samples} samples are in {blocks} blocks in {}", out.display()))
}
