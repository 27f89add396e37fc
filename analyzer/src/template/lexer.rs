//! Cuts a template into text and actions, and an action into tokens.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Literal text.
    Text(String),
    /// Tokens of one `{{ … }}` and the line it begins on.
    Action(Vec<Token>, usize),
}

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or function name.
    Word(String),
    /// `.a.b`; empty for a lone dot.
    Field(Vec<String>),
    /// `$name`
    Variable(String),
    /// A string, raw string.
    Text(String),
    /// A whole number or character.
    Int(i64),
    /// A number with a point or exponent.
    Float(f64),
    /// `|`, `(`, `)`, `,`, `=`
    Symbol(char),
    /// `:=`
    Declare,
}

/// Cuts the whole template.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut trim_next = false;
    loop {
        let open = rest.find("{{");
        let mut literal = &rest[..open.unwrap_or(rest.len())];
        let lines_in_literal = literal.matches('\n').count();
        if trim_next {
            literal = literal.trim_start();
        }
        let Some(open) = open else {
            push_text(&mut pieces, literal);
            return Ok(pieces);
        };
        line += lines_in_literal;
        let mut action = &rest[open + 2..];
        if action.starts_with('-') && action[1..].starts_with([' ', '\t', '\n', '\r']) {
            action = &action[2..];
            literal = literal.trim_end();
        }
        push_text(&mut pieces, literal);
        let (tokens, after, trim) = if action.trim_start().starts_with("/*") {
            let end = action.find("*/").ok_or(format!("line {line}: unclosed comment"))?;
            let after = action[end + 2..].trim_start();
            let (after, trim) = match after.strip_prefix("-}}") {
                Some(after) => (after, true),
                None => (
                    after.strip_prefix("}}").ok_or(format!("line {line}: comment ends before closing delimiter"))?,
                    false,
                ),
            };
            (None, after, trim)
        } else {
            let (tokens, after, trim) = tokens(action, line)?;
            (Some(tokens), after, trim)
        };
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens, line));
        }
        line += action[..action.len() - after.len()].matches('\n').count();
        rest = after;
        trim_next = trim;
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Tokens up to the closing `}}`, what follows it, and whether it trims.
fn tokens(action: &str, line: usize) -> Result<(Vec<Token>, &str, bool), String> {
    let mut tokens = Vec::new();
    let mut rest = action;
    let wrong = |what: &str| format!("line {line}: {what}");
    loop {
        let before = rest.len();
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("-}}")
            && before > rest.len()
        {
            return Ok((tokens, after, true));
        }
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((tokens, after, false));
        }
        let first = rest.chars().next().ok_or_else(|| wrong("unclosed action"))?;
        let (token, after) = match first {
            '|' | '(' | ')' | ',' | '=' => (Token::Symbol(first), &rest[1..]),
            ':' => (Token::Declare, rest.strip_prefix(":=").ok_or_else(|| wrong("expected :="))?),
            '"' => quoted(rest).ok_or_else(|| wrong("unterminated quoted string"))?,
            '`' => {
                let end = rest[1..].find('`').ok_or_else(|| wrong("unterminated raw quoted string"))?;
                (Token::Text(rest[1..=end].to_owned()), &rest[end + 2..])
            }
            '\'' => {
                let mut chars = rest[1..].chars();
                let c = chars
                    .next()
                    .filter(|_| chars.next() == Some('\''))
                    .ok_or_else(|| wrong("malformed character constant"))?;
                (Token::Int(i64::from(u32::from(c))), &rest[2 + c.len_utf8()..])
            }
            '$' => {
                let length = word_length(&rest[1..]);
                (Token::Variable(rest[1..=length].to_owned()), &rest[1 + length..])
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => field(rest),
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                number(rest).ok_or_else(|| wrong("bad number syntax"))?
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = word_length(rest);
                (Token::Word(rest[..length].to_owned()), &rest[length..])
            }
            c => return Err(wrong(&format!("unexpected {c:?} in action"))),
        };
        // A field directly behind a closing parenthesis, variable or field belongs to it; the parser needs to know.
        if let (Token::Field(fields), false) = (&token, before > rest.len())
            && !fields.is_empty()
            && matches!(tokens.last(), Some(Token::Symbol(')') | Token::Variable(_)))
        {
            tokens.push(Token::Symbol('.'));
        }
        tokens.push(token);
        rest = after;
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn field(text: &str) -> (Token, &str) {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('.') {
        let length = word_length(after);
        if length == 0 {
            if names.is_empty() {
                rest = after;
            }
            break;
        }
        names.push(after[..length].to_owned());
        rest = &after[length..];
    }
    (Token::Field(names), rest)
}

fn number(text: &str) -> Option<(Token, &str)> {
    let mut previous = ' ';
    let length = text
        .find(|c: char| {
            let part = c.is_ascii_alphanumeric()
                || matches!(c, '.' | '_')
                || (matches!(c, '+' | '-') && (previous == ' ' || matches!(previous, 'e' | 'E' | 'p' | 'P')));
            previous = c;
            !part
        })
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(length);
    let plain = digits.replace('_', "");
    let (sign, unsigned) = match plain.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = |prefix: [&str; 2], radix| {
        let digits = unsigned.strip_prefix(prefix[0]).or_else(|| unsigned.strip_prefix(prefix[1]))?;
        i64::from_str_radix(digits, radix).ok()
    };
    let whole = radix(["0x", "0X"], 16)
        .or_else(|| radix(["0b", "0B"], 2))
        .or_else(|| radix(["0o", "0O"], 8))
        .or_else(|| unsigned.parse().ok());
    let token = match whole {
        Some(value) => Token::Int(sign * value),
        None if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => Token::Float(plain.parse().ok()?),
        None => return None,
    };
    Some((token, rest))
}

fn quoted(text: &str) -> Option<(Token, &str)> {
    let mut out = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Token::Text(out), &text[at + 2..])),
            '\n' => return None,
            '\\' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'a' => out.push('\u{7}'),
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'v' => out.push('\u{b}'),
                kind @ ('x' | 'u' | 'U') => {
                    let length = match kind {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let digits: String = chars.by_ref().take(length).map(|p| p.1).collect();
                    out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?);
                }
                c @ ('\\' | '"' | '\'') => out.push(c),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    None
}
