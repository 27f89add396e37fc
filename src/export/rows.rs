//! Export to Parquet rows, window by window: within a window by series, each in the order of time.

use std::path::Path;

use anyhow::{Result, bail};
use store::RowFileWriter;

use super::{Wanted, Window, halves, read};
use crate::client::Client;

pub(super) async fn export(client: &Client, out: &Path, wanted: &Wanted) -> Result<String> {
    let mut writer = RowFileWriter::create(out)?;
    let mut waiting = wanted.windows();
    waiting.reverse();
    let bar = crate::import::bar(waiting.len() as u64, "exporting");
    while let Some(window) = waiting.pop() {
        let answered = read(client, &wanted.matchers, window, |part| {
            for chunk in &part.chunks {
                if chunk.is_float() {
                    writer.series(&part.labels, chunk.floats()?)?;
                } else {
                    writer.histograms(&part.labels, chunk.histograms()?)?;
                }
            }
            Ok(())
        })
        .await?;
        match (answered, halves(window)) {
            (Window::Whole, _) => bar.inc(1),
            (Window::TooMuch, Some([first, second])) => {
                bar.inc_length(1);
                waiting.extend([second, first]);
            }
            (Window::TooMuch, None) => {
                bail!("a minute of samples is over the server's memory share of a query: choose fewer with --match")
            }
        }
    }
    let num_rows = writer.finish()?;
    bar.finish_and_clear();
    Ok(format!("{num_rows} samples are in {}", out.display()))
}
