//! The sentences of an answer by key and arguments, for pages in another language than English.

use std::collections::BTreeSet;

use axum::Json;
use serde_json::Value;
use vocab::Sentence;
use vocab::sentence::read_all;

/// Members of an answer that hold words for people.
const PROSE: [&str; 16] = [
    "frozen_reason",
    "health_reason",
    "last_result",
    "note",
    "notes",
    "problem",
    "reading",
    "reason",
    "result",
    "status",
    "summary",
    "targets",
    "text",
    "title",
    "warnings",
    "what",
];
/// Most sentences of one answer; what is more is shown in English.
const SENTENCES_MAX: usize = 2_000;

/// An answer with the member `sentences`: what of its English words stands in the book, each once.
pub(crate) fn said(value: Value) -> Json<Value> {
    said_with(value, Vec::new())
}

/// The same with sentences that are known already.
pub(crate) fn said_with(mut value: Value, known: Vec<Sentence>) -> Json<Value> {
    let mut words = BTreeSet::new();
    collect(&value, false, &mut words);
    let has = |text: &str| known.iter().any(|s| s.text == text);
    let read = words.into_iter().filter(|text| !text.is_empty() && !has(text)).take(SENTENCES_MAX).filter_map(read);
    let sentences: Vec<Sentence> = read.collect();
    let sentences: Vec<Sentence> = known.into_iter().chain(sentences).collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("sentences".into(), super::shapes::json(&sentences));
    }
    Json(value)
}

/// A sentence, or several that are joined.
fn read(text: &str) -> Option<Sentence> {
    Sentence::read(text).or_else(|| {
        let all = read_all(text);
        let is_any_known = all.len() > 1 && all.iter().any(|s| !s.key.is_empty());
        is_any_known.then(|| Sentence { text: text.to_owned(), ..Sentence::say("text.all", [("all", all.into())]) })
    })
}

fn collect<'v>(value: &'v Value, is_prose: bool, words: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) if is_prose => {
            words.insert(text);
        }
        Value::Array(list) => list.iter().for_each(|v| collect(v, is_prose, words)),
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, PROSE.contains(&name.as_str()), words);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_lists_its_sentences_once() {
        let Json(answer) = said(json!({
            "services": [
                {"name": "no replica is ready", "health_reason": "no replica is ready", "notes": ["nothing to change", "mine"]},
                {"health_reason": "no replica is ready", "rounds": [{"reason": "holding 3: my words"}], "what": ""},
            ],
        }));
        let keys: Vec<_> = answer["sentences"].as_array().expect("a list").iter().map(|s| &s["key"]).collect();
        assert_eq!(keys, ["decision.holding", "health.no_replica", "result.nothing"]);
        assert_eq!(answer["sentences"][0]["args"]["why"][0]["text"], "my words");
    }

    #[test]
    fn joined_sentences_are_found() {
        let Json(answer) = said(json!({"problem": "no answer in time; who knows"}));
        assert_eq!(answer["sentences"][0]["key"], "text.all");
        assert_eq!(answer["sentences"][0]["text"], "no answer in time; who knows");
        assert_eq!(answer["sentences"][0]["args"]["all"][0]["key"], "metric.no_answer");
    }
}
