//! Inspection reports: what happened in a time, on one page for people and printers, as HTML and as Markdown.
//!
//! [`gather`] reads through the ports into a plain [`ReportInput`]; [`page`] turns that into sentences, tables and charts in a
//! language; [`render`] writes both texts. What could not be read is said, never guessed.

mod chart;
mod gather;
mod input;
mod page;
mod render;
mod words;

use std::sync::Arc;

use vocab::report::{Report, ReportHead};
use vocab::{PortResult, TenantId, TimestampMs};

use crate::deps::Shared;
use crate::error::ReportError;
use crate::logs::stage::PatternStore;

pub use input::{Delta, Disk, HostHealth, Outlook, PatternRow, ReportInput, ServiceLoad};
pub use render::{Rendered, render};
pub use words::{LANGUAGES, Words};

/// Gathers, renders and stores a report; gives its number.
pub(crate) async fn write(
    shared: &Arc<Shared>,
    patterns: &PatternStore,
    tenant: &TenantId,
    from_ms: TimestampMs,
    to_ms: TimestampMs,
    language: &str,
) -> PortResult<i64> {
    if to_ms <= from_ms {
        return Err(ReportError::EmptyRange { from_ms, to_ms }.into());
    }
    let words = Words::of(language).ok_or_else(|| ReportError::UnknownLanguage(language.to_owned()))?;
    let input = gather::gather(shared, patterns, tenant, from_ms, to_ms).await;
    // Forecasts and templates take longer than a thread that answers requests should be held.
    let rendered = tokio::task::spawn_blocking(move || render(&input, words)).await.map_err(|error| {
        vocab::PortError::with_source(vocab::ErrorKind::Internal, "the report could not be made", error)
    })??;
    let report = Report {
        head: ReportHead {
            id: 0,
            title: rendered.title,
            subject: "inspection".to_owned(),
            language: language.to_owned(),
            from_ms,
            to_ms,
            created_at_ms: shared.clock.now_ms(),
            summary: rendered.summary,
        },
        html: rendered.html,
        markdown: rendered.markdown,
    };
    let id = shared.catalog.save_report(tenant, &report).await?;
    shared.metrics.reports.inc();
    Ok(id)
}

#[cfg(test)]
mod tests;
