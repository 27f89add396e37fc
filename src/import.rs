//! `tidewatch import`: an OpenMetrics or Prometheus text file, or a folder of Prometheus's blocks, into a running Tidewatch.
//!
//! What has been acknowledged is noted in a progress file beside the source, so that an import that broke off goes on where
//! it was. Sending something twice does no harm: an exact repetition of a sample is taken as one.

mod blocks;
mod progress;
mod text;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::StatusCode;
use vocab::time::Clock;

use self::progress::Progress;
use crate::cli::{Server, TextFormat};
use crate::client::Client;
use crate::clock::SystemClock;

/// How often a piece is sent before the import gives up; waits between grow to [`WAIT_MAX`].
const ATTEMPTS_MAX: u32 = 30;
/// First wait after an overload or a lost connection.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What the server refused.
#[derive(Debug, Default)]
struct Refused {
    pieces: u64,
    first: Option<String>,
}

/// Sends pieces and waits while the server is busy.
struct Sender {
    client: Client,
    clock: SystemClock,
    refused: Refused,
}

impl Sender {
    /// Sends one piece until it is acknowledged. Refused samples are noted; they stay refused.
    async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<()> {
        let body = bytes::Bytes::from(body);
        let mut wait = WAIT_FIRST;
        for _ in 0..ATTEMPTS_MAX {
            let mut request = self.client.post(path).body(body.clone());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => {
                    let message = answer.text().await.unwrap_or_default();
                    self.refused.pieces += 1;
                    self.refused.first.get_or_insert(message);
                    return Ok(());
                }
                Ok(answer) if is_busy(answer.status()) => {
                    let asked = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                    self.clock.sleep(asked.map_or(wait, Duration::from_secs).min(WAIT_MAX)).await;
                }
                Ok(answer) => {
                    let status = answer.status();
                    bail!("{} ({status})", answer.text().await.unwrap_or_default().trim());
                }
                // The server may be starting again.
                Err(error) => {
                    tracing::debug!(%error, "a piece was not sent");
                    self.clock.sleep(wait).await;
                }
            }
            wait = (wait * 2).min(WAIT_MAX);
        }
        bail!("the server took nothing in {ATTEMPTS_MAX} attempts; run the same command again to go on from here")
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Imports a file or a folder; gives the sentence to print.
///
/// # Errors
/// When the source cannot be read, the server does not answer or refuses the whole request.
pub async fn import(server: &Server, source: &Path, format: TextFormat, restart: bool) -> Result<String> {
    let metadata = std::fs::metadata(source).with_context(|| format!("cannot read {}", source.display()))?;
    let mut progress = Progress::open(source, restart)?;
    let mut sender = Sender { client: Client::new(server)?, clock: SystemClock::new(), refused: Refused::default() };
    let sent = if metadata.is_dir() {
        blocks::import(&mut sender, source, &mut progress).await?
    } else {
        text::import(&mut sender, source, format, &mut progress).await?
    };
    progress.done()?;
    let mut said = sent;
    if let Some(first) = &sender.refused.first {
        said.push_str(&format!("; samples of {} requests were refused, the first: {first}", sender.refused.pieces));
    }
    Ok(said)
}

/// A bar on stderr; without a terminal there is none.
pub(crate) fn bar(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{msg} [{bar:40}] {percent}% {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

#[cfg(test)]
mod tests;
