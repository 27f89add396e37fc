//! The analyzer's part of the configuration: raw shapes as they stand in the file, checked values, and the check between the
//! two, which notes every mistake with its key path.
//!
//! Prometheus's own keys are `rule_files` (read by whoever knows the folder, see [`crate::rules::RuleFile`]) and `alerting`;
//! `analysis` is ours.

mod alerting;
mod analysis;

use std::time::Duration;

use vocab::Labels;

pub use alerting::{AlertmanagerConfig, RawAlerting, RawAlertmanager, check_alerting};
pub use analysis::{AnalysisConfig, RawAnalysis, RawWatch, WatchConfig, check_analysis};

use crate::rules::RuleFile;

/// Everything the analyzer is told.
#[derive(Debug, Clone)]
pub struct AnalyzerConfig {
    /// Rule files in order.
    pub rule_files: Vec<RuleFile>,
    /// Whether the built-in group is evaluated.
    pub default_rules: bool,
    /// `global.evaluation_interval`
    pub evaluation_interval: Duration,
    /// `global.external_labels`
    pub external_labels: Labels,
    /// Where this program is reached, for links in alerts.
    pub external_url: String,
    /// `alerting.alertmanagers`
    pub alertmanagers: Vec<AlertmanagerConfig>,
    /// `analysis`
    pub analysis: AnalysisConfig,
}

impl Default for AnalyzerConfig {
    /// What runs without a configuration file: built-in rules and watches, every minute.
    fn default() -> Self {
        Self {
            rule_files: Vec::new(),
            default_rules: true,
            evaluation_interval: Duration::from_secs(60),
            external_labels: Labels::empty(),
            external_url: String::new(),
            alertmanagers: Vec::new(),
            analysis: AnalysisConfig::default(),
        }
    }
}
