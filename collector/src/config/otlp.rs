//! Prometheus's `otlp` section: how pushed OpenTelemetry metrics become series.

use std::collections::BTreeSet;

use vocab::Problems;

use super::raw::RawOtlp;
use super::scrape::unknown_keys;

/// How names are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Translation {
    /// `http.server.duration` in seconds becomes `http_server_duration_seconds`: Prometheus's default.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// It becomes `http_server_duration`.
    UnderscoreEscapingWithoutSuffixes,
    /// It becomes `http.server.duration_seconds`.
    NoUtf8EscapingWithSuffixes,
    /// It stays as it is.
    NoTranslation,
}

impl Translation {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "UnderscoreEscapingWithSuffixes" => Self::UnderscoreEscapingWithSuffixes,
            "UnderscoreEscapingWithoutSuffixes" => Self::UnderscoreEscapingWithoutSuffixes,
            "NoUTF8EscapingWithSuffixes" => Self::NoUtf8EscapingWithSuffixes,
            "NoTranslation" => Self::NoTranslation,
            _ => return None,
        })
    }

    /// Whether characters beyond the plain alphabet become underscores.
    pub fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }
}

/// How pushed OpenTelemetry metrics become series.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtlpConfig {
    /// How names are translated.
    pub translation: Translation,
    /// Resource attributes that every series carries as a label, or with `promote_all` those that none does.
    pub listed_attributes: BTreeSet<String>,
    /// Whether all resource attributes but the listed ones become labels.
    pub promote_all: bool,
    /// Whether `service.name` and the like stand in `target_info`, too.
    pub keep_identifying_resource_attributes: bool,
    /// Whether explicit histograms become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Whether every series carries its scope's name, version and attributes as `otel_scope_…`.
    pub promote_scope_metadata: bool,
}

impl OtlpConfig {
    /// Whether a resource attribute becomes a label of every series.
    pub fn promotes(&self, attribute: &str) -> bool {
        self.listed_attributes.contains(attribute) != self.promote_all
    }
}

pub(super) fn check_otlp(raw: &RawOtlp, problems: &mut Problems) -> OtlpConfig {
    unknown_keys("otlp", &raw.unknown, problems);
    let translation = raw.translation_strategy.as_deref().map_or(Some(Translation::default()), Translation::parse);
    if translation.is_none() {
        let given = raw.translation_strategy.as_deref().unwrap_or_default();
        problems.add(
            "otlp.translation_strategy",
            format!(
                "unknown strategy {given:?}: want UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, \
                 NoUTF8EscapingWithSuffixes or NoTranslation"
            ),
        );
    }
    let promote_all = raw.promote_all_resource_attributes.unwrap_or(false);
    let (wanted, ignored) = (&raw.promote_resource_attributes, &raw.ignore_resource_attributes);
    if promote_all && wanted.as_ref().is_some_and(|w| !w.is_empty()) {
        problems.add(
            "otlp.promote_resource_attributes",
            "cannot stand beside promote_all_resource_attributes: use ignore_resource_attributes for exceptions",
        );
    }
    if !promote_all && ignored.as_ref().is_some_and(|i| !i.is_empty()) {
        problems.add("otlp.ignore_resource_attributes", "has no effect without promote_all_resource_attributes: true");
    }
    let listed = if promote_all { ignored } else { wanted };
    OtlpConfig {
        translation: translation.unwrap_or_default(),
        listed_attributes: listed.iter().flatten().cloned().collect(),
        promote_all,
        keep_identifying_resource_attributes: raw.keep_identifying_resource_attributes.unwrap_or(false),
        convert_histograms_to_nhcb: raw.convert_histograms_to_nhcb.unwrap_or(false),
        promote_scope_metadata: raw.promote_scope_metadata.unwrap_or(false),
    }
}
