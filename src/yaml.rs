//! YAML with line numbers: decodes a section and collects every mistake, each with its key path and line.
//!
//! serde stops at the first mistake. Here the offending node is noted, taken out (or, where a number was written for a
//! text, turned into that text, as Prometheus's own loader does), and decoding is tried again until the rest is clean.

use std::collections::HashMap;

use granit_parser::{Event, Parser};
use serde::de::DeserializeOwned;
use serde_json::Value;
use vocab::{Problem, Problems};

/// Most mistakes that are reported of one section; a file with more is not a configuration.
const PROBLEMS_PER_SECTION_MAX: usize = 100;
/// Largest accepted configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A parsed file: its value and the line of each key path.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The file's name as it appears in messages.
    pub file: String,
    /// The value of the whole file; `Null` when it is empty.
    pub value: Value,
    lines: HashMap<String, usize>,
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// The syntax mistake with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let fail = |line: usize, message: String| {
            let list = vec![Problem { file: file.to_owned(), line, path: String::new(), message }];
            Err(Problems { list })
        };
        if text.len() > FILE_BYTES_MAX {
            return fail(0, format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", text.len()));
        }
        let empty = text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#') || l.trim() == "---");
        if empty {
            return Ok(Self { file: file.to_owned(), value: Value::Null, lines: HashMap::new() });
        }
        match serde_saphyr::from_str::<Value>(text) {
            Ok(value) => Ok(Self { file: file.to_owned(), value, lines: line_map(text) }),
            Err(error) => {
                let line = error.location().map_or(0, |l| usize::try_from(l.line()).unwrap_or(0));
                fail(line, first_line(&error.to_string()))
            }
        }
    }

    /// The line of a key path, or of its nearest parent that has one; 0 when nothing is known.
    pub fn line_of(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(&line) = self.lines.get(path) {
                return line;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return 0,
            }
        }
    }
}

/// The first line of a parser's message, which may go on with a drawing of the place.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("not valid YAML").trim_start_matches("error: ").to_owned()
}

enum Frame {
    Sequence { path: String, index: usize },
    Mapping { path: String, key: Option<String> },
}

/// Key path → line, by walking the parser's events. Best effort: what it cannot place has its parent's line.
fn line_map(text: &str) -> HashMap<String, usize> {
    let mut lines = HashMap::new();
    let mut stack: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let line = span.start.line();
        match event {
            Event::Scalar(value, ..) => {
                if let Some(Frame::Mapping { path, key }) = stack.last_mut()
                    && key.is_none()
                {
                    let full = if path.is_empty() { value.to_string() } else { format!("{path}.{value}") };
                    lines.entry(full.clone()).or_insert(line);
                    *key = Some(full);
                    continue;
                }
                let _path = enter(&mut stack, &mut lines, line);
            }
            Event::Alias(_) => {
                let _path = enter(&mut stack, &mut lines, line);
            }
            Event::SequenceStart(..) => {
                let path = enter(&mut stack, &mut lines, line);
                stack.push(Frame::Sequence { path, index: 0 });
            }
            Event::MappingStart(..) => {
                let path = enter(&mut stack, &mut lines, line);
                stack.push(Frame::Mapping { path, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                stack.pop();
            }
            _ => {}
        }
    }
    lines
}

/// The path of the value that begins here; moves the parent on to its next key or index.
fn enter(stack: &mut [Frame], lines: &mut HashMap<String, usize>, line: usize) -> String {
    match stack.last_mut() {
        None => String::new(),
        Some(Frame::Sequence { path, index }) => {
            let full = format!("{path}[{index}]");
            *index += 1;
            lines.entry(full.clone()).or_insert(line);
            full
        }
        // A key that is itself a collection has no place in a path.
        Some(Frame::Mapping { key, .. }) => key.take().unwrap_or_default(),
    }
}

/// Decodes a section found at `path`, noting every mistake. `None` when nothing could be decoded.
pub fn decode<T: DeserializeOwned>(mut value: Value, path: &str, problems: &mut Problems) -> Option<T> {
    if value.is_null() {
        // `section:` with nothing behind it means "with its defaults".
        value = Value::Object(serde_json::Map::new());
        if let Ok(decoded) = serde_json::from_value(Value::Null) {
            return Some(decoded);
        }
    }
    for _ in 0..PROBLEMS_PER_SECTION_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(decoded) => return Some(decoded),
            Err(error) => error,
        };
        let inner_path = error.path().to_string();
        let inner_path = if inner_path == "." { String::new() } else { inner_path };
        let message = error.inner().to_string();
        if let Some(node) = find(&mut value, &inner_path)
            && message.contains("expected a string")
            && (node.is_number() || node.is_boolean())
        {
            *node = Value::String(node.to_string());
            continue;
        }
        if let Some(name) = between(&message, "unknown field `", "`") {
            let parent = find(&mut value, &inner_path).map(|node| node.is_object());
            // serde_path_to_error stops at the struct or at the key, by where the visitor noticed.
            let holder = match parent {
                Some(true) => inner_path.clone(),
                _ => inner_path.rsplit_once('.').map_or(String::new(), |(p, _)| p.to_owned()),
            };
            let expected = message.split_once("expected ").map_or("", |(_, e)| e);
            let wanted = expected.trim_start_matches("one of ").replace('`', "");
            problems.add(join(path, &join(&holder, &name)), format!("unknown key `{name}`; known are {wanted}"));
            if remove(&mut value, &holder, &name) {
                continue;
            }
            return None;
        }
        problems.add(join(path, &inner_path), message);
        let (holder, last) = split_last(&inner_path);
        if last.is_empty() || !remove(&mut value, holder, last) {
            return None;
        }
    }
    None
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0.to_owned())
}

/// Joins two key paths.
pub fn join(path: &str, more: &str) -> String {
    match (path.is_empty(), more.is_empty()) {
        (_, true) => path.to_owned(),
        (true, false) => more.to_owned(),
        (false, false) if more.starts_with('[') => format!("{path}{more}"),
        (false, false) => format!("{path}.{more}"),
    }
}

fn split_last(path: &str) -> (&str, &str) {
    match path.rfind(['.', '[']) {
        Some(cut) => (&path[..cut], path[cut..].trim_start_matches('.')),
        None => ("", path),
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty())
}

fn find<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    steps(path).try_fold(value, |node, step| match node {
        Value::Object(map) => map.get_mut(step),
        Value::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn remove(value: &mut Value, holder: &str, last: &str) -> bool {
    let last = last.trim_start_matches('[').trim_end_matches(']');
    match find(value, holder) {
        Some(Value::Object(map)) => map.remove(last).is_some(),
        Some(Value::Array(list)) => match last.parse::<usize>() {
            // Taking an element out would move the ones behind it; a null keeps the numbering and fails loudly if kept.
            Ok(index) if index + 1 == list.len() => list.pop().is_some(),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Job {
        job_name: String,
        #[serde(default)]
        limit: u32,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Section {
        #[serde(default)]
        jobs: Vec<Job>,
        #[serde(default)]
        labels: std::collections::BTreeMap<String, String>,
    }

    fn problems_of(text: &str) -> (Option<Section>, Vec<String>) {
        let document = Document::parse("f.yml", text).expect("valid YAML");
        let mut problems = Problems::default();
        let section = decode::<Section>(document.value.clone(), "", &mut problems);
        problems.locate("f.yml", |p| document.line_of(p));
        (section, problems.list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let (_, list) = problems_of("jobs:\n- job_name: a\n  limt: 3\n- job_name: b\n  limit: many\ncolour: red\n");
        assert_eq!(list.len(), 3, "{list:#?}");
        assert!(list.iter().any(|p| p.starts_with("f.yml:3: jobs[0].limt: unknown key `limt`; known are job_name")), "{list:#?}");
        assert!(list.iter().any(|p| p.starts_with("f.yml:5: jobs[1].limit: ") && p.contains("\"many\"")), "{list:#?}");
        assert!(list.iter().any(|p| p.starts_with("f.yml:6: colour: unknown key")), "{list:#?}");
    }

    #[test]
    fn a_number_where_a_text_belongs_is_that_text() {
        let (section, list) = problems_of("labels: {rack: 7, on: true}\n");
        assert!(list.is_empty(), "{list:?}");
        let labels = section.expect("decoded").labels;
        assert_eq!((labels["rack"].as_str(), labels["on"].as_str()), ("7", "true"));
    }

    #[test]
    fn a_syntax_mistake_has_a_line() {
        let problems = Document::parse("f.yml", "a: 1\nb: [1, 2\nc: 3\n").expect_err("not YAML");
        assert!(problems.list[0].line >= 2, "{problems}");
    }
}
