//! Parameters of the query string and of forms, and how times and durations are read.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use vocab::TimestampMs;
use vocab::duration::parse_duration;

use crate::error::{ApiError, ApiResult};

/// Longest form: a query text of the longest accepted length, percent-encoded, with its other parameters.
const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Parameters in order: those of the form first, as Prometheus prefers them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let query = request.uri().query().map(str::to_owned).unwrap_or_default();
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_form = content_type.split(';').next().is_some_and(|t| t.trim() == "application/x-www-form-urlencoded");
        let mut pairs = Vec::new();
        if is_form {
            let body = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX)
                .await
                .map_err(|e| ApiError::invalid(format!("cannot read the form (limit {FORM_BYTES_MAX} bytes): {e}")))?;
            pairs.extend(url::form_urlencoded::parse(&body).into_owned());
        }
        pairs.extend(url::form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }
}

impl Params {
    /// The first value of a name that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A required text.
    pub(crate) fn required(&self, name: &str) -> ApiResult<&str> {
        self.get(name).ok_or_else(|| ApiError::invalid(format!("the parameter {name:?} is missing")))
    }

    /// A whole number within bounds, or the default.
    pub(crate) fn number(&self, name: &str, default: usize, max: usize) -> ApiResult<usize> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|n| *n <= max).ok_or_else(|| {
                ApiError::invalid(format!("want a whole number from 0 to {max}, not {text:?}")).parameter(name)
            }),
        }
    }

    /// A time in Unix milliseconds.
    pub(crate) fn millis(&self, name: &str) -> ApiResult<Option<TimestampMs>> {
        let read = |text: &str| {
            let wrong = || ApiError::invalid(format!("want Unix milliseconds, not {text:?}")).parameter(name);
            text.parse().map_err(|_| wrong())
        };
        self.get(name).map(read).transpose()
    }

    /// `from_ms` and `to_ms`: by default the last hour.
    pub(crate) fn range(&self, now_ms: TimestampMs) -> ApiResult<(TimestampMs, TimestampMs)> {
        let to = self.millis("to_ms")?.unwrap_or(now_ms);
        let from = self.millis("from_ms")?.unwrap_or(to.saturating_sub(DEFAULT_RANGE_MS));
        if from > to {
            return Err(ApiError::invalid("from_ms must not be after to_ms"));
        }
        Ok((from, to))
    }

    /// `true`, `false`, or absent.
    pub(crate) fn flag(&self, name: &str) -> ApiResult<bool> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(ApiError::invalid(format!("want true or false, not {other:?}")).parameter(name)),
        }
    }

    /// A time as Prometheus takes it: seconds with a fraction, or RFC 3339.
    pub(crate) fn time(&self, name: &str) -> ApiResult<Option<TimestampMs>> {
        self.get(name).map(|text| parse_time(text).map_err(|e| e.parameter(name))).transpose()
    }

    /// A duration as Prometheus takes it: seconds with a fraction, or `1m30s`.
    pub(crate) fn duration(&self, name: &str) -> ApiResult<Option<i64>> {
        self.get(name).map(|text| parse_duration_ms(text).map_err(|e| e.parameter(name))).transpose()
    }

    /// A time limit: the configured one, or less when the caller asks for less.
    pub(crate) fn timeout(&self, most: Duration) -> ApiResult<Duration> {
        let asked = self.duration("timeout")?;
        Ok(asked.and_then(|ms| u64::try_from(ms).ok()).map_or(most, |ms| most.min(Duration::from_millis(ms))))
    }
}

/// The range of a page that names none.
const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// Seconds with a fraction, or RFC 3339, to milliseconds.
pub(crate) fn parse_time(text: &str) -> ApiResult<TimestampMs> {
    if let Some(ms) = text.parse::<f64>().ok().and_then(millis_of) {
        return Ok(ms);
    }
    text.parse::<jiff::Timestamp>()
        .map(|t| t.as_millisecond())
        .map_err(|_| ApiError::invalid(format!("cannot parse {text:?} to a valid timestamp")))
}

fn parse_duration_ms(text: &str) -> ApiResult<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let wrong = || ApiError::invalid(format!("cannot parse {text:?} to a valid duration. It overflows int64"));
        return millis_of(seconds).ok_or_else(wrong);
    }
    parse_duration(text)
        .ok()
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .ok_or_else(|| ApiError::invalid(format!("cannot parse {text:?} to a valid duration")))
}

/// Seconds to whole milliseconds, when they fit.
#[allow(clippy::cast_possible_truncation, reason = "checked to be within the range of an i64")]
fn millis_of(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (ms.is_finite() && ms.abs() < 9.2e18).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_as_prometheus_does() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1.5", Some(1500)),
            ("-1", Some(-1000)),
            ("1e3", Some(1_000_000)),
            ("1767225600.123", Some(1_767_225_600_123)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
            ("2026-01-01T01:00:00.5+01:00", Some(1_767_225_600_500)),
            ("1767225600000", Some(1_767_225_600_000_000)),
            ("yesterday", None),
            ("NaN", None),
            ("1e300", None),
        ] {
            assert_eq!(parse_time(text).ok(), ms, "{text}");
        }
        for (text, ms) in
            [("15", Some(15_000)), ("0.5", Some(500)), ("1m30s", Some(90_000)), ("x", None), ("1e30", None)]
        {
            assert_eq!(parse_duration_ms(text).ok(), ms, "{text}");
        }
    }
}
