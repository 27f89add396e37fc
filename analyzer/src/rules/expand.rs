//! Fills in the templates of a rule for one sample, evaluating the queries they ask for.

use std::collections::HashMap;

use promql::ParseOptions;
use vocab::{Ctx, Labels, TimestampMs};

use super::file::Templated;
use crate::evaluate::Evaluate;
use crate::template::{self, Input, QUERIES_MAX, QuerySample, TemplateError};

/// What stays the same for all templates of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `global.external_labels`
    pub external_labels: Labels,
    /// Where this program is reached.
    pub external_url: String,
}

/// Expands templates for one rule at one time; results of queries are shared between its alerts.
#[derive(Debug)]
pub struct Expander<'a> {
    evaluate: &'a Evaluate,
    ctx: &'a Ctx,
    surroundings: &'a Surroundings,
    time_ms: TimestampMs,
    results: HashMap<String, Vec<QuerySample>>,
}

impl<'a> Expander<'a> {
    /// An expander for one rule at one time.
    pub fn new(evaluate: &'a Evaluate, ctx: &'a Ctx, surroundings: &'a Surroundings, time_ms: TimestampMs) -> Self {
        Self { evaluate, ctx, surroundings, time_ms, results: HashMap::new() }
    }

    /// The text of a label or annotation; a failing template says so in the text itself, as Prometheus does.
    pub async fn expand(&mut self, templated: &Templated, labels: &Labels, value: f64) -> String {
        let Some(parsed) = &templated.template else { return templated.text.clone() };
        let mut input = Input {
            labels: labels.clone(),
            value,
            external_labels: self.surroundings.external_labels.clone(),
            external_url: &self.surroundings.external_url,
            now_ms: self.time_ms,
            results: std::mem::take(&mut self.results),
        };
        let mut text = None;
        // Each round adds one result, and the last round may not need any.
        for _ in 0..=QUERIES_MAX {
            let failure = match template::expand(parsed, &input) {
                Ok(done) => {
                    text = Some(done);
                    break;
                }
                Err(TemplateError::NeedsQuery(query)) => match self.query(&query).await {
                    Ok(samples) => {
                        input.results.insert(query, samples);
                        continue;
                    }
                    Err(message) => format!("error calling query: {message}"),
                },
                Err(error) => error.to_string(),
            };
            tracing::debug!(template = %templated.name, %failure, "template failed");
            text = Some(format!("<error expanding template: {failure}>"));
            break;
        }
        self.results = input.results;
        if self.results.len() >= QUERIES_MAX {
            // Queries that name labels differ between alerts; what was kept for others makes room.
            self.results.clear();
        }
        text.unwrap_or_else(|| "<error expanding template: too many queries>".to_owned())
    }

    async fn query(&self, query: &str) -> Result<Vec<QuerySample>, String> {
        let expr = promql::parse(query, &ParseOptions::default()).map_err(|e| e.to_string())?;
        let samples = self.evaluate.instant(self.ctx, &expr, self.time_ms).await.map_err(|e| e.to_string())?;
        Ok(samples.into_iter().map(|(labels, value)| QuerySample { labels, value }).collect())
    }
}
