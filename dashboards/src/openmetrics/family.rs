//! Which series make a metric family, as OpenMetrics names its samples.

use std::collections::{BTreeMap, BTreeSet};

use vocab::sample::{MetricMetadata, MetricType};

use super::{is_plain, quoted};

/// A metric family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its name: that of a counter without `_total`.
    pub name: String,
    /// Its type.
    pub metric_type: MetricType,
    /// Its help text.
    pub help: String,
    /// Its unit, empty when not known.
    pub unit: String,
    /// The metric names of its series.
    pub members: Vec<String>,
    /// Whether other series have names that a classic histogram of this one would need.
    pub(super) classic_taken: bool,
    /// Whether another series has the name that says since when samples count.
    pub(super) created_taken: bool,
}

impl Family {
    /// A series of no known type.
    pub(super) fn loose(name: &str, help: &str) -> Self {
        Self {
            name: name.to_owned(),
            metric_type: MetricType::Unknown,
            help: help.to_owned(),
            unit: String::new(),
            members: vec![name.to_owned()],
            classic_taken: false,
            created_taken: false,
        }
    }

    /// The lines before its samples, which are of this type.
    pub(super) fn header(&self, metric_type: MetricType) -> String {
        let name = if is_plain(&self.name, true) { self.name.clone() } else { quoted(&self.name) };
        let mut text = format!("# TYPE {name} {}\n", word(metric_type));
        // A unit must be the end of the name.
        if !self.unit.is_empty() && self.name.strip_suffix(&self.unit).is_some_and(|rest| rest.ends_with('_')) {
            text.push_str(&format!("# UNIT {name} {}\n", self.unit));
        }
        if !self.help.is_empty() {
            let help = self.help.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            text.push_str(&format!("# HELP {name} {help}\n"));
        }
        text
    }
}

/// Ends of the names of a classic histogram's series.
const CLASSIC_SUFFIXES: [&str; 5] = ["_bucket", "_count", "_sum", "_gcount", "_gsum"];

fn word(metric_type: MetricType) -> &'static str {
    match metric_type {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
        MetricType::GaugeHistogram => "gaugehistogram",
        MetricType::Summary => "summary",
        MetricType::Info => "info",
        MetricType::StateSet => "stateset",
        MetricType::Unknown => "unknown",
    }
}

/// Puts metric names together to families, by name. What metadata does not explain, or what would make two families of one name,
/// becomes a family by itself, of no known type.
pub fn families(names: &[String], metadata: &BTreeMap<String, MetricMetadata>) -> Vec<Family> {
    let mut typed: BTreeMap<String, (&MetricMetadata, Vec<String>)> = BTreeMap::new();
    let mut loose: BTreeSet<&String> = BTreeSet::new();
    for name in names {
        let Some((family, found)) = family_of(name, metadata) else {
            loose.insert(name);
            continue;
        };
        let (known, members) = typed.entry(family.to_owned()).or_insert((found, Vec::new()));
        if known.metric == found.metric {
            members.push(name.clone());
        } else {
            loose.insert(name);
        }
    }
    // A loose series of a family's name breaks that family up, and so may its members others.
    while let Some(name) = loose.iter().find(|name| typed.contains_key(**name)).map(|name| (**name).clone()) {
        if let Some((_, members)) = typed.remove(&name) {
            loose.extend(names.iter().filter(|name| members.contains(name)));
        }
    }
    let help = |name: &str| metadata.get(name).map_or("", |m| m.help.as_str());
    let typed = typed.into_iter().map(|(name, (found, members))| {
        let MetricMetadata { metric_type, help, unit, .. } = found.clone();
        Family { name, metric_type, help, unit, members, classic_taken: false, created_taken: false }
    });
    let mut all: Vec<Family> = typed.chain(loose.iter().map(|name| Family::loose(name, help(name)))).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for family in &mut all {
        let taken = |suffix: &str| names.contains(format!("{}{suffix}", family.name).as_str());
        family.classic_taken = CLASSIC_SUFFIXES.into_iter().any(taken);
        family.created_taken = taken("_created");
    }
    all
}

/// The family's name and its metadata, which may be kept under the name of the family or of its only series.
fn family_of<'a, 'm>(
    name: &'a str,
    metadata: &'m BTreeMap<String, MetricMetadata>,
) -> Option<(&'a str, &'m MetricMetadata)> {
    use MetricType::{Counter, GaugeHistogram, Histogram, Info, Summary};
    let parts: [(&str, &[MetricType]); 7] = [
        ("_bucket", &[Histogram, GaugeHistogram]),
        ("_count", &[Histogram, Summary]),
        ("_sum", &[Histogram, Summary]),
        ("_gcount", &[GaugeHistogram]),
        ("_gsum", &[GaugeHistogram]),
        ("_total", &[Counter]),
        ("_info", &[Info]),
    ];
    for (suffix, types) in parts {
        let Some(base) = name.strip_suffix(suffix) else { continue };
        if let Some(found) = metadata.get(base).filter(|m| types.contains(&m.metric_type)) {
            return Some((base, found));
        }
    }
    let found = metadata.get(name)?;
    match found.metric_type {
        Counter => name.strip_suffix("_total").map(|base| (base, found)),
        Info => name.strip_suffix("_info").map(|base| (base, found)),
        _ => Some((name, found)),
    }
}
