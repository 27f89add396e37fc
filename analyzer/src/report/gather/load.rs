//! Load, requests and servers of each service, from HAProxy's series.

use std::collections::BTreeMap;

use futures::StreamExt;
use models::{ForecastOptions, forecast};
use vocab::ports::SelectRequest;
use vocab::ports::query::{SelectHints, StepGrid};
use vocab::{Matcher, is_stale_nan};

use super::Gather;
use crate::evaluate::RangeSeries;
use crate::report::input::{Delta, Outlook, Points, ServiceLoad};

/// Windows of the rate that are tried, in seconds: a short one shows a ramp, a long one is needed where samples are rare.
const WINDOWS_SECONDS: [i64; 3] = [15, 60, 300];
/// Most services in a report, the busiest first.
const SERVICES_MAX: usize = 100;
/// History of the forecast: as much before the end as this many times the report's time, at most.
const HISTORY_STEPS: i64 = 2_000;

impl Gather<'_> {
    /// All services that answered requests, or that the load balancer knows.
    pub(in crate::report) async fn services(&mut self) -> Vec<ServiceLoad> {
        let grid = self.grid();
        let mut services: BTreeMap<String, ServiceLoad> = BTreeMap::new();
        let mut window = WINDOWS_SECONDS[0];
        for seconds in WINDOWS_SECONDS {
            window = seconds.max(2 * grid.step_ms / 1000);
            let found = self.range(&rps_query(window), grid).await;
            if found.iter().any(|s| s.values.iter().any(|v| v.is_finite())) {
                for series in found {
                    service(&mut services, &series).rps = points(&series, grid);
                }
                break;
            }
        }
        for series in self.range("sum by (service) (haproxy_backend_active_servers)", grid).await {
            service(&mut services, &series).active = points(&series, grid);
        }
        let none: &[(&str, &str)] = &[];
        let requests = self.deltas("haproxy_backend_http_requests_total", none).await;
        let failed = self.deltas("haproxy_backend_http_responses_total", &[("code", "5xx")]).await;
        let connection_errors = self.deltas("haproxy_backend_connection_errors_total", none).await;
        let response_errors = self.deltas("haproxy_backend_response_errors_total", none).await;
        let retries = self.deltas("haproxy_backend_retry_warnings_total", none).await;
        let redispatches = self.deltas("haproxy_backend_redispatch_warnings_total", none).await;
        for (name, own) in &mut services {
            let of = |deltas: &BTreeMap<String, f64>| -> Delta { deltas.get(name).copied() };
            own.requests = of(&requests);
            own.failed = of(&failed);
            own.connection_errors = of(&connection_errors);
            own.response_errors = of(&response_errors);
            own.retries = of(&retries);
            own.redispatches = of(&redispatches);
        }
        let mut list: Vec<ServiceLoad> = services
            .into_values()
            .filter(|s| !s.service.is_empty())
            .filter(|s| s.requests.is_some_and(|r| r > 0.0) || s.rps.iter().any(|p| p.1 > 0.0))
            .collect();
        list.sort_by(|a, b| b.requests.unwrap_or(0.0).total_cmp(&a.requests.unwrap_or(0.0)));
        list.truncate(SERVICES_MAX);
        self.outlooks(&mut list, window, grid).await;
        list
    }

    /// The expected peak of each service over as long again as the report's time.
    async fn outlooks(&mut self, services: &mut [ServiceLoad], window: i64, grid: StepGrid) {
        let span = self.to_ms - self.from_ms;
        let start_ms = self.to_ms - (HISTORY_STEPS * grid.step_ms).min(span * 8).max(span);
        let history = StepGrid { start_ms, ..grid };
        let horizon = usize::try_from(span / grid.step_ms / 2).unwrap_or(0).clamp(1, 240);
        for series in self.range(&rps_query(window), history).await {
            let name = series.labels.get("service").unwrap_or("");
            let Some(own) = services.iter_mut().find(|s| s.service == name) else { continue };
            let task = tokio::task::spawn_blocking(move || {
                forecast(&series.values, ForecastOptions { horizon, season: None })
                    .filter(|f| f.relative_error.is_some())
            });
            let Ok(Some(found)) = task.await else { continue };
            let highest = |list: &[f64]| list.iter().copied().fold(0.0, f64::max);
            own.outlook = Some(Outlook {
                ahead_ms: grid.step_ms * i64::try_from(horizon).unwrap_or(0),
                mean: highest(&found.mean),
                upper: highest(&found.upper95),
            });
        }
    }

    /// How much a counter grew in the report's time, by service: the sum of its steps upwards between the first and the last
    /// sample, so that a restart of the balancer loses nothing but what it had not been asked for.
    async fn deltas(&mut self, metric: &str, labels: &[(&str, &str)]) -> BTreeMap<String, f64> {
        let mut matchers = vec![Matcher::equal("__name__", metric)];
        matchers.extend(labels.iter().map(|(name, value)| Matcher::equal(*name, *value)));
        let request = SelectRequest {
            matchers,
            start_ms: self.from_ms,
            end_ms: self.to_ms,
            hints: SelectHints { function: "increase".to_owned(), ..SelectHints::default() },
        };
        let mut found = BTreeMap::new();
        let result: vocab::PortResult<()> = async {
            let mut stream = self.shared.evaluate.querier().select(&self.ctx, request).await?;
            while let Some(batch) = stream.next().await {
                for series in batch? {
                    let values: Vec<f64> = series.values.iter().copied().filter(|v| !is_stale_nan(*v)).collect();
                    let Some(grown) = grown(&values) else { continue };
                    let service = series.labels.get("service").or_else(|| series.labels.get("proxy")).unwrap_or("");
                    *found.entry(service.to_owned()).or_insert(0.0) += grown;
                }
            }
            Ok(())
        }
        .await;
        self.noted(metric, result);
        found
    }
}

fn rps_query(window_seconds: i64) -> String {
    format!("sum by (service) (rate(haproxy_backend_http_requests_total[{window_seconds}s]))")
}

fn service<'a>(services: &'a mut BTreeMap<String, ServiceLoad>, series: &RangeSeries) -> &'a mut ServiceLoad {
    let name = series.labels.get("service").unwrap_or("").to_owned();
    services.entry(name.clone()).or_insert_with(|| ServiceLoad { service: name, ..ServiceLoad::default() })
}

fn points(series: &RangeSeries, grid: StepGrid) -> Points {
    grid.times().zip(series.values.iter().copied()).filter(|p| p.1.is_finite()).collect()
}

/// The growth of a counter; a value below the one before is a restart from 0. `None` for fewer than two samples.
fn grown(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    Some(values.windows(2).map(|w| if w[1] >= w[0] { w[1] - w[0] } else { w[1] }).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_over_restarts() {
        assert_eq!(grown(&[10.0, 15.0, 3.0, 4.0]), Some(9.0));
        assert_eq!(grown(&[10.0]), None);
        assert_eq!(grown(&[]), None);
    }
}
