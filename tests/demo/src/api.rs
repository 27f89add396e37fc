//! Asks a running Tidewatch.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A client of one Tidewatch.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    client: reqwest::Client,
}

impl Api {
    /// A client of the Tidewatch at `base` (`http://127.0.0.1:9090`).
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(base: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: base.to_owned(), client })
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether `/ready` answers 200.
    pub async fn ready(&self) -> bool {
        matches!(self.client.get(format!("{}/ready", self.base)).send().await, Ok(a) if a.status().is_success())
    }

    /// GET, answered in JSON.
    ///
    /// # Errors
    /// When it does not answer, or not with 2xx and JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await?;
        read(path, answer).await
    }

    /// GET, answered in text.
    ///
    /// # Errors
    /// When it does not answer with 2xx.
    pub async fn get_text(&self, path: &str) -> Result<String> {
        let answer = self.client.get(format!("{}{path}", self.base)).send().await?;
        if !answer.status().is_success() {
            bail!("GET {path}: {}", answer.status());
        }
        Ok(answer.text().await?)
    }

    /// POST of JSON, answered in JSON.
    ///
    /// # Errors
    /// When it does not answer, or not with 2xx and JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.client.post(format!("{}{path}", self.base)).json(body).send().await?;
        read(path, answer).await
    }

    /// The value of an instant query that gives one series; `None` when it gives none.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn value(&self, query: &str) -> Result<Option<f64>> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.base), [("query", query)])?;
        let answer: Value = read("query", self.client.get(url).send().await?).await?;
        let text = answer["data"]["result"][0]["value"][1].as_str();
        Ok(text.and_then(|t| t.parse().ok()))
    }
}

async fn read(path: &str, answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{path}: {status}: {text}");
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{path}: not JSON: {text}"))
}
