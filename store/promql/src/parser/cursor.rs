//! Looking at and taking tokens; what is said when one does not fit.

use super::{DEPTH_MAX, Parsed, Parser};
use crate::ast::Span;
use crate::error::ParseError;
use crate::lexer::{Op, TokenKind, quote_text};

impl<'a> Parser<'a> {
    pub(super) fn kind(&self) -> TokenKind {
        self.peek(0)
    }

    pub(super) fn peek(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.index + ahead).map_or(TokenKind::Eof, |t| t.kind)
    }

    pub(super) fn span(&self) -> Span {
        let end = self.text.len();
        self.tokens.get(self.index).map_or(end..end, |t| t.span.clone())
    }

    pub(super) fn word(&self) -> &'a str {
        &self.text[self.span()]
    }

    pub(super) fn advance(&mut self) -> Span {
        let span = self.span();
        self.last_end = span.end;
        if self.index < self.tokens.len() {
            self.index += 1;
        }
        span
    }

    pub(super) fn is_keyword(&self, word: &str) -> bool {
        self.kind() == TokenKind::Keyword && self.word().eq_ignore_ascii_case(word)
    }

    pub(super) fn accept(&mut self, kind: TokenKind) -> bool {
        let hit = self.kind() == kind && self.index < self.tokens.len();
        if hit {
            self.advance();
        }
        hit
    }

    pub(super) fn accept_keyword(&mut self, word: &str) -> bool {
        let hit = self.is_keyword(word);
        if hit {
            self.advance();
        }
        hit
    }

    /// Takes a sign where there is one; whether it is a minus.
    pub(super) fn sign(&mut self) -> bool {
        let negative = self.accept(TokenKind::Op(Op::Sub));
        if !negative {
            self.accept(TokenKind::Op(Op::Add));
        }
        negative
    }

    pub(super) fn expect(&mut self, kind: TokenKind, context: &str, wanted: &str) -> Parsed<Span> {
        if self.kind() == kind && self.index < self.tokens.len() {
            Ok(self.advance())
        } else {
            Err(self.unexpected(context, wanted))
        }
    }

    pub(super) fn expect_end(&self) -> Parsed<()> {
        if self.kind() == TokenKind::Eof && self.index < self.tokens.len() {
            Ok(())
        } else {
            Err(self.unexpected("", ""))
        }
    }

    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// The error for the current token; a lexical error that stands here comes before it.
    pub(super) fn unexpected(&self, context: &str, wanted: &str) -> ParseError {
        if self.index >= self.tokens.len()
            && let Some(error) = &self.lex_error
        {
            return self.error(error.span.clone(), error.message.clone());
        }
        let mut message = format!("unexpected {}", self.describe());
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !wanted.is_empty() {
            message.push_str(&format!(", expected {wanted}"));
        }
        self.error(self.span(), message)
    }

    pub(super) fn describe(&self) -> String {
        let word = self.word();
        let short = if word.chars().count() > 10 {
            format!("{}...", quote_text(&word.chars().take(10).collect::<String>()))
        } else {
            quote_text(word)
        };
        match self.kind() {
            TokenKind::Eof => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quote_text(word)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote_text(word)),
            TokenKind::String => format!("string {short}"),
            TokenKind::Number => format!("number {short}"),
            TokenKind::Duration => format!("duration {short}"),
            TokenKind::Op(_) => format!("<op:{}>", word.to_ascii_lowercase()),
            TokenKind::Aggregator => format!("<aggr:{}>", word.to_ascii_lowercase()),
            TokenKind::Keyword => format!("<{}>", word.to_ascii_lowercase()),
            _ => quote_text(word),
        }
    }

    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("expression is nested more than {DEPTH_MAX} levels deep");
            return Err(self.error(self.span(), message));
        }
        Ok(())
    }
}
