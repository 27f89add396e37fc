//! A Querier over series in memory, with every way of answering that a store has.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use vocab::ports::Querier;
use vocab::ports::query::{Fragment, FragmentResult, SelectRequest, SeriesExemplars, SeriesFilter, SeriesStream};
use vocab::sample::{MetricMetadata, SeriesData, StartTimes};
use vocab::{Ctx, Labels, NativeHistogram, PortResult};

/// A sample to load.
#[derive(Debug, Clone)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(NativeHistogram),
}

/// Series by labels, samples by time.
#[derive(Debug, Default, Clone)]
pub(crate) struct Memory {
    series: BTreeMap<Labels, BTreeMap<i64, Sample>>,
    starts: BTreeMap<Labels, BTreeMap<i64, i64>>,
}

impl Memory {
    pub(crate) fn insert(&mut self, labels: Labels, time: i64, sample: Sample) {
        self.series.entry(labels).or_default().insert(time, sample);
    }

    /// Says since when the sample at a time counts.
    pub(crate) fn insert_start(&mut self, labels: Labels, time: i64, start: i64) {
        self.starts.entry(labels).or_default().insert(time, start);
    }

    fn matching(&self, matchers: &[vocab::Matcher], start: i64, end: i64) -> Vec<SeriesData> {
        let mut out = Vec::new();
        for (labels, samples) in &self.series {
            if !matchers.iter().all(|m| m.matches_labels(labels)) || start > end {
                continue;
            }
            let mut data = SeriesData { labels: labels.clone(), ..SeriesData::default() };
            for (time, sample) in samples.range(start..=end) {
                match sample {
                    Sample::Float(v) => {
                        data.timestamps.push(*time);
                        data.values.push(*v);
                    }
                    Sample::Histogram(h) => data.histograms.push((*time, Arc::new(h.clone()))),
                }
            }
            if let Some(starts) = self.starts.get(labels) {
                let start = |time: &i64| starts.get(time).copied().unwrap_or(0);
                let floats = data.timestamps.iter().map(start).collect();
                let histograms = data.histograms.iter().map(|h| start(&h.0)).collect();
                data.starts = Some(Box::new(StartTimes { floats, histograms }));
            }
            if data.num_samples() > 0 {
                out.push(data);
            }
        }
        // A store promises no order.
        out.reverse();
        out
    }
}

#[async_trait]
impl Querier for Memory {
    async fn select(&self, _: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        let batches: Vec<_> = self
            .matching(&request.matchers, request.start_ms, request.end_ms)
            .chunks(3)
            .map(|batch| Ok(batch.to_vec()))
            .collect();
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn execute(&self, _: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        let (start, end) = fragment.sample_bounds();
        let series = self.matching(&fragment.matchers, start, end);
        let pieces = series.chunks(2).map(|piece| promql::fragment::evaluate(&fragment, piece)).collect();
        Ok(promql::fragment::merge(&fragment, pieces))
    }

    async fn series(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<Labels>> {
        Ok(self.series.keys().cloned().collect())
    }

    async fn label_names(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn label_values(&self, _: &Ctx, _: &str, _: SeriesFilter) -> PortResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn metadata(&self, _: &Ctx, _: Option<&str>) -> PortResult<Vec<MetricMetadata>> {
        Ok(Vec::new())
    }

    async fn exemplars(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<SeriesExemplars>> {
        Ok(Vec::new())
    }
}
