//! Federation: the newest sample of each matching series as exposition text.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use vocab::labels::METRIC_NAME;
use vocab::ports::query::{SelectHints, SelectRequest};
use vocab::sample::MetricType;
use vocab::{Labels, LabelsBuilder, TimestampMs, is_stale_nan};

use super::labels::selectors;
use crate::app::{Caller, Shared};
use crate::error::ApiError;
use crate::params::Params;

/// The newest samples of the matching series.
#[utoipa::path(get, path = "/federate", tag = "Prometheus", params(("match[]" = Vec<String>, Query, description = "selectors")),
    responses((status = 200, description = "exposition text")))]
pub(crate) async fn federate(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Response, ApiError> {
    let any_of = selectors(&params)?;
    let end_ms = app.clock.now_ms();
    let start_ms = end_ms.saturating_sub(app.config.engine.lookback_ms).saturating_add(1);
    let external = app.config.external_labels.read().clone();
    let work = async move |app: Shared, ctx: vocab::Ctx| {
        let mut newest: BTreeMap<Labels, (TimestampMs, f64)> = BTreeMap::new();
        for matchers in any_of {
            let hints = SelectHints::default();
            let request = SelectRequest { matchers, start_ms, end_ms, hints };
            let mut batches = app.ports.querier.select(&ctx, request).await?;
            while let Some(batch) = batches.next().await {
                for series in batch? {
                    let last = series.timestamps.last().copied().zip(series.values.last().copied());
                    if let Some(sample) = last.filter(|(_, value)| !is_stale_nan(*value)) {
                        newest.insert(series.labels, sample);
                    }
                }
            }
        }
        let types: BTreeMap<String, MetricType> =
            app.ports.querier.metadata(&ctx, None).await?.into_iter().map(|m| (m.metric, m.metric_type)).collect();
        let text = write(&newest, &types, &external);
        ctx.memory.try_grow(text.len())?;
        Ok(text)
    };
    let text = app.run_in_turn(&caller, app.config.query_timeout, work).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8")], text)
        .into_response())
}

fn write(
    newest: &BTreeMap<Labels, (TimestampMs, f64)>,
    types: &BTreeMap<String, MetricType>,
    external: &Labels,
) -> String {
    let mut rows: Vec<_> = newest.iter().collect();
    rows.sort_by(|a, b| (a.0.metric_name(), a.0).cmp(&(b.0.metric_name(), b.0)));
    let mut text = String::new();
    let mut last_name = None;
    for (labels, (time, value)) in rows {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        if last_name != Some(name) {
            let word = match types.get(name) {
                Some(MetricType::Counter) => "counter",
                Some(MetricType::Gauge) => "gauge",
                // The parts of histograms and summaries come as plain series, whose family's type they are not.
                _ => "untyped",
            };
            text.push_str(&format!("# TYPE {} {word}\n", name_text(name)));
            last_name = Some(name);
        }
        let mut all = LabelsBuilder::from(labels);
        all.remove(METRIC_NAME);
        for (name, value) in external {
            if all.get(name).is_none() {
                all.set(name, value);
            }
        }
        write_series(&mut text, name, &all.build());
        text.push_str(&format!(" {} {time}\n", promql::format_value(*value)));
    }
    text
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn name_text(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", escape(name)) }
}

fn write_series(text: &mut String, name: &str, labels: &Labels) {
    let mut parts: Vec<String> = Vec::new();
    if is_plain(name) {
        text.push_str(name);
    } else {
        parts.push(name_text(name));
    }
    parts.extend(labels.iter().map(|(n, v)| format!("{}=\"{}\"", name_text(n), escape(v))));
    // Prometheus adds an empty instance, so that the federating server does not put its own there.
    if labels.get("instance").is_none() {
        parts.push("instance=\"\"".to_owned());
    }
    text.push('{');
    text.push_str(&parts.join(","));
    text.push('}');
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_with_types_times_and_external_labels() {
        let series = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let newest = BTreeMap::from([
            (series(&[("__name__", "b"), ("instance", "x\"y\n")]), (1000, 2.5)),
            (series(&[("__name__", "a"), ("replica", "own")]), (2000, f64::INFINITY)),
            (series(&[("__name__", "a.b"), ("c/d", "1")]), (3, 1.0)),
        ]);
        let types = BTreeMap::from([("a".to_owned(), MetricType::Counter)]);
        let text = write(&newest, &types, &series(&[("replica", "r1")]));
        let expect = "# TYPE a counter\na{replica=\"own\",instance=\"\"} +Inf 2000\n\
                      # TYPE \"a.b\" untyped\n{\"a.b\",\"c/d\"=\"1\",replica=\"r1\",instance=\"\"} 1 3\n\
                      # TYPE b untyped\nb{instance=\"x\\\"y\\n\",replica=\"r1\"} 2.5 1000\n";
        assert_eq!(text, expect);
    }
}
