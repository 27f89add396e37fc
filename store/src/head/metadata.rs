//! Metadata and exemplars of a tenant: small, bounded, kept in memory and in one file beside the blocks.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use serde::{Deserialize, Serialize};
use vocab::Labels;
use vocab::sample::{Exemplar, MetricMetadata, MetricType};

use crate::error::StoreError;

/// Most metric families of a tenant whose metadata is kept; the ones that come later are left out.
const FAMILIES_MAX: usize = 100_000;

/// Most exemplars of a tenant when nothing else is said; the oldest give way.
pub(crate) const EXEMPLARS_DEFAULT: usize = 10_000;

const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

pub(super) fn type_code(metric_type: MetricType) -> u8 {
    TYPES.iter().position(|t| *t == metric_type).and_then(|p| u8::try_from(p).ok()).unwrap_or(0)
}

pub(super) fn type_of_code(code: u8) -> MetricType {
    TYPES.get(usize::from(code)).copied().unwrap_or_default()
}

/// What a tenant has besides samples.
#[derive(Debug)]
pub(crate) struct SideData {
    exemplars_max: usize,
    families: BTreeMap<String, MetricMetadata>,
    /// By series, ascending by time.
    exemplars: BTreeMap<Labels, Vec<Exemplar>>,
    /// The series of each exemplar in the order of arrival: whose turn it is to give way.
    arrivals: VecDeque<Labels>,
    /// Whether it differs from its file.
    changed: bool,
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct SideFile {
    format_version: u32,
    metadata: Vec<MetricMetadata>,
    exemplars: Vec<ExemplarRow>,
}

/// JSON has no NaN, so values are written as bit patterns.
#[derive(Debug, Serialize, Deserialize)]
struct ExemplarRow {
    series: Labels,
    labels: Labels,
    timestamp: i64,
    value_bits: u64,
}

const FORMAT_VERSION: u32 = 1;

fn same(a: &Exemplar, b: &Exemplar) -> bool {
    a.timestamp == b.timestamp && a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
}

impl SideData {
    pub(crate) fn new(exemplars_max: usize) -> Self {
        let (families, exemplars, arrivals) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { exemplars_max, families, exemplars, arrivals, changed: false }
    }

    /// Whether this says something new of a family, so that it has to be logged.
    pub(crate) fn is_news(&self, metadata: &MetricMetadata) -> bool {
        self.families.get(&metadata.metric) != Some(metadata)
    }

    pub(crate) fn set(&mut self, metadata: MetricMetadata) {
        if self.families.len() < FAMILIES_MAX || self.families.contains_key(&metadata.metric) {
            self.changed |= self.is_news(&metadata);
            self.families.insert(metadata.metric.clone(), metadata);
        }
    }

    /// Whether this very exemplar is kept already.
    pub(crate) fn has_exemplar(&self, series: &Labels, exemplar: &Exemplar) -> bool {
        self.exemplars.get(series).is_some_and(|list| list.iter().rev().any(|e| same(e, exemplar)))
    }

    pub(crate) fn add_exemplar(&mut self, series: Labels, exemplar: Exemplar) {
        if self.exemplars_max == 0 || self.has_exemplar(&series, &exemplar) {
            return;
        }
        if self.arrivals.len() >= self.exemplars_max
            && let Some(oldest) = self.arrivals.pop_front()
            && let Some(list) = self.exemplars.get_mut(&oldest)
        {
            list.remove(0);
            if list.is_empty() {
                self.exemplars.remove(&oldest);
            }
        }
        self.arrivals.push_back(series.clone());
        let list = self.exemplars.entry(series).or_default();
        list.insert(list.partition_point(|e| e.timestamp <= exemplar.timestamp), exemplar);
        self.changed = true;
    }

    /// How many exemplars are kept at most.
    pub(crate) fn exemplars_max(&self) -> usize {
        self.exemplars_max
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.families.is_empty() && self.exemplars.is_empty()
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = &MetricMetadata> {
        self.families.values()
    }

    pub(crate) fn family(&self, metric: &str) -> Option<&MetricMetadata> {
        self.families.get(metric)
    }

    /// Exemplars by series, ascending by labels and time.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = (&Labels, &[Exemplar])> {
        self.exemplars.iter().map(|(series, list)| (series, list.as_slice()))
    }

    /// The file's bytes when they have to be written.
    pub(crate) fn take_unwritten(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let rows = self.exemplars.iter().flat_map(|(series, list)| {
            list.iter().map(|e| ExemplarRow {
                series: series.clone(),
                labels: e.labels.clone(),
                timestamp: e.timestamp,
                value_bits: e.value.to_bits(),
            })
        });
        let file = SideFile {
            format_version: FORMAT_VERSION,
            metadata: self.families.values().cloned().collect(),
            exemplars: rows.collect(),
        };
        serde_json::to_vec(&file).ok()
    }

    /// Notes that the file could not be written.
    pub(crate) fn not_written(&mut self) {
        self.changed = true;
    }

    /// Reads the file.
    pub(crate) fn load(path: &Path, exemplars_max: usize) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(|e| StoreError::io("read", path, e))?;
        let file: SideFile = serde_json::from_slice(&bytes).map_err(|e| StoreError::damaged(path, e.to_string()))?;
        if file.format_version > FORMAT_VERSION {
            return Err(StoreError::damaged(
                path,
                format!("format version {} is from the future", file.format_version),
            ));
        }
        let mut side = Self::new(exemplars_max);
        file.metadata.into_iter().for_each(|m| side.set(m));
        for row in file.exemplars {
            let value = f64::from_bits(row.value_bits);
            side.add_exemplar(row.series, Exemplar { labels: row.labels, value, timestamp: row.timestamp });
        }
        side.changed = false;
        Ok(side)
    }
}
