//! Text to tokens. Braces, brackets and offsets have token rules of their own, as in Prometheus.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Eof,
    Identifier,
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Equal,
    /// Operators, `@` and the matching operators.
    Op(Op),
    /// Aggregation operators.
    Aggregator,
    /// All other keywords.
    Keyword,
}

/// Operators of expressions and of label matchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eql,
    Neq,
    Lss,
    Lte,
    Gtr,
    Gte,
    And,
    Or,
    Unless,
    TrimUpper,
    TrimLower,
    At,
    EqlRegex,
    NeqRegex,
}

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// A lexical error: it covers the text from where the token began to the end of input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LexError {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

/// Words that are aggregation operators.
pub(crate) const AGGREGATORS: &[&str] = &[
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];

/// Words that are keywords and neither operators nor aggregators.
pub(crate) const KEYWORDS: &[&str] = &[
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left",
    "fill_right",
    "start",
    "end",
    "step",
    "range",
];

/// Splits a text into tokens, the last of which is [`TokenKind::Eof`]. A lexical error ends the list.
pub(crate) fn tokenize(text: &str) -> (Vec<Token>, Option<LexError>) {
    let mut lexer =
        Lexer { text, pos: 0, start: 0, tokens: Vec::new(), parens: 0, braces: false, brackets: false, colon: false };
    let error = lexer.run().err();
    (lexer.tokens, error)
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    start: usize,
    tokens: Vec<Token>,
    parens: usize,
    braces: bool,
    brackets: bool,
    colon: bool,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(c) if wanted(c) => {
                self.pos += c.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn accept_run(&mut self, wanted: impl Fn(char) -> bool) {
        while self.accept(&wanted) {}
    }

    fn emit(&mut self, kind: TokenKind) {
        self.tokens.push(Token { kind, span: self.start..self.pos });
    }

    fn error(&self, message: impl Into<String>) -> LexError {
        LexError { span: self.start..self.text.len(), message: message.into() }
    }

    fn run(&mut self) -> Result<(), LexError> {
        loop {
            self.start = self.pos;
            let Some(c) = self.peek() else {
                return self.end();
            };
            if c.is_ascii_whitespace() {
                self.pos += 1;
            } else if c == '#' {
                self.accept_run(|c| c != '\n' && c != '\r');
            } else if self.braces {
                self.inside_braces(c)?;
            } else {
                self.statement(c)?;
            }
        }
    }

    fn end(&mut self) -> Result<(), LexError> {
        if self.braces {
            return Err(self.error("unexpected end of input inside braces"));
        }
        if self.parens > 0 {
            return Err(self.error("unclosed left parenthesis"));
        }
        if self.brackets {
            return Err(self.error("unclosed left bracket"));
        }
        self.emit(TokenKind::Eof);
        Ok(())
    }

    fn op(&mut self, op: Op) {
        self.emit(TokenKind::Op(op));
    }

    fn statement(&mut self, c: char) -> Result<(), LexError> {
        self.bump();
        match c {
            ',' => self.emit(TokenKind::Comma),
            '*' => self.op(Op::Mul),
            '/' => self.op(Op::Div),
            '%' => self.op(Op::Mod),
            '+' => self.op(Op::Add),
            '-' => self.op(Op::Sub),
            '^' => self.op(Op::Pow),
            '@' => self.op(Op::At),
            '=' => match self.peek() {
                Some('=') => {
                    self.bump();
                    self.op(Op::Eql);
                }
                Some('~') => return Err(self.error("unexpected character after '=': '~'")),
                _ => self.emit(TokenKind::Equal),
            },
            '!' => match self.peek() {
                Some('=') => {
                    self.bump();
                    self.op(Op::Neq);
                }
                Some(c) => return Err(self.error(format!("unexpected character after '!': {}", quote_char(c)))),
                None => return Err(self.error("unexpected end of input after '!'")),
            },
            '<' if self.accept(|c| c == '/') => self.op(Op::TrimUpper),
            '<' if self.accept(|c| c == '=') => self.op(Op::Lte),
            '<' => self.op(Op::Lss),
            '>' if self.accept(|c| c == '/') => self.op(Op::TrimLower),
            '>' if self.accept(|c| c == '=') => self.op(Op::Gte),
            '>' => self.op(Op::Gtr),
            '0'..='9' | '.' => {
                self.pos = self.start;
                return self.number_or_duration();
            }
            '"' | '\'' | '`' if self.brackets => {
                return Err(self.error(format!("unexpected character in duration expression: {}", quote_char(c))));
            }
            '"' | '\'' | '`' => return self.string(c),
            '(' => {
                self.emit(TokenKind::LeftParen);
                self.parens += 1;
            }
            ')' => {
                self.emit(TokenKind::RightParen);
                self.parens = self
                    .parens
                    .checked_sub(1)
                    .ok_or_else(|| self.error(format!("unexpected right parenthesis {}", quote_char(')'))))?;
            }
            '{' if self.brackets => {
                return Err(self.error(format!("unexpected character in duration expression: {}", quote_char(c))));
            }
            '{' => {
                self.emit(TokenKind::LeftBrace);
                self.braces = true;
            }
            '[' => {
                if self.brackets {
                    return Err(self.error(format!("unexpected left bracket {}", quote_char(c))));
                }
                self.emit(TokenKind::LeftBracket);
                self.brackets = true;
                self.colon = false;
            }
            ']' => {
                if !self.brackets {
                    return Err(self.error(format!("unexpected right bracket {}", quote_char(c))));
                }
                self.emit(TokenKind::RightBracket);
                self.brackets = false;
            }
            ':' if self.brackets => {
                if self.colon {
                    return Err(self.error(format!("unexpected colon {}", quote_char(c))));
                }
                self.emit(TokenKind::Colon);
                self.colon = true;
            }
            c if is_alpha(c) || c == ':' => {
                self.word();
            }
            c => return Err(self.error(format!("unexpected character: {}", quote_char(c)))),
        }
        Ok(())
    }

    fn word(&mut self) {
        let in_brackets = self.brackets;
        self.accept_run(|c| is_alpha(c) || c.is_ascii_digit() || (c == ':' && !in_brackets));
        let word = &self.text[self.start..self.pos];
        let kind = keyword(word).unwrap_or(if word.contains(':') {
            TokenKind::MetricIdentifier
        } else {
            TokenKind::Identifier
        });
        self.emit(kind);
    }

    fn inside_braces(&mut self, c: char) -> Result<(), LexError> {
        self.bump();
        match c {
            '{' => return Err(self.error(format!("unexpected left brace {}", quote_char(c)))),
            '}' => {
                self.emit(TokenKind::RightBrace);
                self.braces = false;
            }
            ',' => self.emit(TokenKind::Comma),
            '"' | '\'' | '`' => return self.string(c),
            '=' if self.accept(|c| c == '~') => self.op(Op::EqlRegex),
            '=' => self.emit(TokenKind::Equal),
            '!' if self.accept(|c| c == '~') => self.op(Op::NeqRegex),
            '!' if self.accept(|c| c == '=') => self.op(Op::Neq),
            '!' => {
                let message = match self.peek() {
                    Some(c) => format!("unexpected character after '!' inside braces: {}", quote_char(c)),
                    None => "unexpected end of input inside braces".to_owned(),
                };
                return Err(self.error(message));
            }
            c if is_alpha(c) => {
                self.accept_run(|c| is_alpha(c) || c.is_ascii_digit());
                self.emit(TokenKind::Identifier);
            }
            c => return Err(self.error(format!("unexpected character inside braces: {}", quote_char(c)))),
        }
        Ok(())
    }

    fn string(&mut self, quote: char) -> Result<(), LexError> {
        loop {
            match self.bump() {
                None if quote == '`' => return Err(self.error("unterminated raw string")),
                None => return Err(self.error("unterminated quoted string")),
                Some('\n') if quote != '`' => return Err(self.error("unterminated quoted string")),
                Some('\\') if quote != '`' => match self.bump() {
                    None => return Err(self.error("escape sequence not terminated")),
                    Some('\n') => return Err(self.error("unterminated quoted string")),
                    Some(_) => {}
                },
                Some(c) if c == quote => {
                    self.emit(TokenKind::String);
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }

    fn number_or_duration(&mut self) -> Result<(), LexError> {
        if self.number() {
            self.emit(TokenKind::Number);
            return Ok(());
        }
        if self.remaining_duration() {
            self.emit(TokenKind::Duration);
            return Ok(());
        }
        Err(self.error(format!("bad number or duration syntax: {}", quote_text(&self.text[self.start..self.pos]))))
    }

    /// Takes a number; false when what was taken is not followed by something that ends a number.
    fn number(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.pos..];
        let prefix = |c: u8| rest.len() >= 2 && rest[0] == b'0' && rest[1].eq_ignore_ascii_case(&c);
        if prefix(b'x') {
            self.pos += 2;
            self.accept_run(|c| c.is_ascii_hexdigit() || c == '_');
        } else if prefix(b'b') || prefix(b'o') {
            self.pos += 2;
            self.accept_run(|c| c.is_ascii_digit() || c == '_');
        } else {
            self.accept_run(|c| c.is_ascii_digit() || c == '_');
            if self.accept(|c| c == '.') {
                self.accept_run(|c| c.is_ascii_digit() || c == '_');
            }
            let before = self.pos;
            if self.pos > self.start && self.accept(|c| c == 'e' || c == 'E') {
                self.accept(|c| c == '+' || c == '-');
                let digits = self.pos;
                self.accept_run(|c| c.is_ascii_digit() || c == '_');
                if digits == self.pos {
                    self.pos = before;
                }
            }
        }
        !self.peek().is_some_and(|c| is_alpha(c) || c.is_ascii_digit() || c == '.')
    }

    /// Takes the units of a duration whose first digits are taken; on a mistake the offending character is taken too.
    /// Bad units such as `hs` are left to whoever reads the duration's value.
    fn remaining_duration(&mut self) -> bool {
        loop {
            if !self.accept(|c| "smhdwy".contains(c)) {
                self.bump();
                return false;
            }
            self.accept(|c| c == 's');
            if !self.accept(|c| c.is_ascii_digit()) {
                break;
            }
            self.accept_run(|c| c.is_ascii_digit());
        }
        if self.peek().is_some_and(|c| is_alpha(c) || c.is_ascii_digit() || c == '.') {
            self.bump();
            return false;
        }
        true
    }
}

fn keyword(word: &str) -> Option<TokenKind> {
    let lower = word.to_ascii_lowercase();
    let kind = match lower.as_str() {
        "and" => TokenKind::Op(Op::And),
        "or" => TokenKind::Op(Op::Or),
        "unless" => TokenKind::Op(Op::Unless),
        "atan2" => TokenKind::Op(Op::Atan2),
        "inf" | "nan" => TokenKind::Number,
        word if AGGREGATORS.contains(&word) => TokenKind::Aggregator,
        word if KEYWORDS.contains(&word) => TokenKind::Keyword,
        _ => return None,
    };
    Some(kind)
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

/// A character as Go's `%q` writes it.
pub(crate) fn quote_char(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        c => format!("'{c}'"),
    }
}

/// A text as Go's `%q` writes it.
pub(crate) fn quote_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() || c == '\u{feff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
