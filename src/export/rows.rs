//! Export to Parquet rows, window by window: within a window by series, each in the order of time.

use std::path::Path;

use anyhow::{Result, bail};
use dashboards::chunk::{ENCODING_XOR, decode_xor};
use store::RowFileWriter;

use super::{Wanted, Window, halves, read};
use crate::client::Client;

pub(super) async fn export(client: &Client, out: &Path, wanted: &Wanted) -> Result<String> {
    let mut writer = RowFileWriter::create(out)?;
    let mut waiting = wanted.windows();
    waiting.reverse();
    let bar = crate::import::bar(waiting.len() as u64, "exporting");
    let mut num_native = 0u64;
    while let Some(window) = waiting.pop() {
        let answered = read(client, &wanted.matchers, window, |part| {
            for chunk in &part.chunks {
                if chunk.encoding == ENCODING_XOR {
                    writer.series(&part.labels, decode_xor(&chunk.data)?)?;
                } else {
                    // A chunk begins with the number of its samples.
                    num_native += chunk.data.first_chunk::<2>().map_or(0, |n| u64::from(u16::from_be_bytes(*n)));
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
    let left_out = match num_native {
        0 => String::new(),
        count => format!("; {count} native histograms are left out: a row holds one number"),
    };
    Ok(format!("{num_rows} samples are in {}{left_out}", out.display()))
}
