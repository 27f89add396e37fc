//! The words of reports, one catalogue per language.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The languages there are words for.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// One language's catalogue.
#[derive(Debug)]
pub struct Words {
    language: &'static str,
    texts: BTreeMap<String, String>,
}

impl Words {
    /// The catalogue of a language, or `None` when there is none.
    pub fn of(language: &str) -> Option<&'static Self> {
        static EN: OnceLock<Words> = OnceLock::new();
        static ZH: OnceLock<Words> = OnceLock::new();
        let read = |language, text: &str| Self { language, texts: serde_json::from_str(text).unwrap_or_default() };
        match language {
            "en" => Some(EN.get_or_init(|| read("en", include_str!("../../locales/en.json")))),
            "zh" => Some(ZH.get_or_init(|| read("zh", include_str!("../../locales/zh.json")))),
            _ => None,
        }
    }

    /// `en` or `zh`.
    pub fn language(&self) -> &'static str {
        self.language
    }

    /// A text; its key when the catalogue has no such text (a test keeps that from happening).
    pub fn get<'a>(&'a self, key: &'a str) -> &'a str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// A text with its `{name}` places filled in.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.get(key);
        // One pass: a value that looks like a place is not filled in again.
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            out.push_str(before);
            let close = after.find('}').unwrap_or(after.len() - 1);
            let name = &after[1..close.max(1)];
            match values.iter().find(|v| v.0 == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&after[..=close]),
            }
            rest = &after[close + 1..];
        }
        out.push_str(rest);
        out
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = text.split('{').skip(1).filter_map(|p| p.split('}').next()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_language_has_every_text_with_the_same_places() {
        let en = Words::of("en").expect("a catalogue");
        assert!(en.keys().count() > 50);
        for language in LANGUAGES {
            let other = Words::of(language).expect("a catalogue");
            assert_eq!(other.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>(), "{language}");
            for key in en.keys() {
                assert_eq!(places(other.get(key)), places(en.get(key)), "{language} {key}");
                assert!(!other.get(key).trim().is_empty(), "{language} {key}");
            }
        }
        assert!(Words::of("fr").is_none());
    }

    #[test]
    fn every_text_that_the_code_asks_for_exists_and_is_used() {
        let code = [include_str!("page.rs"), include_str!("render.rs")].concat();
        let en = Words::of("en").expect("a catalogue");
        for key in en.keys() {
            let family = key.split_once('.').map_or(key, |k| k.0);
            let by_state = matches!(family, "decision" | "ticket");
            assert!(by_state || code.contains(&format!("\"{key}\"")), "{key} is not used");
        }
        for call in ["words.get(\"", "words.fill(\"", "say(\"", "fill(\""] {
            for rest in code.split(call).skip(1) {
                let key = rest.split('"').next().unwrap_or("");
                assert!(en.keys().any(|k| k == key), "{key} is in no catalogue");
            }
        }
    }

    #[test]
    fn places_are_filled_once() {
        let words = Words::of("en").expect("a catalogue");
        assert_eq!(words.fill("gaps.item", &[("what", "{why}"), ("why", "x")]), "{why}: x");
    }
}
