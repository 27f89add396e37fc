//! Tokens to expressions: precedence climbing, modifiers, types.

mod check;
mod duration;
mod selector;
mod text;

use vocab::Matcher;

use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationValue, Expr, Matching, MatrixSelector,
    NumberLiteral, Paren, RangeEdge, Span, StringLiteral, Subquery, Unary,
};
use crate::error::ParseError;
use crate::functions;
use crate::lexer::{LexError, Op, Token, TokenKind, quote_text, tokenize};
use crate::number::{parse_duration_ms, parse_number};

/// Deepest nesting of an expression. Parsing and evaluation recurse, so this bounds their stack.
pub const DEPTH_MAX: usize = 160;
/// Longest query text, in bytes.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;

/// What the parser accepts.
#[derive(Debug, Clone)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus has behind `promql-experimental-functions`.
    pub experimental_functions: bool,
    /// Arithmetic in ranges and offsets.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl Default for ParseOptions {
    /// Everything is accepted.
    fn default() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

impl ParseOptions {
    /// Only what Prometheus accepts without feature flags.
    pub fn stable() -> Self {
        Self {
            experimental_functions: false,
            duration_expressions: false,
            extended_range_selectors: false,
            fill_modifiers: false,
        }
    }
}

/// Reads a PromQL expression.
///
/// # Errors
/// What is wrong, where, as Prometheus words it.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, options)?;
    if parser.kind() == TokenKind::Eof && parser.lex_error.is_none() {
        return Err(parser.error(0..0, "no expression found in input"));
    }
    let expr = parser.expression(0)?;
    parser.expect_end()?;
    check::check(text, &expr)?;
    Ok(expr)
}

/// Reads a series selector such as those of `match[]`.
///
/// # Errors
/// As [`parse`].
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let options = ParseOptions::stable();
    let mut parser = Parser::new(text, &options)?;
    if parser.kind() == TokenKind::Eof && parser.lex_error.is_none() {
        return Err(parser.error(0..0, "no expression found in input"));
    }
    let starts_selector = parser.kind() == TokenKind::LeftBrace || parser.is_metric_identifier();
    if !starts_selector {
        return Err(parser.unexpected("", ""));
    }
    let selector = parser.vector_selector()?;
    parser.expect_end()?;
    check::check_matchers(text, &selector)?;
    Ok(selector.matchers)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    options: &'a ParseOptions,
    tokens: Vec<Token>,
    lex_error: Option<LexError>,
    index: usize,
    depth: usize,
    /// End of the last token taken.
    last_end: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: &'a ParseOptions) -> Parsed<Self> {
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("query of {} bytes is longer than {QUERY_BYTES_MAX}", text.len());
            return Err(ParseError::new(text, 0..0, message));
        }
        let (tokens, lex_error) = tokenize(text);
        Ok(Self { text, options, tokens, lex_error, index: 0, depth: 0, last_end: 0 })
    }

    fn kind(&self) -> TokenKind {
        self.peek(0)
    }

    fn peek(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.index + ahead).map_or(TokenKind::Eof, |t| t.kind)
    }

    fn span(&self) -> Span {
        let end = self.text.len();
        self.tokens.get(self.index).map_or(end..end, |t| t.span.clone())
    }

    fn word(&self) -> &'a str {
        &self.text[self.span()]
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        self.last_end = span.end;
        if self.index < self.tokens.len() {
            self.index += 1;
        }
        span
    }

    fn is_keyword(&self, word: &str) -> bool {
        self.kind() == TokenKind::Keyword && self.word().eq_ignore_ascii_case(word)
    }

    fn accept(&mut self, kind: TokenKind) -> bool {
        let hit = self.kind() == kind && self.index < self.tokens.len();
        if hit {
            self.advance();
        }
        hit
    }

    fn accept_keyword(&mut self, word: &str) -> bool {
        let hit = self.is_keyword(word);
        if hit {
            self.advance();
        }
        hit
    }

    fn expect(&mut self, kind: TokenKind, context: &str, wanted: &str) -> Parsed<Span> {
        if self.kind() == kind && self.index < self.tokens.len() {
            Ok(self.advance())
        } else {
            Err(self.unexpected(context, wanted))
        }
    }

    fn expect_end(&self) -> Parsed<()> {
        if self.kind() == TokenKind::Eof && self.index < self.tokens.len() {
            Ok(())
        } else {
            Err(self.unexpected("", ""))
        }
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// The error for the current token; a lexical error that stands here comes before it.
    fn unexpected(&self, context: &str, wanted: &str) -> ParseError {
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

    fn describe(&self) -> String {
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

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("expression is nested more than {DEPTH_MAX} levels deep");
            return Err(self.error(self.span(), message));
        }
        Ok(())
    }

    fn expression(&mut self, min_precedence: u8) -> Parsed<Expr> {
        self.deeper()?;
        let depth = self.depth;
        let mut lhs = self.unary()?;
        while let Some(op) = self.binary_operator().filter(|op| op.precedence() >= min_precedence) {
            // A chain of operators grows the tree at its left end.
            self.deeper()?;
            self.advance();
            let modifiers = self.binary_modifiers(op)?;
            let right_associative = op == BinaryOp::Pow;
            let rhs = self.expression(op.precedence() + u8::from(!right_associative))?;
            let span = lhs.span().start..rhs.span().end;
            lhs = modifiers.build(op, lhs, rhs, span);
        }
        self.depth = depth - 1;
        Ok(lhs)
    }

    fn binary_operator(&self) -> Option<BinaryOp> {
        let TokenKind::Op(op) = self.kind() else { return None };
        Some(match op {
            Op::Add => BinaryOp::Add,
            Op::Sub => BinaryOp::Sub,
            Op::Mul => BinaryOp::Mul,
            Op::Div => BinaryOp::Div,
            Op::Mod => BinaryOp::Mod,
            Op::Pow => BinaryOp::Pow,
            Op::Atan2 => BinaryOp::Atan2,
            Op::Eql => BinaryOp::Eql,
            Op::Neq => BinaryOp::Neq,
            Op::Lss => BinaryOp::Lss,
            Op::Lte => BinaryOp::Lte,
            Op::Gtr => BinaryOp::Gtr,
            Op::Gte => BinaryOp::Gte,
            Op::And => BinaryOp::And,
            Op::Or => BinaryOp::Or,
            Op::Unless => BinaryOp::Unless,
            Op::TrimUpper => BinaryOp::TrimUpper,
            Op::TrimLower => BinaryOp::TrimLower,
            Op::At | Op::EqlRegex | Op::NeqRegex => return None,
        })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let negate = match self.kind() {
            TokenKind::Op(Op::Sub) => true,
            TokenKind::Op(Op::Add) => false,
            _ => return self.postfix(),
        };
        self.deeper()?;
        let start = self.advance().start;
        // A sign binds like a product: only powers bind tighter.
        let expr = self.expression(BinaryOp::Pow.precedence())?;
        self.depth -= 1;
        let span = start..expr.span().end;
        if let Expr::Number(number) = expr {
            let value = if negate { -number.value } else { number.value };
            return Ok(Expr::Number(NumberLiteral { value, duration: number.duration, span }));
        }
        Ok(Expr::Unary(Unary { negate, expr: Box::new(expr), span }))
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        let depth = self.depth;
        loop {
            expr = match self.kind() {
                TokenKind::LeftBracket => {
                    self.deeper()?;
                    self.brackets(expr)?
                }
                TokenKind::Op(Op::At) => self.at(expr)?,
                TokenKind::Keyword if self.is_keyword("offset") => self.offset(expr)?,
                TokenKind::Keyword if self.is_keyword("anchored") => self.edge(expr, RangeEdge::Anchored)?,
                TokenKind::Keyword if self.is_keyword("smoothed") => self.edge(expr, RangeEdge::Smoothed)?,
                _ => break,
            };
        }
        self.depth = depth;
        Ok(expr)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.kind() {
            TokenKind::Number => {
                let word = self.word();
                let span = self.advance();
                let value = parse_number(word).map_err(|m| self.error(span.clone(), m))?;
                Ok(Expr::Number(NumberLiteral { value, duration: false, span }))
            }
            TokenKind::Duration => {
                let word = self.word();
                let span = self.advance();
                let ms = parse_duration_ms(word).map_err(|m| self.error(span.clone(), m))?;
                Ok(Expr::Number(NumberLiteral { value: ms as f64 / 1000.0, duration: true, span }))
            }
            TokenKind::String => {
                let (value, span) = self.string()?;
                Ok(Expr::String(StringLiteral { value, span }))
            }
            TokenKind::LeftParen => {
                let start = self.advance().start;
                let expr = self.expression(0)?;
                let end = self.expect(TokenKind::RightParen, "", "")?.end;
                Ok(Expr::Paren(Paren { expr: Box::new(expr), span: start..end }))
            }
            TokenKind::LeftBrace => self.vector_selector().map(Expr::Vector),
            TokenKind::Aggregator if self.starts_aggregation() => self.aggregation(),
            TokenKind::Identifier | TokenKind::Keyword if self.peek(1) == TokenKind::LeftParen => self.call(),
            _ if self.is_metric_identifier() => self.vector_selector().map(Expr::Vector),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn string(&mut self) -> Parsed<(String, Span)> {
        let word = self.word();
        let span = self.advance();
        let value = text::unquote(word).map_err(|m| self.error(span.clone(), m))?;
        Ok((value, span))
    }

    /// An aggregation's word is also a metric name, unless arguments or a grouping follow.
    fn starts_aggregation(&self) -> bool {
        match self.peek(1) {
            TokenKind::LeftParen => true,
            TokenKind::Keyword => {
                let span = self.tokens.get(self.index + 1).map_or(0..0, |t| t.span.clone());
                let word = &self.text[span];
                word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
            }
            // Only an aggregation can be meant here; the error then says what is in the way.
            TokenKind::Identifier | TokenKind::MetricIdentifier => true,
            _ => false,
        }
    }

    fn aggregation(&mut self) -> Parsed<Expr> {
        let word = self.word();
        let start = self.advance().start;
        let op = AggregateOp::parse(word).ok_or_else(|| self.unexpected("", ""))?;
        let mut grouping = self.grouping_modifier()?;
        let args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping_modifier()?;
        }
        let span = start..self.last_end;
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return Err(self.error(span, message));
        }
        let (without, grouping) = grouping.unwrap_or_default();
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.error(span, message));
        }
        let mut args = args.into_iter().rev();
        let expr = args.next().map(Box::new).ok_or_else(|| self.unexpected("", ""))?;
        let param = args.next().map(Box::new);
        Ok(Expr::Aggregate(Aggregate { op, expr, param, grouping, without, span }))
    }

    fn grouping_modifier(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match () {
            () if self.accept_keyword("by") => false,
            () if self.accept_keyword("without") => true,
            () => return Ok(None),
        };
        Ok(Some((without, self.grouping_labels()?)))
    }

    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        while !self.accept(TokenKind::RightParen) {
            let is_label = match self.kind() {
                TokenKind::Identifier | TokenKind::Aggregator | TokenKind::Keyword => true,
                TokenKind::Op(op) => matches!(op, Op::And | Op::Or | Op::Unless | Op::Atan2),
                _ => false,
            };
            if self.kind() == TokenKind::String {
                let (label, span) = self.string()?;
                if label.is_empty() {
                    return Err(self.error(span, "invalid label name for grouping: \"\""));
                }
                labels.push(label);
            } else if is_label {
                labels.push(self.word().to_owned());
                self.advance();
            } else {
                return Err(self.unexpected(CONTEXT, "label"));
            }
            if self.kind() != TokenKind::RightParen && !self.accept(TokenKind::Comma) {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let mut args = Vec::new();
        if self.accept(TokenKind::RightParen) {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.accept(TokenKind::RightParen) {
                return Ok(args);
            }
            let comma = self.expect(TokenKind::Comma, "", "")?;
            if self.kind() == TokenKind::RightParen {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.word();
        let name_span = self.advance();
        let start = name_span.start;
        let function = functions::find(name);
        let Some(function) = function else {
            return Err(self.error(name_span, format!("unknown function with name {}", quote_text(name))));
        };
        if function.experimental && !self.options.experimental_functions {
            let message = format!(
                "function {} is not enabled; it is experimental and needs --enable-feature=promql-experimental-functions",
                quote_text(name)
            );
            return Err(self.error(name_span, message));
        }
        let args = self.arguments()?;
        Ok(Expr::Call(Call { function, args, span: start..self.last_end }))
    }

    fn brackets(&mut self, expr: Expr) -> Parsed<Expr> {
        let bracket = self.advance().start;
        let range = self.duration_expression(true)?;
        let has_colon = self.accept(TokenKind::Colon);
        if !has_colon {
            if self.kind() != TokenKind::RightBracket {
                return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
            }
            let end = self.advance().end;
            return self.matrix(expr, range, bracket..end);
        }
        let mut step = DurationValue::ZERO;
        if self.kind() != TokenKind::RightBracket {
            step = self.duration_expression(true)?;
        }
        let end = self.expect(TokenKind::RightBracket, "subquery selector", "\"]\"")?.end;
        let span = expr.span().start..end;
        Ok(Expr::Subquery(Subquery { expr: Box::new(expr), range, step, offset: DurationValue::ZERO, at: None, span }))
    }

    fn matrix(&mut self, expr: Expr, range: DurationValue, brackets: Span) -> Parsed<Expr> {
        let Expr::Vector(selector) = expr else {
            return Err(self.error(brackets, "ranges only allowed for vector selectors"));
        };
        if !selector.offset.is_zero() {
            return Err(self.error(brackets, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range"));
        }
        let span = selector.span.start..brackets.end;
        Ok(Expr::Matrix(MatrixSelector { selector, range, span }))
    }

    fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let value = self.offset_duration()?;
        let end = self.last_end;
        let before = expr.span();
        let (offset, span) = match &mut expr {
            Expr::Vector(e) => (&mut e.offset, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.offset, &mut e.span),
            Expr::Subquery(e) => (&mut e.offset, &mut e.span),
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                return Err(self.error(before, message));
            }
        };
        if !offset.is_zero() {
            return Err(ParseError::new(self.text, before, "offset may not be set multiple times"));
        }
        *offset = value;
        span.end = end;
        Ok(expr)
    }

    fn at(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let before = expr.span();
        let value = self.at_value(&before)?;
        let end = self.last_end;
        let (at, span) = match &mut expr {
            Expr::Vector(e) => (&mut e.at, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.at, &mut e.span),
            Expr::Subquery(e) => (&mut e.at, &mut e.span),
            _ => {
                let message =
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                return Err(self.error(before, message));
            }
        };
        if at.is_some() {
            return Err(ParseError::new(self.text, before, "@ <timestamp> may not be set multiple times"));
        }
        *at = Some(value);
        span.end = end;
        Ok(expr)
    }

    fn at_value(&mut self, expr: &Span) -> Parsed<At> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.is_keyword(word) {
                self.advance();
                self.expect(TokenKind::LeftParen, "@", "timestamp")?;
                self.expect(TokenKind::RightParen, "@", "timestamp")?;
                return Ok(at);
            }
        }
        let negative = match self.kind() {
            TokenKind::Op(Op::Sub) => {
                self.advance();
                true
            }
            TokenKind::Op(Op::Add) => {
                self.advance();
                false
            }
            _ => false,
        };
        let word = self.word();
        let seconds = match self.kind() {
            TokenKind::Number if self.index < self.tokens.len() => {
                let span = self.advance();
                parse_number(word).map_err(|m| self.error(span, m))?
            }
            TokenKind::Duration => {
                let span = self.advance();
                parse_duration_ms(word).map_err(|m| self.error(span, m))? as f64 / 1000.0
            }
            _ => return Err(self.unexpected("@", "timestamp")),
        };
        let seconds = if negative { -seconds } else { seconds };
        let ms = seconds * 1000.0;
        if !ms.is_finite() || ms.abs() >= i64::MAX as f64 {
            let message = format!("timestamp out of bounds for @ modifier: {}", crate::number::format_g(seconds));
            return Err(self.error(expr.clone(), message));
        }
        Ok(At::Time(ms.round() as i64))
    }

    fn edge(&mut self, mut expr: Expr, edge: RangeEdge) -> Parsed<Expr> {
        let word = if edge == RangeEdge::Anchored { "anchored" } else { "smoothed" };
        let before = expr.span();
        let span = self.advance();
        if !self.options.extended_range_selectors {
            let message = format!(
                "{word} modifier is experimental and not enabled; it needs --enable-feature=promql-extended-range-selectors"
            );
            return Err(self.error(span, message));
        }
        let (slot, span_slot) = match &mut expr {
            Expr::Vector(e) if edge == RangeEdge::Smoothed => (&mut e.edge, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.edge, &mut e.span),
            Expr::Vector(_) => {
                return Err(self.error(before, "anchored modifier must be preceded by a range vector selector"));
            }
            _ => {
                let message =
                    format!("{word} modifier must be preceded by a vector selector, but is preceded by an expression");
                return Err(self.error(before, message));
            }
        };
        match (*slot, edge) {
            (RangeEdge::Plain, _) => {}
            (same, other) if same == other => {
                return Err(ParseError::new(self.text, before, format!("{word} may not be set multiple times")));
            }
            _ => {
                return Err(ParseError::new(
                    self.text,
                    before,
                    "anchored and smoothed modifiers cannot be used together",
                ));
            }
        }
        *slot = edge;
        span_slot.end = span.end;
        Ok(expr)
    }

    fn binary_modifiers(&mut self, op: BinaryOp) -> Parsed<BinaryModifiers> {
        let mut modifiers = BinaryModifiers::default();
        let bool_span = self.span();
        if self.accept_keyword("bool") {
            modifiers.return_bool = true;
            if !op.is_comparison() {
                return Err(self.error(bool_span, "bool modifier can only be used on comparison operators"));
            }
        }
        let on = self.is_keyword("on");
        if on || self.is_keyword("ignoring") {
            self.advance();
            modifiers.on = on;
            modifiers.matched = true;
            modifiers.labels = self.grouping_labels()?;
            let left = self.is_keyword("group_left");
            if left || self.is_keyword("group_right") {
                self.advance();
                modifiers.card = Some(if left { Cardinality::ManyToOne } else { Cardinality::OneToMany });
                if self.kind() == TokenKind::LeftParen {
                    modifiers.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut modifiers)?;
        Ok(modifiers)
    }

    fn fill_modifiers(&mut self, modifiers: &mut BinaryModifiers) -> Parsed<()> {
        loop {
            let (left, right) = match () {
                () if self.peek(1) != TokenKind::LeftParen => return Ok(()),
                () if self.is_keyword("fill") => (true, true),
                () if self.is_keyword("fill_left") => (true, false),
                () if self.is_keyword("fill_right") => (false, true),
                () => return Ok(()),
            };
            let span = self.advance();
            if !self.options.fill_modifiers {
                let message = "fill modifiers are experimental and need --enable-feature=promql-binop-fill-modifiers";
                return Err(self.error(span, message));
            }
            self.expect(TokenKind::LeftParen, "fill modifier", "\"(\"")?;
            let negative = match self.kind() {
                TokenKind::Op(Op::Sub) => {
                    self.advance();
                    true
                }
                TokenKind::Op(Op::Add) => {
                    self.advance();
                    false
                }
                _ => false,
            };
            let word = self.word();
            let number = self.kind();
            if !matches!(number, TokenKind::Number | TokenKind::Duration) {
                return Err(self.unexpected("fill modifier", "number"));
            }
            let span = self.advance();
            let value = if number == TokenKind::Number {
                parse_number(word).map_err(|m| self.error(span, m))?
            } else {
                parse_duration_ms(word).map_err(|m| self.error(span, m))? as f64 / 1000.0
            };
            let value = if negative { -value } else { value };
            self.expect(TokenKind::RightParen, "fill modifier", "\")\"")?;
            if left {
                modifiers.fill_left = Some(value);
            }
            if right {
                modifiers.fill_right = Some(value);
            }
        }
    }
}

#[derive(Default)]
struct BinaryModifiers {
    return_bool: bool,
    matched: bool,
    on: bool,
    labels: Vec<String>,
    card: Option<Cardinality>,
    include: Vec<String>,
    fill_left: Option<f64>,
    fill_right: Option<f64>,
}

impl BinaryModifiers {
    fn build(self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        use crate::ast::ValueType::Vector;
        let vectors = lhs.value_type() == Vector && rhs.value_type() == Vector;
        let used = self.matched || self.fill_left.is_some() || self.fill_right.is_some();
        let card = match self.card {
            None if op.is_set() => Cardinality::ManyToMany,
            card => card.unwrap_or(Cardinality::OneToOne),
        };
        let matching = (vectors || used).then_some(Matching {
            card,
            labels: self.labels,
            on: self.on,
            include: self.include,
            fill_left: self.fill_left,
            fill_right: self.fill_right,
        });
        Expr::Binary(Binary {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
            return_bool: self.return_bool,
            matching,
            span,
        })
    }
}

/// Reads the text of a quoted string, for other readers of PromQL's notation.
///
/// # Errors
/// What is wrong with it.
pub fn unquote(quoted: &str) -> Result<String, String> {
    text::unquote(quoted)
}

#[cfg(test)]
mod tests;
