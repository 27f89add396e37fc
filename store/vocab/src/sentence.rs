//! Sentences for people as a stable key and arguments beside their English words, so that a page says them in its own
//! language.
//!
//! All sentences stand in one book. What the program records is English text; [`Sentence::read`] finds the key and the
//! arguments in it, so that old rows are understood as well as new ones. [`Sentence::say`] makes one the other way round.

mod template;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;

use template::Template;

/// The book: one sentence a line.
const BOOK: &str = include_str!("sentence/book.txt");
/// Longer texts are no sentences, and matching takes longer the longer they are; in bytes.
const TEXT_BYTES_MAX: usize = 2_000;
/// Sentences inside sentences, at most so deep.
const DEPTH_MAX: usize = 4;

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| template::parse(BOOK));

/// What fills a hole of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Arg {
    /// Words or a number, as they stand in the English text.
    Text(String),
    /// Sentences within the sentence.
    Sentences(Vec<Sentence>),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Sentence> for Arg {
    fn from(sentence: Sentence) -> Self {
        Self::Sentences(vec![sentence])
    }
}

impl From<Vec<Sentence>> for Arg {
    fn from(sentences: Vec<Sentence>) -> Self {
        Self::Sentences(sentences)
    }
}

/// A sentence: its key and its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// Its key in the book, such as `guard.cooldown`; empty for words that the book does not have.
    pub key: String,
    /// What fills its holes, by name.
    pub args: BTreeMap<String, Arg>,
    /// The English words.
    pub text: String,
}

impl Sentence {
    /// Says a sentence of the book. A key that is not in the book says itself, which a test of the book's users catches.
    pub fn say<const N: usize>(key: &str, args: [(&str, Arg); N]) -> Self {
        let args: BTreeMap<String, Arg> = args.into_iter().map(|(name, arg)| (name.to_owned(), arg)).collect();
        let text = TEMPLATES.iter().find(|t| t.key == key).map_or_else(|| key.to_owned(), |t| t.fill(&args));
        Self { key: key.to_owned(), args, text }
    }

    /// Words that the book does not have, such as what a person wrote.
    pub fn verbatim(text: &str) -> Self {
        Self { key: String::new(), args: BTreeMap::new(), text: text.to_owned() }
    }

    /// Recognises a sentence of the book in English text; `None` when it is none.
    pub fn read(text: &str) -> Option<Self> {
        (text.len() <= TEXT_BYTES_MAX).then(|| read(text, DEPTH_MAX)).flatten()
    }

    /// Whether the book has it and all sentences within it.
    pub fn is_known(&self) -> bool {
        let known = |arg: &Arg| match arg {
            Arg::Text(_) => true,
            Arg::Sentences(list) => list.iter().all(Self::is_known),
        };
        !self.key.is_empty() && self.args.values().all(known)
    }
}

/// Several sentences joined by `; ` as [`Sentence::read`] finds them within others: each of them, unknown ones verbatim.
pub fn read_all(text: &str) -> Vec<Sentence> {
    read_chain(text, "; ", DEPTH_MAX)
}

fn read(text: &str, depth: usize) -> Option<Sentence> {
    let depth = depth.checked_sub(1)?;
    let (template, found) = TEMPLATES.iter().find_map(|t| Some((t, t.find(text)?)))?;
    let arg = |(name, kind, text): (&str, template::Kind, &str)| {
        let arg = match kind.separator() {
            Some(separator) => Arg::Sentences(read_chain(text, separator, depth)),
            None => Arg::Text(kind.value(text).to_owned()),
        };
        (name.to_owned(), arg)
    };
    let args = found.into_iter().map(arg).collect();
    Some(Sentence { key: template.key.clone(), args, text: text.to_owned() })
}

/// Reads sentences joined by a separator that may stand within them too, so the longest is tried first.
fn read_chain(text: &str, separator: &str, depth: usize) -> Vec<Sentence> {
    let (mut list, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let mut ends: Vec<usize> = rest.match_indices(separator).map(|(at, _)| at).collect();
        ends.push(rest.len());
        let candidates: Vec<(usize, Sentence)> =
            ends.iter().rev().filter_map(|end| Some((*end, read(&rest[..*end], depth)?))).collect();
        // One that is understood to its last word says more than a longer one that is not.
        let at = candidates.iter().position(|(_, sentence)| sentence.is_known()).unwrap_or(0);
        let found = candidates.into_iter().nth(at);
        let first = ends.first().copied().unwrap_or(rest.len());
        let (end, sentence) = found.unwrap_or_else(|| (first, Sentence::verbatim(&rest[..first])));
        list.push(sentence);
        rest = rest.get(end + separator.len()..).unwrap_or_default();
    }
    list
}

#[cfg(test)]
mod tests;
