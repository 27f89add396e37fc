//! The points of OpenMetrics: samples of one time and one set of labels, which say together since when they count.

use vocab::labels::METRIC_NAME;
use vocab::ports::WriteBatch;
use vocab::sample::MetricType;
use vocab::{Labels, TimestampMs};

/// What a line is to the point that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The first sample of another point, or of none.
    New,
    /// A further sample of the same point.
    Same,
    /// No sample: it says since when the point counts.
    Created,
}

/// Follows the lines of a text from point to point.
#[derive(Debug, Default)]
pub(super) struct Points {
    family: String,
    metric_type: MetricType,
    /// What the samples of the point have in common.
    point: Option<(Labels, TimestampMs)>,
    /// Where the point's samples begin in the batch.
    first: usize,
    /// Since when the point counts; 0 while nothing says so.
    start: TimestampMs,
}

impl Points {
    /// What follows is of this family.
    pub(super) fn family(&mut self, name: &str, metric_type: MetricType) {
        self.family = name.to_owned();
        self.metric_type = metric_type;
        self.point = None;
    }

    /// What the next line is.
    pub(super) fn place(&mut self, labels: &Labels, timestamp: TimestampMs) -> Place {
        let name = labels.metric_name();
        let suffix = name.strip_prefix(&*self.family).and_then(|suffix| match (self.metric_type, suffix) {
            (MetricType::Counter, "_total" | "_created") => Some((suffix, "")),
            (MetricType::Histogram, "_bucket") => Some((suffix, "le")),
            (MetricType::Summary, "") => Some((suffix, "quantile")),
            (MetricType::Histogram | MetricType::Summary, "_count" | "_sum" | "_created") => Some((suffix, "")),
            _ => None,
        });
        let Some((suffix, apart)) = suffix else {
            self.begin(None);
            return Place::New;
        };
        let point = (labels.without(&[METRIC_NAME, apart]), timestamp);
        let is_same = self.point.as_ref() == Some(&point);
        if !is_same {
            self.begin(Some(point));
        }
        match suffix {
            "_created" => Place::Created,
            _ if is_same => Place::Same,
            _ => Place::New,
        }
    }

    fn begin(&mut self, point: Option<(Labels, TimestampMs)>) {
        self.point = point;
        self.first = usize::MAX;
        self.start = 0;
    }

    /// Notes that a sample was added to the batch, and since when it counts if that is known.
    pub(super) fn pushed(&mut self, batch: &mut WriteBatch) {
        self.first = self.first.min(batch.samples.len().saturating_sub(1));
        batch.start_of_last_sample(self.start);
    }

    /// Says since when the point counts, in seconds; false when that is no time.
    pub(super) fn created(&mut self, seconds: f64, batch: &mut WriteBatch) -> bool {
        let ms = (seconds * 1000.0).round();
        // Beyond this not every millisecond has a number.
        if ms.is_nan() || ms.abs() >= 9e15 {
            return false;
        }
        #[allow(clippy::cast_possible_truncation, reason = "checked above")]
        let start = ms as TimestampMs;
        self.start = start;
        for at in self.first..batch.samples.len() {
            vocab::sample::StartTimes::note(&mut batch.starts.floats, at, start);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use vocab::ports::append::{BatchSample, SeriesRef};

    use super::*;

    /// Reads lines of (name, label, time, value); gives the start time of each sample.
    fn starts(families: &[(&str, MetricType)], lines: &[(&str, &str, TimestampMs, f64)]) -> Vec<TimestampMs> {
        let (mut points, mut batch) = (Points::default(), WriteBatch::default());
        for (name, label, timestamp, value) in lines {
            if let Some((family, metric_type)) = families.iter().find(|f| f.0 == *name) {
                points.family(family, *metric_type);
                continue;
            }
            let (label, of) = label.split_once('=').unwrap_or(("x", label));
            let labels = Labels::from_pairs([(METRIC_NAME, *name), (label, of)]);
            match points.place(&labels, *timestamp) {
                Place::Created => assert!(points.created(*value, &mut batch), "{name}"),
                Place::New | Place::Same => {
                    let series = batch.push_series(labels, SeriesRef::NONE);
                    batch.samples.push(BatchSample { series, timestamp: *timestamp, value: *value });
                    points.pushed(&mut batch);
                }
            }
        }
        (0..batch.samples.len()).map(|at| batch.sample_start(at)).collect()
    }

    #[test]
    fn what_says_since_when_a_point_counts_concerns_all_of_it() {
        let families = [("c", MetricType::Counter), ("h", MetricType::Histogram), ("s", MetricType::Summary)];
        let check = |lines: &[(&str, &str, TimestampMs, f64)], expect: &[TimestampMs]| {
            assert_eq!(starts(&families, lines), expect, "{lines:?}");
        };
        check(
            &[
                ("c", "", 0, 0.0),
                ("c_total", "a", 1000, 1.0),
                ("c_created", "a", 1000, 0.5),
                ("c_total", "a", 2000, 1.0),
                ("c_total", "b", 2000, 1.0),
                // Before the sample that it is about.
                ("c_created", "b", 3000, 1.0015),
                ("c_total", "b", 3000, 1.0),
                ("c_created", "z", 3000, 7.0),
                ("c_total", "b", 4000, 1.0),
            ],
            &[500, 0, 0, 1002, 0],
        );
        check(
            &[
                ("h", "", 0, 0.0),
                ("h_bucket", "le=1.0", 1000, 1.0),
                ("h_bucket", "le=+Inf", 1000, 1.0),
                ("h_count", "", 1000, 1.0),
                ("h_created", "", 1000, 0.25),
                ("h_sum", "", 1000, 1.0),
                ("h_sum", "", 2000, 1.0),
            ],
            &[250, 250, 250, 250, 0],
        );
        // Of no family that may have it, it is a sample as any other.
        check(&[("x_created", "a", 1000, 1.0), ("x_total", "a", 1000, 1.0)], &[0, 0]);
    }

    #[test]
    fn what_is_no_time_is_told() {
        let (mut points, mut batch) = (Points::default(), WriteBatch::default());
        for seconds in [f64::NAN, f64::INFINITY, 1e13] {
            assert!(!points.created(seconds, &mut batch), "{seconds}");
        }
    }
}
