//! What a tenant may write.

use vocab::limits::TenantLimits;
use vocab::ports::append::Origin;
use vocab::{Labels, TimestampMs};

/// Limits and windows of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Most labels of a series, the metric name included.
    pub labels_per_series_max: usize,
    /// Longest label name in bytes.
    pub label_name_bytes_max: usize,
    /// Longest label value in bytes.
    pub label_value_bytes_max: usize,
    /// Most series of a tenant in the head.
    pub series_per_tenant_max: usize,
    /// How much older than its series' newest sample a scraped one may be, in milliseconds.
    pub scrape_window_ms: i64,
    /// The same for samples that were pushed, imported or computed here.
    pub write_window_ms: i64,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            labels_per_series_max: 64,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 4096,
            series_per_tenant_max: 5_000_000,
            scrape_window_ms: 30 * 60 * 1000,
            write_window_ms: 2 * 60 * 60 * 1000,
        }
    }
}

impl HeadLimits {
    /// These limits with what is a tenant's own.
    pub(crate) fn with(self, own: &TenantLimits) -> Self {
        Self {
            labels_per_series_max: own.labels_per_series.unwrap_or(self.labels_per_series_max),
            label_name_bytes_max: own.label_name_bytes.unwrap_or(self.label_name_bytes_max),
            label_value_bytes_max: own.label_value_bytes.unwrap_or(self.label_value_bytes_max),
            series_per_tenant_max: own.series.unwrap_or(self.series_per_tenant_max),
            ..self
        }
    }

    /// The oldest time at which a sample is taken, given its series' newest.
    pub(crate) fn oldest(&self, origin: Origin, newest: Option<TimestampMs>) -> TimestampMs {
        let window = match origin {
            Origin::Scrape => self.scrape_window_ms,
            Origin::Write | Origin::Internal => self.write_window_ms,
        };
        newest.map_or(TimestampMs::MIN, |t| t.saturating_sub(window))
    }

    /// What is wrong with a label set.
    pub(crate) fn complaint(&self, labels: &Labels) -> Option<String> {
        if labels.is_empty() {
            return Some("a series without labels".to_owned());
        }
        for (index, (name, value)) in labels.iter().enumerate() {
            if index >= self.labels_per_series_max {
                return Some(format!(
                    "{labels} has {} labels, at most {} are taken (max_labels_per_series)",
                    labels.len(),
                    self.labels_per_series_max
                ));
            }
            if name.len() > self.label_name_bytes_max {
                let (length, most) = (name.len(), self.label_name_bytes_max);
                return Some(format!(
                    "a label name of {} has {length} bytes, at most {most} are taken (max_label_name_bytes)",
                    labels.metric_name()
                ));
            }
            if value.len() > self.label_value_bytes_max {
                let (length, most) = (value.len(), self.label_value_bytes_max);
                return Some(format!(
                    "the value of label {name} of {} has {length} bytes, at most {most} are taken (max_label_value_bytes)",
                    labels.metric_name()
                ));
            }
        }
        None
    }
}
