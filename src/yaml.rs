//! YAML with line numbers: decodes a section and collects every mistake, each with its key path and line.
//!
//! serde stops at the first mistake. Here the offending node is noted and taken out, and decoding is tried again until the
//! rest is clean.

pub mod node;

use serde::de::DeserializeOwned;
use vocab::{Problem, Problems};

use node::{Kind, Node};

/// Most mistakes that are reported of one section; a file with more is not a configuration.
const PROBLEMS_PER_SECTION_MAX: usize = 100;
/// Largest accepted configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A parsed file.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The file's name as it appears in messages.
    pub file: String,
    /// Its content.
    pub root: Node,
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// The syntax mistake with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let fail = |line: usize, message: String| Problems {
            list: vec![Problem { file: file.to_owned(), line, path: String::new(), message }],
        };
        if text.len() > FILE_BYTES_MAX {
            return Err(fail(0, format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", text.len())));
        }
        let root = Node::parse(text).map_err(|(line, message)| fail(line, message))?;
        if !matches!(root.kind, Kind::Mapping(_) | Kind::Null) {
            return Err(fail(root.line, "a mapping of sections is expected".into()));
        }
        Ok(Self { file: file.to_owned(), root })
    }

    /// The line of a key path, or of its nearest parent that has one.
    pub fn line_of(&self, path: &str) -> usize {
        self.root.nearest(path).line
    }
}

/// Decodes a node found at `path`, noting every mistake. `None` when nothing could be decoded.
pub fn decode<T: DeserializeOwned>(mut node: Node, path: &str, problems: &mut Problems) -> Option<T> {
    // What was taken out for a mistake of its own: that it is missing then is no second one.
    let mut taken_out = Vec::new();
    for _ in 0..PROBLEMS_PER_SECTION_MAX {
        let error = match serde_path_to_error::deserialize::<_, T>(node.clone()) {
            Ok(decoded) => return Some(decoded),
            Err(error) => error,
        };
        let inner_path = error.path().to_string();
        let inner_path = if inner_path == "." { String::new() } else { inner_path };
        let message = error.inner().to_string();
        if let Some(name) = between(&message, "unknown field `", "`") {
            // The path may end at the struct or at the key itself, by where the reader noticed.
            let at_struct = matches!(node.at_mut(&inner_path).map(|n| &n.kind), Some(Kind::Mapping(pairs)) if pairs.iter().any(|p| p.0 == name));
            let holder = if at_struct { inner_path.as_str() } else { split_last(&inner_path).0 };
            let wanted =
                message.split_once("expected ").map_or("", |(_, e)| e).trim_start_matches("one of ").replace('`', "");
            problems.add(join(path, &join(holder, &name)), format!("unknown key `{name}`; known are {wanted}"));
            if remove(&mut node, holder, &name) {
                continue;
            }
            return None;
        }
        let missing = between(&message, "missing field `", "`").map(|name| join(&inner_path, &name));
        if missing.is_none_or(|missing| !taken_out.contains(&missing)) {
            problems.add(join(path, &inner_path), message);
        }
        let (holder, last) = split_last(&inner_path);
        if last.is_empty() || !remove(&mut node, holder, last) {
            return None;
        }
        taken_out.push(inner_path);
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
        Some(cut) => path.split_at(cut),
        None => ("", path),
    }
}

/// Takes a node out. Of a list only the last element: taking out another would move the ones behind it.
fn remove(root: &mut Node, holder: &str, last: &str) -> bool {
    let last = last.trim_matches(|c| matches!(c, '.' | '[' | ']'));
    match root.at_mut(holder).map(|n| &mut n.kind) {
        Some(Kind::Mapping(pairs)) => {
            let before = pairs.len();
            pairs.retain(|p| p.0 != last);
            pairs.len() < before
        }
        Some(Kind::Sequence(list)) if last.parse::<usize>().is_ok_and(|i| i + 1 == list.len()) => list.pop().is_some(),
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
        let section = decode::<Section>(document.root.clone(), "", &mut problems);
        problems.locate("f.yml", |p| document.line_of(p));
        (section, problems.list.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let (_, list) = problems_of("jobs:\n- job_name: a\n  limt: 3\n- job_name: b\n  limit: many\ncolour: red\n");
        assert_eq!(list.len(), 3, "{list:#?}");
        assert!(
            list.iter().any(|p| p.starts_with("f.yml:3: jobs[0].limt: unknown key `limt`; known are job_name")),
            "{list:#?}"
        );
        assert!(list.iter().any(|p| p.starts_with("f.yml:5: jobs[1].limit: ") && p.contains("\"many\"")), "{list:#?}");
        assert!(list.iter().any(|p| p.starts_with("f.yml:6: colour: unknown key")), "{list:#?}");
    }

    #[test]
    fn a_wrong_value_is_not_missing_as_well() {
        let (_, list) = problems_of("jobs:\n- limit: many\n  job_name: [a]\ncolour: red\n");
        assert_eq!(list.len(), 3, "{list:#?}");
        assert!(list.iter().any(|p| p.starts_with("f.yml:3: jobs[0].job_name: invalid type")), "{list:#?}");
        let (_, list) = problems_of("jobs:\n- limit: 3\n");
        assert_eq!(list.len(), 1, "{list:#?}");
        assert!(list[0].contains("missing field `job_name`"), "{list:#?}");
    }

    #[test]
    fn text_stays_text() {
        let (section, list) = problems_of("labels: {rack: 1.10, live: true, q: '7'}\njobs: []\n");
        assert!(list.is_empty(), "{list:?}");
        let labels = section.expect("decoded").labels;
        assert_eq!((labels["rack"].as_str(), labels["live"].as_str(), labels["q"].as_str()), ("1.10", "true", "7"));
    }

    #[test]
    fn anchors_and_merge_keys_work_and_are_bounded() {
        let (section, list) = problems_of("jobs:\n- &a {job_name: a, limit: 3}\n- {<<: *a, job_name: b}\n");
        assert!(list.is_empty(), "{list:?}");
        assert_eq!(section.expect("decoded").jobs[1], Job { job_name: "b".into(), limit: 3 });
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            let line: Vec<_> = (0..10).map(|_| format!("*a{}", i - 1)).collect();
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", line.join(",")));
        }
        let problems = Document::parse("f.yml", &bomb).expect_err("too many nodes");
        assert!(problems.to_string().contains("nodes"), "{problems}");
    }

    #[test]
    fn a_syntax_mistake_has_a_line() {
        let problems = Document::parse("f.yml", "a: 1\nb: [1, 2\nc: 3\n").expect_err("not YAML");
        assert!(problems.list[0].line >= 2, "{problems}");
        let problems = Document::parse("f.yml", "a: 1\na: 2\n").expect_err("a key twice");
        assert!(problems.to_string().starts_with("f.yml:2: "), "{problems}");
        assert!(Document::parse("f.yml", "").expect("empty is fine").root.kind == Kind::Null);
    }
}
