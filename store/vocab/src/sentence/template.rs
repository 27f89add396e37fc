//! One line of the book: words with holes.

use std::collections::BTreeMap;

use super::{Arg, Sentence};

/// Most bytes of a word or two.
const WORD_BYTES_MAX: usize = 120;

/// What may fill a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Word,
    Number,
    Replicas,
    Chain,
    List,
}

impl Kind {
    /// What joins the sentences that fill the hole.
    pub(super) fn separator(self) -> Option<&'static str> {
        match self {
            Self::Chain => Some("; "),
            Self::List => Some(", "),
            _ => None,
        }
    }

    fn fits(self, text: &str) -> bool {
        match self {
            Self::Text => !text.is_empty(),
            Self::Word => {
                !text.is_empty() && text.len() <= WORD_BYTES_MAX && !text.contains([';', ',']) && !text.contains(": ")
            }
            Self::Number => is_number(text),
            Self::Replicas => text.strip_suffix(" replicas").is_some_and(is_number) || text == "1 replica",
            Self::Chain | Self::List => true,
        }
    }

    /// What is kept of the text that fills the hole.
    pub(super) fn value(self, text: &str) -> &str {
        match self {
            Self::Replicas => text.split(' ').next().unwrap_or(text),
            _ => text,
        }
    }

    fn words(self, text: &str) -> String {
        match (self, text) {
            (Self::Replicas, "1") => "1 replica".to_owned(),
            (Self::Replicas, _) => format!("{text} replicas"),
            _ => text.to_owned(),
        }
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.parse::<f64>().is_ok()
        || matches!(text, "NaN" | "inf" | "-inf")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Words(String),
    Hole(String, Kind),
}

/// A sentence of the book.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) key: String,
    /// With and without what may be left out, the fullest first.
    variants: Vec<Vec<Piece>>,
    is_read: bool,
}

/// Parses the book.
pub(super) fn parse(book: &str) -> Vec<Template> {
    let line = |line: &str| {
        let said = line.split_once(" = ").map(|(key, words)| (key, words, true));
        let (key, words, is_read) = said.or_else(|| line.split_once(" > ").map(|(key, words)| (key, words, false)))?;
        Some(Template { key: key.to_owned(), variants: variants(words), is_read })
    };
    book.lines().filter(|l| !l.starts_with('#')).filter_map(line).collect()
}

fn variants(words: &str) -> Vec<Vec<Piece>> {
    let Some((before, rest)) = words.split_once('[') else { return vec![pieces(words)] };
    let (optional, after) = rest.split_once(']').unwrap_or((rest, ""));
    let with = variants(&format!("{before}{optional}{after}"));
    let without = variants(&format!("{before}{after}"));
    with.into_iter().chain(without).collect()
}

fn pieces(words: &str) -> Vec<Piece> {
    let mut list = Vec::new();
    let mut rest = words;
    while let Some((before, hole)) = rest.split_once('{') {
        let (name, after) = hole.split_once('}').unwrap_or((hole, ""));
        let kinds =
            [('@', Kind::Word), ('#', Kind::Number), ('*', Kind::Replicas), ('!', Kind::Chain), ('&', Kind::List)];
        let marked = kinds.into_iter().find_map(|(mark, kind)| Some((name.strip_suffix(mark)?, kind)));
        let (name, kind) = marked.unwrap_or((name, Kind::Text));
        if !before.is_empty() {
            list.push(Piece::Words(before.to_owned()));
        }
        list.push(Piece::Hole(name.to_owned(), kind));
        rest = after;
    }
    if !rest.is_empty() {
        list.push(Piece::Words(rest.to_owned()));
    }
    list
}

/// A filled hole: its name, its kind, the words in it.
pub(super) type Filled<'t, 'x> = (&'t str, Kind, &'x str);

impl Template {
    /// The words with the holes filled; the fullest variant whose arguments are all there.
    pub(super) fn fill(&self, args: &BTreeMap<String, Arg>) -> String {
        let is_filled = |pieces: &&Vec<Piece>| {
            pieces.iter().all(|piece| match piece {
                Piece::Words(_) => true,
                Piece::Hole(name, _) => args.contains_key(name),
            })
        };
        let piece = |piece: &Piece| match piece {
            Piece::Words(words) => words.clone(),
            Piece::Hole(name, kind) => match args.get(name) {
                Some(Arg::Text(text)) => kind.words(text),
                Some(Arg::Sentences(list)) => join(list, kind.separator().unwrap_or("; ")),
                None => String::new(),
            },
        };
        let chosen = self.variants.iter().find(is_filled).or(self.variants.last());
        chosen.into_iter().flatten().map(piece).collect()
    }

    /// What fills the holes when a text is this sentence.
    pub(super) fn find<'x>(&self, text: &'x str) -> Option<Vec<Filled<'_, 'x>>> {
        if !self.is_read {
            return None;
        }
        self.variants.iter().find_map(|pieces| {
            let mut filled = Vec::new();
            matches(pieces, text, &mut filled).then_some(filled)
        })
    }
}

fn join(list: &[Sentence], separator: &str) -> String {
    list.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(separator)
}

/// Matches pieces to a text, each hole as short as it can be.
fn matches<'t, 'x>(pieces: &'t [Piece], text: &'x str, filled: &mut Vec<Filled<'t, 'x>>) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Words(words), rest @ ..] => text.strip_prefix(words.as_str()).is_some_and(|t| matches(rest, t, filled)),
        [Piece::Hole(name, kind)] => {
            let fits = kind.fits(text);
            if fits {
                filled.push((name, *kind, text));
            }
            fits
        }
        [Piece::Hole(name, kind), rest @ ..] => {
            let ends: Box<dyn Iterator<Item = usize>> = match rest.first() {
                Some(Piece::Words(words)) => Box::new(text.match_indices(words.as_str()).map(|(at, _)| at)),
                _ => Box::new(std::iter::empty()),
            };
            for end in ends.filter(|end| kind.fits(&text[..*end])) {
                filled.push((name, *kind, &text[..end]));
                if matches(rest, &text[end..], filled) {
                    return true;
                }
                filled.pop();
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_book_is_a_sentence() {
        let lines = super::super::BOOK.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        let book = parse(super::super::BOOK);
        assert_eq!(book.len(), lines, "a line has neither ` = ` nor ` > `");
        let mut keys: Vec<&str> = book.iter().map(|t| t.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), book.len(), "a key stands twice");
        for template in &book {
            for pieces in &template.variants {
                for pair in pieces.windows(2) {
                    let are_holes = pair.iter().all(|p| matches!(p, Piece::Hole(..)));
                    assert!(!are_holes, "{}: nothing stands between two holes", template.key);
                }
            }
        }
    }
}
