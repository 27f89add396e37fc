//! Go's text/template with Prometheus's functions, as rule files use it in labels and annotations.
//!
//! [`expand`] is pure: a template that asks for a query's result and does not find it in [`Input::results`] ends with
//! [`TemplateError::NeedsQuery`]; the caller evaluates it and expands again. Work and output are bounded, so that no rule can hold
//! up the evaluation of others.

mod eval;
mod format;
mod functions;
mod humanize;
mod lexer;
mod parser;
mod value;

use std::collections::{BTreeMap, HashMap};

use vocab::Labels;

pub use format::format_g;
pub use humanize::{humanize, humanize_1024, humanize_duration, humanize_timestamp};
pub use value::Value;

/// Longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Longest result, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Most steps (nodes and values visited) of one expansion.
pub const STEPS_MAX: usize = 100_000;
/// Deepest nesting of blocks, parentheses and template calls.
pub const DEPTH_MAX: usize = 64;
/// Most queries one template may ask for.
pub const QUERIES_MAX: usize = 16;

/// One sample of a query's result, as templates see it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What a template can see.
#[derive(Debug, Clone, Default)]
pub struct Input<'a> {
    /// `$labels`, `.Labels`
    pub labels: Labels,
    /// `$value`, `.Value`
    pub value: f64,
    /// `$externalLabels`
    pub external_labels: Labels,
    /// `$externalURL`
    pub external_url: &'a str,
    /// Now, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Results of queries evaluated so far, by expression.
    pub results: HashMap<String, Vec<QuerySample>>,
}

/// Why a template was not expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse.
    #[error("{0}")]
    Parse(String),
    /// It failed on the way.
    #[error("{0}")]
    Run(String),
    /// It asks for the result of this expression; see [`Input::results`].
    #[error("needs the result of query {0:?}")]
    NeedsQuery(String),
}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) body: Vec<parser::Node>,
    pub(crate) defined: BTreeMap<String, Vec<parser::Node>>,
}

/// Parses a template.
///
/// # Errors
/// [`TemplateError::Parse`] saying what is wrong and on which line.
pub fn parse(text: &str) -> Result<Template, TemplateError> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(TemplateError::Parse(format!("template is longer than {TEMPLATE_BYTES_MAX} bytes")));
    }
    parser::parse(text).map_err(TemplateError::Parse)
}

/// Expands a parsed template.
///
/// # Errors
/// [`TemplateError::Run`] for a failing function or a bound that was reached, [`TemplateError::NeedsQuery`] for a query.
pub fn expand(template: &Template, input: &Input<'_>) -> Result<String, TemplateError> {
    eval::run(template, input)
}

#[cfg(test)]
mod tests;
