//! How text is cut into tokens; the same for the head, for splits and for queries, so that all three agree.
//!
//! A token is a run of letters and digits in lower case. Everything else separates: `10.0.0.1` is four tokens and
//! `/api/v1` two, and a query word that is several tokens must find them side by side. Scripts that are written without
//! spaces (Chinese, Japanese, Korean) give one token a character, so that any substring of Chinese text is found, no
//! matter how a dictionary would cut it, and no dictionary has to be kept in memory.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest token in characters; a longer run (base64, a digest) goes on as the next token, side by side with the first.
pub(crate) const TOKEN_CHARS_MAX: usize = 128;

/// Walks over the tokens of a text.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Writes the next token in lower case over `token` and gives its byte range in the text.
    pub(crate) fn next_into(&mut self, token: &mut String) -> Option<(usize, usize)> {
        token.clear();
        let mut rest = self.text[self.at..].char_indices();
        let (start, first) = rest.find(|(_, c)| c.is_alphanumeric())?;
        let start = self.at + start;
        push_lower(token, first);
        let mut end = start + first.len_utf8();
        if !stands_alone(first) {
            for (_, c) in rest.take(TOKEN_CHARS_MAX - 1) {
                if !c.is_alphanumeric() || stands_alone(c) {
                    break;
                }
                push_lower(token, c);
                end += c.len_utf8();
            }
        }
        self.at = end;
        Some((start, end))
    }
}

fn push_lower(token: &mut String, c: char) {
    if c.is_ascii() { token.push(c.to_ascii_lowercase()) } else { token.extend(c.to_lowercase()) }
}

/// Whether a character belongs to a script written without spaces and so is a token of its own.
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x3040..=0x30ff        // Hiragana, Katakana
        | 0x3400..=0x4dbf      // CJK extension A
        | 0x4e00..=0x9fff      // CJK
        | 0xac00..=0xd7af      // Hangul
        | 0xf900..=0xfaff      // CJK compatibility
        | 0x20000..=0x3ffff    // CJK extensions B and on
    )
}

/// The tokens of a (short) text.
pub(crate) fn tokens_of(text: &str) -> Vec<String> {
    let mut walk = Tokens::new(text);
    let mut token = String::new();
    let mut tokens = Vec::new();
    while walk.next_into(&mut token).is_some() {
        tokens.push(token.clone());
    }
    tokens
}

/// The tokens of one text in two buffers that are used again for the next text.
#[derive(Debug, Default)]
pub(crate) struct TokenBuffer {
    text: String,
    ends: Vec<usize>,
}

impl TokenBuffer {
    /// Cuts another text.
    pub(crate) fn fill(&mut self, text: &str) {
        self.text.clear();
        self.ends.clear();
        let mut walk = Tokens::new(text);
        let mut token = String::new();
        while walk.next_into(&mut token).is_some() {
            self.text.push_str(&token);
            self.ends.push(self.text.len());
        }
    }

    fn token(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// Whether the tokens stand side by side somewhere; with `prefix` the last one may go on.
    pub(crate) fn contains(&self, wanted: &[String], prefix: bool) -> bool {
        let Some((last, before)) = wanted.split_last() else { return true };
        (0..(self.ends.len() + 1).saturating_sub(wanted.len())).any(|start| {
            let found = self.token(start + before.len());
            (if prefix { found.starts_with(last.as_str()) } else { found == last })
                && before.iter().enumerate().all(|(i, t)| self.token(start + i) == t)
        })
    }
}

/// The tokenizer as tantivy takes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyTokenizer {
    token: Token,
}

/// Tokens of one text for tantivy.
#[derive(Debug)]
pub(crate) struct BodyTokenStream<'a> {
    walk: Tokens<'a>,
    token: &'a mut Token,
}

impl Tokenizer for BodyTokenizer {
    type TokenStream<'a> = BodyTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        self.token.reset();
        BodyTokenStream { walk: Tokens::new(text), token: &mut self.token }
    }
}

impl TokenStream for BodyTokenStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((start, end)) = self.walk.next_into(&mut self.token.text) else { return false };
        self.token.offset_from = start;
        self.token.offset_to = end;
        // `reset` leaves the position one before the first.
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_a_reader_would() {
        let check = |text: &str, expect: &[&str]| assert_eq!(tokens_of(text), expect, "{text:?}");
        check("GET /api/v1/users?id=42 HTTP/1.1", &["get", "api", "v1", "users", "id", "42", "http", "1", "1"]);
        check("10.0.0.1:8080", &["10", "0", "0", "1", "8080"]);
        check("max_connections=100", &["max", "connections", "100"]);
        check("数据库连接超时 timeout", &["数", "据", "库", "连", "接", "超", "时", "timeout"]);
        check("订单order已支付", &["订", "单", "order", "已", "支", "付"]);
        check("ÄRGER Straße", &["ärger", "straße"]);
        check("--- *** ---", &[]);
        let long = "a".repeat(TOKEN_CHARS_MAX + 1);
        check(&long, &[&long[..TOKEN_CHARS_MAX], "a"]);
    }

    #[test]
    fn tokens_are_found_side_by_side() {
        let mut buffer = TokenBuffer::default();
        buffer.fill("connect to 10.0.0.1 failed: 连接超时");
        let check = |text: &str, prefix: bool, expect: bool| {
            assert_eq!(buffer.contains(&tokens_of(text), prefix), expect, "{text} {prefix}");
        };
        check("10.0.0.1", false, true);
        check("0.1", false, true);
        check("10.0.1", false, false);
        check("conn", false, false);
        check("conn", true, true);
        check("to 1", true, true);
        check("超时", false, true);
        check("接时", false, false);
        check("failed 连接超时 x", false, false);
    }
}
