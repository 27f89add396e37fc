//! The two texts of a report.

use minijinja::{AutoEscape, Environment, context};

use super::input::ReportInput;
use super::page;
use super::words::Words;
use crate::error::ReportError;

/// A report's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub title: String,
    /// The finding in one sentence.
    pub summary: String,
    /// One self-contained HTML file.
    pub html: String,
    /// The same as Markdown.
    pub markdown: String,
}

/// Writes a report in a language. Pure: the same input gives the same texts.
///
/// # Errors
/// When a template fails, which a test of each language excludes for all kinds of input.
pub fn render(input: &ReportInput, words: &Words) -> Result<Rendered, ReportError> {
    let page = page::page(input, words);
    let mut environment = Environment::new();
    environment
        .set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    environment.add_filter("md", |text: &str| escape_markdown(text));
    environment
        .add_template("report.html", include_str!("../../templates/report.html"))
        .map_err(ReportError::Render)?;
    environment.add_template("report.md", include_str!("../../templates/report.md")).map_err(ReportError::Render)?;
    let text = |name: &str| -> Result<String, ReportError> {
        environment
            .get_template(name)
            .and_then(|t| t.render(context! { page => page.value() }))
            .map_err(ReportError::Render)
    };
    Ok(Rendered {
        title: format!("{} {}", page.title, page.range),
        summary: page.finding.clone(),
        html: text("report.html")?,
        markdown: text("report.md")?,
    })
}

/// Text that Markdown takes as text: on one line, its marks escaped.
fn escape_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}
