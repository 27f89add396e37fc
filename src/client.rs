//! The subcommands that ask a running Tidewatch.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use vocab::duration::parse_duration;
use vocab::time::Clock;

use crate::cli::{OutputFormat, Server};
use crate::clock::SystemClock;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Talks to one Tidewatch.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    tenant: String,
}

impl Client {
    /// Reads the token and sets up the connection.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let token = match &server.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(text.lines().next().unwrap_or_default().trim().to_owned())
            }
            None => None,
        };
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { http, base: server.url.trim_end_matches('/').to_owned(), token, tenant: server.tenant.clone() })
    }

    /// The request on behalf of the tenant.
    fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request.header("X-Scope-OrgID", &self.tenant);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A POST to a path, to be filled and sent.
    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.signed(self.http.post(format!("{}{path}", self.base)))
    }

    /// The JSON that a path answers with.
    pub(crate) async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), query)?;
        self.send(self.http.get(url)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = self
            .signed(request)
            .send()
            .await
            .with_context(|| format!("no answer from {}; is tidewatch running there?", self.base))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            let message = value["error"]["message"].as_str().or_else(|| value["error"].as_str()).unwrap_or(text.trim());
            bail!("{message} ({status})");
        }
        serde_json::from_str(&text).context("the answer is not JSON")
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(self.http.put(format!("{}{path}", self.base)).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.send(self.http.delete(format!("{}{path}", self.base)).header("Content-Type", "application/json")).await
    }
}

/// `tidewatch query`: evaluates an expression and gives the text to print.
///
/// # Errors
/// When there is no answer, or the expression is refused.
pub async fn query(server: &Server, expression: &str, time: Option<&str>, format: OutputFormat) -> Result<String> {
    let client = Client::new(server)?;
    let mut form = vec![("query", expression)];
    form.extend(time.map(|t| ("time", t)));
    let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", client.base), &form)?;
    let answer = client.send(client.http.get(url)).await?;
    for warning in ["warnings", "infos"].iter().filter_map(|k| answer[k].as_array()).flatten() {
        tracing::warn!("{}", warning.as_str().unwrap_or_default());
    }
    if format == OutputFormat::Json {
        return Ok(serde_json::to_string_pretty(&answer["data"])?);
    }
    Ok(table(&answer["data"]))
}

/// A line per sample: labels, value, time.
fn table(data: &Value) -> String {
    let sample = |pair: &Value| (pair[1].as_str().unwrap_or_default().to_owned(), pair[0].to_string());
    let mut rows: Vec<(String, String, String)> = Vec::new();
    match data["resultType"].as_str() {
        Some("vector" | "matrix") => {
            for series in data["result"].as_array().into_iter().flatten() {
                let labels: vocab::Labels = serde_json::from_value(series["metric"].clone()).unwrap_or_default();
                let values = series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
                for pair in &values {
                    let (value, time) = sample(pair);
                    rows.push((labels.to_string(), value, time));
                }
            }
        }
        _ => {
            let (value, time) = sample(&data["result"]);
            rows.push((data["resultType"].as_str().unwrap_or_default().to_owned(), value, time));
        }
    }
    let widths = rows.iter().fold((0, 0), |w, r| (w.0.max(r.0.chars().count()), w.1.max(r.1.chars().count())));
    rows.iter().fold(String::new(), |mut text, (labels, value, time)| {
        let pad = widths.0 - labels.chars().count();
        let _never_fails = writeln!(text, "{labels}{:pad$}  {value:>width$}  {time}", "", width = widths.1);
        text
    })
}

/// `tidewatch report`: has a report written and saves it; gives the sentence to print.
///
/// # Errors
/// When there is no answer, the range is wrong, or the file cannot be written.
pub async fn report(server: &Server, last: &str, language: &str, out: &Path) -> Result<String> {
    let client = Client::new(server)?;
    let span = parse_duration(last).map_err(anyhow::Error::msg).context("--last")?;
    let now = SystemClock::new().now_ms();
    let from = now - i64::try_from(span.as_millis())?;
    let body = json!({"from_ms": from, "to_ms": now, "language": language});
    let made = client.send(client.http.post(format!("{}/api/v1/reports", client.base)).json(&body)).await?;
    let report = client.send(client.http.get(format!("{}/api/v1/reports/{}", client.base, made["id"]))).await?;
    let markdown = out.extension().is_some_and(|e| e == "md");
    let text = report[if markdown { "markdown" } else { "html" }].as_str().context("the report has no text")?;
    std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(format!("report {} is in {}", made["id"], out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_per_sample() {
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "value": [1.5, "1"]},
            {"metric": {"__name__": "up", "job": "longer"}, "value": [1.5, "0"]},
        ]});
        assert_eq!(table(&data), "up{job=\"a\"}       1  1.5\nup{job=\"longer\"}  0  1.5\n");
        let scalar = json!({"resultType": "scalar", "result": [2, "7"]});
        assert_eq!(table(&scalar), "scalar  7  2\n");
    }
}
